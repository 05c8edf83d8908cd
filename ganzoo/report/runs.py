"""What a page tells of each run: whose it is, its pictures, scores, settings and environment. Torch-free."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ganzoo.config.run_config import flatten
from ganzoo.errors import RunError
from ganzoo.files.progress import working
from ganzoo.files.text import clean
from ganzoo.leaderboard.cells import show, used_columns
from ganzoo.leaderboard.columns import Column, Number
from ganzoo.leaderboard.histories import names
from ganzoo.leaderboard.rows import Row, Table
from ganzoo.report.pictures import FILM_QUALITY, QUALITY, Gallery
from ganzoo.runs.directory import RunDirectory, kimg_of
from ganzoo.runs.pictures import moments
from ganzoo.runs.results import Results

GRID_CLASSES = 20
"""Classes that a grid has columns for."""

ROWS_SEEN = 24
"""Rows whose films are seen at once (`MOST_FILMS` in films.js); the others' when the table is filtered."""

FRAMES = 48
"""Of a film on a page, spread evenly over those that there are."""


@dataclass(kw_only=True)
class RunView:
    """One run, as the page has it; what its directory does not hold is left out."""

    directory: RunDirectory
    table: str  # its protocol
    place: int  # of its row among the rows of generated images
    name: str  # of its row
    who: str  # whose it is; "": nobody said, and there is one folder for all
    path: str  # from the folder that was asked for
    seed: int | None = None
    status: str = ""  # "": it is finished, and all is well
    classes: list[str] = field(default_factory=list)  # of the columns of its grids; []: it has no classes
    scores: dict[str, list[Any]] = field(default_factory=dict)  # key of a column -> number, text
    settings: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    images: dict[str, str] = field(default_factory=dict)  # facts of the images it was trained with
    film: list[list[Any]] = field(default_factory=list)  # kimg, name of a picture, in order
    real: str = ""  # names of pictures
    neighbours: list[Any] = field(default_factory=list)  # kimg, name
    grid: list[Any] = field(default_factory=list)  # kimg, name: of all images, where the film shows fewer
    interpolation: str = ""
    command: str = ""  # that trains the same; "": nobody knows

    @property
    def row(self) -> tuple[str, int]:
        """Which row of which table it is of."""
        return self.table, self.place

    def document(self) -> dict[str, Any]:
        """JSON-ready."""
        kept = ("place", "who", "path", "seed", "status", "classes", "scores", "film", "real", "neighbours", "grid")
        return {key: getattr(self, key) for key in (*kept, "interpolation", "command")}


Command = Callable[[Mapping[str, Any]], str]
"""From the config of a run, as its record has it, to the command that trains the same; "": there is none."""


def views_of(table: Table, roots: Sequence[Path], command: Command | None = None) -> list[RunView]:
    """The runs of a table's rows, in order, without their pictures. `roots`: folders that paths are shown from."""
    found = []
    records = Results()
    generated, columns = [row for row in table.rows if row.kind == "generated"], used_columns(table)
    for place, (row, name) in enumerate(zip(generated, names(table), strict=True)):
        for path in row.runs:
            run = RunDirectory(Path(path))
            try:
                found.append(view_of(table, row, run, place, name, roots, command, columns, records))
            except RunError:  # read a moment ago
                continue
    owners = {view.who for view in found}
    if len(owners) == 1 and not any(row.name for row in generated):  # one folder for all says nothing
        for view in found:
            view.who = ""
    return found


def view_of(
    table: Table,
    row: Row,
    run: RunDirectory,
    place: int,
    name: str,
    roots: Sequence[Path] = (),
    command: Command | None = None,
    columns: Sequence[Column] | None = None,
    records: Results | None = None,
) -> RunView:
    """`columns`: `used_columns(table)`; None: found now. `records`: reads the results of many runs.

    Raises:
        RunError: a record of the run is damaged.
    """
    result = run.read_result() if records is None else records.read(run)
    config = (result or {}).get("config") or run.read_config()
    status = "not finished" if result is None else str(result.get("diverged") or "")
    if result is None:
        status = run.read_failure() or status
    view = RunView(
        directory=run,
        table=table.protocol,
        place=place,
        name=name,
        who=clean(str(config.get("name") or ""), 100) or folder_of(run.path, roots),
        path=clean(shown_path(run.path, roots)),
        seed=config.get("seed"),
        status=clean(status, 500),
        classes=classes_of(result),
        settings=texts(config),
        environment=texts(environment_of(run, result)),
        images=texts((result or {}).get("data") or {}),
        command=clean(command(config), 2000) if command else "",
    )
    for column in used_columns(table) if columns is None else columns:
        value = column.value(result) if result else None
        if value is not None:
            view.scores[column.key] = [value, show(column, Number(mean=value, half=None, n=1))]
    return view


