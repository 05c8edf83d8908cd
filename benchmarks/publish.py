"""The published leaderboard: trains what is missing of it, and writes docs/results.md from the result files.

    python benchmarks/publish.py run digits              # hours, of what docs/results/ lacks; stopped, it continues
    python benchmarks/publish.py speed digits            # throughput, on a machine with nothing else to do
    python benchmarks/publish.py write                   # docs/results.md and its pictures, from docs/results/ alone
    python benchmarks/publish.py check                   # what is missing, and what another recipe or code has made

`run` is `ganzoo bench` with the settings of publish_sheets.py; each result goes to docs/results/SHEET/VARIANT/SEED/ as
it is but for line breaks, beside a strip of images of the first seed. `ganzoo leaderboard docs/results/digits` reads
them like any others.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import os
import re
import sys
import tokenize
from collections.abc import Mapping
from pathlib import Path
from tokenize import COMMENT, NL
from typing import Any

import publish_page
import publish_sheets as sheets
from PIL import Image

import ganzoo
from ganzoo.config.layers import from_dict, specs_of
from ganzoo.config.options import config_of
from ganzoo.config.run_config import LATER, PLACES, difference, flatten
from ganzoo.runs.events import Event, Finished
from ganzoo.runs.records import stats_lines
from ganzoo.zoo.registry import Registry
from ganzoo.zoo.source import source_sha256

OF_THE_MACHINE = frozenset({"seconds", "img_per_s", "peak_memory"})
"""Of a tick: what another machine would not repeat."""


def run(name: str, arguments: argparse.Namespace) -> None:
    sheet = sheets.SHEETS[name]
    if sheet.whole:
        make_few(name, Path(arguments.folders), arguments.data_root)
        by_heart = sheets.RESULTS / name / "by_heart.json"
        if not by_heart.exists():
            by_heart.parent.mkdir(parents=True, exist_ok=True)
            few = Path(sheets.place_of(sheet.dataset, arguments.folders).partition(":")[2])
            score_whole(sheet, few, by_heart, arguments)
    registry = Registry.load()
    variants = arguments.variants.split(",") if arguments.variants else variants_of(sheet, registry)
    for seed in range(arguments.seeds or sheet.seeds):  # so that results come in as they are made
        for suffix, more in {"": {}, **sheet.also}.items():
            missing = [variant for variant in variants if not published(registry, name, variant, suffix, seed)]
            if not missing:
                continue

            def hear(event: Event, suffix: str = suffix) -> None:
                say(event)
                if isinstance(event, Finished):  # at once: a sitting may end before the bench does
                    file = collect(name, Path(event.path), suffix)
                    if sheet.whole and event.diverged is None:
                        score_whole(sheet, Path(event.path), file.with_name("whole.json"), arguments)

            board = ganzoo.bench(
                missing, seeds=1, seed=seed, concurrent=arguments.at_once, out=Path(arguments.runs) / name,
                data_root=arguments.data_root, listen=hear, **{**sheets.options_of(sheet, arguments.folders), **more},
            )  # fmt: skip
            done = sum(one.finished for one in board.runs)
            print(f"{name} {suffix}: seed {seed}, {done} of {len(missing)} that were missing", flush=True)


def variants_of(sheet: sheets.Sheet, registry: Registry) -> list[str]:
    return [spec.name for spec in registry.variants()] if sheet.variants == ("all",) else list(sheet.variants)


def published(registry: Registry, name: str, variant: str, suffix: str, seed: int) -> bool:
    """Whether docs/results/ has it, of today's recipe and code, and scored against all images where it should be."""
    file = folder_of(name, variant, suffix) / str(seed) / "result.json"
    return file.exists() and not unscored(name, file) and not stale(registry, name, variant, suffix, file)


def unscored(name: str, file: Path) -> bool:
    """Whether the result has yet to be scored against all images, of which the sheet's are a few."""
    if not sheets.SHEETS[name].whole or file.with_name("whole.json").exists():
        return False
    return json.loads(file.read_text(encoding="utf-8"))["last"] is not None  # None: it diverged


