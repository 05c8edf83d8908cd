"""The images of two generators for the same noise, side by side."""

from __future__ import annotations

import torch
from PIL import Image, ImageDraw, ImageFont

from ganzoo.runs.grid import make_grid, to_image
from ganzoo.runs.sampling import Labels, Source, plan_samples

PANEL = 640
"""Pixels that each grid is about wide."""

LINE, GAP = 26, 16
"""Pixels: of the line of names, and between the grids."""


def side_by_side(
    sources: tuple[Source, Source],
    names: tuple[str, str],
    *,
    count: int | None = None,
    labels: Labels = None,
    seed: int = 0,
) -> tuple[Image.Image, int]:
    """Both grids as one RGB image: image i of both is of noise i of `seed`, and where both are conditional, of one
    class. With how many images each has.

    Raises:
        UserError: no such class, or a generator whose images hold NaN.
    """
    conditional = next((source for source in sources if source.conditional), None)
    columns = len(conditional.classes(labels)) if conditional else min(count or 8, 8)
    count = count or 8 * columns
    panels = []
    for source in sources:
        samples = plan_samples(source, count=count, labels=labels if source.conditional else None, seed=seed)
        pixels = torch.cat([made for made, _ in samples.blocks()])
        panels.append(to_image(make_grid(pixels, columns), PANEL))
    width = sum(max(panel.width, 160) for panel in panels) + GAP
    canvas = Image.new("RGB", (width, max(panel.height for panel in panels) + LINE), "white")
    draw, font, left = ImageDraw.Draw(canvas), ImageFont.load_default(size=16), 0
    for panel, name in zip(panels, names, strict=True):
        draw.text((left + 2, 3), name, fill="black", font=font)
        canvas.paste(panel, (left, LINE))
        left += max(panel.width, 160) + GAP
    return canvas, count
