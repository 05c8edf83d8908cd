"""The transformations of adaptive augmentation: exact where pixels stay whole, a second formulation, laws of draws."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import ndimage, stats
from torch import Tensor

from ganzoo_augment.ada import NAMES, PIPELINES, Ada, inverse, move, recolor

N = 20_000


def make(pipeline: str = "bgc", p: float = 1.0, only: str | None = None) -> Ada:
    module = Ada(pipeline=pipeline, target=0.6, kimg=500.0, p=p)
    if only is not None:
        module.enabled.copy_(torch.tensor([float(name == only) for name in NAMES]))
    return module


def applied(n: int, *names: str) -> dict[str, Tensor]:
    return {name: torch.full((n,), float(name in names)) for name in NAMES}


def images(n: int, size: int, channels: int = 3) -> Tensor:
    return torch.rand(n, channels, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize("pipeline", ["b", "bg", "bgc", "c"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [8, 9, 28, 32, 48, 100, 128])
def test_at_p_0_images_are_as_they_are(pipeline: str, channels: int, size: int) -> None:
    batch = images(8, size, channels) * 3
    assert torch.equal(make(pipeline, p=0.0)(batch), batch)


def test_what_is_not_drawn_changes_nothing() -> None:
    batch = images(4000, 8)
    torch.manual_seed(0)
    same = (make(p=0.1)(batch) == batch).flatten(1).all(1)
    # Eight that change every image to which they are applied, the two rotations being one; flip and luma flip, every
    # second one; a quarter turn, three of four, and so does a translation by up to 8 / 8 pixels, rounded, both ways.
    expected = 0.9**8 * (1 - 0.1 / 2) ** 2 * (1 - 0.1 * 3 / 4) * (1 - 0.1 * 3 / 4)
    assert stats.binomtest(int(same.sum()), 4000, expected).pvalue > 1e-3


@pytest.mark.parametrize("pipeline", ["b", "bg", "bgc", "c"])
def test_which_transformations_are_drawn(pipeline: str) -> None:
    torch.manual_seed(0)
    on = make(pipeline, p=0.3).draw(N)
    for group, names in PIPELINES.items():
        for name in names:
            share = 1 - math.sqrt(1 - 0.3) if name.startswith("turn_") else 0.3
            count = int(on[name].sum())
            assert count == 0 if group not in pipeline else stats.binomtest(count, N, share).pvalue > 1e-4
    if "g" in pipeline:
        turned = int(on["turn_before"].maximum(on["turn_after"]).sum())
        assert stats.binomtest(turned, N, 0.3).pvalue > 1e-4


def test_whole_pixels_by_hand() -> None:
    image = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]])
    normal = torch.zeros(1, 4)
    expected = [
        ("flip", 0, 0.0, [[3, 2, 1], [6, 5, 4], [9, 8, 7]]),
        ("flip", 0, 0.5, [[1, 2, 3], [4, 5, 6], [7, 8, 9]]),
        ("quarter_turn", 1, 0.1, [[1, 2, 3], [4, 5, 6], [7, 8, 9]]),
        ("quarter_turn", 1, 0.3, [[7, 4, 1], [8, 5, 2], [9, 6, 3]]),
        ("quarter_turn", 1, 0.6, [[9, 8, 7], [6, 5, 4], [3, 2, 1]]),
        ("quarter_turn", 1, 0.9, [[3, 6, 9], [2, 5, 8], [1, 4, 7]]),
    ]
    for name, draw, value, result in expected:
        uniform = torch.full((1, 6), 0.77)
        uniform[0, draw] = value
        moved = move(image[None, None], applied(1, name), uniform, normal)
        assert torch.equal(moved[0, 0], torch.tensor(result).float()), (name, value)


def test_translation_by_hand() -> None:
    # 16 pixels move by up to 2: right by 2 for 0.99, up by 1 for 0.2; what moves in is the reflection.
    image = torch.arange(256.0).view(1, 1, 16, 16)
    uniform = torch.tensor([[0.5, 0.5, 0.99, 0.2, 0.5, 0.5]])
    moved = move(image, applied(1, "whole_shift"), uniform, torch.zeros(1, 4))
    columns = [2, 1, *range(14)]
    rows = [*range(1, 16), 14]
    assert torch.equal(moved[0, 0], image[0, 0][rows][:, columns])


@pytest.mark.parametrize("size", [8, 28, 32, 48])
def test_whole_pixels_stay_whole(size: int) -> None:
    batch = images(30, size)
    torch.manual_seed(0)
    moved = make("b")(batch)
    for before, after in zip(batch, moved, strict=True):
        assert torch.isin(after, before).all()


def test_fractional_translation_by_hand() -> None:
    # By N = 1 times 0.125 of 4 columns, half a pixel to the right, and N = -1, half a pixel up.
    image = torch.tensor([[0.0, 4.0, 8.0, 4.0]] * 4) + torch.tensor([[0.0], [1.0], [2.0], [3.0]])
    moved = move(image[None, None], applied(1, "shift"), torch.zeros(1, 6), torch.tensor([[0.0, 0.0, 1.0, -1.0]]))
    # Left of the first pixel lies the reflection of the second one, below the last row the one before it.
    expected = torch.tensor([[2.0, 2.0, 6.0, 6.0]] * 4) + torch.tensor([[0.5], [1.5], [2.5], [2.5]])
    torch.testing.assert_close(moved[0, 0], expected)


def matrix(*rows: tuple[float, float, float]) -> np.ndarray:
    return np.array([*rows, (0, 0, 1)], dtype=np.float64)


def forward_map(uniform: np.ndarray, normal: np.ndarray, size: int) -> np.ndarray:
    """All transformations of the groups b and g in the order of the paper, as a product of matrices."""

    def rotation(angle: float) -> np.ndarray:
        return matrix((math.cos(angle), -math.sin(angle), 0), (math.sin(angle), math.cos(angle), 0))

    def scaling(x: float, y: float) -> np.ndarray:
        return matrix((x, 0, 0), (0, y, 0))

    def translation(x: float, y: float) -> np.ndarray:
        return matrix((1, 0, x), (0, 1, y))

    steps = [
        scaling(-1 if uniform[0] < 0.5 else 1, 1),
        rotation(math.pi / 2 * math.floor(4 * uniform[1])),
        translation(*(round((shift * 0.25 - 0.125) * size) for shift in uniform[2:4])),
        scaling(*[2 ** (0.2 * normal[0])] * 2),
        rotation((2 * uniform[4] - 1) * math.pi),
        scaling(2 ** (0.2 * normal[1]), 2 ** (-0.2 * normal[1])),
        rotation((2 * uniform[5] - 1) * math.pi),
        translation(*(0.125 * size * normal[2:4])),
    ]
    result = np.eye(3)
    for step in steps:
        result = step @ result
    return result


@pytest.mark.parametrize("size", [8, 28, 33])
def test_geometry_in_a_second_formulation(size: int) -> None:
    n = 40
    batch = images(n, size, 2).double()
    random = torch.Generator().manual_seed(1)
    uniform, normal = torch.rand(n, 6, generator=random), torch.randn(n, 4, generator=random)
    moved = move(batch, applied(n, *PIPELINES["b"], *PIPELINES["g"]), uniform, normal)
    middle = (size - 1) / 2
    row, column = np.indices((size, size)) - middle
    places = np.stack([column.ravel(), row.ravel(), np.ones(size * size)])
    for image in range(n):
        back = np.linalg.inv(forward_map(uniform[image].double().numpy(), normal[image].double().numpy(), size))
        x, y, _ = back @ places + middle
        for channel in range(2):
            expected = ndimage.map_coordinates(batch[image, channel].numpy(), [y, x], order=1, mode="mirror")
            np.testing.assert_allclose(moved[image, channel].numpy().ravel(), expected, atol=2e-4)


def color_map(uniform: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """All transformations of group c in the order of the paper, as a product of matrices `[4,4]`."""
    v = np.ones(3) / math.sqrt(3)
    onto = np.outer(v, v)
    cross = np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])
    flipped, angle = float(uniform[0] < 0.5), (2 * uniform[1] - 1) * math.pi
    linear = [
        np.eye(3) * 2 ** (0.5 * normal[1]),
        np.eye(3) - 2 * onto * flipped,
        np.eye(3) * math.cos(angle) + cross * math.sin(angle) + onto * (1 - math.cos(angle)),
        onto + (np.eye(3) - onto) * 2 ** normal[2],
    ]
    result = np.eye(4)
    result[:3, 3] = 0.2 * normal[0]
    for step in linear:
        whole = np.eye(4)
        whole[:3, :3] = step
        result = whole @ result
    return result


@pytest.mark.parametrize("channels", [1, 3])
def test_colours_in_a_second_formulation(channels: int) -> None:
    n = 40
    batch = images(n, 4, channels)
    random = torch.Generator().manual_seed(1)
    uniform, normal = torch.rand(n, 2, generator=random), torch.randn(n, 3, generator=random)
    result = recolor(batch, applied(n, *PIPELINES["c"]), uniform, normal).numpy()
    for image in range(n):
        whole = color_map(uniform[image].double().numpy(), normal[image].double().numpy())
        pixels = np.concatenate([batch[image].expand(3, 4, 4).flatten(1).double().numpy(), np.ones((1, 16))])
        expected = (whole @ pixels)[:channels]
        np.testing.assert_allclose(result[image].reshape(channels, 16), expected, rtol=1e-4, atol=1e-5)


def test_geometry_laws() -> None:
    torch.manual_seed(0)
    uniform, normal = torch.rand(N, 6), torch.randn(N, 4)

    def rows(name: str) -> tuple[np.ndarray, np.ndarray]:
        x, y = inverse(applied(N, name), uniform, normal, 32, 32)
        return x.numpy(), y.numpy()

    def fits(numbers: np.ndarray, law: stats.rv_continuous) -> bool:
        return stats.kstest(numbers, law.cdf).pvalue > 1e-3

    x, y = rows("scale")
    assert fits(np.log2(x[:, 0]), stats.norm(0, 0.2))
    assert np.array_equal(x[:, 0], y[:, 1])
    x, y = rows("stretch")
    assert fits(np.log2(x[:, 0]), stats.norm(0, 0.2))
    np.testing.assert_allclose(x[:, 0] * y[:, 1], 1, rtol=1e-6)
    for name in ("turn_before", "turn_after"):
        x, y = rows(name)
        assert fits(np.arctan2(x[:, 1], x[:, 0]), stats.uniform(-math.pi, 2 * math.pi))
    x, y = rows("shift")
    assert fits(x[:, 2] / 32, stats.norm(0, 0.125))
    assert fits(y[:, 2] / 32, stats.norm(0, 0.125))
    assert abs(np.corrcoef(x[:, 2], y[:, 2])[0, 1]) < 4 / math.sqrt(N)
    x, y = rows("whole_shift")
    of_pixels = N * np.array([0.5, *[1] * 7, 0.5]) / 8  # -4 to 4
    for moved in (x[:, 2], y[:, 2]):
        assert stats.chisquare(np.unique(moved, return_counts=True)[1], of_pixels).pvalue > 1e-3
    x, y = rows("quarter_turn")
    assert stats.chisquare(np.unique(x[:, 0] + 2 * x[:, 1], return_counts=True)[1]).pvalue > 1e-3
    x, y = rows("flip")
    assert stats.binomtest(int((x[:, 0] < 0).sum()), N).pvalue > 1e-3


@pytest.mark.parametrize(
    ("name", "law"),
    [
        ("brightness", stats.norm(0, 0.2)),
        ("contrast", stats.norm(0, 0.5)),
        ("hue", stats.uniform(-math.pi, 2 * math.pi)),
        ("saturation", stats.norm(0, 1)),
    ],
)
def test_colour_laws(name: str, law: stats.rv_continuous) -> None:
    pixel = torch.tensor([0.4, 0.1, -0.2])[:, None, None]
    torch.manual_seed(0)
    colours = make("c", only=name)(pixel.expand(N, 3, 1, 1)).flatten(1).double().numpy()  # [N, 3]
    grey = colours.mean(1)
    # The plane of hues, and the pixel's place in it: 0.3 * (1, 0, -1).
    u, w = np.array([1, 0, -1]) / math.sqrt(2), np.array([1, -2, 1]) / math.sqrt(6)
    along, across = colours @ u / 0.3 / math.sqrt(2), colours @ w / 0.3 / math.sqrt(2)
    numbers = {
        "brightness": grey - 0.1,
        "contrast": np.log2(np.abs(grey / 0.1)),
        "hue": np.arctan2(across, along),
        "saturation": np.log2(np.hypot(along, across)),
    }
    assert stats.kstest(numbers[name], law.cdf).pvalue > 1e-3
    unmoved = {
        "brightness": ("hue", "saturation"),
        "contrast": ("hue",),
        "hue": ("brightness", "saturation"),
        "saturation": ("brightness", "hue"),
    }
    for other in unmoved[name]:
        np.testing.assert_allclose(numbers[other], 0, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_luma_flips(channels: int) -> None:
    batch = images(1, 8, channels).expand(N // 10, -1, -1, -1)
    torch.manual_seed(0)
    result = make("c", only="luma_flip")(batch)
    flipped = (result - batch).abs().flatten(1).amax(1) > 1e-5
    # Grey levels change their sign, hues stay.
    grey = batch.mean(1, keepdim=True)
    torch.testing.assert_close(result[flipped], (batch - 2 * grey)[flipped])
    assert torch.equal(result[~flipped], batch[~flipped])
    assert stats.binomtest(int(flipped.sum()), N // 10).pvalue > 1e-3


def test_hue_and_saturation_leave_grey_images() -> None:
    batch = images(50, 8, 1)
    for name in ("hue", "saturation"):
        assert torch.equal(make("c", only=name)(batch), batch)
