"""`ganzoo.film`: pictures of training, one moment after the other. Torch-free."""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ganzoo.config.options import Files, known_arguments, load_zoo, number_of
from ganzoo.config.places import as_path, as_source
from ganzoo.errors import SettingError
from ganzoo.files.progress import note, working
from ganzoo.files.writing import check_file
from ganzoo.runs.directory import RunDirectory
from ganzoo.runs.film import ending_of, times_of, tracks_of, write_film
from ganzoo.runs.find import find_run
from ganzoo.runs.pictures import moments
from ganzoo.runs.shown import text

ALONE, BESIDE = 640, 360
"""Pixels that a run's pictures are about wide: of one run, and of each of several."""

_KINDS = {".webp": "image/webp", ".gif": "image/gif", ".mp4": "video/mp4"}


@dataclass(frozen=True, kw_only=True)
class Film:
    """A film that is written. A notebook plays it."""

    path: Path
    """The file, .webp, .gif or .mp4."""
    names: tuple[str, ...]
    """What is written above the runs."""
    kimg: tuple[float, ...]
    """Of each frame."""

    def _repr_html_(self) -> str:
        about = text(f"film of {', '.join(self.names)}, {self.kimg[0]:g} to {self.kimg[-1]:g} kimg")
        try:
            data = base64.b64encode(self.path.read_bytes()).decode("ascii")
        except OSError:
            return f"<p>{text(repr(self))} is no longer there</p>"
        source = f"data:{_KINDS[self.path.suffix.lower()]};base64,{data}"
        if self.path.suffix.lower() == ".mp4":
            return f'<video src="{source}" aria-label="{about}" style="max-width:100%" controls loop></video>'
        return f'<img src="{source}" alt="{about}" style="max-width:100%">'

    def __fspath__(self) -> str:
        return os.fspath(self.path)

    def __repr__(self) -> str:
        return f"<Film {self.path}: {len(self.kimg)} frames of {', '.join(self.names)}>"


@known_arguments
def film(
    *sources: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    fps: float = 8.0,
    size: int | None = None,
    even: int | None = None,
    plugins: Files = None,
) -> Film:
    """Write how the images of a run came to be, or of several runs beside each other, as `ganzoo film` does.

    Example:
        ganzoo.film("dcgan", "gan", out="both.gif")

    Args:
        sources: each a `Run`, a run directory, or the name of a variant: its newest run under runs/.
        out: .webp, .gif or .mp4, replaced where it is there; None: film.webp in the run's directory, of several runs
            in this one.
        fps: frames each second; the last frame stays longer.
        size: pixels that each run's pictures are about wide; None: 640, of several runs 360.
        even: so many frames, equally far apart in kimg; None: one for each picture.
        plugins: Python files, or folders with an __init__.py, that register more: pictures of a run that has none are
            made from its snapshots.

    Raises:
        RunError: no such run, or one without pictures and snapshots.
        SettingError: no run, too many, another ending, a film that is too large.
        UserError: there is no ffmpeg for an MP4; the file cannot be written.
    """
    if not sources:
        raise SettingError("a film is of one run or several, and none is named", 'name one: ganzoo.film("runs/mine")')
    path = None if out is None else as_path(out, "out")
    if path is not None:
        ending_of(path)  # before anything is read
        check_file(path, f"film{path.suffix}")
    fps = number_of(fps, "fps", float, 0.2, 50.0)
    size = None if size is None else number_of(size, "size", int, 16, 4096)
    even = None if even is None else number_of(even, "even", int, 2, 2000)
    runs = [find_run(as_source(source, "sources")) for source in sources]
    _remake([run for run in runs if run.snapshots() and not moments(run)], plugins)
    tracks = tracks_of(runs)
    if path is None:
        path = tracks[0].run.path / "film.webp" if len(tracks) == 1 else Path("film.webp")
    times = times_of(tracks, even=even)
    write_film(tracks, times, path, fps=fps, size=size or (ALONE if len(tracks) == 1 else BESIDE))
    return Film(path=path, names=tuple(track.name for track in tracks), kimg=tuple(times))


def _remake(runs: Sequence[RunDirectory], plugins: Files) -> None:
    """Make pictures from snapshots."""
    if not runs:
        return
    registry = load_zoo(plugins, note)
    with working("loading torch"):
        from ganzoo.runs.repicture import pictures_from_snapshots
    for run in runs:
        note(f"{run.path} has no pictures: they are made from its snapshots")
        if len(run.snapshots()) == 1:
            note(f"{run.path} has kept one snapshot: the film has one picture of it; train with --set train.keep=all")
        pictures_from_snapshots(registry, run)
