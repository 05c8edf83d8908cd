"""`ganzoo.compare`: two runs or models, what they make of the same noise, and what sets them apart. Torch-free until it
works.
"""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ganzoo.config.options import Files, known_arguments, load_zoo
from ganzoo.config.places import as_path, as_source
from ganzoo.files.progress import Listen, listening, note
from ganzoo.files.text import clean
from ganzoo.files.writing import write_bytes
from ganzoo.leaderboard.columns import Number
from ganzoo.leaderboard.compare import Comparison, Difference, Side, side_of_model, side_of_moment, side_of_run
from ganzoo.leaderboard.compare import compare as set_against
from ganzoo.leaderboard.render import show
from ganzoo.runs.directory import RunDirectory
from ganzoo.runs.shown import picture_html, text
from ganzoo.runs.sources import Found, find_source

if TYPE_CHECKING:
    from PIL.Image import Image

    from ganzoo.runs.sampling import Labels
    from ganzoo.runs.snapshots import LoadedSnapshot


@dataclass(frozen=True, kw_only=True)
class SideBySide:
    """Two runs or models beside each other. A notebook shows their images and a table."""

    comparison: Comparison
    """As objects, for those who want to render it anew."""
    picture: Image
    """Images of both, RGB: image i of the one and of the other are of the same noise."""
    images: int
    """Of each."""

    @property
    def first(self) -> dict[str, Any]:
        """ "name", "protocol" ("": it has no scores), "seeds"."""
        return _side(self.comparison.first)

    @property
    def second(self) -> dict[str, Any]:
        """As `first`."""
        return _side(self.comparison.second)

    @property
    def numbers(self) -> dict[str, dict[str, Any]]:
        """By key of a column: "first" and "second", each {"mean", "interval95", "n"} or None, "difference" (second less
        first; None: it says nothing) with its "interval95", and "better": "first", "second" or None, not told apart.
        """
        return {row.column.key: _numbers(row) for row in self.comparison.differences}

    @property
    def settings(self) -> dict[str, list[Any]]:
        """The settings that differ, with both values."""
        return {key: list(values) for key, *values in self.comparison.settings}

    @property
    def notes(self) -> list[str]:
        """Why numbers are not set against each other."""
        return list(self.comparison.notes)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the picture as a PNG. Raises UserError: it cannot be written."""
        buffer = io.BytesIO()
        self.picture.save(buffer, format="PNG")
        write_bytes(as_path(path, "path"), buffer.getvalue())

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: all but the picture."""
        names = ("first", "second", "numbers", "settings", "notes", "images")
        return {name: getattr(self, name) for name in names}

    def _repr_html_(self) -> str:
        names = [self.comparison.first.name, self.comparison.second.name]
        about = f"{self.images} images each of {names[0]}, left, and {names[1]}, right, of the same noise"
        rows = [(row.column.title, *_marked(row), text(difference_text(row))) for row in self.comparison.differences]
        table = _table(["", *names, "difference"], rows)
        settings = [
            (key, *(text("-" if value is None else clean(str(value), 80)) for value in values))
            for key, *values in self.comparison.settings
        ]
        told = _table(["settings that differ", *names], settings) if settings else "<p>no setting differs</p>"
        notes = "".join(f"<li>{text(line)}</li>" for line in self.notes)
        notes = f"<ul>{notes}</ul>" if notes else ""
        return f'<div class="ganzoo-compare"><p>{picture_html(self.picture, about)}</p>{table}{told}{notes}</div>'

    def __repr__(self) -> str:
        fid = self.numbers.get("fid", {}).get("difference")
        told = "" if fid is None else f": FID {fid:+.2f}"
        return f"<SideBySide {self.comparison.first.name} and {self.comparison.second.name}{told}>"


def difference_text(row: Difference) -> str:
    """ "+0.77 ± 1.73 (not told apart)"; "" where a difference says nothing."""
    if row.difference is None:
        return ""
    told = ("+" if row.difference >= 0 else "-") + row.column.show(abs(row.difference))
    if row.half is not None:
        told += f" ± {row.column.show(row.half)}"
        if row.better is None and row.difference:
            told += " (not told apart)"
    return told


