"""Leaderboards as JSON, CSV and Markdown, and the words around them. Terminal tables are in display.py."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from ganzoo.files.text import clean, csv_cell, markdown
from ganzoo.leaderboard.columns import Column, Number
from ganzoo.leaderboard.rows import Row, Table

MOST_SKIPPED = 10
"""Lines about records that cannot be read, below a table."""


def show(column: Column, number: Number | None) -> str:
    """ "12.34", "12.34 ± 0.56" over seeds, "-" where there is nothing."""
    if number is None:
        return "-"
    text = column.show(number.mean)
    if number.half is None or column.group != "quality":
        return text
    return f"{text} ± {column.show(number.half)}"


def used_columns(table: Table) -> list[Column]:
    """Columns to show: those in which some row has a number, less those that only JSON and CSV hold."""
    return [
        column
        for column in table.columns
        if (column.shown or column.key == table.sort.key) and any(row.numbers.get(column.key) for row in table.rows)
    ]


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
                    "settings": row.settings,
                    "seeds": len(row.results),
                    "status": row.status,
                    "notes": row.notes,
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
    head = ["protocol", "rank", "shared", "kind", "variant", "objective", "settings", "seeds", "status"]
    writer.writerow([*head, *map(csv_cell, numbers), "ranked_by", "method"])
    for table in tables:
        for row in table.rows:
            cells: list[object] = [
                csv_cell(table.protocol),
                row.rank or "",
                str(row.shared).lower() if row.rank else "",
            ]
            cells += [row.kind, *map(csv_cell, (row.variant, row.objective, row.settings)), len(row.results)]
            cells.append(csv_cell(row.status))
            for column in columns:
                number = row.numbers.get(column.key)
                if number is None:
                    cells += ["", "", ""]
                else:
                    cells += [number.mean, "" if number.half is None else number.half, number.n]
            writer.writerow([*cells, table.sort.key, "; ".join(table.methods)])
    for line in skipped_lines(tables[0]) if tables else ():
        writer.writerow(["", "", "", "skipped", "", "", "", 0, csv_cell(line), *[""] * len(numbers), "", ""])
    return out.getvalue()


def to_markdown(tables: Sequence[Table]) -> str:
    """Pipe tables, one per protocol, each with its conditions below."""
    parts = []
    for table in tables:
        columns = used_columns(table)
        head = ["rank", "variant", "objective", *(markdown(column.title) for column in columns), "seeds"]
        lines = ["| " + " | ".join(head) + " |", "|" + "---|" * 3 + "---:|" * (len(columns) + 1)]
        for row in table.rows:
            cells = [
                str(row.rank or "-"),
                markdown(label(row)),
                markdown(row.objective),
                *(show(c, row.numbers.get(c.key)) for c in columns),
            ]
            lines.append("| " + " | ".join([*cells, str(len(row.results) or "-")]) + " |")
        parts.append("\n".join([*lines, "", *map(markdown, notes(table))]))
    return "\n\n".join(parts) + "\n"


def label(row: Row) -> str:
    """The variant, and what tells its row from others of the same name."""
    return f"{row.variant} [{row.settings}]" if row.settings else row.variant


def _targets(table: Table) -> list[str]:
    """What the times to a target are times to."""
    found = (result["until"] for row in table.rows for result in row.results if result.get("until"))
    return sorted({f"{until['metric']}={until['value']:g}" for until in found})


def skipped_lines(table: Table) -> list[str]:
    """A line for each record that cannot be read, for ten at most."""
    lines = [f"skipped: {line}" for line in table.skipped[:MOST_SKIPPED]]
    more = len(table.skipped) - MOST_SKIPPED
    return [*lines, f"skipped: {more} more records that cannot be read"] if more > 0 else lines


def notes(table: Table) -> list[str]:
    """What a reader has to know to believe the table."""
    lines = [f"real images: {table.dataset}"] if ":" in table.dataset else []
    lines += [f"protocol: {table.protocol}", *(f"made on: {environment}" for environment in table.environments)]
    lines += [f"{name}: {what}" for name, what in table.floors.items()]
    lines += [f"target: {target}" for target in _targets(table)]
    lines += [f"left out: {metrics}: {reason}" for reason, metrics in table.left_out.items()]
    lines += [f"{label(row)}: {row.status}" for row in table.rows if row.status]
    lines += [f"{label(row)}: {note}" for row in table.rows for note in row.notes]
    if any(row.stopped for row in table.rows):
        lines.append("where a seed diverged before its end, a mean is over the seeds that have the number")
    if any(row.mixed for row in table.rows):
        lines.append("speed and memory are left out where the seeds of a row ran on different machines or versions")
    if any(row.beside_others for row in table.rows):
        lines.append("speed, time and memory are left out where runs of a row shared their device with other runs")
    if reasons := dict.fromkeys(row.unranked for row in table.rows if row.unranked):
        lines.append(f"no rank: {'; '.join(reasons)}")
    lines += skipped_lines(table)
    return lines + table.methods
