"""The published leaderboard: trains what is missing of it, and writes docs/results.md from the result files.

    python benchmarks/publish.py run digits              # hours; stopped, the same command continues
    python benchmarks/publish.py speed digits            # throughput, on a machine with nothing else to do
    python benchmarks/publish.py write                   # docs/results.md and its pictures, from docs/results/ alone
    python benchmarks/publish.py check                   # what is missing, and what another recipe or code has made

`run` is `ganzoo bench` with the settings of `SHEETS` below; each result goes to docs/results/SHEET/VARIANT/SEED/ as it
comes, less indentation as it is, beside a strip of images of the first seed. `ganzoo leaderboard docs/results/digits`
reads them like any others.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import os
import re
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "docs" / "results"
PAGE = ROOT / "docs" / "results.md"

EIGHT = ("dcgan", "cdcgan", "wgan-gp", "sngan", "r3gan", "stylegan2", "fastgan", "projected-gan")
"""For what takes long: the yardstick, the same told the class, two ways to tame D, and what the field is at."""


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """A table of its own: one protocol, one budget, the same seeds for all."""

    title: str
    dataset: str  # folder:NAME and npz:NAME are in --folders
    seeds: int
    kimg: float
    variants: tuple[str, ...] = ("all",)
    options: Mapping[str, Any] = field(default_factory=dict)  # further ones of `ganzoo.bench`
    also: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # each variant once more: "+name" -> options


SHEETS: dict[str, Sheet] = {
    "digits": Sheet(title="Digits, 32x32 gray", dataset="digits", seeds=5, kimg=16),
    "fashion-mnist": Sheet(title="Fashion-MNIST, 28x28 gray", dataset="fashion-mnist", seeds=3, kimg=32),
    "mnist": Sheet(title="MNIST, 28x28 gray", dataset="mnist", seeds=3, kimg=32),
    "cifar10-jpeg": Sheet(
        title="CIFAR-10 as JPEG of quality 75, 32x32 colour", dataset="folder:cifar10_jpeg", seeds=3, kimg=32,
        variants=EIGHT, options={"size": 32, "sets": ["dataset.color=rgb"]},
    ),
    "faces": Sheet(
        title="10,000 faces of CelebA, 64x64 colour", dataset="folder:celeba64_a", seeds=3, kimg=16,
        variants=tuple(name for name in EIGHT if name != "cdcgan"), options={"size": 64, "sets": ["dataset.color=rgb"]},
    ),
    "faces-1000": Sheet(
        title="1,000 faces, 64x64 colour", dataset="folder:faces-1000", seeds=3, kimg=16,
        variants=("dcgan", "fastgan", "projected-gan"), options={"size": 64, "sets": ["dataset.color=rgb"]},
    ),
    "fashion-1000": Sheet(
        title="1,000 images of Fashion-MNIST", dataset="npz:fashion-1000.npz", seeds=3, kimg=128,
        variants=("dcgan", "sngan"), options={"sets": ["dataset.color=gray"], "size": 28, "features": "fashion-mnist"},
        also={"diffaug": {"augment": "diffaug"}, "ada": {"augment": "ada"}, "lecam": {"regularize": "lecam"},
              "cr": {"regularize": "cr"}},
    ),
}  # fmt: skip


def options_of(sheet: Sheet, folders: str = "DATA") -> dict[str, Any]:
    kind, colon, name = sheet.dataset.partition(":")
    dataset = f"{kind}:{Path(folders) / name}" if colon else kind
    return {"dataset": dataset, "kimg": sheet.kimg, "preset": "laptop", "device": "cpu", **sheet.options}


def commands_of(sheet: Sheet) -> Iterator[str]:
    for more in (dict[str, Any](), *sheet.also.values()):
        words = ["ganzoo", "bench", "--variants", ",".join(sheet.variants), "--seeds", str(sheet.seeds)]
        for name, value in {**options_of(sheet), **more}.items():
            if name == "sets":
                words += [word for one in value for word in ("--set", one)]
            else:
                words += [f"--{name.replace('_', '-')}", f"{value:g}" if isinstance(value, float) else str(value)]
        yield " ".join(words)


# Runs.


def run(name: str, arguments: argparse.Namespace) -> None:
    import ganzoo

    sheet = SHEETS[name]
    if name.endswith("-1000"):
        make_few(name, Path(arguments.folders), arguments.data_root)
    variants: Any = arguments.variants or ",".join(sheet.variants)
    for seeds in range(1, (arguments.seeds or sheet.seeds) + 1):  # so that results come in as they are made
        for suffix, more in {"": {}, **sheet.also}.items():
            board = ganzoo.bench(
                variants, seeds=seeds, concurrent=arguments.at_once, out=Path(arguments.runs) / name,
                data_root=arguments.data_root, announce=say, **{**options_of(sheet, arguments.folders), **more},
            )  # fmt: skip
            for one in board.runs:
                if one.finished:
                    collect(name, one.path, suffix)
            say(f"{name} {suffix}: {sum(one.finished for one in board.runs)} of {len(board.runs)}, {seeds} seeds")


def make_few(name: str, folders: Path, data_root: str | None) -> None:
    """A thousand images: the first hundred of each class of Fashion-MNIST, or the first thousand faces."""
    import numpy

    from ganzoo.config.places import cache_root
    from ganzoo.data.idx import load_fashion_mnist

    if name == "faces-1000" and not (folders / name).exists():
        (folders / name).mkdir()
        for file in sorted((folders / "celeba64_a" / "face").glob("*.jpg"))[:1000]:
            (folders / name / file.name).write_bytes(file.read_bytes())
    if name == "fashion-1000" and not (folders / f"{name}.npz").exists():
        images = load_fashion_mnist(cache_root(data_root), "train", False)
        labels = numpy.asarray(images.labels)
        chosen = numpy.sort(numpy.concatenate([numpy.flatnonzero(labels == label)[:100] for label in range(10)]))
        pixels = numpy.asarray(images.pixels)[chosen]
        numpy.savez_compressed(folders / f"{name}.npz", images=pixels, labels=labels[chosen])


def say(line: str) -> None:
    if "done before" not in line:
        print(line, flush=True)


def collect(name: str, path: Path, suffix: str = "") -> None:
    """The run's result, as it is, but in one line and without the place of its images; of the first seed its last
    images as well.
    """
    result = json.loads((path / "result.json").read_text(encoding="utf-8"))
    place = result["config"]["dataset"].get("path")
    if place:
        result["config"]["dataset"]["path"] = Path(place).name
    folder = RESULTS / name / (f"{result['variant']}+{suffix}" if suffix else result["variant"])
    file = folder / str(result["seed"]) / "result.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(result, separators=(",", ":"))
    if place and place in text:
        raise ValueError(f"{path}: the result names {place}")
    file.write_text(text + "\n", encoding="utf-8")
    (folder / "code.txt").write_text(code_sha256(result["variant"]) + "\n", encoding="utf-8")
    if result["seed"] == 0:
        strip(sorted((path / "samples").glob("*.png"))[-1], result["protocol"]["shape"][1]).save(folder / "samples.png")


def strip(grid: Path, side: int) -> Image.Image:
    """The first two rows of a grid that was enlarged to be seen, at the images' own size."""
    with Image.open(grid) as opened:
        image = opened.convert("RGB")
    cell = side + 2
    factors = [f for f in range(1, 64) if image.width % f == 0 and (image.width // f - 2) % cell == 0]
    factor = max(f for f in factors if max(1, round(640 / (image.width // f))) == f)  # as `ganzoo.runs.grid.to_image`
    image = image.resize((image.width // factor, image.height // factor), Image.Resampling.NEAREST)
    return image.crop((0, 0, image.width, 2 * cell + 2))


def code_sha256(variant: str) -> str:
    """Of the code that a variant is made of, less the specs, whose recipes are in each result's config: the modules of
    its plugin and of the packages `ganzoo_*` that they import.
    """
    from ganzoo.zoo.registry import Registry

    target = str(Registry.load().variant(variant).target)
    packages, digest = [target.partition(".")[0]], hashlib.sha256()
    for package in packages:  # grows
        spec = importlib.util.find_spec(package)
        origin = None if spec is None else spec.origin
        for file in sorted(Path(str(origin)).parent.glob("*.py")):
            if file.name != "__init__.py":
                digest.update(file.name.encode() + b"\0" + file.read_bytes())
                found = re.findall(r"^from (ganzoo_\w+)", file.read_text(encoding="utf-8"), re.MULTILINE)
                packages += sorted(set(found) - set(packages))
    return digest.hexdigest()


def speed(name: str, arguments: argparse.Namespace) -> None:
    import ganzoo

    variants: Any = arguments.variants or ",".join(SHEETS[name].variants)
    options = {key: value for key, value in options_of(SHEETS[name], arguments.folders).items() if key != "num_images"}
    found = ganzoo.speed(variants, rounds=5, out=Path(arguments.runs) / f"{name}-speed",
                         data_root=arguments.data_root, announce=say, **options)  # fmt: skip
    (RESULTS / name).mkdir(parents=True, exist_ok=True)
    (RESULTS / name / "speed.json").write_text(json.dumps(found.measured, indent=1) + "\n", encoding="utf-8")


# What became of them.


@dataclass(frozen=True, kw_only=True)
class Row:
    """A variant over its seeds."""

    label: str  # its name, "+", and what it was trained with beside its own
    rank: str
    results: Sequence[dict[str, Any]]

    def values(self, key: str, snapshot: str = "last") -> list[float]:
        """One for each seed that has it."""
        found = [((one.get(snapshot) or {}).get("values") or {}).get(key) for one in self.results]
        return [value for value in found if value is not None]

    def mean(self, key: str, snapshot: str = "last") -> float | None:
        values = self.values(key, snapshot)
        return statistics.fmean(values) if values else None


def rows_of(name: str) -> tuple[list[Row], Any]:
    """In the leaderboard's order, and the leaderboard's table itself.

    Raises:
        ValueError: the results are not of one protocol.
    """
    from ganzoo.leaderboard.table import read_tables

    tables = read_tables([RESULTS / name])
    if len(tables) != 1:
        raise ValueError(f"{name}: results of {len(tables)} protocols: {[table.protocol for table in tables]}")
    rows = []
    for row in tables[0].rows:
        if row.kind == "generated":
            rank = "-" if row.rank is None else f"{row.rank}{'=' if row.shared else ''}"
            label = Path(row.runs[0]).parent.name  # docs/results/SHEET/LABEL/SEED
            rows.append(Row(label=label, rank=rank, results=row.results))
    return rows, tables[0]


def table_of(name: str) -> Iterator[str]:
    from ganzoo.leaderboard.significance import student_t_half_width

    rows, table = rows_of(name)
    file = RESULTS / name / "speed.json"
    measured = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {"rows": []}
    speeds = {row["variant"]: row for row in measured["rows"]}
    titles = ["rank", "variant", "FID", "untrained", "best FID", "KID", "precision", "recall", "right class %", "modes",
              "memorised %", "train img/s", "sample img/s", "params", "minutes", "n"]  # fmt: skip
    if not any(row.values("cond_acc") for row in rows):
        titles.remove("right class %")
    yield "| " + " | ".join(titles) + " |"
    yield "|---|---|" + "---:|" * (len(titles) - 2)
    for row in rows:
        fids = row.values("fid")
        half = student_t_half_width(fids) if len(fids) > 1 else None
        first = row.results[0]
        cells = {
            "rank": row.rank,
            "variant": f"[{row.label}](zoo.md)",
            "FID": number(row.mean("fid")) + (f" ± {half:.2f}" if half is not None else ""),
            "untrained": number(row.mean("fid", "untrained"), 0),
            "best FID": number(row.mean("fid", "best")),
            "KID": number(row.mean("kid"), 3),
            "precision": number(row.mean("precision")),
            "recall": number(row.mean("recall")),
            "right class %": number(row.mean("cond_acc"), 1),
            "modes": number(min(row.values("modes"), default=None), 0),
            "memorised %": number(row.mean("memorised"), 1),
            "train img/s": number((speeds.get(row.label) or {}).get("train_img_per_s"), 0),
            "sample img/s": number((speeds.get(row.label) or {}).get("sample_img_per_s"), 0),
            "params": f"{sum(first['parameters'].values()) / 1e6:.2f}M",
            "minutes": number(statistics.fmean(one["seconds"]["wall"] for one in row.results) / 60, 1),
            "n": str(len(row.results)),
        }
        yield "| " + " | ".join(cells[title] for title in titles) + " |"
    for floor in (row for row in table.rows if row.kind == "real"):
        values = {key: one.mean for key, one in floor.numbers.items() if one is not None}
        told = ", ".join(
            f"{title} {number(values.get(key), places)}"
            for key, title, places in (("fid", "FID", 2), ("kid", "KID", 3), ("precision", "precision", 2),
                                       ("recall", "recall", 2))
            if key in values
        )  # fmt: skip
        yield ""
        yield f"Real images as if generated ({floor.variant.removeprefix('real: ')}): {told}."


def number(value: float | None, places: int = 2) -> str:
    return "-" if value is None else f"{value:,.{places}f}"


def conditions_of(name: str) -> Iterator[str]:
    rows, table = rows_of(name)
    sheet = SHEETS[name]
    yield from (f"    {command}" for command in commands_of(sheet))
    yield ""
    made, environments = sorted(set(table.environments)), [one["environment"] for row in rows for one in row.results]
    at_once = sorted({environment.get("concurrent", 1) for environment in environments})
    commits = sorted({(environment.get("git") or {}).get("commit", "?")[:7] for environment in environments})
    yield f"Protocol `{table.protocol}`. {sheet.kimg:g} kimg each. Runs made on: {'; '.join(made)}, "
    yield f"{' or '.join(map(str, at_once))} at a time, commits {', '.join(commits)}."
    file = RESULTS / name / "speed.json"
    if file.exists():
        environment = json.loads(file.read_text(encoding="utf-8"))["environment"]
        yield f"Throughput is measured apart, with nothing beside it: {environment['device']}."


def picture(name: str) -> None:
    """All strips below each other, with names, in two columns."""
    rows, _ = rows_of(name)
    files = {row.label: RESULTS / name / row.label / "samples.png" for row in rows}
    strips = [(variant, Image.open(file)) for variant, file in files.items() if file.exists()]
    if not strips:
        return
    width, height = max(s.width for _, s in strips), max(s.height for _, s in strips)
    columns, label = 2, 14
    lines = -(-len(strips) // columns)
    sheet = Image.new("RGB", (columns * (width + 8), lines * (height + label + 4)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default()
    for index, (variant, image) in enumerate(strips):
        left, top = index // lines * (width + 8), index % lines * (height + label + 4)
        draw.text((left + 2, top + 1), variant, fill="black", font=font)
        sheet.paste(image, (left, top + label))
    sheet.quantize(128).save(RESULTS / f"{name}.png", optimize=True)


def compare(name: str, better: str, worse: str) -> str | None:
    """Whether the first has the lower mean FID, and whether that is more than chance; None where one is missing."""
    from ganzoo.leaderboard.significance import welch_p

    rows = {row.label: row for row in rows_of(name)[0]} if (RESULTS / name).exists() else {}
    if better not in rows or worse not in rows:
        return None
    ours, theirs = rows[better].values("fid"), rows[worse].values("fid")
    if min(len(ours), len(theirs)) < 2:
        return None
    a, b, p = statistics.fmean(ours), statistics.fmean(theirs), welch_p(ours, theirs)
    verdict = "no difference to be seen" if p > 0.05 else "as expected" if a < b else "**the other way round**"
    return f"| {name} | {better} | {a:.2f} | {worse} | {b:.2f} | {p:.2g} | {verdict} |"


SISTERS = (
    ("cgan", "gan"), ("cdcgan", "dcgan"), ("acgan", "dcgan"), ("cgan-pd", "sngan-resnet"),
    ("sagan", "sagan-unconditional"), ("cstylegan2", "stylegan2"),
)  # fmt: skip
MODERN = (("r3gan", "dcgan"), ("stylegan2", "dcgan"), ("fastgan", "dcgan"), ("projected-gan", "dcgan"))


def expectations() -> Iterator[str]:
    for title, pairs in (("Conditional variants above their sisters", SISTERS), ("Newer ones above DCGAN", MODERN)):
        lines = [line for name in SHEETS for pair in pairs if (line := compare(name, *pair))]
        if lines:
            yield f"### {title}"
            yield ""
            yield "| data | expected ahead | FID | of | FID | p | |"
            yield "|---|---|---:|---|---:|---:|---|"
            yield from lines
            yield ""


def write() -> None:
    names = [name for name in SHEETS if any(RESULTS.glob(f"{name}/*/*/result.json"))]
    page = PAGE.read_text(encoding="utf-8") if PAGE.exists() else BEGINNING
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    lines: list[str] = []
    for name in names:
        picture(name)
        rows, _ = rows_of(name)
        tenth = [row for row in rows if (u := row.mean("fid", "untrained")) and (f := row.mean("fid")) and f < u / 10]
        lines += [f"## {SHEETS[name].title}", "", *conditions_of(name), "", *table_of(name), ""]
        lines += [f"{len(tenth)} of {len(rows)} variants end below a tenth of their untrained generator's FID."]
        rest_of = [row.label for row in rows if row not in tenth]
        lines += [f"Not: {', '.join(rest_of)}."] if rest_of else []
        lines += ["", f"![the first images of seed 0 by each variant](results/{name}.png)", ""]
    lines += ["## What was expected", "", *expectations()]
    PAGE.write_text(f"{before}{BEGIN}\n\n" + "\n".join(lines).rstrip() + f"\n\n{END}{after}", encoding="utf-8")
    print(PAGE)


BEGIN, END = "<!-- by benchmarks/publish.py write -->", "<!-- end -->"
BEGINNING = f"""# Results

{BEGIN}
{END}
"""


def check() -> int:
    """Print what is missing or stale; 1 if anything is."""
    from ganzoo.config.options import config_of
    from ganzoo.config.run_config import difference, flatten
    from ganzoo.zoo.registry import Registry

    registry, wrong = Registry.load(), 0
    for name, sheet in SHEETS.items():
        variants = [v.name for v in registry.variants()] if sheet.variants == ("all",) else list(sheet.variants)
        for variant, suffix in ((variant, suffix) for variant in variants for suffix in ("", *sheet.also)):
            label = f"{variant}+{suffix}" if suffix else variant
            files = sorted((RESULTS / name / label).glob("*/result.json"))
            told = [] if len(files) >= sheet.seeds else [f"{len(files)} of {sheet.seeds} seeds"]
            code = RESULTS / name / label / "code.txt"
            if files and code.read_text(encoding="utf-8").strip() != code_sha256(variant):
                told.append("made by other code")
            for file in files:
                made = json.loads(file.read_text(encoding="utf-8"))["config"]
                options = options_of(sheet) | dict(sheet.also.get(suffix, {}))
                now = config_of(registry, variant, {**options, "seed": made["seed"]}).to_dict()
                changed = difference(flatten(now), flatten(made))
                if changed := [line for line in changed if not line.startswith("dataset.path")]:
                    told.append(f"seed {made['seed']} of another recipe: {changed}")
            for line in told:
                print(f"{name} {label}: {line}")
            wrong += bool(told)
    return 1 if wrong else 0


def main() -> int:
    parser = argparse.ArgumentParser(description="Train for, and write, the published leaderboard.")
    parser.add_argument("do", choices=["run", "speed", "write", "check"])
    parser.add_argument("sheets", nargs="*", metavar="SHEET", help=f"of {', '.join(SHEETS)}; none: all")
    parser.add_argument("--variants", help="comma separated; none: the sheet's")
    parser.add_argument("--seeds", type=int, help="none: the sheet's")
    parser.add_argument("--at-once", type=int, default=len(os.sched_getaffinity(0)), help="runs at a time")
    parser.add_argument("--runs", default="runs/published", help="folder of the runs")
    parser.add_argument("--data-root", default=None)
    parser.add_argument("--folders", default="data", help="folder of folders of images")
    arguments = parser.parse_args()
    if arguments.do in ("run", "speed"):
        for name in arguments.sheets or SHEETS:
            (run if arguments.do == "run" else speed)(name, arguments)
    elif arguments.do == "check":
        return check()
    else:
        write()
    return 0


if __name__ == "__main__":
    sys.exit(main())