@known_arguments
def compare(
    first: str | os.PathLike[str],
    second: str | os.PathLike[str],
    *,
    n: int | None = None,
    labels: Labels = None,
    seed: int = 0,
    device: str | None = None,
    plugins: Files = None,
    listen: Listen | None = None,
) -> SideBySide:
    """Set two runs or models side by side, as `ganzoo compare` does. Runs beside a run that differ from it by their
    seed alone count with it, and give intervals, unless the other side is one of them. A snapshot that is not its run's
    last has its own scores, if it was scored.

    Example:
        ganzoo.compare("dcgan", "cdcgan@digits").numbers["fid"]["difference"]

    Args:
        first: a `Run`, a run directory, a snapshot, a model VARIANT@DATASET, or the name of a variant (its newest run
            under runs/, else its model).
        second: as `first`.
        n: images of each; None: 64, 8 per class where one is conditional.
        labels: classes by name or number, a column each (conditional variants).
        seed: of the noise.
        device: auto, cpu, cuda, cuda:1 or mps; None: auto.
        plugins: Python files, or folders with an __init__.py, that register more.
        listen: told of events. docs/python.md.

    Raises:
        UserError: no such run or model, one without a snapshot, no such class.
    """
    from ganzoo.runs.sampling import open_source
    from ganzoo.runs.side_by_side import side_by_side

    with listening(listen):
        registry = load_zoo(plugins, note)
        found = [find_source(registry, as_source(of, name)) for of, name in ((first, "first"), (second, "second"))]
        sources = [open_source(registry, where, device=str(device or "auto")) for where in found]
        ended = [_ended(where) for where in found]
        sides = [
            _side_of(where, source.snapshot, run, other)
            for where, source, run, other in zip(found, sources, ended, reversed(ended), strict=True)
        ]
        names = [
            clean(run.path.resolve().name if run is not None else side.name, 50)
            for run, side in zip(ended, sides, strict=True)
        ]
        picture, images = side_by_side(
            (sources[0], sources[1]), (names[0], names[1]), count=n, labels=labels, seed=seed
        )
    return SideBySide(comparison=set_against(sides[0], sides[1]), picture=picture, images=images)


def _ended(where: Found) -> RunDirectory | None:
    """The run whose last snapshot it is, which is what its scores are of."""
    run = RunDirectory(where.place)
    is_last = where.model is None and [path.resolve() for path in run.snapshots()[-1:]] == [where.file.resolve()]
    return run if is_last else None


def _side_of(where: Found, snapshot: LoadedSnapshot, run: RunDirectory | None, other: RunDirectory | None) -> Side:
    if where.model is not None:
        return side_of_model(where.model, snapshot.config.to_dict())
    if run is not None:
        return side_of_run(run, other)
    return side_of_moment(where.file, RunDirectory(where.place), snapshot.images, snapshot.config.to_dict())


def _side(side: Any) -> dict[str, Any]:
    return {"name": side.name, "protocol": side.protocol, "seeds": side.seeds}


def _numbers(row: Difference) -> dict[str, Any]:
    def known(number: Number | None) -> dict[str, Any] | None:
        return None if number is None else {"mean": number.mean, "interval95": number.half, "n": number.n}

    return {
        "first": known(row.first),
        "second": known(row.second),
        "difference": row.difference,
        "interval95": row.half,
        "better": None if row.better is None else ("first", "second")[row.better],
    }


def _marked(row: Difference) -> list[str]:
    """Both numbers, for HTML; the better one bold."""
    cells = [text(show(row.column, number)) for number in (row.first, row.second)]
    return [f"<b>{cell}</b>" if place == row.better else cell for place, cell in enumerate(cells)]


def _table(head: list[str], rows: list[tuple[str, ...]]) -> str:
    """The first cell of each row is a heading, and text; the others are HTML."""
    titles = "".join(f"<th>{text(name)}</th>" for name in head)
    body = "".join(
        f"<tr><th>{text(name)}</th>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>" for name, *cells in rows
    )
    return f"<table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table>"
