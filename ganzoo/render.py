"""Leaderboards as JSON, CSV and Markdown, and the words around them. Terminal tables are in display.py."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence

from ganzoo.columns import Column, Number
from ganzoo.leaderboard import RANKED_SEEDS, Row, Table


def show(column: Column, number: Number | None) -> str:
    """ "12.34", "12.34 ± 0.56" over seeds, "-" where there is nothing."""
    if number is None:
        return "-"
    text = column.show(number.mean)
    return text if number.half is None or column.group == "cost" else f"{text} ± {column.show(number.half)}"


def used_columns(table: Table) -> list[Column]:
    """Columns in which some row has a number."""
    return [column for column in table.columns if any(row.numbers.get(column.key) for row in table.rows)]


def to_json(tables: Sequence[Table]) -> str:
    """Every number with its interval and count, ready for another program."""
    document = [
        {
            "protocol": table.protocol,
            "dataset": table.dataset,
            "environments": table.environments,
            "floor": table.floor,
            "rows": [
                {
                    "rank": row.rank,
                    "kind": row.kind,
                    "variant": row.variant,
                    "objective": row.objective,
                    "settings": row.settings,
                    "seeds": len(row.results),
                    "status": row.status,
                    "numbers": {
                        column.key: {"mean": number.mean, "interval95": number.half, "n": number.n}
                        for column in table.columns
                        if (number := row.numbers.get(column.key)) is not None
                    },
                    "runs": row.runs,
                }
                for row in table.rows
            ],
        }
        for table in tables
    ]
    return json.dumps(document, indent=1, ensure_ascii=False)


def to_csv(tables: Sequence[Table]) -> str:
    """One line per row: protocol, rank, names, then mean and interval of every column."""
    out = io.StringIO()
    writer = csv.writer(out)
    columns = list({column.key: column for table in tables for column in table.columns}.values())
    numbers = [name for column in columns for name in (column.key, f"{column.key}_interval95")]
    writer.writerow(["protocol", "rank", "kind", "variant", "objective", "settings", "seeds", "status", *numbers])
    for table in tables:
        for row in table.rows:
            values: list[object] = []
            for column in columns:
                number = row.numbers.get(column.key)
                values += ["", ""] if number is None else [number.mean, "" if number.half is None else number.half]
            head = [table.protocol, row.rank or "", row.kind, row.variant, row.objective, row.settings]
            writer.writerow([*head, len(row.results), row.status, *values])
    return out.getvalue()


def to_markdown(tables: Sequence[Table]) -> str:
    """Pipe tables, one per protocol, each with its conditions below."""
    parts = []
    for table in tables:
        columns = used_columns(table)
        head = ["rank", "variant", "objective", *(column.title for column in columns), "seeds"]
        lines = ["| " + " | ".join(head) + " |", "|" + "---|" * 3 + "---:|" * (len(columns) + 1)]
        for row in table.rows:
            cells = [
                str(row.rank or "-"),
                label(row),
                row.objective,
                *(show(c, row.numbers.get(c.key)) for c in columns),
            ]
            lines.append("| " + " | ".join([*cells, str(len(row.results) or "-")]) + " |")
        parts.append("\n".join([*lines, "", *notes(table)]))
    return "\n\n".join(parts) + "\n"


def label(row: Row) -> str:
    """The variant, and what tells its row from others of the same name."""
    return f"{row.variant} [{row.settings}]" if row.settings else row.variant


def notes(table: Table) -> list[str]:
    """What a reader has to know to believe the table."""
    lines = [f"real images: {table.dataset}"] if ":" in table.dataset else []
    lines += [f"protocol: {table.protocol}", *(f"made on: {environment}" for environment in table.environments)]
    lines += [f"real data: {table.floor}"] if table.floor else []
    lines += [f"{label(row)}: {row.status}" for row in table.rows if row.status]
    if any(row.rank is None for row in table.rows if row.kind == "generated"):
        lines.append(f"no rank: not ranked, fewer than {RANKED_SEEDS} seeds or a seed without a result")
    if any(row.mixed for row in table.rows):
        lines.append("speed and memory are left out where the seeds of a row ran on different machines or versions")
    if any(len(row.results) > 1 for row in table.rows):
        lines.append("± is half the 95 % Student t interval over training seeds")
    return lines
