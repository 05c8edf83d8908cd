"""Gradient penalties of critics whose gradients are known."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from fake_batch import FakeBatch
from regularized import D, batch_for, term_of
from torch import Tensor

from ganzoo import gradient_penalty
from ganzoo.zoo.objective_specs import OBJECTIVES


def linear(norm: float) -> Callable[[Tensor, Any], Tensor]:
    """A critic with one gradient everywhere."""
    weight = torch.zeros(16)
    weight[3], weight[7] = 0.6 * norm, -0.8 * norm
    return lambda x, labels: x.flatten(1) @ weight


def quadratic(x: Tensor, labels: Tensor | None) -> Tensor:
    """|x|^2 / 2, whose gradient is x."""
    return 0.5 * x.square().flatten(1).sum(1)


def pair(critic: Callable[..., Tensor]) -> FakeBatch:
    torch.manual_seed(0)
    real, fake = torch.randn(4, 1, 4, 4), torch.randn(4, 1, 4, 4)
    return FakeBatch(real=real, fake=fake, discriminator=critic)


@pytest.mark.parametrize(
    ("name", "settings", "norm", "by_hand"),
    [
        ("gp", {}, 5.0, 16.0),
        ("gp", {}, 0.5, 0.25),
        ("gp", {"target": 3.0}, 5.0, 4.0),
        ("gp-lp", {}, 5.0, 16.0),
        ("gp-lp", {}, 0.5, 0.0),
        ("gp-lp", {"target": 6.0}, 5.0, 0.0),
        ("r1", {}, 5.0, 12.5),
        ("r2", {}, 5.0, 12.5),
        ("dragan", {}, 5.0, 16.0),
        ("dragan", {"target": 0.0}, 0.5, 0.25),
    ],
)
def test_penalty_of_a_linear_critic_by_hand(name: str, settings: dict[str, Any], norm: float, by_hand: float) -> None:
    loss = term_of(name, **settings).loss(pair(linear(norm)))
    torch.testing.assert_close(loss, torch.full((4,), by_hand))


def test_r1_is_at_real_and_r2_at_generated_images() -> None:
    batch = pair(quadratic)
    torch.testing.assert_close(term_of("r1").loss(batch), 0.5 * batch.real.square().flatten(1).sum(1))
    torch.testing.assert_close(term_of("r2").loss(batch), 0.5 * batch.fake.square().flatten(1).sum(1))


def test_gp_is_wgan_gps_penalty_bit_for_bit() -> None:
    """Values, gradients and the random numbers after it."""
    (spec,) = (spec for spec in OBJECTIVES if spec.name == "wgan-gp")
    objective = spec.load()({"gp_weight": 10.0, "gp_target": 1.0})
    assert objective.penalty is not None

    def run(kind: str) -> list[Tensor]:
        batch = batch_for("D", augmentation=None)
        loss = (
            10 * term_of("gp").loss(batch)
            if kind == "term"
            else objective.penalty(lambda x: batch.judge(x)["logits"], batch.real, batch.fake)  # type: ignore[misc]
        )
        loss.mean().backward()
        return [loss, *(p.grad for p in batch.network.parameters() if p.grad is not None), torch.rand(1)]

    assert all(one.equal(other) for one, other in zip(run("term"), run("objective"), strict=True))


@pytest.mark.parametrize("name", ["gp", "gp-lp"])
def test_gradients_are_taken_between_real_and_generated_images(name: str) -> None:
    """|x|^2 / 2 between 0 (generated) and 1 (real) in 16 dimensions: its gradient's norm is 4 e."""
    real, fake = torch.ones(64, 1, 4, 4), torch.zeros(64, 1, 4, 4)
    batch = FakeBatch(real=real, fake=fake, discriminator=quadratic)
    torch.manual_seed(3)
    loss = term_of(name).loss(batch)
    torch.manual_seed(3)
    norm = 4 * torch.rand(64)
    expected = (norm - 1).square() if name == "gp" else (norm - 1).clamp_min(0).square()
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize("noise", [0.0, 0.5, 2.0])
def test_dragan_looks_around_real_images_in_units_of_their_spread(noise: float) -> None:
    batch = pair(quadratic)
    torch.manual_seed(3)
    loss = term_of("dragan", noise=noise, target=0.0).loss(batch)
    torch.manual_seed(3)
    spread = (batch.real - batch.real.mean()).square().mean().sqrt()
    expected = (batch.real + noise * spread * torch.randn(4, 1, 4, 4)).square().flatten(1).sum(1)
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize("name", ["r1", "r2"])
def test_zero_centred_penalties_of_a_network_in_float64(name: str) -> None:
    """The gradient by differences, and the penalty's own gradient by those of the penalty."""
    batch = batch_for("D", augmentation=None)
    network, exact = batch.network, copy.deepcopy(batch.network).double()
    images = (batch.real if name == "r1" else batch.fake).double()

    def penalty() -> Tensor:
        step, total = 1e-6, torch.zeros(len(images), dtype=torch.float64)
        for pixel in range(16):
            offset = torch.zeros(1, 1, 4, 4, dtype=torch.float64).flatten().index_fill(0, torch.tensor(pixel), step)
            up, down = (exact(images + sign * offset.view(1, 1, 4, 4), None)["logits"] for sign in (1, -1))
            total = total + ((up - down) / (2 * step)).square()
        return 0.5 * total

    loss = term_of(name).loss(batch)
    with torch.no_grad():
        torch.testing.assert_close(loss.double(), penalty(), rtol=1e-4, atol=1e-7)
    loss.mean().backward()
    assert isinstance(network, D)
    assert isinstance(exact, D)
    gradient = network.hidden.weight.grad
    assert gradient is not None
    step = 1e-4
    with torch.no_grad():
        exact.hidden.weight[2, 5] += step
        up = penalty().mean()
        exact.hidden.weight[2, 5] -= 2 * step
        down = penalty().mean()
    torch.testing.assert_close(gradient[2, 5].double(), (up - down) / (2 * step), rtol=1e-3, atol=1e-6)


def test_the_penalty_is_the_publics() -> None:
    batch = batch_for("D", augmentation=None)
    torch.manual_seed(1)
    one = term_of("gp", target=0.5).loss(batch)
    torch.manual_seed(1)
    other = gradient_penalty(batch.critic, batch.real, batch.fake, target=0.5)
    assert one.equal(other)
