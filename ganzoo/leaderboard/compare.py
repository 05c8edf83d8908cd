"""Two runs or models beside each other: what they score, and in what they differ. Torch-free."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganzoo.config.run_config import PLACES, flatten
from ganzoo.errors import RunError
from ganzoo.files.reading import Unreadable
from ganzoo.leaderboard.columns import COLUMNS, Column, Number, summarize
from ganzoo.leaderboard.rows import Row
from ganzoo.leaderboard.significance import welch_half_width
from ganzoo.leaderboard.table import make_tables
from ganzoo.runs.directory import RunDirectory
from ganzoo.zoo.specs import Model

MOST_BESIDE = 1000
"""Runs beside a run in which its other seeds are looked for."""


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of the two."""

    name: str
    protocol: str  # "": it has no scores
    seeds: int
    values: Mapping[str, tuple[float, ...]]  # by key of a column, one for each seed
    columns: tuple[Column, ...]
    config: Mapping[str, Any]
    environments: frozenset[str] = frozenset()  # where its speed was measured


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Of one column. `difference`: second less first; None: it says nothing, or one has no number. `half`: of its 95 %
    interval, where both have two seeds or more.
    """

    column: Column
    first: Number | None
    second: Number | None
    difference: float | None
    half: float | None

    @property
    def better(self) -> int | None:
        """0 or 1, where the interval leaves no doubt or none is to be had; None: equal, or not told apart."""
        if self.difference is None or abs(self.difference) <= (self.half or 0.0):
            return None
        return int((self.difference > 0) == self.column.higher_is_better)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    first: Side
    second: Side
    differences: tuple[Difference, ...]
    settings: tuple[tuple[str, Any, Any], ...]  # key, and both values, of those that differ
    notes: tuple[str, ...]  # why numbers are not set against each other


def side_of_run(run: RunDirectory, against: RunDirectory | None = None) -> Side:
    """A run, with the runs beside it that differ from it by their seed alone; without them where `against` is one of
    them: then two seeds are compared. None: nothing is known of the other side, or it is a model.

    Raises:
        RunError: its result is damaged.
    """
    config, name = run.read_config(), run.path.resolve().name
    if run.read_result() is None:
        return Side(name=name, protocol="", seeds=1, values={}, columns=COLUMNS, config=config)
    row, columns, protocol = _row_of(run, against)
    values = {column.key: tuple(column.values(row.results)) for column in columns if row.numbers.get(column.key)}
    machines = frozenset(str(result["environment"]["device"]) for result in row.results)
    alike = against is not None and against.read_config()["variant"]["name"] == row.variant
    shown = f"{name if alike else row.variant}, {len(row.results)} seeds" if len(row.results) > 1 else name
    return Side(
        name=shown,
        protocol=protocol,
        seeds=len(row.results),
        values=values,
        columns=tuple(columns),
        config=config,
        environments=machines,
    )


def _row_of(run: RunDirectory, against: RunDirectory | None) -> tuple[Row, list[Column], str]:
    """The run's row among the runs of the folder that it lies in, or alone."""
    path, beside = Path(os.path.realpath(run.path)), [run]
    other_side = None if against is None else os.path.realpath(against.path)
    try:
        entries = sorted(entry.path for entry in os.scandir(path.parent) if entry.is_dir(follow_symlinks=False))
    except OSError:
        entries = []
    for entry in entries[:MOST_BESIDE]:
        other = RunDirectory(Path(entry))
        if entry != str(path) and _same_but_seed(run, other):
            if entry == other_side:
                beside = [run]
                break
            beside.append(other)
    for table in make_tables(beside):
        for row in table.rows:
            if str(run.path) in row.runs:
                return row, table.columns, table.protocol
    raise RunError(f"{run.path} has no result that can be read", "train it to its end: the same command continues it")