def folder_of(name: str, variant: str, suffix: str) -> Path:
    return sheets.RESULTS / name / (f"{variant}+{suffix}" if suffix else variant)


def stale(registry: Registry, name: str, variant: str, suffix: str, file: Path) -> list[str]:
    """In what the recipe and the code that made the result are not today's."""
    sheet = sheets.SHEETS[name]
    made = json.loads(file.read_text(encoding="utf-8"))["config"]
    options = sheets.options_of(sheet) | dict(sheet.also.get(suffix, {}))
    now = config_of(registry, variant, {**options, "seed": made["seed"]}).identity()
    was = {key: value for key, value in flatten(made).items() if key not in PLACES and value != LATER.get(key, ...)}
    changed = difference(now, was)
    told = [f"seed {made['seed']} of another recipe: {changed}"] if changed else []
    if read_codes(file.parents[1]).get(file.parent.name) != code_sha256(registry, made):
        told.append(f"seed {made['seed']} made by other code")
    return told


def make_few(name: str, folders: Path, data_root: str | None) -> None:
    """ "fashion-100": the first ten of each class of Fashion-MNIST; "faces-1000": the first thousand faces."""
    import numpy

    from ganzoo.config.places import cache_root
    from ganzoo.data.idx import load_fashion_mnist

    kind, _, count = name.partition("-")
    if kind == "faces" and not (folders / name).exists():
        (folders / name).mkdir()
        for file in sorted((folders / "celeba64_a" / "face").glob("*.jpg"))[: int(count)]:
            (folders / name / file.name).write_bytes(file.read_bytes())
    if kind == "fashion" and not (folders / f"{name}.npz").exists():
        images = load_fashion_mnist(cache_root(data_root), "train", False)
        labels, each = numpy.asarray(images.labels), int(count) // 10
        chosen = numpy.sort(numpy.concatenate([numpy.flatnonzero(labels == label)[:each] for label in range(10)]))
        pixels = numpy.asarray(images.pixels)[chosen]
        numpy.savez_compressed(folders / f"{name}.npz", images=pixels, labels=labels[chosen])


def score_whole(sheet: sheets.Sheet, source: Path, file: Path, arguments: argparse.Namespace) -> None:
    """The run's last snapshot, or the few images themselves, against all the images that they are a few of."""
    scored = ganzoo.evaluate(
        source, dataset=sheets.place_of(sheet.whole, arguments.folders), size=sheet.options["size"], device="cpu",
        sets=[one for one in sheet.options["sets"] if one == sheets.ANY_COUNT], data_root=arguments.data_root,
    )  # fmt: skip
    told = {"protocol": scored.protocol, "images": scored.images, "of": scored.of, "values": scored.values}
    file.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def say(event: Event) -> None:
    if event.kind in ("note", "diagnosed", "failed", "finished") and str(event) != "done before":
        print(f"{event.job}: {event}" if event.job else event, flush=True)


