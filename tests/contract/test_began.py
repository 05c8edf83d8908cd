"""BEGAN's autoencoder: its energy by hand, and its shape."""

from __future__ import annotations

import pytest
import torch
from building import build, every, inputs, reached
from torch import nn

from ganzoo import Uniform


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def test_the_energy_is_the_mean_absolute_error_of_each_image() -> None:
    gan = build("began", 16)
    gan.discriminator.decode = nn.Identity()
    gan.discriminator.encode = nn.Module()
    gan.discriminator.encode.forward = torch.zeros_like
    images = torch.stack([torch.full((1, 16, 16), 0.25), torch.cat([torch.ones(1, 8, 16), -torch.ones(1, 8, 16)], 1)])
    said = gan.discriminator(images)
    torch.testing.assert_close(said["energy"], torch.tensor([0.25, 1.0]))
    torch.testing.assert_close(said["logits"], -said["energy"])


def test_the_energy_is_float32_under_autocast() -> None:
    gan = build("began")
    images, _, _ = inputs(gan)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert gan.discriminator(images)["energy"].dtype == torch.float32


def test_prior_and_shapes_are_the_papers() -> None:
    gan = build("began", 32, channels=4, z_dim=7)
    assert gan.prior == Uniform(low=-1.0, high=1.0)
    encoder = [m for m in gan.discriminator.encode if isinstance(m, nn.Conv2d)]
    decoder = [m for m in gan.discriminator.decode.modules() if isinstance(m, nn.Conv2d)]
    assert [m.out_channels for m in encoder] == [4, 4, 8, 8, 12, 12, 16, 16, 16]
    assert [(m.in_channels, m.out_channels) for m in decoder] == [(4, 4)] * 2 + [(8, 4), (4, 4)] * 3 + [(4, 1)]
    generator = gan.generator.decode.state_dict()
    assert {n: v.shape for n, v in generator.items()} == {
        n: v.shape for n, v in gan.discriminator.decode.state_dict().items()
    }
    assert not [m for m in gan.discriminator.modules() if "Norm" in type(m).__name__]


def test_energies_reach_every_parameter() -> None:
    gan = build("began")
    images, z, _ = inputs(gan)
    gan.discriminator(images)["energy"].mean().backward()
    assert reached(gan.discriminator) == every(gan.discriminator)
    gan.discriminator(gan.generator(z))["energy"].mean().backward()
    assert reached(gan.generator) == every(gan.generator)


def test_images_differ_with_the_noise_from_the_start() -> None:
    # With PyTorch's own initial weights they differ by less than a hundredth, and G collapses to one image.
    gan = build("began", 64, channels=16)
    _, z, _ = inputs(gan, 64, count=16)
    with torch.no_grad():
        assert gan.generator(z).std(0).mean() > 0.05
