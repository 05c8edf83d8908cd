"""SNGAN: the networks of the paper's tables, spectral norm in D and nowhere else."""

from __future__ import annotations

import pytest
import torch
from residual import SPECS, build, inputs, layers_of, sigmas
from torch import nn

from ganzoo import UserError

NAMES = ("sngan", "sngan-resnet")


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def test_the_paper_recipes() -> None:
    assert all(SPECS[name].objective == "hinge" and not SPECS[name].conditional for name in NAMES)
    assert SPECS["sngan"].defaults == {}
    assert SPECS["sngan-resnet"].defaults == {"train.beta1": 0.0, "train.beta2": 0.9, "train.d_steps": 5}


@pytest.mark.parametrize("name", NAMES)
def test_every_layer_of_d_and_none_of_g_is_normalised(name: str) -> None:
    gan = build(name)
    images, _, _ = inputs(gan, count=2)
    assert all(hasattr(layer, "parametrizations") for layer in layers_of(gan.discriminator).values())
    assert not any(hasattr(layer, "parametrizations") for layer in layers_of(gan.generator).values())
    found = sigmas(gan.discriminator, 100, images)
    assert found == pytest.approx(dict.fromkeys(found, 1.0), abs=0.03)


@pytest.mark.parametrize("name", NAMES)
def test_batch_norm_is_the_generators(name: str) -> None:
    gan = build(name)
    assert any(isinstance(module, nn.BatchNorm2d) for module in gan.generator.modules())
    assert not any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in gan.discriminator.modules())


def test_the_convolutions_of_table_3() -> None:
    gan = build("sngan", 32, 3)
    layers = list(layers_of(gan.discriminator).values())
    convolutions = [(m.in_channels, m.out_channels, m.kernel_size[0], m.stride[0]) for m in layers[:-1]]
    assert convolutions == [
        (3, 4, 3, 1), (4, 8, 4, 2), (8, 8, 3, 1), (8, 16, 4, 2), (16, 16, 3, 1), (16, 32, 4, 2), (32, 32, 3, 1),
    ]  # fmt: skip
    assert (layers[-1].in_features, layers[-1].out_features) == (32 * 4 * 4, 1)
    slopes = [m.negative_slope for m in gan.discriminator.modules() if isinstance(m, nn.LeakyReLU)]
    assert slopes == [0.1] * 7


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("size", "colors"), [(28, 1), (64, 3)])
def test_shapes_and_gradients(name: str, size: int, colors: int) -> None:
    gan = build(name, size, colors)
    _, z, labels = inputs(gan, size, colors)
    images = gan.generator(z, labels)
    assert images.shape == (6, colors, size, size)
    assert images.abs().max() <= 1
    said = gan.discriminator(images, None)
    assert {key: value.ndim for key, value in said.items()} == {"logits": 1, "features": 2}
    said["logits"].square().sum().backward()
    for network in (gan.generator, gan.discriminator):
        assert all(p.grad is not None and p.grad.ne(0).any() for p in network.parameters())


def test_other_sizes_are_refused() -> None:
    for name in NAMES:
        with pytest.raises(UserError, match="cannot make images"):
            build(name, 36)