def _same_but_seed(run: RunDirectory, other: RunDirectory) -> bool:
    try:
        if not os.path.lexists(other.result_file):
            return False
        return _settings(run.read_config()) == _settings(other.read_config())
    except (RunError, Unreadable):
        return False


def _settings(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in flatten(config).items() if key not in PLACES and key not in ("seed", "schema")}


def side_of_moment(file: Path, run: RunDirectory, images: int, config: Mapping[str, Any]) -> Side:
    """A snapshot that is not its run's last, or lies apart from it, with the scores that the run has of it.

    Args:
        file: the snapshot.
        run: where it lies, if that is a run.
        images: after how many it was made.
        config: in its header.

    Raises:
        RunError: the run's scores cannot be read.
    """
    ours = file.parent == run.snapshots_dir
    score = next((line for line in reversed(run.metrics()) if line["images"] == images), None) if ours else None
    values = {} if score is None else {key: (float(x),) for key, x in score["values"].items() if x is not None}
    return Side(
        name=f"{run.path.resolve().name if ours else file.name} at {images / 1000:g} kimg",
        protocol="" if score is None else score["protocol"],
        seeds=1,
        values=values | {"kimg": (images / 1000,)},
        columns=COLUMNS,
        config=config,
    )


def side_of_model(model: Model, config: Mapping[str, Any]) -> Side:
    """A model that a plugin brings, of one seed. `config`: of its snapshot."""
    values = {key: (float(value),) for key, value in model.values.items()}
    values |= {"kimg": (model.kimg,)}
    return Side(name=model.name, protocol=model.protocol, seeds=1, values=values, columns=COLUMNS, config=config)


def compare(first: Side, second: Side) -> Comparison:
    """Set every number that both have against each other, where that means something."""
    notes = []
    comparable = bool(first.protocol) and first.protocol == second.protocol
    for side in (first, second):
        if not side.protocol:
            notes.append(f"{side.name} has no scores")
    if first.protocol and second.protocol and not comparable:
        notes.append(
            f"scores are of different protocols, and no difference of them means anything: {first.protocol} and "
            f"{second.protocol}"
        )
    one_machine = len(first.environments | second.environments) == 1
    if first.environments and second.environments and not one_machine:
        notes.append("speed and memory were measured on different machines")
    columns = {column.key: column for column in (*first.columns, *second.columns)}
    differences = []
    for key, column in columns.items():
        ours, theirs = first.values.get(key, ()), second.values.get(key, ())
        if not (ours or theirs) or (not column.shown):
            continue
        fair = {"quality": comparable, "speed": one_machine}.get(column.group, True)
        difference = half = None
        if ours and theirs and fair:
            difference = sum(theirs) / len(theirs) - sum(ours) / len(ours)
            several = column.interval and min(len(ours), len(theirs)) > 1
            half = welch_half_width(ours, theirs) if several else None
        numbers = [summarize(values, column.interval) for values in (ours, theirs)]
        differences.append(
            Difference(column=column, first=numbers[0], second=numbers[1], difference=difference, half=half)
        )
    settings = differing(first.config, second.config)
    if comparable and min(first.seeds, second.seeds) < 2:
        if settings:
            notes.append("one seed says nothing about chance: train more (--seed), and they are found beside it")
        elif first.config.get("seed") != second.config.get("seed"):
            notes.append("nothing but the seed differs: what the scores differ by is chance")
    return Comparison(
        first=first,
        second=second,
        differences=tuple(differences),
        settings=settings,
        notes=tuple(notes),
    )


def differing(first: Mapping[str, Any], second: Mapping[str, Any]) -> tuple[tuple[str, Any, Any], ...]:
    """(key, value of one, value of the other) of the settings that are not the same; None where one has none."""
    ours, theirs = _settings(first), _settings(second)
    keys = [*ours, *(key for key in theirs if key not in ours)]
    return tuple((key, ours.get(key), theirs.get(key)) for key in keys if ours.get(key) != theirs.get(key))
