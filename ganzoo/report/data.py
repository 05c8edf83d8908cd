"""What the page shows, as JSON: tables, charts and runs. Torch-free."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ganzoo.leaderboard.cells import in_order, show, used_columns
from ganzoo.leaderboard.charts import Curve, Curves, curves, pareto, training, training_keys
from ganzoo.leaderboard.columns import Column
from ganzoo.leaderboard.histories import History, histories, names
from ganzoo.leaderboard.rows import Row, Table
from ganzoo.leaderboard.words import conditions, no_rank, problems, title, verdict
from ganzoo.report.runs import RunView
from ganzoo.scoring.protocol import explain

SUMMARY = ("fid", "recall", "is", "precision", "cond_acc", "modes", "train_img_per_s", "seconds", "parameters")
"""Columns that are seen first; what says most stands first, because a phone shows two or three."""

FEW_RUNS = 60
"""Up to so many runs, each has curves of its own training; of more, the rows have."""

COLLAPSED = 0.05
"""Recall below it is said to be mode collapse."""


def table_document(table: Table, views: Sequence[RunView], whole: Table | None = None) -> dict[str, Any]:
    """One leaderboard with its charts and runs, JSON-ready.

    Args:
        table: one protocol's, with the rows and runs that the page has.
        views: its runs, with their pictures.
        whole: what the sentences are of; None: `table`.
    """
    whole, named = whole or table, names(table)
    columns = sorted(used_columns(table), key=_by_importance)
    found = histories(table)
    qualities = [column for column in columns if column.group == "quality" and column.key != "diverged"]
    costs = [column for column in columns if column.group != "quality" and column.key != "kimg"]
    result = next((result for row in table.rows for result in row.results), None)
    return {
        "title": title(whole),
        "dataset": table.dataset,
        "protocol": table.protocol,
        "verdict": verdict(whole),
        "warnings": [*_collapsed(whole), *problems(whole), *no_rank(whole)],
        "conditions": conditions(whole),
        "ingredients": [list(entry) for entry in explain(result["protocol"])] if result else [],
        "columns": [_column(column) for column in columns],
        "summary": [key for key in SUMMARY if any(column.key == key for column in columns)],
        "sort": table.sort.key,
        "rows": row_documents(table, columns),
        "costs": [column.key for column in costs],
        "qualities": [column.key for column in qualities],
        "pareto": {f"{x.key} {y.key}": pareto_document(table, x, y, named) for x in costs for y in qualities},
        "scores": scores_documents(table, [column.key for column in qualities], found),
        "training": {key: curves_document(training(table, key, found)) for key in training_keys(found)},
        "runs": [view.document() for view in views],
        "curves": runs_curves(table, found, views) if len(views) <= FEW_RUNS else {},
        **{kind: shared([getattr(view, kind) for view in views]) for kind in ("settings", "environment", "images")},
    }


def _by_importance(column: Column) -> int:
    return SUMMARY.index(column.key) if column.key in SUMMARY else len(SUMMARY)


def _column(column: Column) -> dict[str, Any]:
    return {
        "key": column.key,
        "title": column.title,
        "about": column.about,
        "better": column.better,
        "group": "quality" if column.group == "quality" else "cost",
    }


def row_documents(table: Table, columns: Sequence[Column]) -> list[dict[str, Any]]:
    """Rows as the table shows them; "place" of generated ones is that of the charts and runs."""
    generated = [row for row in table.rows if row.kind == "generated"]
    named = names(table)
    places = {id(row): place for place, row in enumerate(generated)}
    sharing = Counter(row.rank for row in generated)
    found = []
    for row in in_order(table):
        place = places.get(id(row))
        found.append(
            {
                "place": place,
                "name": row.variant if place is None else named[place],
                "about": table.floors.get(row.variant, "") if place is None else row.objective,
                "who": row.name,
                "kind": row.kind,
                "rank": row.rank,
                "ranks": _ranks(row, sharing),
                "seeds": len(row.results),
                "status": row.status,
                "cells": {column.key: _cell(row, column) for column in columns if row.numbers.get(column.key)},
            }
        )
    return found


def _ranks(row: Row, sharing: Mapping[int | None, int]) -> str:
    """ "2", or "2\N{EN DASH}4" of three rows that cannot be told apart; "" without a rank."""
    if row.rank is None:
        return ""
    return f"{row.rank}\N{EN DASH}{row.rank + sharing[row.rank] - 1}" if row.shared else str(row.rank)


def _cell(row: Row, column: Column) -> list[Any]:
    """Mean, text, half its interval."""
    number = row.numbers[column.key]
    assert number is not None
    return [number.mean, show(column, number), number.half]


def _collapsed(table: Table) -> list[str]:
    recalls = [row.numbers.get("recall") for row in _generated(table)]
    if all(recall is None or recall.mean >= COLLAPSED for recall in recalls):
        return []
    named = [name for recall, name in zip(recalls, names(table), strict=True) if recall and recall.mean < COLLAPSED]
    shown = ", ".join(named[:8]) + (f" and {len(named) - 8} others" if len(named) > 8 else "")
    return [f"mode collapse: {shown} (recall below {COLLAPSED:g}: hardly any real image is near a generated one)"]


def _generated(table: Table) -> list[Row]:
    return [row for row in table.rows if row.kind == "generated"]


def pareto_document(table: Table, cost: Column, quality: Column, named: Sequence[str] | None = None) -> dict[str, Any]:
    """Points as place, cost, half its interval, quality, half its interval, on the front."""
    found = pareto(table, cost.key, quality.key, named)
    return {
        "points": [
            [
                point.place,
                *rounded(point.cost.mean, point.cost.half),
                *rounded(point.quality.mean, point.quality.half),
                int(point.on_front),
            ]
            for point in found.points
        ],
        "left_out": [list(pair) for pair in found.left_out],
        "no_front": found.no_front,
    }


def scores_documents(table: Table, keys: Sequence[str], found: Sequence[History]) -> dict[str, Any]:
    """Curves of each score of which some snapshot has a number."""
    made = {key: curves(table, key, found) for key in keys}
    return {key: curves_document(one) for key, one in made.items() if one.curves}


def curves_document(found: Curves) -> dict[str, Any]:
    """Moments as kimg, seconds, mean, half its interval."""
    higher = found.axis.higher_is_better
    return {
        "title": found.axis.title,
        "better": "" if higher is None else "higher" if higher else "lower",
        "floors": [[name, *rounded(value)] for name, value in found.floors],
        "curves": [_curve(curve) for curve in found.curves],
    }


def _curve(curve: Curve) -> dict[str, Any]:
    return {
        "place": curve.place,
        "seeds": curve.seeds,
        "moments": [
            rounded(moment.kimg, moment.seconds, moment.number.mean, moment.number.half) for moment in curve.moments
        ],
        "untrained": rounded(curve.untrained.mean)[0] if curve.untrained else None,
    }


def runs_curves(table: Table, found: Sequence[History], views: Sequence[RunView]) -> dict[str, dict[str, Any]]:
    """Index of a run -> key of a number of its ticks -> kimg, mean, in order."""
    numbers = {str(view.directory.path): index for index, view in enumerate(views)}
    made: dict[str, dict[str, Any]] = {}
    for key in training_keys(found):
        for history in found:
            for seed in history.seeds:
                alone = training(table, key, [replace(history, seeds=(seed,))])
                for curve in alone.curves:
                    points = [rounded(moment.kimg, moment.number.mean) for moment in curve.moments]
                    if seed.path in numbers:
                        made.setdefault(str(numbers[seed.path]), {})[key] = points
    return made


def rounded(*values: float | None) -> list[float | None]:
    """To six digits: a page needs no more, and is smaller."""
    return [None if value is None else float(f"{value:.6g}") for value in values]


def shared(documents: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """What is the same in all of them, once, and of each what is not."""
    if not documents:
        return {"same": {}, "own": []}
    same = {key: value for key, value in documents[0].items() if all(one.get(key) == value for one in documents)}
    return {"same": same, "own": [{key: one[key] for key in one if key not in same} for one in documents]}
