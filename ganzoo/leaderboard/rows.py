"""What a leaderboard consists of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ganzoo.leaderboard.columns import Column, Number
from ganzoo.leaderboard.significance import INTERVAL_METHOD, RANK_METHOD

RANKED_SEEDS = 3
"""Training seeds a row needs to get a rank."""


@dataclass(kw_only=True)
class Row:
    """One configuration over its seeds."""

    variant: str
    objective: str
    kind: str = "generated"  # or "real": a floor
    config: Mapping[str, Any] = field(default_factory=dict)  # of its first seed
    results: list[dict[str, Any]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)  # one line for each seed that gave no result
    name: str = ""  # whose runs they are, where they say so
    settings: str = ""  # what tells it from other rows of the same variant and objective
    runs: list[str] = field(default_factory=list)  # run directories
    repeats: int = 0  # runs left out because their seed is counted already: a copy is no further evidence
    mixed: bool = False  # the seeds ran on different machines or versions
    beside_others: bool = False  # a seed shared its device with other runs
    rank: int | None = None
    shared: bool = False  # the rank, with another row
    unranked: str = ""  # why there is no rank
    numbers: dict[str, Number | None] = field(default_factory=dict)

    @property
    def status(self) -> str:
        """ "" when all is well, else what happened to which share of the seeds."""
        diverged = [str(result["diverged"]) for result in self.results if result.get("diverged")]
        total = len(self.results) + len(self.failures)
        notes = [f"{len(diverged)}/{len(self.results)} diverged: {diverged[0]}"] if diverged else []
        notes += [f"{len(self.failures)}/{total} without a result: {self.failures[0]}"] if self.failures else []
        if self.repeats:
            runs = f"{self.repeats} run{'s' if self.repeats > 1 else ''}"
            notes.append(f"{runs} left out: copies, or runs of the same seeds (--seed or --name tells them apart)")
        return "; ".join(notes)

    @property
    def notes(self) -> list[str]:
        """What has to be known of the row's runs, though all is well."""
        total = len(self.results)
        unknown = sum("data" not in result or result.get("not_known") == "images" for result in self.results)
        lines = [f"{unknown}/{total} made by an earlier version: on which images is not known"] if unknown else []
        longer = {_budgets(result) for result in self.results if len(result.get("budgets") or []) > 1}
        starts = {_started_from(result) for result in self.results if result.get("init")}
        return [*lines, *sorted(longer), *sorted(f"started from {start}" for start in starts)]

    @property
    def beside(self) -> int:
        """The most runs that trained on other cores of the machine while one of the seeds did."""
        return max((int(result["environment"].get("beside", 0)) for result in self.results), default=0)

    @property
    def stopped(self) -> int:
        """Seeds that have a result but no final score, because they diverged before the end of training."""
        return sum(result.get("last") is None for result in self.results)


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of one protocol; they may be compared with each other and with no other table's."""

    protocol: str
    dataset: str
    rows: list[Row]
    columns: list[Column]  # the built-in ones, and those of plugins' metrics
    sort: Column  # what the rows are ranked by
    environments: list[str]  # where the numbers were made
    floors: dict[str, str] = field(default_factory=dict)  # label of a row of real data -> what it is
    left_out: dict[str, str] = field(default_factory=dict)  # why a metric was not computed -> which metrics
    skipped: list[str] = field(default_factory=list)  # records that could not be read, of any table

    @property
    def methods(self) -> list[str]:
        """How the intervals and the ranks that it has were made, in a sentence each."""
        intervals = any(number and number.half is not None for row in self.rows for number in row.numbers.values())
        ranks = any(row.rank is not None for row in self.rows)
        return [*([INTERVAL_METHOD] if intervals else []), *([RANK_METHOD] if ranks else [])]


def _budgets(result: dict[str, Any]) -> str:
    """ "continued: 1, 2 kimg"."""
    lengths = [
        f"{budget['kimg']:g} kimg" if budget.get("kimg") is not None else f"{budget.get('minutes') or 0:g} min"
        for budget in result["budgets"]
    ]
    return f"continued: {', then '.join(lengths)}"


def _started_from(result: dict[str, Any]) -> str | None:
    init = result.get("init")
    return init and f"{init['run']} at {init['kimg']:g} kimg"
