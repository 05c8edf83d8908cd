"""Settings worth having as defaults: a small random search of one variant on one dataset.

`python benchmarks/search.py gan` draws settings from the space below, trains each for a part of the budget with one
seed, then the best of them, and what the variant has today, for the whole of it with several seeds. Chosen is the
finalist of lowest mean FID. Everything is in `benchmarks/search/DATASET/VARIANT.json`: the space, every trial, the
conditions. Seeds begin at 1000, so that no published run has been looked at; images are scored against the training
split, as in training. The same command does only what is missing.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import random
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

FIRST_SEED = 1000

SPACE: dict[str, tuple[Any, ...]] = {
    "train.g_lr": (1e-4, 2e-4, 5e-4, 1e-3, 2e-3),
    "d_lr / g_lr": (0.25, 0.5, 1.0, 2.0, 4.0),
    "train.beta1": (0.0, 0.5),
    "train.beta2": (0.9, 0.99, 0.999),
    "train.batch_size": (16, 32, 64),
    "train.ema_kimg": (0.25, 0.5, 1.0, 2.0),
    "train.schedule": ("constant", "linear"),
}
"""Setting -> values, each as likely as the others. Beside it a variant's own, `--try variant.width=128,256`."""


def draws(space: Mapping[str, Sequence[Any]], count: int, seed: int) -> Iterator[dict[str, Any]]:
    """`count` different draws."""
    chance, seen = random.Random(seed), set[str]()
    while len(seen) < min(count, math.prod(map(len, space.values()))):
        drawn = {name: chance.choice(values) for name, values in space.items()}
        key = json.dumps(drawn, sort_keys=True)
        if key not in seen:
            seen.add(key)
            yield settled(drawn)


def settled(drawn: Mapping[str, Any]) -> dict[str, Any]:
    """As settings: D's rate is drawn as a multiple of G's."""
    settings = dict(drawn)
    ratio = settings.pop("d_lr / g_lr", None)
    if ratio is not None:
        settings["train.d_lr"] = float(f"{settings['train.g_lr'] * ratio:.3g}")
    return settings


def trial(task: Mapping[str, Any]) -> dict[str, Any]:
    """In a process of its own: train, score, and say what came of it."""
    import torch

    import ganzoo

    torch.set_num_threads(1)
    sets = {**task["settings"], "train.snapshots": 1, "train.scores": "last"}
    try:
        run = ganzoo.train(
            task["variant"], dataset=task["dataset"], kimg=task["kimg"], seed=task["seed"], sets=sets, out=task["out"],
            **task["options"],
        )  # fmt: skip
    except ganzoo.UserError as error:  # a combination that is refused is no candidate
        return {**told(task), "fid": None, "refused": error.cause}
    result = run.result or {}
    values = run.values or {}
    score = {name: values[name] for name in ("fid", "modes", "cond_acc") if name in values}
    return {**told(task), "fid": None, **score, "train_img_per_s": result.get("train_img_per_s")}


def folder_of(settings: Mapping[str, Any]) -> str:
    """A short name for what is told by its settings alone."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:10]


def told(task: Mapping[str, Any]) -> dict[str, Any]:
    return {"settings": task["settings"], "seed": task["seed"], "kimg": task["kimg"]}


def mean_fid(trials: Sequence[Mapping[str, Any]]) -> float:
    """Infinity where one of them diverged or was refused."""
    scores = [one["fid"] for one in trials]
    return math.inf if not scores or None in scores else statistics.fmean(scores)


def search(options: argparse.Namespace) -> dict[str, Any]:
    space = {**SPACE, **dict(options.tries)}
    scratch = Path(options.runs) / options.dataset.replace(":", "-") / options.variant

    def tasks(candidates: Sequence[Mapping[str, Any]], kimg: float, seeds: Sequence[int]) -> list[dict[str, Any]]:
        return [
            {
                "variant": options.variant, "dataset": options.dataset, "settings": dict(settings), "kimg": kimg,
                "seed": seed, "out": str(scratch / f"{folder_of(settings)}-{kimg:g}-s{seed}"),
                "options": {"data_root": options.data_root, "num_images": options.num_images, "device": options.device},
            }
            for settings in candidates
            for seed in seeds
        ]  # fmt: skip

    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:

        def run(todo: list[dict[str, Any]]) -> list[dict[str, Any]]:
            done = []
            for one in pool.map(trial, todo):
                done.append(one)
                print(f"{len(done)}/{len(todo)} {one['kimg']:g} kimg seed {one['seed']} FID {one['fid']} "
                      f"{json.dumps(one['settings'])}", flush=True)  # fmt: skip
            return done

        candidates = [{}, *draws(space, options.trials, options.draw)]
        first = run(tasks(candidates, options.kimg * options.part, [FIRST_SEED]))
        ranked = sorted(first[1:], key=lambda one: mean_fid([one]))[: options.finalists]
        finalists: list[Mapping[str, Any]] = [{}, *(one["settings"] for one in ranked)]
        seeds = range(FIRST_SEED, FIRST_SEED + options.seeds)
        last = run(tasks(finalists, options.kimg, seeds))
    means = [mean_fid([one for one in last if one["settings"] == settings]) for settings in finalists]
    best = min(range(len(finalists)), key=lambda index: means[index])
    return {
        "variant": options.variant,
        "dataset": options.dataset,
        "space": {name: list(values) for name, values in space.items()},
        "draw_seed": options.draw,
        "first": first,
        "finals": last,
        "before": {"fid": means[0] if math.isfinite(means[0]) else None},
        "chosen": {"settings": dict(finalists[best]), "fid": means[best] if math.isfinite(means[best]) else None},
        "conditions": conditions(),
    }


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


def pair(text: str) -> tuple[str, tuple[Any, ...]]:
    """ "variant.width=64,128" -> ("variant.width", (64, 128))."""
    name, _, values = text.partition("=")
    return name, tuple(json.loads(f"[{values}]"))


def main() -> int:
    parser = argparse.ArgumentParser(description="Search for a variant's defaults on a dataset.")
    parser.add_argument("variant")
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--kimg", type=float, default=32.0, help="budget of the finals")
    parser.add_argument("--part", type=float, default=0.5, help="of the budget, in the first round")
    parser.add_argument("--trials", type=int, default=24, help="draws")
    parser.add_argument("--finalists", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=3, help="of each finalist")
    parser.add_argument("--draw", type=int, default=0, help="seed of the draws")
    parser.add_argument("--try", dest="tries", type=pair, action="append", default=[], metavar="KEY=A,B",
                        help="values of a further setting, or others of one of the space's, as JSON")  # fmt: skip
    parser.add_argument("--num-images", type=int, default=2000)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="trials at a time, of one thread each")
    parser.add_argument("--runs", default="runs/search", help="folder of the trials' runs")
    parser.add_argument("--data-root", default=None)
    parser.add_argument("--out", default=str(Path(__file__).parent / "search"))
    options = parser.parse_args()
    os.environ |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "0"}
    found = search(options)
    file = Path(options.out) / options.dataset.replace(":", "-") / f"{options.variant}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    before, chosen = found["before"]["fid"], found["chosen"]
    print(
        f"{options.variant} on {options.dataset}: FID {before} before, {chosen['fid']} with {chosen['settings']}",
        file,
        sep="\n",
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
