"""Consistency with augmentations that are known to the digit."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from fake_batch import FakeBatch
from regularized import batch_for, term_of, terms_of
from torch import Tensor, nn

PIXELS = 16


class Sum(nn.Module):
    """The sum of pixels, times a weight; counts its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.calls = 0

    def forward(self, x: Tensor, labels: Tensor | None) -> Tensor:
        self.calls += 1
        return self.weight * x.flatten(1).sum(1)


class Flat(nn.Module):
    """Images of one grey each: z's only component, times a weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, z: Tensor, labels: Tensor | None) -> Tensor:
        return (self.weight * z).view(-1, 1, 1, 1).expand(-1, 1, 4, 4)


def lighter(images: Tensor) -> Tensor:
    """By a random number of each image's own."""
    return images + torch.rand(len(images), 1, 1, 1)


def make(phase: str = "D", **changes: Any) -> FakeBatch:
    torch.manual_seed(0)
    options: dict[str, Any] = {"discriminator": Sum(), "generator": Flat(), "z": torch.randn(5, 1)}
    return FakeBatch(real=torch.randn(5, 1, 4, 4), phase=phase, **(options | {"augmentation": lighter} | changes))


@pytest.mark.parametrize("side", ["real", "fake"])
def test_consistency_with_images_as_they_are_is_the_papers(side: str) -> None:
    """D is linear: the augmentation's u changes what it says by 16 u."""
    batch = make(augmented=False)
    (term,) = [term for term in terms_of("bcr") if term.name == f"bcr-{side}"]
    batch.of_real, batch.of_fake  # noqa: B018
    torch.manual_seed(3)
    loss = term.loss(batch)
    torch.manual_seed(3)
    torch.testing.assert_close(loss, (PIXELS * torch.rand(5)).square(), rtol=1e-4, atol=1e-4)


def test_consistency_under_an_augmented_adversarial_loss_is_between_two_draws() -> None:
    batch = make(augmented=True)
    torch.manual_seed(3)
    loss = term_of("cr").loss(batch)
    torch.manual_seed(3)
    first, second = torch.rand(5), torch.rand(5)
    torch.testing.assert_close(loss, (PIXELS * (first - second)).square(), rtol=1e-4, atol=1e-4)
    assert loss.gt(0).all()


def test_cr_is_the_real_part_of_bcr() -> None:
    losses = []
    for term in (term_of("cr"), terms_of("bcr")[0]):
        batch = make()
        torch.manual_seed(3)
        losses.append(term.loss(batch))
    assert losses[0].equal(losses[1])


def test_each_side_costs_one_more_pass() -> None:
    batch = make()
    network = batch.network
    assert isinstance(network, Sum)
    batch.of_real, batch.of_fake  # noqa: B018
    before = network.calls
    for term in terms_of("bcr"):
        term.loss(batch)
    assert network.calls == before + 2


def test_both_sides_of_the_difference_move_the_discriminator() -> None:
    """d/dw (16 w u)^2 = 2 w (16 u)^2: of one side alone it would be another number."""
    batch = make(augmented=False)
    loss = term_of("cr").loss(batch)
    loss.sum().backward()
    network = batch.network
    assert isinstance(network, Sum)
    torch.testing.assert_close(network.weight.grad, 2 * loss.detach().sum(), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("augmented", [True, False])
@pytest.mark.parametrize("noise", [0.03, 0.5])
def test_zcr_by_hand(augmented: bool, noise: float) -> None:
    """G and D are linear: noise e in z changes images by e, and what D says by 16 e; D sees no augmentation."""
    of_d, of_g = terms_of("zcr", noise=noise)
    batch = make(augmented=augmented)
    torch.manual_seed(3)
    d_loss = of_d.loss(batch)
    other = make("G", augmented=augmented)
    torch.manual_seed(3)
    g_loss = of_g.loss(other)
    torch.manual_seed(3)
    step = noise * torch.randn(5, 1).flatten()
    torch.testing.assert_close(d_loss, (PIXELS * step).square(), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(g_loss, -step.square(), rtol=1e-3, atol=1e-5)


def test_zcr_moves_each_player_by_its_own_part_only() -> None:
    of_d, of_g = terms_of("zcr")
    batch = batch_for("D")
    of_d.loss(batch).sum().backward()
    generator = batch._generator
    assert isinstance(generator, nn.Module)
    assert all(p.grad is None for p in generator.parameters())
    batch = batch_for("G")
    of_g.loss(batch).sum().backward()
    discriminator = batch._discriminator
    assert isinstance(discriminator, nn.Module)
    assert all(p.grad is None for p in discriminator.parameters())
