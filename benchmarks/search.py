"""Settings worth having as defaults: a small random search of one variant on one dataset.

`python benchmarks/search.py gan` draws neighbours of what the variant has at present, beside what it has for other
kinds of images and what you say with `--also`, trains each for a part of the budget with one seed, then the best of
them, and what it has, for the whole of it with several seeds. Chosen is the finalist that misses the fewest classes
with any seed, and among equals the one of lowest mean FID, if that is lower by a tenth; nothing, where no candidate was
as much better in the first round. Of conditional variants it is the FID within each class, averaged over classes, which
counts images of another class than was asked for, where each class has enough images for it. Everything is in
`benchmarks/search/DATASET/VARIANT.json`, of each search in turn: the space, every trial, the conditions. `--adopt` puts
what is chosen into the recipes.json beside the variant's plugin, and the next search starts from there. Seeds begin at
1000, so that no published run has been looked at; images are scored against the training split, as in training.
Stopped, the same command does only what is missing.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from search_choice import better, choice, compared_by, mean_of, missed, most_modes

if TYPE_CHECKING:
    from ganzoo.config.run_config import RunConfig

FIRST_SEED = 1000

FACTORS: dict[str, tuple[float, ...]] = {"train.g_lr": (0.5, 2.0, 4.0), "train.d_lr": (0.5, 2.0, 4.0)}
"""Setting -> what its present value is multiplied by."""

SPACE: dict[str, tuple[Any, ...]] = {
    "train.beta1": (0.0, 0.5),
    "train.beta2": (0.9, 0.99, 0.999),
    "train.batch_size": (8, 16, 32, 64),
    "train.d_steps": (1, 2),
    "train.ema_kimg": (0.25, 0.5, 1.0, 2.0),
    "train.schedule": ("constant", "linear"),
}
"""Setting -> values, each as likely as the others. Beside it a variant's own, `--try variant.width=128,256`."""

CHANGES = 3
"""Settings that a draw changes, at most."""


def draws(
    present: Mapping[str, Any], space: Mapping[str, Sequence[Any]], count: int, seed: int
) -> Iterator[dict[str, Any]]:
    """`count` different neighbours of what the variant has at present, in one to three settings each."""
    chance, seen = random.Random(seed), set[str]()
    others = {name: [value for value in values if value != present[name]] for name, values in space.items()}
    others |= {name: [rounded(present[name] * by) for by in factors] for name, factors in FACTORS.items()}
    names = sorted(name for name, values in others.items() if values)
    while len(seen) < count:
        changed = chance.sample(names, chance.randint(1, CHANGES))
        drawn = {name: chance.choice(others[name]) for name in sorted(changed)}
        key = json.dumps(drawn, sort_keys=True)
        if key not in seen:
            seen.add(key)
            yield drawn


def rounded(rate: float) -> float:
    return float(f"{rate:.3g}")


def recipe(config: RunConfig) -> dict[str, Any]:
    """What a run is trained with: "train.g_lr" -> value, and the settings of what it is made of."""
    parts = [("variant", config.variant), (f"objective.{config.objective.name}", config.objective)]
    parts += [(f"regularizer.{one.name}", one) for one in config.regularizers]
    parts += [(f"augmentation.{one.name}", one) for one in config.augmentations]
    train = {f"train.{name}": value for name, value in vars(config.train).items()}
    return train | {f"{key}.{name}": value for key, part in parts for name, value in part.settings.items()}


def config_of(variant: str, dataset: str, preset: str, images: Mapping[str, Any]) -> RunConfig:
    """`images`: size and color that they are brought to; {}: as they come."""
    from ganzoo.config.layers import build_config
    from ganzoo.zoo.registry import Registry

    sets = [f"dataset.{name}={value}" for name, value in images.items()]
    return build_config(Registry.load(), variant=variant, dataset=dataset, preset=preset, sets=sets)


def preset_of(config: RunConfig, preset: str) -> str:
    """The key of `Variant.presets` for such images, "laptop@rgb-64". SystemExit where their kind is not known."""
    from ganzoo.config.families import family_of, recipe_names
    from ganzoo.zoo.registry import Registry

    settings = config.dataset.settings
    size, color = (cast(Any, settings.get(name)) for name in ("size", "color"))
    family = family_of(Registry.load().dataset(config.dataset.name), size, color)
    if family is None:
        raise SystemExit(
            f"a recipe is for a kind of images, and of {config.dataset.name} size {size} and color {color} tell none: "
            "say --size, and --color where it is None"
        )
    return recipe_names(preset, family)[-1]


