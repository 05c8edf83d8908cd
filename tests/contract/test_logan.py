"""LOGAN: the step of the noise by hand, and what both players learn from its end."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from building import batch_of, build, every, inputs, reached
from torch import Tensor, nn

from ganzoo import GAN, Losses, Phase, Uniform
from ganzoo.objectives import hinge, relativistic_average
from ganzoo_logan.networks import Step, phases

NATURAL = Step(natural=True, size=0.9, damping=5.0, share=1.0)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def of(gan: GAN, losses: Losses | None = None) -> dict[str, Phase]:
    assert gan.phases is not None
    return {phase.name: phase for phase in gan.phases(losses or hinge({}))}


def test_natural_steps_solve_with_the_damped_fisher_matrix() -> None:
    gradient = torch.randn(4, 3)
    fisher = gradient[:, :, None] * gradient[:, None, :] + 5.0 * torch.eye(3)
    torch.testing.assert_close(NATURAL(gradient), 0.9 * torch.linalg.solve(fisher, gradient))
    plain = dataclasses.replace(NATURAL, natural=False)
    torch.testing.assert_close(plain(gradient), 0.9 * gradient)


def test_so_many_of_a_batch_are_moved() -> None:
    chosen = dataclasses.replace(NATURAL, share=0.3).chosen(torch.zeros(5000, 2))
    assert set(chosen.flatten().tolist()) == {0.0, 1.0}
    assert chosen.mean().item() == pytest.approx(0.3, abs=0.03)
    assert NATURAL.chosen(torch.zeros(100, 2)).eq(1).all()


class Straight(nn.Module):
    """Two numbers to themselves: D(G(z)) is linear in z."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        return x * self.weight


class Sum(Straight):
    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        return super().forward(x).sum(1)


@pytest.mark.parametrize("phase", ["D", "G"])
def test_both_losses_are_at_the_moved_noise_and_differentiate_its_step(phase: str) -> None:
    # f(z) = sum_i d_i g_i z_i, so that df/dz = d g; z' = clip(z + alpha d g / (beta + |d g|^2)).
    g, d = torch.tensor([0.5, -1.0]), torch.tensor([2.0, 0.25])
    gan = GAN(generator=Straight(g.clone()), discriminator=Sum(d.clone()), z_dim=2)
    real, z = torch.tensor([[0.2, 0.4], [-0.1, 0.3]]), torch.tensor([[0.1, -0.2], [0.95, 0.5]])
    losses = Losses(d_loss=lambda real, fake: fake - real, g_loss=lambda fake, real: -fake)
    made = {one.name: one for one in phases(losses, NATURAL, 2.0)}
    moves = {"D": ("discriminator",), "G": ("generator",)}[phase]
    loss = made[phase].loss(batch_of(gan, real, z, phase=phase, moves=moves))

    g.requires_grad_(phase == "G")
    d.requires_grad_(phase == "D")
    slope = d * g
    delta = 0.9 * slope / (5.0 + slope.square().sum())
    moved = (z + delta).clamp(-1, 1)
    assert moved[1, 0] == 1  # at the bound
    fake = (moved * g * d).sum(1)
    wanted = {"D": fake - (real * d).sum(1), "G": -fake}[phase] + 2.0 * delta.square().sum()
    torch.testing.assert_close(loss, wanted)
    loss.mean().backward()
    wanted.mean().backward()
    network, expected = (gan.generator, g) if phase == "G" else (gan.discriminator, d)
    torch.testing.assert_close(network.weight.grad, expected.grad)
    assert ((gan.generator if phase == "D" else gan.discriminator).weight.grad) is None


@pytest.mark.parametrize("name", ["D", "G"])
@pytest.mark.parametrize(("size", "colors"), [(28, 1), (64, 3)])
def test_each_phase_reaches_all_that_it_moves(name: str, size: int, colors: int) -> None:
    gan = build("logan", size, colors)
    assert gan.prior == Uniform(low=-1.0, high=1.0)
    images, z, _ = inputs(gan, size, colors)
    phase = of(gan, relativistic_average({}))[name]
    loss = phase.loss(batch_of(gan, images, z, phase=name, moves=phase.moves))
    assert loss.shape == (4,)
    loss.mean().backward()
    # Differences of logits do not see D's last bias.
    unseen = {"logit.bias"} if name == "D" else set()
    moved = gan.discriminator if name == "D" else gan.generator
    assert reached(moved) >= every(moved) - unseen


@pytest.mark.parametrize("norm", ["spectral", "layer"])
def test_d_judges_each_image_by_itself(norm: str) -> None:
    gan = build("logan", norm=norm)
    images, _, _ = inputs(gan)
    gan.discriminator.eval()  # no power iteration between the calls
    torch.testing.assert_close(gan.discriminator(images)["logits"][:2], gan.discriminator(images[:2])["logits"])


def test_without_a_step_it_is_an_sngan() -> None:
    gan = build("logan", step=0.0)
    images, z, _ = inputs(gan)
    gan.discriminator.eval()  # no power iteration between the calls
    batch = batch_of(gan, images, z, phase="G")
    torch.testing.assert_close(of(gan)["G"].loss(batch), -batch.of_fake["logits"])
