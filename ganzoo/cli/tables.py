"""Tables on the screen: the leaderboard, and whatever else has rows."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from ganzoo.cli.streams import spelled
from ganzoo.leaderboard.layout import ALL, GAP, Layout, Shown, arrange, cells_of
from ganzoo.leaderboard.rows import Row, Table
from ganzoo.leaderboard.words import conditions, no_rank, problems, title, verdict

MOST_ROWS = 1000
"""Of a table. Nobody reads more, and to lay them out takes seconds; a file has all of them."""

UNFOLDED = 10**4
"""Characters of a line that goes to a file or another program."""


def print_tables(
    tables: Sequence[Table],
    columns: Sequence[str] | None = None,
    console: Console | None = None,
    *,
    fold: bool | None = None,
) -> None:
    """Leaderboards to stdout, each as one table that fits the window.

    Args:
        columns: keys of `--columns`; None: what fits, by importance.
        console: None: stdout. A pipe is as wide as the terminal that the program was started from, or as $COLUMNS.
        fold: whether the lines below a table are as wide as the window; None: on a terminal.
    """
    console = console or Console(highlight=False)
    own = own_objectives({row.variant for table in tables for row in table.rows if row.kind == "generated"})
    for number, table in enumerate(tables):
        if number:
            emit(Text(), console)
        shown = first_rows(table)
        layout = _arranged(shown, columns, own, console)
        emit(Text(title(table), style="bold"), console)  # as text: names from files are no markup
        if layout.stacked:
            _print_blocks(shown, layout, console)
        else:
            emit(_rich(shown, layout), console)
        emit(Text(), console)
        absent = [key for key in columns or () if key not in (ALL, *layout.keys)]
        if len(shown.rows) < len(table.rows):
            counts = [sum(row.kind == "generated" for row in one.rows) for one in (shown, table)]
            emit(
                Text(f"the first {counts[0]:,} of {counts[1]:,} rows; all of them: --format csv", style="red"), console
            )
        for line, style in _lines(table, layout, absent):
            emit(Text(line, style=style), console, fold=console.is_terminal if fold is None else fold)


def first_rows(table: Table) -> Table:
    """The table with `MOST_ROWS` of what was generated, and with all real images."""
    if len(table.rows) <= MOST_ROWS:
        return table
    made = [row for row in table.rows if row.kind == "generated"][:MOST_ROWS]
    return replace(table, rows=[*(row for row in table.rows if row.kind == "real"), *made])


def _arranged(table: Table, columns: Sequence[str] | None, own: Mapping[str, str], console: Console) -> Layout:
    """What fits the window, as it will be written: where the encoding lacks a letter, another takes more room."""
    width = console.width
    layout = _spelled(arrange(table, width, columns, own), console)
    while console.width < layout.width and not layout.stacked and width > 1:
        width -= 1
        layout = _spelled(arrange(table, width, columns, own), console)
    return layout


def _spelled(layout: Layout, console: Console) -> Layout:
    encoding = console.encoding
    if encoding.startswith("utf"):
        return layout
    shown = tuple(
        replace(
            column,
            title=tuple(spelled(line, encoding) for line in column.title),
            cells=tuple(spelled(cell, encoding) for cell in column.cells),
        )
        for column in layout.columns
    )
    return replace(layout, columns=shown)


def _lines(table: Table, layout: Layout, absent: Sequence[str]) -> list[tuple[str, str]]:
    """What stands below a table, with its style. `absent`: scores that were asked for and that no run has."""
    lines = [(line, "") for line in (*verdict(table), *no_rank(table))]
    lines += [(f"no run has {', '.join(absent)}", "red")] if absent else []
    lines += [(line, "red") for line in problems(table)]
    about = conditions(table, layout.keys)
    if layout.own_hidden:
        about.append("objective: the variant's own where none is named")
    if layout.left_out:
        about.append(f"{layout.left_out} more columns: --columns all; what they mean: ganzoo show columns")
    return lines + [(line, "dim") for line in about]


def own_objectives(variants: set[str]) -> dict[str, str]:
    """Of those of `variants` that are installed, the objective and what else they are trained with by themselves."""
    from ganzoo.errors import UserError
    from ganzoo.zoo.registry import Registry

    found = {}
    try:
        registry = Registry.load()
        for variant in variants:
            if registry.has("variant", variant):
                spec = registry.variant(variant)
                extras = [*sorted(spec.regularizers), *sorted(spec.augmentations)]
                found[variant] = " + ".join([registry.objective_of(spec).name, *extras])
    except UserError:  # a table needs no zoo
        return {}
    return found


def _rich(table: Table, layout: Layout) -> RichTable:
    """The table, with colours. The best number is bold."""
    rich = plain_table()
    lines = max(len(column.title) for column in layout.columns)
    for column in layout.columns:
        side: Literal["left", "right"] = "right" if column.right else "left"
        head = Text("\n" * (lines - len(column.title)) + "\n".join(column.title))
        rich.add_column(head, justify=side, no_wrap=True)
    best = _best(table, layout.rows)
    real = next((index for index, row in enumerate(layout.rows) if row.kind == "real"), 0)
    for index, row in enumerate(layout.rows):
        cells = [Text(column.cells[index]) for column in layout.columns]  # a label is no markup
        for column, cell in zip(layout.columns, cells, strict=True):
            if column.key == table.sort.key and index == best:
                cell.stylize("bold green")
        if index == real and index:
            rich.add_row()
        rich.add_row(*cells, style="dim" if row.kind == "real" else "red" if row.failures else "")
    return rich


def _best(table: Table, rows: Sequence[Row]) -> int | None:
    """The row whose mean is the best, of those that were generated."""
    numbers = [index for index, row in enumerate(rows) if row.kind == "generated" and row.numbers.get(table.sort.key)]
    return numbers[0] if len(numbers) > 1 else None


def _print_blocks(table: Table, layout: Layout, console: Console) -> None:
    """More columns than the window is wide: below each row's name its numbers, as many to a line as fit."""
    named = {"rank", "variant"}
    pairs = [column for column in layout.columns if column.key not in named]
    for index, row in enumerate(layout.rows):
        style = "dim" if row.kind == "real" else "red" if row.failures else ""
        lead = [column.cells[index].strip() for column in layout.columns if column.key in named]
        emit(Text("  ".join(part for part in lead if part), style=f"bold {style}"), console)
        shown = [(_titled(column), column.cells[index]) for column in pairs if column.cells[index] not in ("", "-")]
        for line in _packed(shown, pairs, console.width - GAP):
            emit(Text(" " * GAP + line, style=style), console)


