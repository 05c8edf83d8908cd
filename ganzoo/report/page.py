"""What the page shows: the leaderboards, and of each run its pictures, curves, scores, settings and environment."""

from __future__ import annotations

import base64
import contextlib
import datetime
import importlib.resources
import itertools
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ganzoo import __version__
from ganzoo.config.run_config import flatten
from ganzoo.errors import RunError
from ganzoo.files.reading import MIB, Unreadable, read_picture
from ganzoo.files.text import clean
from ganzoo.leaderboard.columns import Number
from ganzoo.leaderboard.render import label, notes, show, used_columns
from ganzoo.leaderboard.rows import Row, Table
from ganzoo.leaderboard.table import read_tables
from ganzoo.report.chart import line_chart
from ganzoo.runs.directory import RunDirectory, kimg_of
from ganzoo.scoring.protocol import explain

GRID_CLASSES = 20
"""Classes that a grid has columns for."""

PAGE_BYTES = 64 * MIB
"""Of the pictures of a page together: two hundred runs. The page takes some five times as much while it is written."""


@dataclass(kw_only=True)
class Room:
    """What is left of a page for pictures."""

    left: int = PAGE_BYTES
    left_out: int = 0  # pictures


KIMG = "real images shown to D (kimg)"


def make_report(paths: Sequence[Path], sort: str = "fid") -> str:
    """Every run under `paths` as one HTML page that needs no other file, no script and no network.

    Args:
        paths: folders of runs.
        sort: key of the column that ranks.

    Raises:
        RunError: no run is found, a path is no folder, or a record is damaged.
        UnknownName: `sort` is no column.
    """
    import jinja2

    tables = read_tables(paths, sort)
    above = [f"{clean(os.path.dirname(os.path.realpath(path)))}{os.sep}" for path in paths]
    tables = [replace(table, skipped=[_without(line, above) for line in table.skipped]) for table in tables]
    template = importlib.resources.files(__package__).joinpath("template.html").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    roots = [Path(os.path.realpath(path)) for path in paths]
    room = Room()
    views = [table_view(table, number, roots, room) for number, table in enumerate(tables, start=1)]
    if room.left_out and views:
        views[-1]["notes"].append(f"{room.left_out} pictures are left out: the page is as large as a page may be")
    return environment.from_string(template).render(
        tables=views,
        version=__version__,
        date=datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
    )


def table_view(table: Table, number: int, roots: Sequence[Path] = (), room: Room | None = None) -> dict[str, Any]:
    """One leaderboard and its runs, as the template takes them. `roots`: folders that paths are shown relative to."""
    columns = used_columns(table)
    runs: list[dict[str, Any]] = []
    rows = []
    for row in table.rows:
        views = [run_view(table, row, RunDirectory(Path(path)), roots, room) for path in row.runs]
        for view in views:
            runs.append(view | {"anchor": f"run-{number}-{len(runs) + 1}"})
        rows.append(
            {
                "cells": [str(row.rank or "-"), label(row), row.objective, str(len(row.results) or "-")],
                "numbers": [show(column, row.numbers.get(column.key)) for column in columns],
                "kind": row.kind,
                "bad": bool(row.status),
                "anchor": runs[-len(views)]["anchor"] if views else "",
            }
        )
    result = next((result for row in table.rows for result in row.results), None)
    return {
        "dataset": table.dataset,
        "columns": [column.title for column in columns],
        "rows": rows,
        "notes": notes(table),
        "ingredients": list(explain(result["protocol"])) if result else [],
        "runs": runs,
    }


def run_view(
    table: Table, row: Row, run: RunDirectory, roots: Sequence[Path] = (), room: Room | None = None
) -> dict[str, Any]:
    """One run, as the template takes it; what its directory does not hold is left out."""
    result = run.read_result()
    config = (result or {}).get("config") or run.read_config()
    scores = []
    for column in used_columns(table):
        value = column.value(result) if result else None
        if value is not None:
            scores.append((column.title, show(column, Number(mean=value, half=None, n=1))))
    status = "not finished" if result is None else str(result.get("diverged") or "")
    if result is None and row.failures:
        status = "; ".join(dict.fromkeys(row.failures))
    return {
        "title": f"{label(row)}, {row.objective}, seed {config.get('seed')}",
        "path": clean(shown_path(run.path, roots)),
        "status": status,
        "pictures": list(pictures(run, columns_of(result), room or Room())),
        "charts": [chart for chart in (loss_chart(lines(run.stats)), fid_chart(lines(run.metrics))) if chart],
        "scores": scores,
        "images": pairs((result or {}).get("data") or {}),
        "settings": pairs(config),
        "environment": pairs(environment_of(run, result)),
    }


