"""Grids against torchvision's, which they are to be equal to, and which takes seconds to import."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torchvision.utils import make_grid as torchvision_grid

from ganzoo.runs.grid import make_grid


@pytest.mark.parametrize(
    ("shape", "columns"),
    [((80, 1, 8, 8), 10), ((80, 3, 4, 4), 10), ((7, 3, 4, 5), 5), ((3, 1, 5, 4), 10), ((10, 3, 6, 6), 10)],
)
def test_it_is_torchvisions(shape: tuple[int, ...], columns: int) -> None:
    pixels = torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(make_grid(pixels, columns), torchvision_grid(pixels, nrow=columns, padding=2))


def test_a_single_image_has_its_border() -> None:
    grid = make_grid(torch.full((1, 1, 3, 4), 9, dtype=torch.uint8), 5)
    assert grid.shape == (3, 7, 8)
    assert (grid[:, 2:5, 2:6] == 9).all()
    assert int(grid.sum()) == 9 * 3 * 12


def test_a_run_does_not_import_torchvision() -> None:
    code = (
        "import sys, torch, ganzoo.runs.job, ganzoo.runs.grid; ganzoo.runs.grid.make_grid(torch.zeros(2, 1, 2, 2), 2); "
        "assert 'torchvision' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
