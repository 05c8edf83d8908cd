"""What the charts show, computed once for whatever draws them: quality against cost, curves over training. Torch-free.

All of it is plain frozen dataclasses, so that `dataclasses.asdict` of any is JSON-ready.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ganzoo.errors import UnknownName
from ganzoo.leaderboard.axes import in_words, limits
from ganzoo.leaderboard.columns import Column, Number, summarize
from ganzoo.leaderboard.histories import (
    History,
    Seed,
    binned_means,
    generated,
    histories,
    interpolated,
    names,
    span_width,
    spans,
)
from ganzoo.leaderboard.rows import Row, Table
from ganzoo.leaderboard.table import OTHER_MACHINES, SHARED_DEVICE, _environments


@dataclass(frozen=True, kw_only=True)
class Axis:
    key: str  # of a column, or of a number in the records of training
    title: str  # in words
    higher_is_better: bool | None  # None: nobody said
    low: float | None = None  # no value is below; None: nobody said
    high: float | None = None  # nor above

    def band(self, number: Number) -> tuple[float, float]:
        """Ends of the interval, as far as there are such values."""
        half = number.half or 0.0
        return self.within(number.mean - half), self.within(number.mean + half)

    def within(self, value: float) -> float:
        low = value if self.low is None else max(value, self.low)
        return low if self.high is None else min(low, self.high)


@dataclass(frozen=True, kw_only=True)
class Point:
    """One row of a leaderboard, over its seeds."""

    name: str  # as in `names`
    place: int  # 0, 1, ...: of the row in its table, the same in every chart: what colours go by
    cost: Number
    quality: Number
    on_front: bool  # no other row is at least as good in both and better in one, by the means
    note: str  # what became of its seeds; "": all is well


@dataclass(frozen=True, kw_only=True)
class Pareto:
    cost: Axis
    quality: Axis
    points: tuple[Point, ...]  # in the order of the table
    floors: tuple[tuple[str, float], ...]  # what real images are, and what they score
    left_out: tuple[tuple[str, str], ...]  # name of a row, and why it has no point
    no_front: str  # why none is drawn: costs of different machines; "": it is

    @property
    def front(self) -> tuple[Point, ...]:
        """From the cheapest to the best."""
        chosen = (point for point in self.points if point.on_front)
        return tuple(sorted(chosen, key=lambda point: point.cost.mean, reverse=self.cost.higher_is_better is True))


@dataclass(frozen=True, kw_only=True)
class Moment:
    kimg: float
    seconds: float | None  # of training, mean over the seeds; None where the clocks of the seeds cannot be compared
    number: Number  # over the seeds that have come so far: `n` of them


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One row of a leaderboard, over its seeds."""

    name: str  # as in `names`
    place: int  # as of `Point`
    seeds: int
    moments: tuple[Moment, ...]  # in order of kimg; the untrained generator is none of them
    untrained: Number | None  # what it scored; of curves of scores alone


@dataclass(frozen=True, kw_only=True)
class Curves:
    axis: Axis
    curves: tuple[Curve, ...]
    floors: tuple[tuple[str, float], ...]  # as of `Pareto`


def column_of(table: Table, key: str) -> Column:
    """Raises UnknownName: the table has no such column."""
    found = _column(table, key)
    if found is None:
        raise UnknownName("column", key, [column.key for column in table.columns])
    return found


def pareto(table: Table, cost: str = "seconds", quality: str = "fid", named: Sequence[str] | None = None) -> Pareto:
    """Quality against cost, a point for each row that has both numbers.

    Args:
        table: one protocol's.
        cost: key of a column: "seconds", "train_img_per_s", "parameters", "peak_memory", ...
        quality: key of a column: "fid", "recall", ...
        named: `names(table)`; None: made now.

    Raises:
        UnknownName: there is no such column.
    """
    x, y = column_of(table, cost), column_of(table, quality)
    rows, points, left_out = [], [], []
    known = names(table) if named is None else named
    for place, (row, name) in enumerate(zip(generated(table), known, strict=True)):
        numbers = [row.numbers.get(column.key) for column in (x, y)]
        if numbers[0] is None or numbers[1] is None:
            left_out.append((name, _why(row, x if numbers[1] is not None else y)))
            continue
        rows.append(row)
        points.append((name, place, numbers[0], numbers[1], row.status))
    # Of two machines one is faster, not one variant.
    no_front = OTHER_MACHINES if "speed" in (x.group, y.group) and len(_environments(rows)) > 1 else ""
    costs = [-point[2].mean if x.higher_is_better else point[2].mean for point in points]
    losses = [-point[3].mean if y.higher_is_better else point[3].mean for point in points]
    best = set() if no_front else undominated(list(zip(costs, losses, strict=True)))
    return Pareto(
        cost=_axis(x),
        quality=_axis(y),
        points=tuple(
            Point(name=name, place=place, cost=mean_cost, quality=mean_quality, on_front=index in best, note=note)
            for index, (name, place, mean_cost, mean_quality, note) in enumerate(points)
        ),
        floors=floors(table, quality),
        left_out=tuple(left_out),
        no_front=no_front,
    )


def undominated(pairs: Sequence[tuple[float, float]]) -> set[int]:
    """Indices of the pairs for which no other is as low in both numbers and lower in one."""
    found: set[int] = set()
    lowest = math.inf  # second number of what has a lower first one, or the same and a lower second one
    order = sorted(range(len(pairs)), key=pairs.__getitem__)
    for pair, equals in itertools.groupby(order, key=pairs.__getitem__):
        if pair[1] < lowest:
            found.update(equals)
            lowest = pair[1]
    return found


