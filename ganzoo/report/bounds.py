"""What of very many runs a page shows: it is to be looked at, on a phone as well. Torch-free."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ganzoo.leaderboard.rows import Row, Table

MOST_ROWS = 300
"""Of a page's leaderboards together; of each at least `LEAST`."""

MOST_RUNS = 300
"""Of a page, with curves, pictures, settings and commands; of each leaderboard at least `LEAST`."""

LEAST = 10


def bounded(tables: Sequence[Table]) -> tuple[list[Table], list[str]]:
    """The tables with the rows and runs that a page has room for, and a line for what is left out. The best rows stay,
    and of each row the first runs; numbers, ranks and intervals are those of all runs.
    """
    rows, runs = (max(LEAST, most // max(1, len(tables))) for most in (MOST_ROWS, MOST_RUNS))
    found = [_bounded(table, rows, runs) for table in tables]
    counts = [_counted(some) for some in (tables, found)]
    if counts[0] == counts[1]:
        return list(tables), []
    (all_rows, all_runs), (some_rows, some_runs) = counts
    line = f"the page shows {some_rows:,} of {all_rows:,} rows" if some_rows < all_rows else ""
    if some_runs < all_runs:
        line += f"{'; ' if line else ''}curves, pictures and settings are of {some_runs:,} of {all_runs:,} runs"
    return found, [f"{line}; all numbers: ganzoo leaderboard --format csv, or a page for each folder of runs"]


def _bounded(table: Table, most_rows: int, most_runs: int) -> Table:
    made = [row for row in table.rows if row.kind == "generated"][:most_rows]
    kept: list[list[str]] = [[] for _ in made]
    left = most_runs
    for turn in range(max((len(row.runs) for row in made), default=0)):
        for row, runs in zip(made, kept, strict=True):
            if turn < len(row.runs) and left > 0:
                runs.append(row.runs[turn])
                left -= 1
        if left <= 0:
            break
    real = [row for row in table.rows if row.kind == "real"]
    return replace(table, rows=[*real, *(replace(row, runs=runs) for row, runs in zip(made, kept, strict=True))])


def _counted(tables: Sequence[Table]) -> tuple[int, int]:
    rows: list[Row] = [row for table in tables for row in table.rows if row.kind == "generated"]
    return len(rows), sum(len(row.runs) for row in rows)
