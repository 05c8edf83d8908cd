"""ACGAN's class losses against numbers worked out by hand, and whom they reach."""

from __future__ import annotations

import math

import pytest
import torch
from building import batch_of, build, every, inputs, reached
from torch import nn

from ganzoo import UserError


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def test_class_losses_are_those_worked_out_by_hand() -> None:
    gan = build("acgan", classes=2, class_weight=0.5)
    images, z, _ = inputs(gan, count=2)
    batch = batch_of(gan, images, z, torch.tensor([0, 1]), phase="D")
    batch.of_real = {"classes": torch.tensor([[0.0, 0.0], [0.0, math.log(3)]])}
    batch.of_fake = {"classes": torch.tensor([[math.log(4), 0.0], [2.0, 2.0]])}
    d_class, g_class = gan.terms
    # P(C | x) of the labels: 1/2 and 3/4 of real images, 4/5 and 1/2 of generated ones.
    torch.testing.assert_close(d_class.loss(batch), -torch.tensor([0.5 * 0.8, 0.75 * 0.5]).log())
    torch.testing.assert_close(g_class.loss(batch), -torch.tensor([0.8, 0.5]).log())
    assert [(term.phase, term.weight) for term in gan.terms] == [("D", 0.5), ("G", 0.5)]


def test_class_losses_reach_their_own_network_and_no_other() -> None:
    gan = build("acgan")
    images, z, labels = inputs(gan)
    source = {"source.weight", "source.bias"}  # says real or generated, not which class
    for term, mine, others, but in (
        (gan.terms[0], gan.discriminator, gan.generator, source),
        (gan.terms[1], gan.generator, gan.discriminator, set()),
    ):
        term.loss(batch_of(gan, images, z, labels, phase=term.phase)).mean().backward()
        assert reached(mine) == every(mine) - but
        assert all(parameter.grad is None for parameter in others.parameters())
        mine.zero_grad()


def test_dropout_and_norms() -> None:
    gan = build("acgan", dropout=0.3)
    layers = list(gan.discriminator.modules())
    assert [m.p for m in layers if isinstance(m, nn.Dropout)] == [0.3] * 6
    assert sum(isinstance(m, nn.BatchNorm2d) for m in layers) == 5
    convolutions = [m for m in layers if isinstance(m, nn.Conv2d)]
    assert [m.stride[0] for m in convolutions] == [2, 1, 2, 1, 2, 1]
    assert [m.out_channels for m in convolutions] == [1, 2, 4, 8, 16, 32]


def test_it_needs_labels() -> None:
    with pytest.raises(UserError, match="needs images with labels"):
        build("acgan", classes=0)