def collect(name: str, path: Path, suffix: str = "") -> Path:
    """The run's result, as it is, but in one line and without the place of its images; what was told at its end, such
    as D's accuracy and ADA's p; of the first seed its last images as well. Gives the file.
    """
    result = json.loads((path / "result.json").read_text(encoding="utf-8"))
    result.pop("provenance", None)  # who started it, by which command, is nobody's business
    place = result["config"]["dataset"].get("path")
    if place:
        result["config"]["dataset"]["path"] = Path(place).name
    folder = folder_of(name, result["variant"], suffix)
    file = folder / str(result["seed"]) / "result.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(result, separators=(",", ":"))
    if place and json.dumps(place)[1:-1] in text:
        raise ValueError(f"{path}: the result names {place}")
    for former in ("whole.json", "last_tick.json"):  # of another generator
        file.with_name(former).unlink(missing_ok=True)
    file.write_text(text + "\n", encoding="utf-8")
    ticks = path / "stats.jsonl"
    lines = list(stats_lines(ticks.read_bytes())) if ticks.exists() else []
    if lines:
        told = {key: value for key, value in lines[-1].items() if key not in OF_THE_MACHINE}
        file.with_name("last_tick.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    codes = read_codes(folder) | {str(result["seed"]): code_sha256(Registry.load(), result["config"])}
    (folder / "code.json").write_text(json.dumps(codes, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    if result["seed"] == 0:
        strip(sorted((path / "samples").glob("*.png"))[-1], result["protocol"]["shape"][1]).save(folder / "samples.png")
    return file


def settle_sources(folder: Path) -> None:
    """Where seeds were made before and after comments of the code were changed, all say today's source, by which a
    leaderboard tells rows apart: those of code that is today's but for comments.
    """
    results = {file: json.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*/result.json"))}
    if len({result["source"] for result in results.values()}) < 2:
        return
    registry, codes = Registry.load(), read_codes(folder)
    for file, result in results.items():
        if codes.get(file.parent.name) == code_sha256(registry, result["config"]):
            result["source"] = source_sha256(*specs_of(registry, from_dict(registry, result["config"])))
            file.write_text(json.dumps(result, separators=(",", ":")) + "\n", encoding="utf-8")


def strip(grid: Path, side: int) -> Image.Image:
    """The first two rows of a grid that was enlarged to be seen, at the images' own size."""
    with Image.open(grid) as opened:
        image = opened.convert("RGB")
    cell = side + 2
    factors = [f for f in range(1, 64) if image.width % f == 0 and (image.width // f - 2) % cell == 0]
    factor = max(f for f in factors if max(1, round(640 / (image.width // f))) == f)  # as `ganzoo.runs.grid.to_image`
    image = image.resize((image.width // factor, image.height // factor), Image.Resampling.NEAREST)
    return image.crop((0, 0, image.width, 2 * cell + 2))


def read_codes(folder: Path) -> dict[str, str]:
    """Seed -> digest of the code that it was made by."""
    file = folder / "code.json"
    return dict(json.loads(file.read_text(encoding="utf-8"))) if file.exists() else {}


def code_sha256(registry: Registry, config: Mapping[str, Any]) -> str:
    """Of the code of all that a run trains with, less comments, and less the specs, whose recipes are in its config:
    the modules of the plugins and of the packages `ganzoo_*` that they import; of ganzoo itself, the module of each.
    """
    digest = hashlib.sha256()
    for spec in specs_of(registry, from_dict(registry, config)):
        module = str(spec.target).partition(":")[0]
        digest.update(b"\1")
        if module.startswith("ganzoo."):
            digest.update(without_comments(Path(str(found(module)))))
            continue
        packages = [module.partition(".")[0]]
        for package in packages:  # grows
            for file in sorted(Path(str(found(package))).parent.glob("*.py")):
                if file.name != "__init__.py":
                    digest.update(file.name.encode() + b"\0" + without_comments(file))
                    imported = re.findall(r"^from (ganzoo_\w+)", file.read_text(encoding="utf-8"), re.MULTILINE)
                    packages += sorted(set(imported) - set(packages))
    return digest.hexdigest()


def without_comments(file: Path) -> bytes:
    """Its tokens, one a line; line breaks within a statement do not count either."""
    with file.open("rb") as opened:
        tokens = [token for token in tokenize.tokenize(opened.readline) if token.type not in (COMMENT, NL)]
    return "\n".join(token.string for token in tokens).encode()


def found(module: str) -> str | None:
    """Its file."""
    spec = importlib.util.find_spec(module)
    return None if spec is None else spec.origin


def speed(name: str, arguments: argparse.Namespace) -> None:
    """Of each row of the sheet, those with what `also` adds among them: "variant" is the row's name."""
    sheet = sheets.SHEETS[name]
    variants: Any = arguments.variants or ",".join(sheet.variants)
    options, file = sheets.options_of(sheet, arguments.folders), sheets.RESULTS / name / "speed.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    for suffix, more in {"": {}, **sheet.also}.items():
        measured = ganzoo.speed(variants, rounds=5, out=Path(arguments.runs) / f"{name}-speed",
                                data_root=arguments.data_root, listen=say, **{**options, **more}).measured  # fmt: skip
        now = [{**row, "variant": folder_of(name, row["variant"], suffix).name} for row in measured["rows"]]
        before = json.loads(file.read_text(encoding="utf-8"))["rows"] if file.exists() else []
        names = {row["variant"] for row in now}
        rows = [row for row in before if row["variant"] not in names] + now
        file.write_text(json.dumps({**measured, "rows": rows}, indent=1) + "\n", encoding="utf-8")


def check() -> int:
    """Print what is missing or stale; 1 if anything is."""
    registry, wrong = Registry.load(), 0
    for name, sheet in sheets.SHEETS.items():
        rows = [(variant, suffix) for variant in variants_of(sheet, registry) for suffix in ("", *sheet.also)]
        for variant, suffix in rows:
            folder = folder_of(name, variant, suffix)
            files = sorted(folder.glob("*/result.json"))
            seeds = {int(file.parent.name) for file in files}
            told = [f"no seed {seed}" for seed in range(sheet.seeds) if seed not in seeds]
            told += [f"seed {seed} is none of the sheet's" for seed in sorted(seeds) if seed >= sheet.seeds]
            told += [f"seed {file.parent.name} not scored against all images" for file in files if unscored(name, file)]
            told += [line for file in files for line in stale(registry, name, variant, suffix, file)]
            results = [json.loads(file.read_text(encoding="utf-8")) for file in files]
            timed = publish_page.speeds_of(name).get(folder.name, {})
            if any(not publish_page.is_of(timed, result) for result in results):
                told.append(f"throughput {'of another recipe' if timed else 'not measured'}: `publish.py speed {name}`")
            for line in told:
                print(f"{name} {folder.name}: {line}")
            wrong += bool(told)
        known = {folder_of(name, variant, suffix).name for variant, suffix in rows}
        for folder in sorted((sheets.RESULTS / name).glob("*/")):
            if folder.name not in known:
                print(f"{name} {folder.name}: none of the sheet's")
                wrong += 1
    return 1 if wrong else 0


def main() -> int:
    parser = argparse.ArgumentParser(description="Train for, and write, the published leaderboard.")
    parser.add_argument("do", choices=["run", "speed", "write", "check"])
    parser.add_argument("sheets", nargs="*", metavar="SHEET", help=f"of {', '.join(sheets.SHEETS)}; none: all")
    parser.add_argument("--variants", help="comma separated; none: the sheet's")
    parser.add_argument("--seeds", type=int, help="none: the sheet's")
    parser.add_argument("--at-once", type=int, default=len(os.sched_getaffinity(0)), help="runs at a time")
    parser.add_argument("--runs", default="runs/published", help="folder of the runs")
    parser.add_argument("--data-root", default=None)
    parser.add_argument("--folders", default="data", help="folder of folders of images")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.sheets) - set(sheets.SHEETS))
    if unknown:
        parser.error(f"no sheet is called {', '.join(unknown)}; there are {', '.join(sheets.SHEETS)}")
    # "auto" is fp32, as in all that is published.
    os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_BF16")
    if arguments.do in ("run", "speed"):
        for name in arguments.sheets or sheets.SHEETS:
            (run if arguments.do == "run" else speed)(name, arguments)
    elif arguments.do == "check":
        return check()
    else:
        for folder in sorted(sheets.RESULTS.glob("*/*/")):
            settle_sources(folder)
        publish_page.write()
    return 0


if __name__ == "__main__":
    sys.exit(main())