def floors(table: Table, key: str) -> tuple[tuple[str, float], ...]:
    """What real images score in a column, by what they are called."""
    found = ((row.variant, row.numbers.get(key)) for row in table.rows if row.kind == "real")
    return tuple((name, number.mean) for name, number in found if number is not None)


def curves(table: Table, key: str = "fid", found: Sequence[History] | None = None) -> Curves:
    """A score of the snapshots over training: the mean over seeds and its interval, where two seeds or more have it.

    Seeds whose snapshots lie elsewhere (a budget of minutes) are interpolated between two of their own, never beyond.

    Args:
        table: one protocol's.
        key: of the scores in metrics.jsonl: "fid", "recall", ...
        found: `histories(table)`; None: read now.
    """
    made = []
    for history in histories(table) if found is None else found:
        scored = [(seed, _pairs(seed.metrics, key)) for seed in history.seeds]
        ends = sorted({images for _, pairs in scored for images, _ in pairs if images > 0})
        trained = [(seed, [pair for pair in pairs if pair[0] > 0]) for seed, pairs in scored]
        moments = _moments(trained, ends, history.timed)
        if moments:
            untrained = summarize([value for _, pairs in scored for images, value in pairs if images == 0])
            made.append(_curve(history, moments, untrained))
    return Curves(axis=_axis(_column(table, key), key), curves=tuple(made), floors=floors(table, key))


def training(table: Table, key: str, found: Sequence[History] | None = None) -> Curves:
    """A number of the ticks over training, such as "d_loss": means over equal spans of images, then over seeds.

    A tick is a mean over as many steps as it lasted, and snapshots cut ticks short: a tick of two steps says less than
    one of thirty. So each counts by the images it is of, in spans that are as long as a whole tick at least.

    Args:
        table: one protocol's.
        key: of the numbers in stats.jsonl, see `training_keys`.
        found: `histories(table)`; None: read now.
    """
    made = []
    for history in histories(table) if found is None else found:
        ticks = [(seed, spans(seed.stats, key)) for seed in history.seeds]
        width = span_width([tick for _, of_seed in ticks for tick in of_seed])
        binned = [(seed, binned_means(of_seed, width)) for seed, of_seed in ticks if of_seed]
        middles = sorted({images for _, pairs in binned for images, _ in pairs})
        moments = _moments(binned, middles, history.timed)
        if moments:
            made.append(_curve(history, moments, None))
    higher = {"d_accuracy": None, "diversity": True, "img_per_s": True}.get(key)
    low, high = limits(key)
    axis = Axis(key=key, title=in_words(key, key.replace("_", " ")), higher_is_better=higher, low=low, high=high)
    return Curves(axis=axis, curves=tuple(made), floors=())


def training_keys(found: Iterable[History]) -> list[str]:
    """What ticks hold that can be drawn over training, losses first; at most `MOST_KEYS`."""
    known = dict.fromkeys(
        key for history in found for seed in history.seeds for line in seed.stats for key in line if key not in _ABOUT
    )
    return sorted(known, key=lambda key: not key.endswith("loss"))[:MOST_KEYS]


MOST_KEYS = 32
"""A run has about ten; what a stranger's has shall not take minutes to draw."""

_ABOUT = {"images", "kimg", "seconds", "steps", "peak_memory"}
"""Of stats.jsonl, that tell of the tick itself."""


def _moments(seeds: Sequence[tuple[Seed, list[tuple[float, float]]]], at: Sequence[float], timed: bool) -> list[Moment]:
    """One for each number of images of `at`, over the seeds that have come so far. `seeds`: with (images, value)."""
    moments = []
    for images in at:
        there = [(seed, value) for seed, pairs in seeds if (value := interpolated(pairs, images)) is not None]
        number = summarize([value for _, value in there])
        if number is None:
            continue
        times = [seconds for seed, _ in there if (seconds := seed.seconds(images)) is not None]
        clocked = timed and len(times) == len(there)
        seconds = statistics.fmean(times) if clocked else None
        moments.append(Moment(kimg=images / 1000, seconds=seconds, number=number))
    return moments


def _curve(history: History, moments: Sequence[Moment], untrained: Number | None) -> Curve:
    return Curve(
        name=history.name,
        place=history.place,
        seeds=len(history.seeds),
        moments=tuple(moments),
        untrained=untrained,
    )


def _pairs(lines: Sequence[Mapping[str, Any]], key: str) -> list[tuple[float, float]]:
    """(images, value) of scored snapshots, in order; the newest line where one was scored twice."""
    values = {line["images"]: line["values"].get(key) for line in lines}
    return sorted((float(images), float(value)) for images, value in values.items() if value is not None)


def _axis(column: Column | None, key: str = "") -> Axis:
    low, high = limits(key if column is None else column.key)
    if column is None:
        return Axis(key=key, title=in_words(key, key), higher_is_better=None, low=low, high=high)
    title = in_words(column.key, column.title)
    return Axis(key=column.key, title=title, higher_is_better=column.higher_is_better, low=low, high=high)


def _column(table: Table, key: str) -> Column | None:
    return next((column for column in table.columns if column.key == key), None)


def _why(row: Row, column: Column) -> str:
    """Why a row has no number in a column."""
    if row.mixed and column.group == "speed":
        return OTHER_MACHINES
    if row.beside_others and column.group == "speed":
        return SHARED_DEVICE
    return row.status or f"no {column.title}"
