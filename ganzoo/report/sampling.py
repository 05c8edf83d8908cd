"""Pictures that have to be made from snapshots: interpolations. Imports torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from PIL import Image

from ganzoo.errors import UserError
from ganzoo.files.progress import working
from ganzoo.report.pictures import Gallery
from ganzoo.report.runs import RunView
from ganzoo.runs.grid import make_grid
from ganzoo.runs.sampling import open_source, plan_samples
from ganzoo.zoo.registry import Registry

ROWS, STEPS = 6, 10
"""Of an interpolation."""

MOST_ROWS = 24
"""Rows of leaderboards that get one: each takes the load of a snapshot, and a second."""


def interpolations(registry: Registry) -> Callable[[Sequence[RunView], Gallery], list[str]]:
    """What adds to the first run of each row the way from one noise to another. `registry`: of the variants."""

    def sample(views: Sequence[RunView], gallery: Gallery) -> list[str]:
        chosen: dict[tuple[str, int], RunView] = {}  # by row
        for view in views:
            if view.directory.snapshots():
                chosen.setdefault(view.row, view)
        lines = []
        if len(chosen) > MOST_ROWS:
            lines.append(f"interpolations are of the first {MOST_ROWS} of {len(chosen)} rows")
        some = list(chosen.values())[:MOST_ROWS]
        with working("interpolating", len(some), "rows") as more:
            for view in some:
                try:
                    view.interpolation = gallery.add_image(interpolation(registry, view))
                except UserError as error:
                    lines.append(f"no interpolation of {view.name}: {error.cause}")
                more(1)
        return lines

    return sample


def interpolation(registry: Registry, view: RunView) -> Image.Image:
    """Each row leads from one noise to another, in one class.

    Raises:
        UserError: the snapshot is damaged, or its variant is not there.
    """
    source = open_source(registry, str(view.directory.path), device="cpu")
    samples = plan_samples(source, count=ROWS, interpolate=(0, 1), steps=STEPS)
    pixels = torch.cat([block for block, _ in samples.blocks()])
    return Image.fromarray(make_grid(pixels, samples.columns).numpy().transpose(1, 2, 0))
