"""What stands in a cell of a leaderboard, however it is written down."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from ganzoo.leaderboard.columns import Column, Number
from ganzoo.leaderboard.formats import with_interval
from ganzoo.leaderboard.rows import Row, Table

NOTHING = "-"


def show(column: Column, number: Number | None, interval: bool = True) -> str:
    """ "12.34"; "12.34 ± 0.56" over seeds, where `interval`; "-" where there is nothing."""
    if number is None:
        return NOTHING
    if number.half is None or column.group != "quality" or not interval:
        return column.show(number.mean)
    if number.half == 0:
        return f"{column.show(number.mean)} ± 0"
    return " ± ".join(with_interval(number.mean, number.half))


def label(row: Row, objective: bool = False) -> str:
    """The variant, whose run it is, where `objective` what it trains, and what tells its row from others of the same
    names.
    """
    named = f"{row.variant} ({row.name})" if row.name else row.variant
    named = f"{named} + {row.objective}" if objective and row.objective else named
    return f"{named} [{row.settings}]" if row.settings else named


def with_several(rows: Sequence[Row]) -> set[str]:
    """The variants of which rows have several objectives: where no column says it, their labels have to."""
    objectives = {(row.variant, row.objective) for row in rows}
    return {variant for variant, count in Counter(variant for variant, _ in objectives).items() if count > 1}


def rank(row: Row) -> str:
    """ "1", "1=" where another row has it, too, "-" where there is none."""
    return NOTHING if row.rank is None else f"{row.rank}{'=' if row.shared else ''}"


def used_columns(table: Table, every: bool = False) -> list[Column]:
    """Columns to show: those in which some row has a number; `every`: also those that only JSON and CSV hold."""
    return [
        column
        for column in table.columns
        if (every or column.shown or column.key == table.sort.key)
        and any(row.numbers.get(column.key) for row in table.rows)
    ]


def in_order(table: Table) -> list[Row]:
    """For people: real images, which nothing competes with, stand below what was generated."""
    return sorted(table.rows, key=lambda row: row.kind == "real")


_KEY = re.compile(r"(?:(?<=^)|(?<= ))((?:[\w-]+\.)+)([\w-]+)(?==)")


def shortened(settings: Sequence[str]) -> list[str]:
    """ "train.g_lr=0.001" -> "g_lr=0.001", unless that could be another's, too."""
    whole: dict[str, set[str]] = {}
    for text in settings:
        for section, name in _KEY.findall(text):
            whole.setdefault(name, set()).add(section)
    if any(len(sections) > 1 for sections in whole.values()):
        return list(settings)
    return [_KEY.sub(r"\2", text) for text in settings]
