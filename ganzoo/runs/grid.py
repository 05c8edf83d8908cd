"""Grids of images as PNG."""

from __future__ import annotations

import io
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn

from ganzoo.files.writing import write_bytes
from ganzoo.gan import Prior
from ganzoo.scoring.generation import NORMAL, Inputs, inputs_of
from ganzoo.scoring.noise import noise

SAMPLE_SEED = 0
"""Seed of the fixed noise: the same for every run, so that grids of a run can be compared over time."""


def make_grid(pixels: Tensor, columns: int, *, grey: bool = False) -> Tensor:
    """uint8 `[N,C,H,W]` -> uint8 `[3,h,w]`, row by row, 2 black pixels around each image. `grey`: `[1,h,w]` of grey
    images.
    """
    # torchvision.utils.make_grid does the same, but importing torchvision takes seconds.
    pixels = pixels.cpu() if grey else pixels.cpu().expand(-1, 3, -1, -1)
    n, channels, height, width = pixels.shape
    columns = min(columns, n)
    cell = nn.functional.pad(pixels, (2, 0, 2, 0))  # above and to the left of each
    cell = torch.cat([cell, cell.new_zeros(-n % columns, *cell.shape[1:])])
    rows = cell.view(-1, columns, channels, height + 2, width + 2)
    grid = rows.permute(2, 0, 3, 1, 4).reshape(channels, -1, columns * (width + 2))
    return nn.functional.pad(grid, (0, 2, 0, 2))


def to_image(grid: Tensor, width: int = 640) -> Image.Image:
    """uint8 `[C,H,W]` -> PIL image, enlarged by a whole factor towards `width` pixels so that a person can see it."""
    array = grid.cpu().numpy()
    image = Image.fromarray(array[0] if array.shape[0] == 1 else array.transpose(1, 2, 0))
    factor = max(1, round(width / image.width))
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)


def save_png(path: Path, grid: Tensor, width: int = 640) -> None:
    """`width`: as of `to_image`."""
    buffer = io.BytesIO()
    to_image(grid, width).save(buffer, format="PNG")
    write_bytes(path, buffer.getvalue())


def grid_inputs(
    z_dim: int, num_classes: int, conditional: bool, rows: int = 8, prior: Prior = NORMAL
) -> tuple[Inputs, int, int]:
    """What a run's grids ask for, how many images they have, and in how many columns. Unconditional: `rows` x 10, image
    i of SAMPLE_SEED. Conditional: one class per column, at most 20 classes, and noise r of the seed all along row r.
    """
    if not conditional:
        return inputs_of(SAMPLE_SEED, z_dim, None, prior), rows * 10, 10
    columns = min(num_classes, 20)

    def inputs(numbers: Tensor) -> tuple[Tensor, Tensor]:
        row = numbers // columns
        first = int(row[0])
        z = prior(noise(SAMPLE_SEED, first, int(row[-1]) - first + 1, z_dim))
        return z[row - first], numbers % columns

    return inputs, rows * columns, columns
