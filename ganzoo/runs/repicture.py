"""Pictures of a run that has lost them, or came without: made from its snapshots. Imports torch."""

from __future__ import annotations

import torch
from torch import Tensor

from ganzoo.files.progress import working
from ganzoo.runs.directory import RunDirectory
from ganzoo.runs.grid import grid_inputs, make_grid, save_png
from ganzoo.runs.snapshots import load_snapshot
from ganzoo.scoring.generation import Inputs, generate_blocks
from ganzoo.zoo.registry import Registry

PICTURE_PIXELS = 160
"""Height of a picture, or one row of images: five of 32 pixels, two of 64. There are a hundred pictures of a run."""


def pictured(count: int, columns: int, height: int) -> int:
    """How many images of a grid of `count`, in `columns`, are in a picture; `height`: of an image."""
    return max(1, min(count // columns, PICTURE_PIXELS // height)) * columns


def save_picture(run: RunDirectory, images: int, pixels: Tensor, columns: int) -> None:
    """The picture after `images`, uint8 `[n,C,H,W]`: in their own size and colour."""
    save_png(run.picture_file(images), make_grid(pixels, columns, grey=pixels.shape[1] == 1), width=1)


def pictures_from_snapshots(registry: Registry, run: RunDirectory) -> None:
    """Write the pictures that the run would have made at its snapshots.

    Raises:
        UserError: a snapshot is damaged, its variant is not there, or nothing can be written.
    """
    device, files = torch.device("cpu"), run.snapshots()
    with working(f"making pictures from the snapshots of {run.path.name}", len(files), "pictures") as more:
        for file in files:
            loaded = load_snapshot(file, registry, device)
            conditional = registry.variant(loaded.config.variant.name).conditional
            inputs, count, columns = grid_inputs(loaded.z_dim, loaded.num_classes, conditional, prior=loaded.prior)
            shown = pictured(count, columns, loaded.shape[1])
            pixels = grid_images(loaded.generator, inputs, count, device)[:shown]
            save_picture(run, loaded.images, pixels, columns)
            more(1)


def grid_images(generator: torch.nn.Module, inputs: Inputs, count: int, device: torch.device) -> Tensor:
    """uint8 `[count,C,H,W]`, in the blocks in which scores ask for them."""
    return torch.cat([pixels for pixels, _ in generate_blocks(generator, inputs, count, device=device)])
