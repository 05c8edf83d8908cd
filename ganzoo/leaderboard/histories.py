"""What runs recorded while they trained, by the rows of a leaderboard, and its arithmetic. Torch-free."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ganzoo.errors import RunError
from ganzoo.leaderboard.cells import label, shortened, with_several
from ganzoo.leaderboard.rows import Row, Table
from ganzoo.runs.directory import RunDirectory

MOST_POINTS = 200
"""Of a curve of training statistics."""


@dataclass(frozen=True, kw_only=True)
class Seed:
    """What one run recorded while it trained."""

    seed: int
    path: str
    stats: Sequence[Mapping[str, Any]]
    metrics: Sequence[Mapping[str, Any]]

    def seconds(self, images: float) -> float | None:
        """Of training, after so many images; None where the run has not come so far."""
        ticks = [(0.0, 0.0)]
        ticks += [(line["images"], line["seconds"]) for line in self.stats if line.get("seconds") is not None]
        return interpolated(ticks, images)


@dataclass(frozen=True, kw_only=True)
class History:
    """The runs of one row, each seed once. `timed` False: they ran on several machines, or shared one with others."""

    name: str
    place: int
    timed: bool
    seeds: tuple[Seed, ...]


def names(table: Table) -> list[str]:
    """What the rows of generated images are called in charts, in order: the variant, its settings where they tell rows
    apart (without their sections where that says as much), and the objective where rows of a variant have several.
    """
    found = generated(table)
    settings = shortened([row.settings for row in found])
    rows = [replace(row, settings=short) for row, short in zip(found, settings, strict=True)]
    several = with_several(rows)
    return [label(row, objective=row.variant in several) for row in rows]


def generated(table: Table) -> list[Row]:
    """The rows that are of generated images, as they stand in the table."""
    return [row for row in table.rows if row.kind == "generated"]


def histories(table: Table) -> list[History]:
    """What the runs of each row recorded, read once for all charts. A seed that ran twice counts once; a file that
    cannot be read is as one that is not there.
    """
    found = []
    for place, (row, name) in enumerate(zip(generated(table), names(table), strict=True)):
        seeds: dict[int, Seed] = {}
        for path in row.runs:
            run = RunDirectory(Path(path))
            seed = _seed(run)
            if seed is not None and seed not in seeds:
                metrics = [line for line in _lines(run.metrics) if line["protocol"] == table.protocol]
                seeds[seed] = Seed(seed=seed, path=path, stats=_lines(run.stats), metrics=metrics)
        timed = not (row.mixed or row.beside_others)
        found.append(History(name=name, place=place, timed=timed, seeds=tuple(seeds.values())))
    return found


Span = tuple[float, float, float]
"""From and to how many images, and a mean over them."""


def spans(stats: Sequence[Mapping[str, Any]], key: str) -> list[Span]:
    """The ticks that have a number: from the end of the tick before, whatever that holds."""
    ends = [0.0, *(float(line["images"]) for line in stats)]
    found = ((begin, line["images"], line.get(key)) for begin, line in zip(ends, stats, strict=False))
    return [(begin, float(end), float(value)) for begin, end, value in found if value is not None and end > begin]


def span_width(ticks: Sequence[Span]) -> float:
    """Images of a span of a curve: of a whole tick, or more, where the curve would have too many points."""
    if not ticks:
        return 0.0
    widths = sorted(end - begin for begin, end, _ in ticks)
    whole, length = widths[int(0.9 * (len(widths) - 1))], max(end for _, end, _ in ticks)
    return max(whole, length / MOST_POINTS)


def binned_means(ticks: Sequence[Span], width: float) -> list[tuple[float, float]]:
    """(middle, mean) of the spans of `width` images that ticks reach into, each tick counted by what lies inside. A
    last span that is less than half full is part of the one before it.
    """
    sums: dict[int, tuple[float, float]] = {}
    length = max(end for _, end, _ in ticks)
    last = max(0, round(length / width) - 1)
    for begin, end, value in ticks:
        for index in range(min(last, int(begin / width)), min(last, int(end / width)) + 1):
            low, high = index * width, length if index == last else (index + 1) * width
            inside = min(end, high) - max(begin, low)
            if inside > 0:
                weight, total = sums.get(index, (0.0, 0.0))
                sums[index] = (weight + inside, total + inside * value)
    return [((index + 0.5) * width, total / weight) for index, (weight, total) in sorted(sums.items())]


def interpolated(pairs: Sequence[tuple[float, float]], x: float) -> float | None:
    """y at x, between two neighbours of `pairs`, which are in order of x; None beyond them."""
    at = bisect.bisect_left(pairs, x, key=lambda pair: pair[0])
    if at < len(pairs) and pairs[at][0] == x:
        return pairs[at][1]
    if at in (0, len(pairs)):
        return None
    (x0, y0), (x1, y1) = pairs[at - 1], pairs[at]
    return y0 + (y1 - y0) * (x - x0) / (x1 - x0)


def _lines(read: Callable[[], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    try:
        return read()
    except RunError:
        return []


def _seed(run: RunDirectory) -> int | None:
    """Of the run's config; None: there is none that can be read."""
    try:
        return int(run.read_config()["seed"])
    except (RunError, KeyError, TypeError, ValueError):
        return None
