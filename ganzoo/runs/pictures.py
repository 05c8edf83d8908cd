"""The pictures of a run: the same noise at many moments of training. Torch-free."""

from __future__ import annotations

from pathlib import Path

from ganzoo.runs.directory import RunDirectory, kimg_of


def moments(run: RunDirectory) -> dict[float, Path]:
    """kimg -> PNG, in order of kimg, close together at the start: in the images' own size, grey where they are. Those
    of snapshots are among them. Of runs that have none, and of earlier versions, the enlarged RGB grids of the
    snapshots. Empty: there are none of these either.
    """
    return {kimg_of(file): file for file in run.pictures() or run.samples()}
