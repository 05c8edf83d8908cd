"""LSGAN, WGAN, DRAGAN, RaGAN: which networks and which losses go with the names."""

from __future__ import annotations

import pytest
import torch
from building import SPECS, build, every, inputs, reached
from torch import nn

from ganzoo import GAN, UserError

NAMES = ("lsgan", "wgan", "dragan", "ragan")


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def norms(gan: GAN) -> tuple[set[str], set[str]]:
    """Of G and of D, by the names of their classes."""
    kinds = [
        {type(m).__name__ for m in n.modules() if "Norm" in type(m).__name__}
        for n in (gan.generator, gan.discriminator)
    ]
    return kinds[0], kinds[1]


def test_losses_are_those_of_the_papers() -> None:
    assert {name: SPECS[name].objective for name in NAMES} == {
        "lsgan": "least-squares",
        "wgan": "wasserstein",
        "dragan": "non-saturating",
        "ragan": "relativistic-average",
    }
    assert {name: SPECS[name].regularizers for name in NAMES if SPECS[name].regularizers} == {"dragan": ("dragan",)}


def test_norms_are_those_of_the_papers() -> None:
    assert norms(build("lsgan")) == ({"BatchNorm2d"}, {"BatchNorm2d"})
    assert norms(build("wgan")) == ({"BatchNorm2d"}, {"BatchNorm2d"})
    # Whatever is penalised: batch norm has no gradient of a single image.
    assert norms(build("dragan")) == ({"BatchNorm2d"}, {"GroupNorm"})
    assert norms(build("ragan", norm="batch")) == ({"BatchNorm2d"}, {"BatchNorm2d"})
    spectral = build("ragan")
    assert norms(spectral)[0] == {"BatchNorm2d"}
    assert not norms(spectral)[1] & {"BatchNorm2d", "GroupNorm"}
    layers = [m for m in spectral.discriminator.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert all("parametrizations.weight.original" in dict(layer.named_parameters()) for layer in layers)


@pytest.mark.parametrize("name", NAMES)
def test_images_are_judged_apart_where_gradients_of_single_images_are_penalised(name: str) -> None:
    gan = build(name, per_sample=True)
    images, _, _ = inputs(gan)
    together = gan.discriminator(images)["logits"]
    if name == "ragan":  # a power iteration per call
        gan.discriminator.eval()
        together = gan.discriminator(images)["logits"]
    torch.testing.assert_close(gan.discriminator(images[:2])["logits"], together[:2])


@pytest.mark.parametrize(("size", "colors"), [(28, 1), (64, 3)])
def test_lsgan_deepens_the_first_two_doublings(size: int, colors: int) -> None:
    gan = build("lsgan", size, colors)
    images, z, _ = inputs(gan, size, colors)
    convolutions = [m for m in gan.generator.modules() if isinstance(m, nn.ConvTranspose2d)]
    strides = [m.stride[0] for m in convolutions]
    assert strides == ([2, 1, 2] if size == 28 else [2, 1, 2, 1, 2, 2])
    widths = [m.out_channels for m in convolutions]
    assert widths == ([4, 4, 1] if size == 28 else [16, 16, 8, 8, 4, 3])
    made = gan.generator(z)
    assert made.shape == images.shape
    gan.discriminator(made)["logits"].square().mean().backward()
    assert reached(gan.generator) == every(gan.generator)
    assert reached(gan.discriminator) == every(gan.discriminator)


def test_lsgan_cannot_make_every_size() -> None:
    with pytest.raises(UserError, match="30x30"):
        build("lsgan", 30)
