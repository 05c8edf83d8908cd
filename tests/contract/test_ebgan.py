"""EBGAN: its energy, its losses and the pulling-away term, by hand and by a second formulation."""

from __future__ import annotations

import pytest
import torch
from building import batch_of, build, every, inputs, reached
from torch import nn

from ganzoo_ebgan.losses import ebgan, similarity


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def test_the_energy_is_the_length_of_the_error() -> None:
    gan = build("ebgan", 16)
    gan.discriminator.encode = nn.Identity()
    gan.discriminator.decode = nn.Module()
    gan.discriminator.decode.forward = torch.zeros_like
    images = torch.stack([torch.full((1, 16, 16), 0.25), torch.zeros(1, 16, 16)])
    said = gan.discriminator(images)
    torch.testing.assert_close(said["energy"], torch.tensor([0.25 * 16, 0.0]), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(said["logits"], -said["energy"])
    # A perfect reconstruction has no direction to be mended in, and no infinite gradient.
    zeros = torch.zeros(1, 1, 16, 16, requires_grad=True)
    gan.discriminator.decode.forward = lambda code: code * 0.5
    gan.discriminator(zeros)["energy"].sum().backward()
    assert zeros.grad is not None
    assert zeros.grad.eq(0).all()


def test_losses_by_hand() -> None:
    losses = ebgan({"margin": 3.0})
    real, fake = -torch.tensor([1.0, 2.0]), -torch.tensor([2.5, 4.0])  # logits are minus energies
    torch.testing.assert_close(losses.d_loss(real, fake), torch.tensor([1.0 + 0.5, 2.0]))
    torch.testing.assert_close(losses.g_loss(fake, None), torch.tensor([2.5, 4.0]))


def test_pulling_away_by_hand_and_pair_by_pair() -> None:
    # Cosines of the pairs: 0, 0.6, 0.8; each pair is met twice of 3 * 2.
    codes = torch.tensor([[2.0, 0.0], [0.0, 5.0], [3.0, 4.0]])
    torch.testing.assert_close(similarity(codes), torch.tensor((0.0 + 0.36 + 0.64) / 3))
    codes = torch.randn(5, 3, 2, 2)
    pairs = [
        torch.cosine_similarity(codes[i].flatten(), codes[j].flatten(), 0).square()
        for i in range(5)
        for j in range(5)
        if i != j
    ]
    torch.testing.assert_close(similarity(codes), torch.stack(pairs).mean())
    assert similarity(torch.randn(1, 4)) == 0
    torch.testing.assert_close(similarity(torch.ones(4, 3)), torch.tensor(1.0))


def test_pulling_away_is_of_the_codes_of_generated_images_and_reaches_g_alone() -> None:
    gan = build("ebgan", pt_weight=0.3)
    images, z, _ = inputs(gan)
    (term,) = gan.terms
    assert (term.phase, term.weight) == ("G", 0.3)
    batch = batch_of(gan, images, z, phase="G")
    loss = term.loss(batch)
    torch.testing.assert_close(loss, similarity(gan.discriminator(batch.fake)["features"]))
    loss.backward()
    assert reached(gan.generator) == every(gan.generator)
    assert not reached(gan.discriminator)
    assert build("ebgan", pt_weight=0.0).terms == []


@pytest.mark.parametrize(("size", "colors"), [(28, 1), (64, 3)])
def test_the_decoder_mirrors_the_encoder(size: int, colors: int) -> None:
    gan = build("ebgan", size, colors)
    images, _, _ = inputs(gan, size, colors)
    down = [(m.in_channels, m.out_channels) for m in gan.discriminator.encode if isinstance(m, nn.Conv2d)]
    up = [(m.out_channels, m.in_channels) for m in gan.discriminator.decode if isinstance(m, nn.ConvTranspose2d)]
    assert down == up[::-1]
    assert down[0] == (colors, 4)
    gan.discriminator(images)["energy"].mean().backward()
    assert reached(gan.discriminator) == every(gan.discriminator)


def test_images_are_judged_apart_where_gradients_of_single_images_are_penalised() -> None:
    gan = build("ebgan", per_sample=True)
    assert not [m for m in gan.discriminator.modules() if isinstance(m, nn.BatchNorm2d)]
    images, _, _ = inputs(gan)
    torch.testing.assert_close(gan.discriminator(images)["logits"][:2], gan.discriminator(images[:2])["logits"])
