"""docs/results.md and its pictures, from the files in docs/results/ alone."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import publish_sheets as sheets
from PIL import Image, ImageDraw, ImageFont

BEGIN, END = "<!-- by benchmarks/publish.py write -->", "<!-- end -->"
BEGINNING = f"""# Results

{BEGIN}
{END}
"""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A variant over its seeds."""

    label: str  # its name, "+", and what it was trained with beside its own
    rank: str
    unranked: str  # why there is no rank
    results: Sequence[dict[str, Any]]
    whole: Sequence[float]  # FID of each seed's generator against all images, where it was trained on a few of them

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
        ValueError: the results are not of one protocol, or a variant's not of one recipe and code.
    """
    from ganzoo.leaderboard.table import read_tables

    tables = read_tables([sheets.RESULTS / name])
    if len(tables) != 1:
        raise ValueError(f"{name}: results of {len(tables)} protocols: {[table.protocol for table in tables]}")
    rows = []
    for row in tables[0].rows:
        if row.kind == "generated":
            rank = "-" if row.rank is None else f"{row.rank}{'=' if row.shared else ''}"
            label = Path(row.runs[0]).parent.name  # docs/results/SHEET/LABEL/SEED
            files = [sheets.RESULTS / name / label / str(one["seed"]) / "whole.json" for one in row.results]
            whole = [json.loads(file.read_text(encoding="utf-8")) for file in files if file.exists()]
            rows.append(
                Row(label=label, rank=rank, unranked=row.unranked or row.status, results=row.results,
                    whole=[one["values"]["fid"] for one in whole])
            )  # fmt: skip
    twice = sorted({row.label for row in rows if [other.label for other in rows].count(row.label) > 1})
    if twice:
        raise ValueError(f"{name}: seeds of several recipes or sources: {', '.join(twice)}; see `publish.py check`")
    return rows, tables[0]


def speeds_of(name: str) -> dict[str, dict[str, Any]]:
    """What has been measured of each row of a sheet, by its label."""
    file = sheets.RESULTS / name / "speed.json"
    measured = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {"rows": []}
    return {row["variant"]: row for row in measured["rows"]}


def is_of(timed: dict[str, Any], result: dict[str, Any]) -> bool:
    """Whether a throughput is of the batches and of the size of networks of a result, and not of a former recipe's."""
    parameters = sum(result["parameters"].values())
    return (timed.get("batch_size"), timed.get("parameters")) == (result["config"]["train"]["batch_size"], parameters)


def table_of(name: str) -> Iterator[str]:
    from ganzoo.leaderboard.formats import bytes_text

    rows, table = rows_of(name)
    speeds = speeds_of(name)
    lines: list[dict[str, str]] = []
    for row in rows:
        fids = row.values("fid")
        first = row.results[0]
        timed = speeds.get(row.label, {})
        if not is_of(timed, first):  # see `publish.py check`
            timed = {}
        lines.append({
            "rank": row.rank,
            "variant": f"[{row.label}](zoo.md)",
            "FID": interval(fids),
            "FID of all": interval(row.whole),
            "untrained": number(row.mean("fid", "untrained"), 0),
            "best FID": number(row.mean("fid", "best")),
            "KID": number(row.mean("kid"), 3),
            "precision": number(row.mean("precision")),
            "recall": number(row.mean("recall")),
            "right class %": number(row.mean("cond_acc"), 1),
            "modes": number(min(row.values("modes"), default=None), 0),
            "memorised %": number(row.mean("memorised"), 1),
            "batch": str(first["config"]["train"]["batch_size"]),
            "train img/s": number(timed.get("train_img_per_s"), 0),
            "time": clock(sheets.SHEETS[name].kimg * 1000, timed.get("train_img_per_s")),
            "sample img/s": number(timed.get("sample_img_per_s"), 0),
            "params": f"{sum(first['parameters'].values()) / 1e6:.2f}M",
            "memory": bytes_text(peak) if (peak := max(one["peak_memory"] for one in row.results)) else "-",
            "n": str(len(fids)) if len(fids) == len(row.results) else f"{len(fids)} of {len(row.results)}",
        })  # fmt: skip
    titles = [title for title in lines[0] if title == "rank" or any(line[title] != "-" for line in lines)]
    yield "| " + " | ".join(titles) + " |"
    yield "|---|---|" + "---:|" * (len(titles) - 2)
    yield from ("| " + " | ".join(line[title] for title in titles) + " |" for line in lines)
    reasons = sorted({row.unranked for row in rows if row.rank == "-"})
    for reason in reasons:
        whose = [row.label for row in rows if row.rank == "-" and row.unranked == reason]
        yield ""
        yield f"No rank: {', '.join(whose)} ({reason})."
    counts = {one["name"]: one["images"] for one in rows[0].results[0]["floors"]}
    for floor in (row for row in table.rows if row.kind == "real"):
        values = {key: one.mean for key, one in floor.numbers.items() if one is not None}
        told = ", ".join(
            f"{title} {number(values.get(key), places)}"
            for key, title, places in (("fid", "FID", 2), ("kid", "KID", 3), ("precision", "precision", 2),
                                       ("recall", "recall", 2))
            if key in values
        )  # fmt: skip
        yield ""
        name = floor.variant.removeprefix("real: ")
        many = f", {counts[name]:,} images" if name in counts else ""
        yield f"Real images as if generated ({name}{many}): {told}."


