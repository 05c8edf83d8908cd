"""The page: numbers, pictures, styles and scripts in one file, or with the pictures in a folder beside it."""

from __future__ import annotations

import base64
import datetime
import hashlib
import importlib.resources
import json
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo import __version__
from ganzoo.files.progress import working
from ganzoo.files.writing import write_text
from ganzoo.leaderboard.table import read_tables
from ganzoo.report.bounds import bounded
from ganzoo.report.data import table_document
from ganzoo.report.pictures import NEEDED_BYTES, PAGE_BYTES, SITE_BYTES, Gallery
from ganzoo.report.runs import Command, RunView, add_pictures, inside, views_of

if TYPE_CHECKING:
    import jinja2

SCRIPTS = ("elements", "table", "charts", "films", "runs", "compare", "people", "main")
"""In static/, in the order in which they are loaded."""

LEFT_OUT = "are left out, so that the page stays small; `ganzoo report --site DIR` writes all of them beside the page"

Sampler = Callable[[Sequence[RunView], Gallery], list[str]]
"""Adds pictures that have to be made, and says in lines what could not be."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """A page, and what has to be known of it."""

    html: str
    notes: Sequence[str]


def make_report(
    paths: Sequence[Path], sort: str = "fid", sample: Sampler | None = None, command: Command | None = None
) -> Report:
    """Every run under `paths` as one HTML page that needs no other file and no network.

    Args:
        paths: folders of runs.
        sort: key of the column that ranks.
        sample: makes further pictures; None: none.
        command: tells how a run is trained; None: nobody does.

    Raises:
        RunError: no run is found, a path is no folder, or a record is damaged.
        UnknownName: `sort` is no column.
    """
    return _made(paths, sort, Gallery(limit=PAGE_BYTES, most=NEEDED_BYTES), sample, command)


def make_site(
    paths: Sequence[Path],
    folder: Path,
    sort: str = "fid",
    sample: Sampler | None = None,
    command: Command | None = None,
) -> Report:
    """The same, with all pictures, as index.html and pictures/ in `folder`, for any host of plain files.

    Raises:
        RunError, UnknownName: as `make_report`.
        UserError: the folder cannot be written.
    """
    report = _made(paths, sort, Gallery(limit=SITE_BYTES, folder=folder), sample, command)
    write_text(folder / "index.html", report.html)
    return report


def _made(
    paths: Sequence[Path], sort: str, gallery: Gallery, sample: Sampler | None, command: Command | None
) -> Report:
    roots = [Path(os.path.realpath(path)) for path in paths]
    with working("reading runs"):
        whole = [
            replace(table, skipped=[inside(line, roots) for line in table.skipped])
            for table in read_tables(paths, sort)
        ]
        tables, left_out = bounded(whole)
        views = [views_of(table, roots, command) for table in tables]
    everything = [view for some in views for view in some]
    notes = [*left_out, *(sample(everything, gallery) if sample else [])]
    add_pictures(everything, gallery)
    if gallery.left_out:
        notes.append(f"{gallery.left_out:,} pictures {LEFT_OUT}")
    with working("computing charts"):
        documents = [table_document(*of_one) for of_one in zip(tables, views, whole, strict=True)]
    _tell_apart(documents)
    return Report(html=render(documents, gallery, notes), notes=notes)


def _tell_apart(documents: Sequence[dict[str, Any]]) -> None:
    """Tables of one dataset, but of two protocols, have one title, which then says the protocol."""
    titles = Counter(document["title"] for document in documents)
    for document in documents:
        if titles[document["title"]] > 1:
            document["title"] += f", {document['protocol']}"


def render(documents: Sequence[dict[str, Any]], gallery: Gallery, notes: Sequence[str]) -> str:
    """The page as text. Scripts are allowed by their digests, so that nothing that a run says can become one."""
    template, style, scripts = _parts()
    return template.render(
        tables=documents,
        data=in_script({"tables": documents, "pictures": gallery.sources}),
        notes=notes,
        style=style,
        scripts=scripts,
        hashes=" ".join(f"'sha256-{digest(script)}'" for script in scripts),
        images="'self'" if gallery.folder else "data:",
        version=__version__,
        date=datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
    )


@cache
def _parts() -> tuple[jinja2.Template, str, list[str]]:
    """Template, style and scripts of every page."""
    import jinja2

    static = importlib.resources.files(__package__)
    scripts = [static.joinpath("vendor", "vega.js").read_text(encoding="utf-8")]
    own = "\n".join(static.joinpath("static", f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS)
    scripts.append(f'"use strict";\n(() => {{\n{own}\n}})();\n')
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(static.joinpath("static", "page.html").read_text(encoding="utf-8"))
    return template, static.joinpath("static", "page.css").read_text(encoding="utf-8"), scripts


def in_script(document: Any) -> str:
    """JSON that can stand in a <script> element: it has no < that could end it."""
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