def folder_of(path: Path, roots: Sequence[Path]) -> str:
    """The first folder below the one that was asked for, where a run lies deeper: in a class, whose runs they are. Of
    several folders that were asked for, which one.
    """
    for root in roots:
        if path.is_relative_to(root):
            parts = path.relative_to(root).parts
            if len(roots) > 1:
                return clean(root.name, 100)
            return clean(parts[0], 100) if len(parts) > 1 else ""
    return ""


def shown_path(path: Path, roots: Sequence[Path]) -> str:
    """The path of a run from the folder that was asked for: where that folder lies is nobody's business."""
    for root in roots:
        if path.is_relative_to(root):
            return str(Path(root.name) / path.relative_to(root))
    return path.name


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


def classes_of(result: Mapping[str, Any] | None) -> list[str]:
    """The classes that the columns of a conditional variant's grids are of; [] of others."""
    if result is None or result.get("label_law") in (None, "none"):
        return []
    facts = ((result.get("data") or {}).get("train") or {}).get("facts") or {}
    classes = facts.get("classes")
    if not isinstance(classes, list) or not all(isinstance(pair, list) and pair for pair in classes):
        return []
    return [clean(str(pair[0]), 60) for pair in classes[:GRID_CLASSES]]


@dataclass(frozen=True)
class Wanted:
    """A picture that a run has."""

    view: RunView
    kind: str  # what it is filled in as: "real", "film", "neighbours" or "grid"
    path: Path

    @property
    def file(self) -> tuple[Path, str]:
        return self.view.directory.path, self.path.relative_to(self.view.directory.path).as_posix()

    def put(self, name: str) -> None:
        if self.kind == "real":
            self.view.real = name
        elif self.kind == "film":
            self.view.film.append([kimg_of(self.path), name])
        else:
            setattr(self.view, self.kind, [kimg_of(self.path), name])


def add_pictures(views: Sequence[RunView], gallery: Gallery) -> None:
    """Fill in the pictures, what is asked for first in all runs before what can be missed in any: where the page is
    full, films get fewer frames, and neighbours are of the first seeds alone.
    """
    needed, others = wanted(views)
    with working("making pictures small", len(needed) + len(others), "pictures") as more:
        for some, must in ((needed, True), (others, False)):
            for film, group in itertools.groupby(some, lambda one: one.kind == "film"):
                each = list(group)
                quality = FILM_QUALITY if film else QUALITY
                names = gallery.add_files([one.file for one in each], needed=must, quality=quality, more=more)
                for one, name in zip(each, names, strict=True):
                    if name:
                        one.put(name)
    for view in views:
        view.film.sort()


def wanted(views: Sequence[RunView]) -> tuple[list[Wanted], list[Wanted]]:
    """The pictures that no run should miss, and the others, in the order in which they are wanted."""
    films = {id(view): evenly(list(moments(view.directory).values()), FRAMES) for view in views}
    firsts = {id(view) for view in {(view.row, view.who): view for view in reversed(views)}.values()}
    # a film for each row that the page shows at once, before one for each row, before one for each person
    by_row = {view.row: view for view in reversed(views)}
    rows = {id(view) for view in by_row.values()}
    seen = {id(view) for view in by_row.values() if view.place < ROWS_SEEN}
    needed = [Wanted(view, "real", view.directory.path / "real.png") for view in views]
    needed += [Wanted(view, "film", path) for view in views for path in films[id(view)][-1:]]
    others = []
    for some in (seen, rows - seen, firsts - rows, {id(view) for view in views} - firsts - rows):
        chosen = [view for view in views if id(view) in some]
        for view in chosen:
            others += [Wanted(view, "neighbours", path) for path in view.directory.neighbours()[-1:]]
            if [path.parent.name for path in films[id(view)][-1:]] == ["pictures"]:  # the grid's first rows alone
                others += [Wanted(view, "grid", path) for path in view.directory.samples()[-1:]]
        for step in (8, 4, 2, 1):
            for view in chosen:
                frames = films[id(view)][:-1][::step]
                others += [Wanted(view, "film", path) for path in (frames if step == 8 else frames[1::2])]
    return needed, others


def evenly(paths: Sequence[Path], most: int) -> list[Path]:
    """At most so many of them, the first and the last among them."""
    if len(paths) <= most:
        return list(paths)
    return [paths[round(index * (len(paths) - 1) / (most - 1))] for index in range(most)]


def texts(document: Mapping[str, Any]) -> dict[str, str]:
    """A record as dotted key -> text, in its own order; what is empty or null is left out."""
    return {
        clean(key, 200): clean(text(value), 500)
        for key, value in flatten(document).items()
        if value not in (None, "", [])
    }


def text(value: Any) -> str:
    """A value as a person writes it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(text, value)) if isinstance(value, list) else str(value)


def inside(line: str, roots: Sequence[Path]) -> str:
    """A line that begins with a path, from the folder that was asked for: where that lies is nobody's business."""
    above = [f"{clean(os.path.dirname(root))}{os.sep}" for root in roots]
    return next((line.removeprefix(start) for start in above if line.startswith(start)), line)
