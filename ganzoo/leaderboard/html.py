"""Leaderboards as a notebook shows them: few columns, the others behind a fold."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from ganzoo.files.text import clean
from ganzoo.leaderboard.cells import rank
from ganzoo.leaderboard.columns import Column
from ganzoo.leaderboard.render import label, notes, show, used_columns
from ganzoo.leaderboard.rows import Row, Table

FIRST = ("fid", "is", "precision", "recall", "cond_acc", "modes", "train_img_per_s", "seconds")
"""Keys of the columns that are seen at once, with the one that ranks."""


def to_html(tables: Sequence[Table]) -> str:
    """A table for each protocol; all columns, and the conditions, are folded away below it. Only text and tables: no
    script, no style sheet, nothing that is fetched.
    """
    if not tables:
        return "<p>no run has begun</p>"
    return "".join(f'<div class="ganzoo-leaderboard">{_table(table)}</div>' for table in tables)


def _table(table: Table) -> str:
    every = used_columns(table)
    first = [column for column in every if column.key in FIRST or column is table.sort]
    lines = "".join(f"<li>{_text(note)}</li>" for note in notes(table))
    parts = [_rows(table, first)]
    if len(every) > len(first):
        parts.append(f"<details><summary>all columns</summary>{_rows(table, every)}</details>")
    parts.append(f"<details><summary>conditions</summary><ul>{lines}</ul></details>")
    return "".join(parts)


def _rows(table: Table, columns: Sequence[Column]) -> str:
    """Real images, which nothing competes with, stand below, in small print; the best number of each column is bold."""
    best = {column.key: _best(table, column) for column in columns}
    head = "".join(f"<th>{_text(name)}</th>" for name in ("rank", "variant", "objective"))
    head += "".join(f"<th>{_text(_heading(column))}</th>" for column in columns) + "<th>seeds</th>"
    body = ""
    for row in sorted(table.rows, key=lambda row: row.kind == "real"):
        cells = [_text(rank(row)), _name(row), _text(row.objective)]
        for column in columns:
            cell, number = _text(show(column, row.numbers.get(column.key))), row.numbers.get(column.key)
            wins = row.kind != "real" and number is not None and number.mean == best[column.key]
            cells.append(f"<b>{cell}</b>" if wins else cell)
        cells.append(str(len(row.results) or "-"))
        small = row.kind == "real"
        body += "<tr>" + "".join(f"<td>{f'<small>{cell}</small>' if small else cell}</td>" for cell in cells) + "</tr>"
    title = f"{_text(table.dataset)}, ranked by {_text(table.sort.title)}" if table.dataset else "runs without a result"
    return f"<table><caption>{title}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _name(row: Row) -> str:
    """A row that something is amiss with says so where it is seen."""
    return f"{_text(label(row))}<br><small>{_text(row.status)}</small>" if row.status else _text(label(row))


def _heading(column: Column) -> str:
    if column.group == "cost":
        return column.title
    arrow = "\N{UPWARDS ARROW}" if column.higher_is_better else "\N{DOWNWARDS ARROW}"
    return f"{column.title} {arrow}"


def _best(table: Table, column: Column) -> float | None:
    """Of several rows; a cost, such as the number of parameters, is no merit."""
    numbers = [row.numbers.get(column.key) for row in table.rows if row.kind != "real"]
    means = [number.mean for number in numbers if number is not None]
    if len(means) < 2 or column.group == "cost":
        return None
    return max(means) if column.higher_is_better else min(means)


def _text(value: str) -> str:
    """For HTML: nothing but text, whoever wrote it."""
    return escape(clean(value))
