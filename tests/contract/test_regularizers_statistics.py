"""LeCam, feature matching and top-k, by hand and by a second formulation."""

from __future__ import annotations

import pytest
import torch
from fake_batch import FakeBatch
from regularized import batch_for, term_of
from torch import Tensor, nn

from ganzoo.gan import Batch


def column(*values: float) -> Tensor:
    return torch.tensor(values)


def says(real: Tensor, fake: Tensor, **changes: object) -> FakeBatch:
    """A batch of which D said just this."""
    options = {"real": torch.zeros(len(real), 1), "fake": torch.zeros(len(fake), 1), "discriminator": nn.Identity()}
    batch = FakeBatch(**(options | changes))  # type: ignore[arg-type]
    batch.judged(real={"logits": real}, fake={"logits": fake})
    return batch


def test_lecam_by_hand_over_two_steps() -> None:
    loss = term_of("lecam", decay=0.5).loss
    # alpha_R = 1/2 mean(1, 3) = 1, alpha_F = 1/2 mean(-1, -3) = -1
    first = loss(says(column(1.0, 3.0), column(-1.0, -3.0)))
    torch.testing.assert_close(first, column(2.0**2 + 2**2, 4.0**2 + 4**2))
    # alpha_R = 1/2 1 + 1/2 0 = 1/2, alpha_F = -1/2 + 1/2 5 = 2
    second = loss(says(column(0.0, 0.0), column(4.0, 6.0)))
    torch.testing.assert_close(second, column(2.0**2 + 3.5**2, 2.0**2 + 5.5**2))


def test_lecams_anchors_are_constants_for_the_gradient() -> None:
    real, fake = column(1.0, 3.0).requires_grad_(), column(-1.0, -3.0).requires_grad_()
    term_of("lecam", decay=0.5).loss(says(real, fake)).sum().backward()
    # d/dC (C - alpha)^2 = 2 (C - alpha)
    torch.testing.assert_close(real.grad, column(4.0, 8.0))
    torch.testing.assert_close(fake.grad, column(-4.0, -8.0))


def test_feature_matching_by_hand() -> None:
    batch = says(column(0.0, 0.0), column(0.0, 0.0), phase="G")
    real = torch.tensor([[1.0, 2.0], [3.0, 0.0]]).requires_grad_()  # mean 2, 1
    fake = torch.tensor([[0.0, -1.0], [0.0, -1.0]]).requires_grad_()  # mean 0, -1
    batch.judged(real={"features": real.view(2, 2, 1, 1)}, fake={"features": fake.view(2, 2, 1, 1)})
    loss = term_of("feature-matching").loss(batch)
    torch.testing.assert_close(loss, torch.tensor(8.0))
    loss.backward()
    # d/dm ||m - n||^2 = 2 (m - n), each of two images having half of it
    torch.testing.assert_close(fake.grad, torch.full((2, 2), -2.0))
    assert real.grad is None


def test_feature_matching_reaches_the_generator_through_the_discriminators_features() -> None:
    batch = batch_for("G", augmentation=None)
    term_of("feature-matching").loss(batch).backward()
    network = batch.network
    gradients = [p.grad for p in network.parameters()]
    assert all(gradient is not None and gradient.ne(0).any() for gradient in gradients)


@pytest.mark.parametrize(
    ("progress", "settings", "k"),
    [
        (0.0, {}, 8),
        (0.5, {}, 6),  # 8 / sqrt 2 = 5.66
        (1.0, {}, 4),
        (0.25, {"until": 0.25}, 4),
        (0.9, {"until": 0.25}, 4),
        (0.5, {"smallest": 0.25}, 4),
        (1.0, {"smallest": 0.0}, 1),
        (1.0, {"smallest": 1.0}, 8),
    ],
)
def test_mean_of_the_sum_is_the_mean_over_the_top_k(progress: float, settings: dict[str, float], k: int) -> None:
    torch.manual_seed(0)
    logits, loss = torch.randn(8), torch.randn(8).requires_grad_()
    batch = says(logits, logits, phase="G", progress=progress)
    batch.adversarial = loss
    total = (loss + term_of("top-k", **settings).loss(batch)).mean()
    best = logits.topk(k).indices
    torch.testing.assert_close(total, loss[best].mean())
    total.backward()
    torch.testing.assert_close(loss.grad, torch.zeros(8).index_fill(0, best, 1 / k))


def test_of_equal_logits_just_k_are_kept() -> None:
    logits, loss = torch.zeros(8), torch.ones(8).requires_grad_()
    batch = says(logits, logits, phase="G", progress=1.0)
    batch.adversarial = loss
    (loss + term_of("top-k").loss(batch)).sum().backward()
    assert loss.grad is not None
    assert sorted(loss.grad.tolist()) == [0.0] * 4 + [2.0] * 4


def test_images_that_are_left_out_do_not_move_the_generator() -> None:
    batch = batch_for("G", progress=1.0)
    images = torch.rand(6, 1, 4, 4).requires_grad_()
    batch.made = {"images": images}
    total = (batch.adversarial + term_of("top-k").loss(batch)).mean()
    (gradient,) = torch.autograd.grad(total, images)
    moved = gradient.flatten(1).ne(0).any(1)
    best = batch.of_fake["logits"].topk(3).indices
    assert moved.equal(torch.zeros(6, dtype=torch.bool).index_fill(0, best, True))


def test_a_fake_batch_is_a_batch() -> None:
    batch: Batch = batch_for("D")
    promised = {name for name in dir(Batch) if not name.startswith("_")} | set(Batch.__annotations__)
    assert all(hasattr(batch, name) for name in promised)
