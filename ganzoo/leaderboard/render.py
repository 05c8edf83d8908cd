"""Leaderboards as JSON, CSV and Markdown. LaTeX is in latex.py, one line per run and score in tidy.py, what a terminal
shows in layout.py and cli/tables.py.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from typing import Any

from ganzoo.files.text import clean, csv_cell, markdown
from ganzoo.leaderboard.cells import in_order, label, rank, show, used_columns
from ganzoo.leaderboard.columns import Column
from ganzoo.leaderboard.rows import Table
from ganzoo.leaderboard.words import notes, skipped_lines

Choose = Callable[[Table], Sequence[Column]]


def to_json(tables: Sequence[Table]) -> str:
    """`documents` as text, for another program."""
    return json.dumps(documents(tables), indent=1, ensure_ascii=False)


def documents(tables: Sequence[Table]) -> list[dict[str, Any]]:
    """Every number with its interval and count: JSON-ready, one document for each table."""
    return [
        {
            "protocol": table.protocol,
            "dataset": table.dataset,
            "environments": table.environments,
            "skipped": table.skipped,
            "floors": table.floors,
            "left_out": table.left_out,
            "ranked_by": table.sort.key,
            "method": "; ".join(table.methods),
            "rows": [
                {
                    "rank": row.rank,
                    "shared": row.shared,
                    "unranked": row.unranked,
                    "kind": row.kind,
                    "variant": row.variant,
                    "objective": row.objective,
                    "name": row.name,
                    "settings": row.settings,
                    "seeds": len(row.results),
                    "status": row.status,
                    "notes": row.notes,
                    "beside": row.beside,
                    "numbers": {
                        column.key: {"mean": number.mean, "interval95": number.half, "n": number.n}
                        for column in table.columns
                        if (number := row.numbers.get(column.key)) is not None
                    },
                    "runs": [clean(path) for path in row.runs],
                }
                for row in table.rows
            ],
        }
        for table in tables
    ]


def to_csv(tables: Sequence[Table]) -> str:
    """One line per row: names and rank, then mean, interval and count of every column, then how they were made. Records
    that cannot be read follow as lines of the kind "skipped", whose status says why.
    """
    out = io.StringIO()
    writer = csv.writer(out)
    columns = list({column.key: column for table in tables for column in table.columns}.values())
    numbers = [name for column in columns for name in (column.key, f"{column.key}_interval95", f"{column.key}_n")]
    head = ["protocol", "rank", "shared", "kind", "variant", "objective", "name", "settings", "seeds", "status"]
    writer.writerow([*head, *map(csv_cell, numbers), "ranked_by", "method"])
    for table in tables:
        for row in table.rows:
            cells: list[object] = [
                csv_cell(table.protocol),
                row.rank or "",
                str(row.shared).lower() if row.rank else "",
            ]
            cells += [row.kind, *map(csv_cell, (row.variant, row.objective, row.name, row.settings)), len(row.results)]
            cells.append(csv_cell(row.status))
            for column in columns:
                number = row.numbers.get(column.key)
                if number is None:
                    cells += ["", "", ""]
                else:
                    cells += [number.mean, "" if number.half is None else number.half, number.n]
            writer.writerow([*cells, table.sort.key, "; ".join(table.methods)])
    for line in skipped_lines(tables[0]) if tables else ():
        writer.writerow(["", "", "", "skipped", "", "", "", "", 0, csv_cell(line), *[""] * len(numbers), "", ""])
    return out.getvalue()


def to_markdown(tables: Sequence[Table], choose: Choose = used_columns) -> str:
    """Pipe tables, one per protocol, each with its conditions below. `choose`: the columns, of a table."""
    parts = []
    for table in tables:
        columns = choose(table)
        head = ["rank", "variant", "objective", *(markdown(column.title) for column in columns), "seeds"]
        lines = ["| " + " | ".join(head) + " |", "|" + "---|" * 3 + "---:|" * (len(columns) + 1)]
        for row in in_order(table):
            cells = [
                rank(row),
                markdown(label(row)),
                markdown(row.objective),
                *(show(c, row.numbers.get(c.key)) for c in columns),
            ]
            lines.append("| " + " | ".join([*cells, str(len(row.results) or "-")]) + " |")
        parts.append("\n".join([*lines, "", *map(markdown, notes(table))]))
    return "\n\n".join(parts) + "\n"
