"""Tables of results, as a person sees them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from ganzoo.leaderboard.render import label, notes, show, used_columns
from ganzoo.leaderboard.rows import Table

GAP = 2
"""Spaces between the columns of a table."""


def wide_console(stderr: bool = False) -> Console:
    """A console that does not fold tables when the output is a file or a pipe."""
    console = Console(stderr=stderr, highlight=False, soft_wrap=False)
    if not console.is_terminal:
        console = Console(stderr=stderr, highlight=False, width=240)
    return console


def print_tables(tables: Sequence[Table], console: Console | None = None) -> None:
    """Leaderboards to stdout. A table wider than the terminal is printed in several parts, one below the other."""
    console = console or wide_console()
    for table in tables:
        parts = _parts(table, console.width)
        for number, columns in enumerate(parts, start=1):
            title = table.dataset if len(parts) == 1 else f"{table.dataset} ({number} of {len(parts)})"
            rich = RichTable(
                title=Text(title),  # as text: names from files are no markup
                title_justify="left",
                title_style="bold",
                box=None,
                pad_edge=False,
                padding=(0, GAP, 0, 0),
                header_style="bold",
            )
            for name, _ in columns:
                side: Literal["left", "right"] = "left" if name in ("variant", "objective") else "right"
                rich.add_column(Text(name), justify=side, no_wrap=name != "variant", overflow="fold")
            for index, row in enumerate(table.rows):
                style = "dim" if row.kind == "real" else "red" if row.failures else ""
                rich.add_row(*(Text(cells[index]) for _, cells in columns), style=style)  # a label is no markup
            console.print(rich)
        for line in notes(table):
            console.print(line, markup=False, style="dim" if console.is_terminal else "")
        console.print()


def _parts(table: Table, width: int) -> list[list[tuple[str, list[str]]]]:
    """Columns as (title, cells), packed into as few parts as fit `width`; each part begins with the names."""
    rows = table.rows
    lead = [
        ("rank", [str(row.rank or "-") for row in rows]),
        ("variant", [label(row) for row in rows]),
        ("objective", [row.objective for row in rows]),
    ]
    rest = [("seeds", [str(len(row.results) or "-") for row in rows])]
    rest += [(c.title, [show(c, row.numbers.get(c.key)) for row in rows]) for c in used_columns(table)]

    def needs(column: tuple[str, list[str]]) -> int:
        return max(len(text) for text in (column[0], *column[1])) + GAP

    # A label with settings in it may be long; it is folded rather than pushing every number off the screen.
    room = width - needs(lead[0]) - min(needs(lead[1]), max(width // 3, 16)) - needs(lead[2])
    parts: list[list[tuple[str, list[str]]]] = []
    used = 0
    for column in rest:
        if not parts or used + needs(column) > room:
            parts.append([*lead])
            used = 0
        parts[-1].append(column)
        used += needs(column)
    return parts
