"""What the page shows, as JSON: tables, charts and runs. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ganzoo.leaderboard.axes import in_words
from ganzoo.leaderboard.cells import in_order, rank, show, used_columns
from ganzoo.leaderboard.charts import Curve, Curves, curves, pareto, training, training_keys
from ganzoo.leaderboard.columns import Column
from ganzoo.leaderboard.histories import History, histories, names
from ganzoo.leaderboard.rows import Row, Table
from ganzoo.leaderboard.table import ahead
from ganzoo.leaderboard.words import conditions, no_rank, problems, title, verdict
from ganzoo.report.runs import RunView
from ganzoo.scoring.protocol import explain

SUMMARY = (
    *("fid", "kid", "recall", "is", "precision", "cond_acc", "modes"),
    *("train_img_per_s", "seconds", "parameters"),
)
"""Columns that are seen first; what says most stands first, because a phone shows two or three."""

FEW_RUNS = 60
"""Up to so many runs, each has curves of its own training; of more, the rows have."""

COLLAPSED = 0.05
"""Recall below it is said to be mode collapse, where some generated images are near real ones."""

EXACT = ("parameters",)
"""Columns that do not vary over seeds."""


def table_document(table: Table, views: Sequence[RunView], whole: Table | None = None) -> dict[str, Any]:
    """One leaderboard with its charts and runs, JSON-ready.

    Args:
        table: one protocol's, with the rows and runs that the page has.
        views: its runs, with their pictures.
        whole: what the sentences are of; None: `table`.
    """
    whole, named = whole or table, names(table)
    used = used_columns(table)
    seen = _summary([column.key for column in used])
    columns = sorted(used, key=lambda column: seen.index(column.key) if column.key in seen else len(seen))
    found = histories(table)
    qualities = [column for column in columns if column.group == "quality" and column.key != "diverged"]
    costs = [column for column in columns if column.group != "quality" and column.key != "kimg"]
    result = next((result for row in table.rows for result in row.results), None)
    return {
        "title": title(whole),
        "dataset": table.dataset,
        "protocol": table.protocol,
        "verdict": verdict(whole),
        "warnings": [*_hardly_any_near(whole), *problems(whole), *no_rank(whole)],
        "conditions": conditions(whole),
        "ingredients": [list(entry) for entry in explain(result["protocol"])] if result else [],
        "columns": [_column(column) for column in columns],
        "summary": seen,
        "sort": table.sort.key,
        "best": {column.key: best for column in columns if (best := best_documents(table, column)) is not None},
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


def _summary(keys: Sequence[str]) -> list[str]:
    """KID stands for FID where there is none, as of fewer images than features."""
    return [key for key in SUMMARY if key in keys and (key != "kid" or "fid" not in keys)]


def _column(column: Column) -> dict[str, Any]:
    return {
        "key": column.key,
        "title": column.title,
        "about": column.about,
        "axis": in_words(column.key, column.title),
        "better": column.better,
        "group": "quality" if column.group == "quality" else "cost",
    }


def row_documents(table: Table, columns: Sequence[Column]) -> list[dict[str, Any]]:
    """Rows as the table shows them; "place" of generated ones is that of the charts and runs."""
    generated = [row for row in table.rows if row.kind == "generated"]
    named = names(table)
    places = {id(row): place for place, row in enumerate(generated)}
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
                "ranks": "" if row.rank is None else rank(row),
                "seeds": len(row.results),
                "status": row.status,
                "cells": {column.key: _cell(row, column) for column in columns if row.numbers.get(column.key)},
            }
        )
    return found


def _cell(row: Row, column: Column) -> list[Any]:
    """Mean, text, half its interval."""
    number = row.numbers[column.key]
    assert number is not None
    return [number.mean, show(column, number), number.half]


def best_documents(table: Table, column: Column) -> list[int] | None:
    """Places of the rows that are best in a column, as far as that can be said: of parameters, which do not vary, those
    that have fewest; else those of the best mean and those that cannot be told from it, as ranks are given. None: no
    test tells any of them apart, or there are too few seeds for one.
    """
    rows = _generated(table)
    if column.key in EXACT:
        numbers = {place: number.mean for place, row in enumerate(rows) if (number := row.numbers.get(column.key))}
        least = [place for place, mean in numbers.items() if mean == min(numbers.values())]
        return least if len(least) < len(numbers) else None
    found = ahead(rows, column)
    return [place for place, row in enumerate(rows) if any(row is one for one in found)] or None


def _hardly_any_near(table: Table) -> list[str]:
    """Rows of low recall, and why: either few kinds of images are made, or none that is near a real one."""
    collapsed: list[str] = []
    untrained: list[str] = []
    for row, name in zip(_generated(table), names(table), strict=True):
        recall, precision = row.numbers.get("recall"), row.numbers.get("precision")
        if recall is None or recall.mean >= COLLAPSED:
            continue
        near = precision is not None and precision.mean >= COLLAPSED
        said = {finding.get("rule") for result in row.results for finding in result.get("diagnostics") or []}
        alike = "mode-collapse" in said and "learns-nothing" not in said
        (collapsed if near or alike else untrained).append(name)
    lines = []
    if collapsed:
        why = f"recall below {COLLAPSED:g}: few kinds of images are made, over and over"
        lines.append(f"mode collapse: {_named(collapsed)} ({why})")
    if untrained:
        why = f"recall and precision below {COLLAPSED:g}: hardly any image is near a real one, nor any real one near it"
        lines.append(f"hardly trained: {_named(untrained)} ({why}; train longer, or look at the losses)")
    return lines


def _named(some: Sequence[str]) -> str:
    return ", ".join(some[:8]) + (f" and {len(some) - 8} others" if len(some) > 8 else "")


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
        "limits": [[axis.low, axis.high] for axis in (found.cost, found.quality)],
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
        "limits": [found.axis.low, found.axis.high],
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
