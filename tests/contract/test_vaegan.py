"""VAE/GAN: its losses by hand, and which of them reaches which network."""

from __future__ import annotations

import pytest
import torch
from building import batch_of, build, every, inputs, reached
from torch.distributions import Independent, Normal, kl_divergence

from ganzoo import GAN, Losses, Phase
from ganzoo.objectives import non_saturating, wasserstein, wgan_gp
from ganzoo_vaegan.networks import divergence, drawn

CROSS_ENTROPY = non_saturating({"real_label": 1.0})


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def phases(gan: GAN, losses: Losses = CROSS_ENTROPY) -> dict[str, Phase]:
    assert gan.phases is not None
    return {phase.name: phase for phase in gan.phases(losses)}


def test_the_divergence_is_torchs_own() -> None:
    law = torch.randn(5, 6)
    mean, log_variance = law.chunk(2, 1)
    code = Independent(Normal(mean, (log_variance / 2).exp()), 1)
    prior = Independent(Normal(torch.zeros(5, 3), torch.ones(5, 3)), 1)
    torch.testing.assert_close(divergence(law), kl_divergence(code, prior))


def test_codes_are_drawn_from_their_law() -> None:
    law = torch.tensor([1.0, -2.0, 0.0, torch.log(torch.tensor(9.0))]).repeat(4000, 1)
    z = drawn(law)
    torch.testing.assert_close(z.mean(0), torch.tensor([1.0, -2.0]), rtol=0, atol=0.2)
    torch.testing.assert_close(z.std(0), torch.tensor([1.0, 3.0]), rtol=0.05, atol=0)


def test_phases_come_in_order_and_move_one_network_each() -> None:
    moved = {name: phase.moves for name, phase in phases(build("vaegan")).items()}
    assert moved == {"D": ("discriminator",), "encoder": ("encoder",), "G": ("generator",)}
    assert list(moved) == ["D", "encoder", "G"]


@pytest.mark.parametrize("name", ["D", "encoder", "G"])
@pytest.mark.parametrize(("size", "colors"), [(28, 1), (64, 3)])
def test_each_phase_reaches_all_that_it_moves_and_nothing_else(name: str, size: int, colors: int) -> None:
    gan = build("vaegan", size, colors)
    images, z, _ = inputs(gan, size, colors)
    phase = phases(gan)[name]
    loss = phase.loss(batch_of(gan, images, z, phase=name, moves=phase.moves))
    assert loss.shape == (4,)
    loss.mean().backward()
    networks = {"generator": gan.generator, "discriminator": gan.discriminator, "encoder": gan.parts["encoder"].module}
    for network, module in networks.items():
        assert reached(module) == (every(module) if network in phase.moves else set())


def test_losses_are_those_of_algorithm_1() -> None:
    """With codes that are always their means, 0, and a decoder that is always the same."""
    gan = build("vaegan", gamma=0.5)
    images, z, _ = inputs(gan)
    encoder = gan.parts["encoder"].module
    with torch.no_grad():
        encoder.law.weight.zero_()
        encoder.law.bias.copy_(torch.cat([torch.zeros(gan.z_dim), torch.full((gan.z_dim,), -60.0)]))
        rebuilt = gan.generator(torch.zeros(4, gan.z_dim))
        real, again = gan.discriminator(images), gan.discriminator(rebuilt)
    error = 0.5 * (real["features"] - again["features"]).square().flatten(1).sum(1)

    def lost(name: str) -> torch.Tensor:
        phase = phases(gan)[name]
        return phase.loss(batch_of(gan, images, z, phase=name, moves=phase.moves)).detach()

    kl = gan.z_dim * 0.5 * (60 - 1)
    torch.testing.assert_close(lost("encoder"), kl + error, rtol=1e-4, atol=1e-3)
    with torch.no_grad():
        fake = gan.discriminator(gan.generator(z))["logits"].sigmoid()
    p_real, p_again = real["logits"].sigmoid(), again["logits"].sigmoid()
    torch.testing.assert_close(lost("D"), -p_real.log() - 0.5 * ((1 - fake).log() + (1 - p_again).log()))
    adversarial = -0.5 * (fake.log() + p_again.log())
    torch.testing.assert_close(lost("G"), adversarial + 0.5 * error, rtol=1e-4, atol=1e-4)


def test_a_constant_added_to_all_logits_leaves_a_loss_of_differences() -> None:
    gan = build("vaegan")
    images, z, _ = inputs(gan)
    loss = phases(gan, wasserstein({"clip": None}))["D"].loss
    bias = gan.discriminator.logit.bias
    loss(batch_of(gan, images, z, phase="D", moves=("discriminator",))).mean().backward()
    torch.testing.assert_close(bias.grad, torch.zeros_like(bias), rtol=0, atol=1e-6)


def test_the_penalty_of_an_objective_is_part_of_ds_loss() -> None:
    gan = build("vaegan", per_sample=True)
    images, z, _ = inputs(gan)
    config = {"gp_weight": 10.0, "gp_target": 1.0}
    batch = batch_of(gan, images, z, phase="D", moves=("discriminator",))
    torch.manual_seed(1)
    with_penalty = phases(gan, wgan_gp(config))["D"].loss(batch)
    torch.manual_seed(1)
    without = phases(gan, wgan_gp(config | {"gp_weight": 0.0}))["D"].loss(batch)
    assert (with_penalty - without).min() > 0.1  # a gradient norm of just 1 would be chance