def interval(values: Sequence[float]) -> str:
    """The mean, and half its 95 % interval."""
    from ganzoo.leaderboard.significance import student_t_half_width

    half = student_t_half_width(values) if len(values) > 1 else None
    return number(statistics.fmean(values) if values else None) + (f" ± {half:.2f}" if half is not None else "")


def number(value: float | None, places: int = 2) -> str:
    return "-" if value is None else f"{value:,.{places}f}"


def clock(images: float, per_second: float | None) -> str:
    """Minutes and seconds that so many images take."""
    seconds = round(images / per_second) if per_second else 0
    return f"{seconds // 60}:{seconds % 60:02d}" if per_second else "-"


def conditions_of(name: str) -> Iterator[str]:
    rows, table = rows_of(name)
    sheet = sheets.SHEETS[name]
    yield from (f"    {command}" for command in sheets.commands_of(sheet))
    yield ""
    made, environments = sorted(set(table.environments)), [one["environment"] for row in rows for one in row.results]
    at_once = sorted({one.get("concurrent", 1) + one.get("beside", 0) for one in environments})
    commits = sorted({(environment.get("git") or {}).get("commit", "?")[:7] for environment in environments})
    yield f"Protocol `{table.protocol}`. {sheet.kimg:g} kimg each. Runs made on: {'; '.join(made)}, "
    yield f"{' or '.join(map(str, at_once))} at a time, commits {', '.join(commits)}."
    if all(len(row.results) == 1 for row in rows):
        yield "**One seed each**: an order, and no ranking; differences of a few percent are chance."
    if sheet.note:
        yield sheet.note
    whole = sorted((sheets.RESULTS / name).glob("*/*/whole.json"))
    if whole:
        protocol = json.loads(whole[0].read_text(encoding="utf-8"))["protocol"]
        few = json.loads((sheets.RESULTS / name / "by_heart.json").read_text(encoding="utf-8"))
        yield f"*FID of all*: protocol `{protocol}`. The {few['images']} images themselves have "
        yield f"{number(few['values']['fid'])}, which is what one gets who knows them by heart."
    file = sheets.RESULTS / name / "speed.json"
    if file.exists():
        environment = json.loads(file.read_text(encoding="utf-8"))["environment"]
        yield f"Throughput is measured apart, with nothing beside it: {environment['device_name']}."


def picture(name: str) -> None:
    """All strips below each other, with names, in two columns."""
    rows, _ = rows_of(name)
    files = {row.label: sheets.RESULTS / name / row.label / "samples.png" for row in rows}
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
    sheet.quantize(128).save(sheets.RESULTS / f"{name}.png", optimize=True)


