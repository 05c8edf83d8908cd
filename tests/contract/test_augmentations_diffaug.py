"""Flips and DiffAugment: numbers worked out by hand, and the laws of their draws."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from ganzoo_augment.diffaug import DiffAugment, cut_out, recolor, translate
from ganzoo_augment.flip import Flip

N = 20_000


def test_flips_by_hand() -> None:
    image = torch.tensor([[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]])
    mirrored = torch.tensor([[[3.0, 2.0, 1.0], [6.0, 5.0, 4.0]]])
    torch.manual_seed(0)
    result = Flip()(image.expand(N, 1, 2, 3))
    are_mirrored = (result == mirrored).flatten(1).all(1)
    assert ((result == image).flatten(1).all(1) ^ are_mirrored).all()
    assert stats.binomtest(int(are_mirrored.sum()), N).pvalue > 1e-3


def test_translation_by_hand() -> None:
    image = torch.arange(1.0, 65.0).view(1, 1, 8, 8)  # moves by at most 8 / 8 = 1 pixel
    right_and_up = torch.zeros(8, 8)
    right_and_up[:7, 1:] = image[0, 0, 1:, :7]
    left = torch.zeros(8, 8)
    left[:, :7] = image[0, 0, :, 1:]
    draws = torch.tensor([[0.99, 0.1], [0.0, 0.5], [0.4, 0.6]])
    result = translate(image.expand(3, 2, 8, 8), draws)
    for channel in range(2):
        assert torch.equal(result[:, channel], torch.stack([right_and_up, left, image[0, 0]]))


def test_cutout_by_hand() -> None:
    ones = torch.ones(4, 2, 8, 8)  # a square of 4, whose middle is one of 9 edges of pixels, 0 to 8
    expected = torch.ones(4, 8, 8)
    expected[0, 2:6, 0:2] = 0  # middle at x = 0, y = 4
    expected[1, 0:3, 3:7] = 0  # x = 5, y = 1
    expected[2, 6:8, 6:8] = 0  # x = 8, y = 8
    expected[3, 5:8, 0:4] = 0  # x = 2, y = 7
    draws = (torch.tensor([[0, 4], [5, 1], [8, 8], [2, 7]]) + 0.5) / 9
    assert torch.equal(cut_out(ones, draws), expected[:, None].expand(4, 2, 8, 8))


def test_cutout_of_odd_squares_by_hand() -> None:
    # Half of 9, rounded: 5, whose middle is one of 9 pixels.
    hidden = cut_out(torch.ones(3, 1, 9, 9), (torch.tensor([[0, 4], [8, 1], [5, 5]]) + 0.5) / 9)[:, 0] == 0
    assert [row.nonzero().flatten().tolist() for row in hidden.any(1)] == [[0, 1, 2], [6, 7, 8], [3, 4, 5, 6, 7]]
    assert [row.nonzero().flatten().tolist() for row in hidden.any(2)] == [
        [2, 3, 4, 5, 6],
        [0, 1, 2, 3],
        [3, 4, 5, 6, 7],
    ]


def test_colours_by_hand() -> None:
    # One red and one grey pixel.
    image = torch.tensor([[0.5, -0.1], [-0.1, -0.1], [-0.1, -0.1]]).view(1, 3, 1, 2)
    # Brightness + 0.25: (0.75, 0.15, 0.15), (0.15, 0.15, 0.15). Saturation * 2, about the pixel's mean 0.35: (1.15,
    # -0.05, -0.05), (0.15, 0.15, 0.15). Contrast * 0.5, about the image's mean 0.25: (0.7, 0.1, 0.1), (0.2, 0.2, 0.2).
    result = recolor(image, torch.tensor([[0.75, 1.0, 0.0]]))
    expected = torch.tensor([[0.7, 0.2], [0.1, 0.2], [0.1, 0.2]]).view(1, 3, 1, 2)
    torch.testing.assert_close(result, expected)
    neutral = torch.tensor([[0.5, 0.5, 0.5]])
    torch.testing.assert_close(recolor(image, neutral), image)


def test_colours_of_grey_images_by_hand() -> None:
    # Brightness - 0.5: -0.6 and 0.2, mean -0.2; contrast * 1.5: -0.8 and 0.4. Saturation has nothing to do.
    image = torch.tensor([-0.1, 0.7]).view(1, 1, 1, 2)
    for saturation in (0.0, 0.9):
        result = recolor(image, torch.tensor([[0.0, saturation, 1.0]]))
        torch.testing.assert_close(result.flatten(), torch.tensor([-0.8, 0.4]))


def augmented(policy: str, image: Tensor) -> Tensor:
    torch.manual_seed(0)
    return DiffAugment({policy})(image.expand(N, *image.shape))


def test_law_of_colours() -> None:
    grey = augmented("color", torch.full((1, 8, 8), 0.2))[:, 0, 0, 0] - 0.2
    assert stats.kstest(grey.numpy(), stats.uniform(-0.5, 1).cdf).pvalue > 1e-3
    black_and_white = torch.tensor([-1.0, 1.0]).expand(1, 2, 2)
    contrast = augmented("color", black_and_white)[:, 0, 0].diff()[:, 0] / 2
    assert stats.kstest(contrast.numpy(), stats.uniform(0.5, 1).cdf).pvalue > 1e-3
    # With a second pixel of the opposite colour, so that the image's mean is the pixels' grey.
    pixels = torch.tensor([[0.6, -0.6], [-0.6, 0.6], [0.0, 0.0]]).view(3, 1, 2)
    colours = augmented("color", pixels)
    chroma = (colours[:, 0, 0, 0] - colours[:, 2, 0, 0]) / 0.6  # saturation times contrast
    product = np.random.default_rng(0).uniform(0, 2, N) * np.random.default_rng(1).uniform(0.5, 1.5, N)
    assert stats.ks_2samp(chroma.numpy(), product).pvalue > 1e-3


@pytest.mark.parametrize(("size", "most"), [(8, 1), (28, 4), (32, 4), (20, 3)])
def test_law_of_translations(size: int, most: int) -> None:
    index = torch.arange(1.0, size * size + 1).view(1, size, size)
    at = augmented("translation", index)[:, 0, size // 2, size // 2] - 1  # where the middle came from
    moved = torch.stack([size // 2 - at % size, size // 2 - at.div(size, rounding_mode="floor")]).long() + most
    counts = torch.zeros(2 * most + 1, 2 * most + 1)
    counts.index_put_((moved[0], moved[1]), torch.ones(N), accumulate=True)
    assert stats.chisquare(counts.flatten().numpy()).pvalue > 1e-3


@pytest.mark.parametrize(("size", "side"), [(8, 4), (9, 5), (28, 14), (32, 16)])
def test_law_of_cutouts(size: int, side: int) -> None:
    hidden = augmented("cutout", torch.ones(1, size, size))[:, 0] == 0
    middles = size + 1 - side % 2
    ends = []
    for axis in (1, 2):
        rows = hidden.any(axis)
        at = torch.arange(size).expand(N, size)
        first, last = at.masked_fill(~rows, size).amin(1), at.masked_fill(~rows, -1).amax(1)
        assert torch.equal(rows.sum(1), last - first + 1)
        assert torch.equal(hidden.sum((1, 2)), hidden.any(1).sum(1) * hidden.any(2).sum(1))
        ends.append(torch.where(first > 0, first + side // 2, last + 1 - side + side // 2))
    counts = torch.zeros(middles, middles)
    counts.index_put_((ends[0], ends[1]), torch.ones(N), accumulate=True)
    assert stats.chisquare(counts.flatten().numpy()).pvalue > 1e-3
