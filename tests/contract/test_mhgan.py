"""MHGAN: margins as logits, under its own objective and under others."""

from __future__ import annotations

import pytest
import torch
from building import batch_of, every, reached
from residual import CLASSES, build, inputs
from torch import Tensor
from torch.nn import functional as F

from ganzoo import GAN, Losses, UserError
from ganzoo.objectives import gradient_penalty
from ganzoo_mhgan.networks import margin, margin_phases, multi_hinge


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def rest(scores: Tensor, but: int) -> Tensor:
    return torch.cat([scores[:but], scores[but + 1 :]]).max()


def losses_of(gan: GAN, losses: Losses, phase: str) -> tuple[Tensor, object]:
    images, z, labels = inputs(gan)
    batch = batch_of(gan, images, z, labels, phase=phase)
    own = {each.name: each for each in gan.phases(losses)}[phase]
    return own.loss(batch), batch


def test_margins_score_by_score() -> None:
    scores, labels = torch.randn(8, CLASSES + 1), torch.tensor([0, 1, 2, 3, 3, 2, 1, 0])
    expected = torch.stack([row[y] - rest(row, y) for row, y in zip(scores, labels.tolist(), strict=True)])
    torch.testing.assert_close(margin(scores, labels), expected)
    assert (margin(scores, scores.argmax(1)) > 0).all()


def test_margins_can_be_differentiated_twice() -> None:
    scores = torch.randn(4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda s: margin(s**2, torch.tensor([0, 1, 2, 3])), scores)


def test_the_multi_hinge_of_the_paper() -> None:
    """max(0, 1 - C_y + C_not y) of real images and their classes, and of generated ones and class K + 1; for G of the
    classes it was asked for.
    """
    gan = build("mhgan", margin_weight=0.5)
    found, batch = losses_of(gan, multi_hinge({}), "D")
    labels = batch.labels.tolist()
    real, fake = batch.of_real["scores"], batch.of_fake["scores"]
    expected = torch.stack(
        [
            F.relu(1 - r[y] + rest(r, y)) + F.relu(1 - f[CLASSES] + rest(f, CLASSES))
            for r, f, y in zip(real, fake, labels, strict=True)
        ]
    )
    torch.testing.assert_close(found, expected)
    found, batch = losses_of(gan, multi_hinge({}), "G")
    fake = batch.of_fake["scores"]
    expected = torch.stack([0.5 * F.relu(1 - f[y] + rest(f, y)) for f, y in zip(fake, labels, strict=True)])
    torch.testing.assert_close(found, expected)
    assert batch.told["class_accuracy"][0].mean() == (fake[:, :-1].argmax(1) == batch.labels).float().mean()


def test_the_objective_alone() -> None:
    losses = multi_hinge({})
    real, fake = torch.tensor([2.0, 0.5, -1.0]), torch.tensor([-2.0, 0.5, 3.0])
    torch.testing.assert_close(losses.d_loss(real, fake), torch.tensor([0.0, 0.5 + 1.5, 2.0 + 4.0]))
    torch.testing.assert_close(losses.g_loss(fake, None), torch.tensor([3.0, 0.5, 0.0]))


def test_the_logit_is_the_margin_of_the_label() -> None:
    gan = build("mhgan")
    images, _, labels = inputs(gan)
    said = gan.discriminator(images, labels)
    assert (said["scores"].shape, said["classes"].shape) == ((6, CLASSES + 1), (6, CLASSES))
    torch.testing.assert_close(said["logits"], margin(said["scores"], labels))
    torch.testing.assert_close(said["classes"], said["scores"][:, :CLASSES])
    with pytest.raises(ValueError, match="without labels"):
        gan.discriminator(images, None)


def test_other_objectives_get_their_penalty_and_the_real_logits() -> None:
    seen = {}

    def g_loss(fake: Tensor, real: Tensor | None = None) -> Tensor:
        seen["real"] = real
        return fake - real

    relativistic = Losses(d_loss=lambda real, fake: fake - real, g_loss=g_loss, g_uses_real=True)
    gan = build("mhgan", margin_weight=1.0)
    found, batch = losses_of(gan, relativistic, "G")
    torch.testing.assert_close(found, batch.of_fake["logits"] - batch.of_real["logits"])
    assert seen["real"] is batch.of_real["logits"]

    def penalty(critic, real: Tensor, fake: Tensor) -> Tensor:
        return 10 * gradient_penalty(critic, real, fake)

    gan.discriminator.eval()
    plain = Losses(d_loss=lambda real, fake: fake - real, g_loss=lambda fake, real: -fake)
    penalised = Losses(d_loss=plain.d_loss, g_loss=plain.g_loss, penalty=penalty)
    torch.manual_seed(3)
    without, _ = losses_of(gan, plain, "D")
    torch.manual_seed(3)
    more, _ = losses_of(gan, penalised, "D")
    assert ((more - without) > 0).all()


def test_mean_features() -> None:
    gan = build("mhgan")
    images, z, labels = inputs(gan)
    (term,) = gan.terms
    assert (term.phase, term.weight) == ("G", 1.0)
    batch = batch_of(gan, images, z, labels, phase="G")
    batch.of_real = {"features": torch.tensor([[0.0, 2.0], [2.0, 4.0]])}
    batch.of_fake = {"features": torch.tensor([[1.0, 0.0], [3.0, 1.0]])}
    torch.testing.assert_close(term.loss(batch), torch.tensor((1 + 2.5) / 2))


def test_losses_reach_their_own_network_and_no_other() -> None:
    gan = build("mhgan")
    for phase, mine, others in (("D", gan.discriminator, gan.generator), ("G", gan.generator, gan.discriminator)):
        found, batch = losses_of(gan, multi_hinge({}), phase)
        terms = [term.loss(batch).mean() for term in gan.terms if term.phase == phase]
        (found.mean() + sum(terms)).backward()
        assert reached(mine) == every(mine)
        assert all(parameter.grad is None for parameter in others.parameters())
        mine.zero_grad()


def test_phases() -> None:
    assert [(p.name, p.moves) for p in margin_phases(multi_hinge({}), 1.0)] == [
        ("D", ("discriminator",)), ("G", ("generator",)),
    ]  # fmt: skip


@pytest.mark.parametrize(("size", "colors"), [(32, 1), (64, 3)])
def test_shapes_and_range(size: int, colors: int) -> None:
    gan = build("mhgan", size, colors)
    images, z, labels = inputs(gan, size, colors)
    made = gan.generator(z, labels)
    assert made.shape == images.shape
    assert made.abs().max() <= 1


def test_it_needs_labels() -> None:
    with pytest.raises(UserError, match="mhgan needs images with labels"):
        build("mhgan", classes=0)