def compare(name: str, better: str, worse: str) -> str | None:
    """Whether the first has the lower mean FID, and whether that is more than chance; None where one is missing.
    That is FID against all images where it was trained on a few of them.
    """
    from ganzoo.leaderboard.significance import welch_p

    rows = {row.label: row for row in rows_of(name)[0]} if (sheets.RESULTS / name).exists() else {}
    if better not in rows or worse not in rows:
        return None
    of_all = bool(sheets.SHEETS[name].whole)
    ours, theirs = (rows[label].whole if of_all else rows[label].values("fid") for label in (better, worse))
    if not ours or not theirs:
        return None
    a, b = statistics.fmean(ours), statistics.fmean(theirs)
    told = f"| {name} | {better} | {a:.2f} | {worse} | {b:.2f} |"
    if min(len(ours), len(theirs)) < 2:
        return f"{told} - | {'lower' if a < b else 'higher'}, of one seed |"
    p = welch_p(ours, theirs)
    verdict = "no difference to be seen" if p > 0.05 else "as expected" if a < b else "**the other way round**"
    if better == sheets.SHEETS[name].flattered and verdict == "as expected":
        verdict += ", by a FID that flatters it"
    return f"{told} {p:.2g} | {verdict} |"


SISTERS = (
    ("cgan", "gan"), ("cdcgan", "dcgan"), ("acgan", "dcgan"), ("cgan-pd", "sngan-resnet"),
    *((name, "sngan-resnet") for name in ("adcgan", "contragan", "mhgan", "reacgan", "tacgan")),
    ("sagan", "sagan-unconditional"), ("cstylegan2", "stylegan2"),
)  # fmt: skip
MODERN = (("r3gan", "dcgan"), ("stylegan2", "dcgan"), ("fastgan", "dcgan"), ("projected-gan", "dcgan"))
HELP = tuple(
    (f"{variant}+{more}", variant) for variant in ("dcgan", "sngan") for more in ("diffaug", "ada", "lecam", "cr")
)


def expectations() -> Iterator[str]:
    for title, pairs in (("Conditional variants above their sisters", SISTERS), ("Newer ones above DCGAN", MODERN),
                         ("Help where images are few", HELP)):  # fmt: skip
        lines = [line for name in sheets.SHEETS for pair in pairs if (line := compare(name, *pair))]
        if lines:
            yield f"### {title}"
            yield ""
            yield "| data | expected ahead | FID | of | FID | p | |"
            yield "|---|---|---:|---|---:|---:|---|"
            yield from lines
            yield ""


def claim_of(rows: Sequence[Row]) -> Iterator[str]:
    """Where every variant has been searched at length, its FID is to end below a tenth of its untrained generator's."""
    tenth = [row for row in rows if (u := row.mean("fid", "untrained")) and (f := row.mean("fid")) and f < u / 10]
    yield f"{len(tenth)} of {len(rows)} variants end below a tenth of their untrained generator's FID."
    others = [row.label for row in rows if row not in tenth]
    if others:
        yield f"Not: {', '.join(others)}."


def write() -> None:
    names = [name for name in sheets.SHEETS if any(sheets.RESULTS.glob(f"{name}/*/*/result.json"))]
    page = sheets.PAGE.read_text(encoding="utf-8") if sheets.PAGE.exists() else BEGINNING
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    lines: list[str] = []
    for name in names:
        picture(name)
        rows, _ = rows_of(name)
        lines += [f"## {sheets.SHEETS[name].title}", "", *conditions_of(name), "", *table_of(name)]
        lines += ["", *claim_of(rows)] if name == "digits" else []
        lines += ["", f"![the first images of seed 0 by each variant](results/{name}.png)", ""]
    expected = list(expectations())
    lines += ["## What was expected", "", *expected] if expected else []
    sheets.PAGE.write_text(f"{before}{BEGIN}\n\n" + "\n".join(lines).rstrip() + f"\n\n{END}{after}", encoding="utf-8")
    print(sheets.PAGE)
