"""StyleGAN2's layers against second formulations: weights modulated per image, filters as sums, statistics by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from ganzoo_stylegan2.layers import Conv, Linear, ModulatedConv, Resample, ToImage, deviation, normalised

TAPS = np.array([1.0, 3.0, 3.0, 1.0]) / 8


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def filtered(rows: np.ndarray, padding: int) -> np.ndarray:
    """A signal of float64 [H] with zeros beside it, convolved with the taps."""
    return np.convolve(np.pad(rows, padding), TAPS, mode="valid")


def along_both(image: Tensor, change: object) -> Tensor:
    """Apply a function of a signal to the columns and then to the rows of a map `[H,W]`."""
    once = np.apply_along_axis(change, 0, image.double().numpy())  # type: ignore[call-overload]
    return torch.from_numpy(np.apply_along_axis(change, 1, once)).float()  # type: ignore[call-overload]


def with_zeros(signal: np.ndarray) -> np.ndarray:
    """Between its numbers and behind the last, twice as long, twice as strong."""
    return np.stack([2 * signal, np.zeros_like(signal)], 1).reshape(-1)


def test_resampling_is_the_filter_along_rows_and_columns() -> None:
    x = torch.randn(2, 3, 6, 6)
    resample = Resample()
    cases = {
        "blur": (resample.blur(x, padding=2), lambda s: filtered(s, 2)),
        "down": (resample.down(x), lambda s: filtered(s, 1)[::2]),
        # A zero less on the right: there is one behind the last number.
        "up": (resample.up(x), lambda s: filtered(np.pad(with_zeros(s), (1, 0)), 1)),
    }
    for name, (made, change) in cases.items():
        torch.testing.assert_close(made[1, 2], along_both(x[1, 2], change), msg=name, rtol=1e-5, atol=1e-6)


def test_resampling_keeps_the_mean() -> None:
    x = torch.ones(1, 1, 8, 8)
    assert Resample().up(x).shape == (1, 1, 16, 16)
    assert Resample().down(x).shape == (1, 1, 4, 4)
    for made in (Resample().up(x), Resample().down(x)):  # but at the edge, beside which there are zeros
        torch.testing.assert_close(made[..., 1:-1, 1:-1], torch.ones_like(made[..., 1:-1, 1:-1]))


@pytest.mark.parametrize("up", [False, True])
def test_scaling_maps_is_modulating_the_weights_of_each_image(up: bool) -> None:
    """Equations 1 and 3: w'_ijk = s_i w_ijk, w'' = w' / sqrt(sum_ik w'^2)."""
    side = 8 if up else 4
    layer = ModulatedConv(5, 6, 7, side, up=up).eval()
    torch.nn.init.normal_(layer.bias)
    torch.nn.init.constant_(layer.strength, 0.3)
    x, w = torch.randn(3, 5, 4, 4), torch.randn(3, 7)
    style = layer.style(w)
    made = layer(x, w)
    assert made.shape == (3, 6, side, side)
    for image in range(3):
        # Weights [after, before, 3, 3], equalised: He's constant.
        weight = (layer.weight.transpose(0, 1) if up else layer.weight) / math.sqrt(5 * 9)
        weight = weight * style[image][None, :, None, None]
        weight = weight / (weight.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
        if up:
            y = F.conv_transpose2d(x[image : image + 1], weight.transpose(0, 1), stride=2)
            taps = torch.from_numpy(TAPS).float()
            kernel = torch.outer(taps, taps).expand(6, 1, 4, 4)
            y = F.conv2d(y, 4 * kernel, padding=1, groups=6)
        else:
            y = F.conv2d(x[image : image + 1], weight, padding=1)
        y = y + 0.3 * layer.noise + layer.bias[:, None, None]
        torch.testing.assert_close(made[image : image + 1], math.sqrt(2) * F.leaky_relu(y, 0.2), rtol=1e-4, atol=1e-5)


def test_the_strength_of_a_style_leaves_a_normalised_map_as_it_is_but_not_an_image() -> None:
    x, w = torch.randn(2, 5, 4, 4), torch.randn(2, 7)
    layer, image = ModulatedConv(5, 6, 7, 4).eval(), ToImage(5, 1, 7)
    before = layer(x, w), image(x, w)
    with torch.no_grad():
        for style in (layer.style, image.style):
            style.weight.mul_(3)
            style.bias.mul_(3)
    torch.testing.assert_close(layer(x, w), before[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(image(x, w), 3 * before[1], rtol=1e-4, atol=1e-5)


def test_noise_is_drawn_in_training_and_is_the_same_otherwise() -> None:
    layer = ModulatedConv(4, 4, 4, 8)
    torch.nn.init.constant_(layer.strength, 1.0)
    x, w = torch.randn(1, 4, 8, 8).expand(2, -1, -1, -1), torch.randn(1, 4).expand(2, -1)
    drawn = layer(x, w)
    assert not torch.allclose(drawn[0], drawn[1])
    assert torch.equal(*layer.eval()(x, w))
    assert torch.equal(layer(x, w), layer(x, w))


def test_equalised_layers_keep_the_variance_and_slow_ones_learn_slowly() -> None:
    x = torch.randn(4096, 64)
    slow, usual = Linear(64, 32, rate=0.01, bias=2.0), Linear(64, 32)
    assert abs(slow(x).var(0).mean() - 1) < 0.1
    assert abs(slow(x).mean() - 2) < 0.1
    active = Linear(64, 64, active=True)
    torch.testing.assert_close(
        active(x), math.sqrt(2) * F.leaky_relu(F.linear(x, active.weight / 8, active.bias), 0.2), rtol=1e-4, atol=1e-5
    )
    assert abs(active(x).square().mean() - 1.04) < 0.1  # 2 (1 + 0.2^2) / 2
    for layer in (slow, usual):
        layer(x).sum().backward()
    assert slow.weight.grad is not None
    assert usual.weight.grad is not None
    torch.testing.assert_close(slow.weight.grad, 0.01 * usual.weight.grad)


def test_strided_convolutions_filter_first() -> None:
    x = torch.randn(2, 3, 8, 8)
    wide, narrow = Conv(3, 4, 3, down=True, active=False), Conv(3, 4, 1, down=True, active=False, bias=False)
    torch.testing.assert_close(
        wide(x), F.conv2d(Resample().blur(x, padding=2), wide.weight / math.sqrt(27), stride=2), rtol=1e-4, atol=1e-5
    )
    # Filter, and keep every second pixel of a 1x1 convolution.
    torch.testing.assert_close(
        narrow(x), F.conv2d(Resample().blur(x, padding=1)[:, :, ::2, ::2], narrow.weight / math.sqrt(3))
    )


def test_minibatch_standard_deviation_by_hand() -> None:
    x = torch.zeros(4, 2, 1, 2)
    x[1] = torch.tensor([[2.0, 2.0], [4.0, 4.0]])[:, None]  # with image 0: deviations 1 and 2
    made = deviation(x, 2)
    assert made.shape == (4, 3, 1, 2)
    assert torch.equal(made[:, :2], x)
    # The deviation of images 2 and 3 is sqrt(EPS).
    torch.testing.assert_close(made[:, 2, 0, 0], torch.tensor([1.5, 1.5, 1e-4, 1e-4]))
    assert deviation(torch.randn(3, 2, 1, 2), 2).shape == (3, 3, 1, 2)  # alone, where the batch has no halves
    torch.testing.assert_close(normalised(torch.tensor([[3.0, 4.0]])), torch.tensor([[3.0, 4.0]]) / math.sqrt(12.5))