def _titled(column: Shown) -> str:
    return " ".join(column.title)


def _packed(shown: Sequence[tuple[str, str]], columns: Sequence[Shown], width: int) -> list[str]:
    """Lines of "title number", below each other."""
    name = max((cells_of(_titled(column)) for column in columns), default=0)
    number = max((cells_of(cell) for column in columns if column.right for cell in column.cells), default=0)
    at_once = max(1, (width + GAP) // (name + 1 + number + GAP))
    cells = [f"{title:<{name}} {value:>{number}}" for title, value in shown]
    return [(" " * GAP).join(cells[at : at + at_once]) for at in range(0, len(cells), at_once)]


def plain_table() -> RichTable:
    """A table without lines, its columns `GAP` apart."""
    return RichTable(
        box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold", show_header=True, highlight=False
    )


def print_rows(
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    left: int = 1,
    indent: int = 0,
    console: Console | None = None,
) -> None:
    """A small table to stdout. The first `left` columns are text, the others numbers. No heads: none are shown. On a
    terminal the last column, if it is text, may take several lines; in a pipe a row is a line.
    """
    console = console or Console(highlight=False)
    rich = plain_table()
    rich.show_header = bool(heads)
    widest = max((len(row) for row in rows), default=len(heads))
    for at in range(widest):
        head = spelled(heads[at], console.encoding) if at < len(heads) else ""
        folds = at == left - 1 == widest - 1
        rich.add_column(Text(head), justify="left" if at < left else "right", no_wrap=not folds, overflow="fold")
    for row in rows:
        rich.add_row(*(Text(spelled(cell, console.encoding)) for cell in row))
    emit(rich, console, fold=console.is_terminal, indent=indent)


def emit(what: RichTable | Text, console: Console, *, fold: bool = True, indent: int = 0) -> None:
    """Print it without spaces at the ends of lines. `fold`: in lines of the window's width, as on a terminal."""
    out = io.StringIO()
    inner = Console(
        file=out,
        width=max(console.width - indent, 1) if fold else UNFOLDED,
        force_terminal=console.is_terminal,
        color_system=console.color_system,  # type: ignore[arg-type]
        no_color=console.no_color,
        legacy_windows=console.legacy_windows,
        highlight=False,
    )
    inner.print(what)
    for line in out.getvalue().splitlines():
        console.file.write(" " * indent + line.rstrip() + "\n")
