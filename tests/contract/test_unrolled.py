"""Unrolled GAN: D's steps by hand, the gradient through them, and what cannot be unrolled."""

from __future__ import annotations

import copy

import pytest
import torch
from building import batch_of, build, every, inputs, reached
from torch import Tensor, nn

from ganzoo import GAN, Losses, Phase, UserError
from ganzoo.objectives import began, hinge, non_saturating, wasserstein, wgan_gp
from ganzoo_unrolled.networks import phases

CROSS_ENTROPY = non_saturating({"real_label": 1.0})


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def of(losses: Losses, steps: int, size: float = 0.1) -> dict[str, Phase]:
    return {phase.name: phase for phase in phases(losses, steps, size)}


class Scaled(nn.Module):
    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight))

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        return (self.weight * x).flatten()


def test_the_gradient_goes_through_ds_steps() -> None:
    # D(x) = w x, G(z) = g z. D minimises w (E g z - E x), whose gradient by w is g E z - E x: after K steps of eta,
    # w_K = w - K eta (g E z - E x). G minimises -w_K g E z, so that d/dg = -w_K E z + K eta g (E z)^2.
    real, z = torch.tensor([[1.0], [3.0]]), torch.tensor([[0.5], [1.5]])  # means 2 and 1
    gan = GAN(generator=Scaled(2.0), discriminator=Scaled(0.7), z_dim=1)
    losses = Losses(d_loss=lambda real, fake: fake - real, g_loss=lambda fake, real: -fake)
    steps, eta, w, g = 3, 0.1, 0.7, 2.0
    loss = of(losses, steps, eta)["G"].loss(batch_of(gan, real, z, phase="G"))
    ahead = w - steps * eta * (g * 1.0 - 2.0)
    torch.testing.assert_close(loss, -ahead * g * z.flatten())
    loss.mean().backward()
    torch.testing.assert_close(gan.generator.weight.grad, torch.tensor(-ahead + steps * eta * g))
    assert gan.discriminator.weight.grad is None


def test_d_is_where_gradient_descent_would_have_taken_it() -> None:
    gan = build("unrolled", per_sample=True)  # layer norm: no buffers
    images, z, _ = inputs(gan)
    before = copy.deepcopy(gan.discriminator.state_dict())
    loss = of(CROSS_ENTROPY, 2, 0.05)["G"].loss(batch_of(gan, images, z, phase="G"))
    assert all(torch.equal(value, before[name]) for name, value in gan.discriminator.state_dict().items())
    other = copy.deepcopy(gan.discriminator).requires_grad_(True)
    descent = torch.optim.SGD(other.parameters(), lr=0.05)
    fake = gan.generator(z).detach()
    for _ in range(2):
        descent.zero_grad()
        CROSS_ENTROPY.d_loss(other(images)["logits"], other(fake)["logits"]).mean().backward()
        descent.step()
    torch.testing.assert_close(loss.detach(), CROSS_ENTROPY.g_loss(other(fake)["logits"], None).detach())


def test_weights_are_clipped_in_each_step() -> None:
    real, z = torch.tensor([[1.0], [3.0]]), torch.tensor([[0.5], [1.5]])
    gan = GAN(generator=Scaled(-2.0), discriminator=Scaled(0.7), z_dim=1)
    loss = of(wasserstein({"clip": 0.8}), 2, 1.0)["G"].loss(batch_of(gan, real, z, phase="G"))
    torch.testing.assert_close(loss, 0.8 * 2 * z.flatten())


@pytest.mark.parametrize(("size", "colors"), [(28, 1), (64, 3)])
def test_g_is_reached_and_d_is_not(size: int, colors: int) -> None:
    gan = build("unrolled", size, colors)
    images, z, _ = inputs(gan, size, colors)
    loss = of(hinge({}), 1)["G"].loss(batch_of(gan, images, z, phase="G"))
    assert loss.shape == (4,)
    loss.mean().backward()
    assert reached(gan.generator) == every(gan.generator)
    assert not reached(gan.discriminator)


def test_ds_own_update_and_g_without_steps_are_the_usual_ones() -> None:
    gan = build("unrolled", per_sample=True)
    images, z, _ = inputs(gan)
    usual = batch_of(gan, images, z, phase="D")
    real, fake = usual.of_real["logits"], usual.of_fake["logits"]
    torch.testing.assert_close(of(CROSS_ENTROPY, 0)["D"].loss(usual), CROSS_ENTROPY.d_loss(real, fake))
    g = of(CROSS_ENTROPY, 0)["G"].loss(batch_of(gan, images, z, phase="G"))
    torch.testing.assert_close(g, CROSS_ENTROPY.g_loss(fake, None))


def test_what_cannot_be_unrolled_is_refused() -> None:
    with pytest.raises(UserError, match="no gradient penalty"):
        of(wgan_gp({"gp_weight": 10.0, "gp_target": 1.0}), 1)
    with pytest.raises(UserError, match="counts each of D's losses"):
        of(began({"gamma": 0.5, "speed": 0.001}), 1)