def lines(read: Callable[[], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The records of a file of lines; none where it cannot be read: a page without that chart."""
    try:
        return read()
    except RunError:
        return []


def environment_of(run: RunDirectory, result: Mapping[str, Any] | None) -> dict[str, Any]:
    """Content of env.json; what result.json keeps of it where the file is missing or damaged."""
    document = run.read_environment()
    if not document:
        return (result or {}).get("environment") or {}
    document.pop("provenance", None)  # who ran it, where and how is not for a page that is passed on
    doctor = document.get("doctor")
    if isinstance(doctor, dict):  # its versions are the run's own, or "stale" says that they are not
        document["doctor"] = {key: value for key, value in doctor.items() if key not in ("python", "packages")}
    return document


def _without(line: str, above: Sequence[str]) -> str:
    """A line that begins with a path, from the folder that was asked for: where that lies is nobody's business."""
    return next((line.removeprefix(start) for start in above if line.startswith(start)), line)


def shown_path(path: Path, roots: Sequence[Path]) -> str:
    """The path of a run from the folder that was asked for: where that folder lies is nobody's business."""
    for root in roots:
        if path.is_relative_to(root):
            return str(Path(root.name) / path.relative_to(root))
    return path.name


def columns_of(result: Mapping[str, Any] | None) -> str:
    """The classes that the columns of a conditional variant's grids are of, as the end of a caption; "" for others."""
    if result is None or result.get("label_law") in (None, "none"):
        return ""
    facts = ((result.get("data") or {}).get("train") or {}).get("facts") or {}
    classes = facts.get("classes")
    if not isinstance(classes, list) or not all(isinstance(pair, list) and pair for pair in classes):
        return ""
    return f"; columns: {', '.join(str(pair[0]) for pair in classes[:GRID_CLASSES])}" if classes else ""


def pictures(run: RunDirectory, columns: str, room: Room) -> Iterable[tuple[str, str]]:
    """(caption, data URI) of what there is: the real images, the last samples, the nearest training images. `columns`:
    as of `columns_of`.
    """
    wanted = [(f"real{columns}", "real.png")]
    if samples := run.samples():
        caption = f"generated, after {kimg_of(samples[-1]):g} kimg{columns}"
        wanted.insert(0, (caption, f"samples/{samples[-1].name}"))
    if neighbours := run.neighbours():
        caption = "rows of generated images, each above the training images they are nearest to"
        wanted.append((f"{caption}; after {kimg_of(neighbours[-1]):g} kimg", f"neighbours/{neighbours[-1].name}"))
    for caption, name in wanted:
        with contextlib.suppress(FileNotFoundError, Unreadable):  # a page without that picture
            picture = read_picture(run.path, name)
            if len(picture) > room.left:
                room.left_out += 1
                continue
            room.left -= len(picture)
            yield caption, data_uri(picture)


def data_uri(picture: bytes) -> str:
    """A PNG as an address that holds it."""
    return f"data:image/png;base64,{base64.b64encode(picture).decode('ascii')}"


MOST_SERIES = 8
"""Losses of a chart; a run has two or three."""


def loss_chart(stats: Sequence[Mapping[str, Any]]) -> str:
    """The losses and penalties of stats.jsonl over kimg, as SVG; "" where there are none."""
    names = dict.fromkeys(key for line in stats for key in line if key.endswith("loss") or key == "penalty")
    series = {name.replace("_", " "): points(stats, name) for name in itertools.islice(names, MOST_SERIES)}
    return line_chart(series, title="Losses", x_label=KIMG, y_label="loss, mean of a tick")


def fid_chart(metrics: Sequence[Mapping[str, Any]]) -> str:
    """The FID of the snapshots that were scored over kimg, as SVG; "" where there is none."""
    series = {"FID": points([{**line, **(line.get("values") or {})} for line in metrics], "fid")}
    return line_chart(series, title="FID", x_label=KIMG, y_label="FID, lower is better")


def points(lines: Iterable[Mapping[str, Any]], key: str) -> list[tuple[float, float]]:
    """(kimg, value of `key`) of the lines where both are numbers; what is not finite is null in the files."""
    found = ((line.get("kimg"), line.get(key)) for line in lines)
    return [(float(x), float(y)) for x, y in found if isinstance(x, (int, float)) and isinstance(y, (int, float))]


def pairs(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """A record as (dotted key, text), in its own order; what is empty or null is left out."""
    return [(key, text(value)) for key, value in flatten(document).items() if value not in (None, "", [])]


def text(value: Any) -> str:
    """A value as a person writes it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(text, value)) if isinstance(value, list) else str(value)