def from_elsewhere(variant: str, preset: str, key: str, present: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the variant has for the same preset and other kinds of images, where that differs from `present`."""
    from ganzoo.zoo.registry import Registry

    spec = Registry.load().variant(variant)
    others = [recipe for name, recipe in spec.presets.items() if name.startswith(f"{preset}@") and name != key]
    changes = [{name: value for name, value in one.items() if present.get(name) != value} for one in others]
    return [one for index, one in enumerate(changes) if one and one not in changes[:index]]


def trial(task: Mapping[str, Any]) -> dict[str, Any]:
    """In a process of its own: train, score, and say what came of it."""
    import torch

    import ganzoo

    torch.set_num_threads(1)
    sets = {**task.get("images", {}), **task["settings"], "train.snapshots": 1, "train.scores": "last"}
    try:
        run = ganzoo.train(
            task["variant"], dataset=task["dataset"], kimg=task["kimg"], seed=task["seed"], sets=sets, out=task["out"],
            **task["options"],
        )  # fmt: skip
    except ganzoo.UserError as error:  # a combination that is refused is no candidate
        return {**told(task), "fid": None, "refused": error.cause}
    result = run.result or {}
    values = run.values or {}
    score = {name: values[name] for name in ("fid", "class_fid", "modes", "cond_acc") if name in values}
    return {**told(task), "fid": None, **score, "train_img_per_s": result.get("train_img_per_s")}


def folder_of(settings: Mapping[str, Any]) -> str:
    """A short name for a whole recipe: what is trained anew where the variant has got another one since."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:10]


def told(task: Mapping[str, Any]) -> dict[str, Any]:
    return {"settings": task["settings"], "seed": task["seed"], "kimg": task["kimg"]}


def search(options: argparse.Namespace) -> dict[str, Any]:
    space = {**SPACE, **dict(options.tries)}
    images = {name: value for name, value in (("size", options.size), ("color", options.color)) if value is not None}
    scratch = Path(options.runs) / folder(options.dataset) / options.variant
    config = config_of(options.variant, options.dataset, options.preset, images)
    present, key = recipe(config), preset_of(config, options.preset)
    unknown = sorted({*space, *(name for one in options.also for name in one)} - set(present))
    if unknown:
        raise SystemExit(f"{options.variant} has no {', '.join(unknown)}; there are {', '.join(sorted(present))}")
    if present["train.schedule"] != "constant":
        space.pop("train.schedule", None)
    brought = {f"dataset.{name}": value for name, value in images.items()}

    def tasks(candidates: Sequence[Mapping[str, Any]], kimg: float, seeds: Sequence[int]) -> list[dict[str, Any]]:
        return [
            {
                "variant": options.variant, "dataset": options.dataset, "settings": dict(settings), "kimg": kimg,
                "seed": seed, "images": brought,
                "out": str(scratch / f"{folder_of({**present, **settings})}-{kimg:g}-s{seed}"),
                "options": {"data_root": options.data_root, "num_images": options.num_images, "device": options.device,
                            "preset": options.preset},
            }
            for settings in candidates
            for seed in seeds
        ]  # fmt: skip

    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:

        def run(todo: list[dict[str, Any]]) -> list[dict[str, Any]]:
            done = []
            for one in pool.map(trial, todo):
                done.append(one)
                within = f"within classes {one['class_fid']} " if "class_fid" in one else ""
                print(f"{len(done)}/{len(todo)} {one['kimg']:g} kimg seed {one['seed']} FID {one['fid']} {within}"
                      f"{json.dumps(one['settings'])}", flush=True)  # fmt: skip
            return done

        candidates: list[Mapping[str, Any]] = [{}]
        elsewhere = from_elsewhere(options.variant, options.preset, key, present)
        for one in (*options.also, *elsewhere, *draws(present, space, options.trials, options.draw)):
            change = {name: value for name, value in one.items() if present.get(name) != value}
            candidates += [] if change in candidates else [change]
        first = run(tasks(candidates, options.kimg * options.part, [FIRST_SEED]))
        by = compared_by(options.variant, first)
        ranked = sorted(first[1:], key=lambda one: (missed([one], most_modes(first)), mean_of([one], by)))
        ranked = ranked[: options.finalists]
        ranked = [one for one in ranked if options.finals or better([one], first[:1], most_modes(first), by)]
        finalists: list[Mapping[str, Any]] = [{}, *(one["settings"] for one in ranked)]
        seeds = range(FIRST_SEED + 1, FIRST_SEED + 1 + options.seeds)  # that chose no finalist
        if ranked and options.seeds:
            last = run(tasks(finalists, options.kimg, seeds))
            if options.part == 1:  # then the first round was the same with another seed
                last += [one for one in first if one["settings"] in finalists]
        else:
            last = [one for one in first if one["settings"] in finalists]
    shown = {*space, *FACTORS, *(name for one in candidates for name in one)}
    return {
        "preset": options.preset,
        "recipe": key,
        "images": images,
        "present": {name: present[name] for name in sorted(shown)},
        "space": {name: list(values) for name, values in space.items()},
        "factors": {name: list(values) for name, values in FACTORS.items()},
        "draw_seed": options.draw,
        "by": by,
        "first": first,
        "finals": last,
        **choice(finalists, last, by),
        "conditions": conditions(),
    }


def adopt(variant: str, key: str, settings: Mapping[str, Any]) -> Path:
    """Write the settings over what recipes.json beside the variant's plugin has for it under `key`."""
    import importlib

    from ganzoo.zoo.found import FILE
    from ganzoo.zoo.registry import Registry

    registry = Registry.load()
    module = importlib.import_module(registry.owner("variants", variant).module)
    assert module.__file__ is not None
    file = Path(module.__file__).with_name(FILE)
    found = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    mine = found.setdefault(variant, {})
    mine[key] = {**mine.get(key, {}), **settings}
    file.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return file


def conditions() -> dict[str, Any]:
    import torch

    from ganzoo import __version__
    from ganzoo.engine.device import resolve_device
    from ganzoo.runs.environment import device_name

    return {
        "ganzoo": __version__,
        "torch": torch.__version__,
        "device": device_name(resolve_device("auto")),
        "threads": 1,
    }


def folder(dataset: str) -> str:
    """Of what is known of a dataset: its name, and that of a folder of images."""
    name, _, path = dataset.partition(":")
    return f"{name}-{Path(path).name}" if path else name


def pair(text: str) -> tuple[str, tuple[Any, ...]]:
    """ "variant.width=64,128" -> ("variant.width", (64, 128))."""
    name, _, values = text.partition("=")
    return name, tuple(json.loads(f"[{values}]"))


def changes(text: str) -> dict[str, Any]:
    """ "train.d_lr=5e-4 train.optimizer=sgd" -> {"train.d_lr": 0.0005, "train.optimizer": "sgd"}."""
    found: dict[str, Any] = {}
    for word in text.split():
        name, _, value = word.partition("=")
        try:
            found[name] = json.loads(value)
        except ValueError:  # a word
            found[name] = value
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description="Search for a variant's defaults on a dataset.")
    parser.add_argument("variant")
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--kimg", type=float, default=8.0, help="budget of the finals")
    parser.add_argument("--part", type=float, default=0.5, help="of the budget, in the first round")
    parser.add_argument("--trials", type=int, default=6, help="draws")
    parser.add_argument("--finalists", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=2, help="of each finalist; 0: the first round decides")
    parser.add_argument("--finals", action="store_true", help="finalists need not be better in the first round")
    parser.add_argument("--draw", type=int, default=0, help="seed of the draws")
    parser.add_argument("--try", dest="tries", type=pair, action="append", default=[], metavar="KEY=A,B",
                        help="values of a further setting, or others of one of the space's, as JSON")  # fmt: skip
    parser.add_argument("--also", type=changes, action="append", default=[], metavar="'KEY=V KEY=V'",
                        help="a candidate of yours")  # fmt: skip
    parser.add_argument("--preset", default="laptop")
    parser.add_argument("--size", type=int, help="pixels that images are brought to, as in `ganzoo train`")
    parser.add_argument("--color", choices=("gray", "rgb"))
    parser.add_argument("--adopt", action="store_true", help="write what is chosen beside the variant's plugin")
    parser.add_argument("--num-images", type=int, default=2000)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="trials at a time, of one thread each")
    parser.add_argument("--runs", default="runs/search", help="folder of the trials' runs")
    parser.add_argument("--data-root", default=None)
    parser.add_argument("--out", default=str(Path(__file__).parent / "search"))
    options = parser.parse_args()
    os.environ |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "0"}
    # "auto" is fp32, as in all that was searched before.
    os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_BF16")
    found = search(options)
    file = Path(options.out) / folder(options.dataset) / f"{options.variant}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    before = json.loads(file.read_text(encoding="utf-8"))["searches"] if file.exists() else []
    whole = {"variant": options.variant, "dataset": folder(options.dataset), "searches": [*before, found]}
    file.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    if options.adopt and found["chosen"]["settings"]:
        print(adopt(options.variant, found["recipe"], found["chosen"]["settings"]))
    by, had, chosen = found["by"], found["before"], found["chosen"]
    print(f"{options.variant} on {options.dataset}: {by} {had[by]} before, {chosen[by]} with {chosen['settings']}")
    print(file)
    return 0


if __name__ == "__main__":
    sys.exit(main())
