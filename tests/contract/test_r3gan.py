"""R3GAN: no normalisation, fix-up initialisation, groups, and a discriminator that mirrors the generator."""

from __future__ import annotations

import math

import pytest
import torch
from building import SPECS, build, every, inputs, reached
from torch import nn
from torch.nn import functional as F

from ganzoo import UserError
from ganzoo_r3gan.networks import Block, Resample

NORMS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def test_blocks_change_nothing_at_first_and_their_other_layers_are_scaled_by_the_number_of_blocks() -> None:
    block, x = Block(64, group=16, total=16), torch.randn(2, 64, 5, 5)
    assert block(x).equal(x)
    # He's gain for a slope of 0.2, sqrt(2 / 1.04) = 1.38675, times 16^(-1/4) = 1/2; fan-ins of 64 and 16 * 9
    for layer, fan_in in ((block.expand, 64), (block.mix, 16 * 9)):
        deviation = layer.weight.std().item() * math.sqrt(fan_in)
        assert deviation == pytest.approx(1.38675 / 2, rel=0.03)
        assert not layer.bias.any()
    assert not block.project.weight.any()


def test_convolutions_in_groups_are_convolutions_of_each_group() -> None:
    block = Block(8, group=4, total=1)
    assert block.mix.groups == 4
    x = torch.randn(2, 16, 5, 5)
    weights = zip(x.split(4, 1), block.mix.weight.split(4), strict=True)
    torch.testing.assert_close(block.mix(x), torch.cat([F.conv2d(one, of_it, padding=1) for one, of_it in weights], 1))
    assert Block(9, group=16, total=1).mix.groups == 9  # of 18 maps, 16 is no divisor, and 2 is


def test_d_mirrors_g_and_neither_normalises() -> None:
    gan = build("r3gan", 64, blocks=2)
    sides = 5
    for network in (gan.generator, gan.discriminator):
        assert sum(isinstance(layer, Block) for layer in network.modules()) == 2 * sides
        assert sum(isinstance(layer, Resample) for layer in network.modules()) == sides - 1
        assert not any(isinstance(layer, NORMS) for layer in network.modules())
        assert not any("parametrizations" in name for name, _ in network.named_modules())
    spec = SPECS["r3gan"]
    assert (spec.objective, spec.regularizers) == ("relativistic-pairing", ("r1", "r2"))


def test_the_last_map_is_judged_by_a_convolution_of_its_size_channel_by_channel() -> None:
    d = build("r3gan", 32).discriminator
    images = torch.rand(3, 1, 32, 32) * 2 - 1
    last = d.layers(d.image(images))
    expected = F.conv2d(last, d.base[:, None], groups=len(d.base)).flatten(1)
    said = d(images)
    torch.testing.assert_close(said["features"], expected)
    torch.testing.assert_close(said["logits"], F.linear(expected, d.logit.weight, d.logit.bias).flatten())


def test_resampling_is_bilinear() -> None:
    x = torch.rand(2, 3, 8, 8)
    for up, factor in ((True, 2.0), (False, 0.5)):
        expected = F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)
        torch.testing.assert_close(Resample(3, 3, up=up)(x), expected)


@pytest.mark.parametrize(("size", "colors"), [(28, 1), (64, 3)])
def test_shapes_and_gradients(size: int, colors: int) -> None:
    gan = build("r3gan", size, colors)
    images, z, _ = inputs(gan, size, colors)
    for block in (*gan.generator.modules(), *gan.discriminator.modules()):
        if isinstance(block, Block):
            nn.init.normal_(block.project.weight, std=0.1)  # behind a layer of zeros, no gradient arrives
    assert gan.generator(z, None).shape == images.shape
    assert gan.discriminator(images, None)["logits"].shape == (4,)
    gan.discriminator(gan.generator(z, None), None)["logits"].square().sum().backward()
    assert reached(gan.generator) == every(gan.generator)
    assert reached(gan.discriminator) == every(gan.discriminator)


def test_a_size_it_cannot_make() -> None:
    with pytest.raises(UserError, match="30x30"):
        build("r3gan", 30)
