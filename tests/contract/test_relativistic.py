"""The relativistic objectives and BEGAN, by hand and by a second formulation; Wasserstein without clipping and gp."""

from __future__ import annotations

import copy

import pytest
import torch
from regularized import batch_for, term_of
from torch import Tensor
from torch.nn import functional as F

from ganzoo import Losses, Value
from ganzoo.config.settings import check
from ganzoo.zoo.objective_specs import OBJECTIVES

SPECS = {spec.name: spec for spec in OBJECTIVES}
RELATIVISTIC = ["relativistic-average", "relativistic-pairing"]


def losses(name: str, **settings: Value) -> Losses:
    config: dict[str, Value] = {s.name: s.default for s in SPECS[name].settings} | settings
    return SPECS[name].load()(config)


def column(*values: float) -> Tensor:
    return torch.tensor(values)


def test_relativistic_losses_by_hand() -> None:
    """softplus(t) = ln(1 + e^t):  softplus(-2) = 0.126928, softplus(0) = 0.693147, softplus(2) = 2.126928."""
    real, fake = column(1.0, 3.0), column(0.0, 2.0)  # means 2 and 1
    low, middle, high = 0.126928, 0.693147, 2.126928
    average = losses("relativistic-average")
    # D: softplus(1 - 1) + softplus(0 - 2), softplus(1 - 3) + softplus(2 - 2)
    torch.testing.assert_close(average.d_loss(real, fake), column(middle + low, low + middle), rtol=0, atol=1e-6)
    # G: softplus(2 - 0) + softplus(1 - 1), softplus(2 - 2) + softplus(3 - 1)
    torch.testing.assert_close(average.g_loss(fake, real), column(high + middle, middle + high), rtol=0, atol=1e-6)
    pairing = losses("relativistic-pairing")
    fake = column(1.0, 1.0)
    torch.testing.assert_close(pairing.d_loss(real, fake), column(middle, low), rtol=0, atol=1e-6)
    torch.testing.assert_close(pairing.g_loss(fake, real), column(middle, high), rtol=0, atol=1e-6)


def test_relativistic_losses_are_cross_entropies_of_differences() -> None:
    real, fake = torch.randn(32) * 4, torch.randn(32) * 4
    bce, one, zero = F.binary_cross_entropy_with_logits, torch.ones(32), torch.zeros(32)
    above, below = real - fake.mean(), fake - real.mean()
    average = losses("relativistic-average")
    expected = bce(above, one, reduction="none") + bce(below, zero, reduction="none")
    torch.testing.assert_close(average.d_loss(real, fake), expected)
    expected = bce(above, zero, reduction="none") + bce(below, one, reduction="none")
    torch.testing.assert_close(average.g_loss(fake, real), expected)
    pairing = losses("relativistic-pairing")
    torch.testing.assert_close(pairing.d_loss(real, fake), bce(real - fake, one, reduction="none"))
    torch.testing.assert_close(pairing.g_loss(fake, real), bce(fake - real, one, reduction="none"))


@pytest.mark.parametrize("name", RELATIVISTIC)
def test_relativistic_losses_see_differences_alone(name: str) -> None:
    objective, (real, fake) = losses(name), torch.randn(2, 8, dtype=torch.float32)
    torch.testing.assert_close(objective.d_loss(real + 5, fake + 5), objective.d_loss(real, fake), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", RELATIVISTIC)
def test_the_generators_loss_needs_and_does_not_saturate(name: str) -> None:
    objective = losses(name)
    assert objective.g_uses_real
    fake = column(-30.0, -30.0).requires_grad_()
    (gradient,) = torch.autograd.grad(objective.g_loss(fake, column(30.0, 30.0)).sum(), fake)
    torch.testing.assert_close(gradient, torch.full((2,), -2.0 if name == "relativistic-average" else -1.0))
    with pytest.raises(ValueError, match="logits of real images"):
        objective.g_loss(fake, None)


def test_began_by_hand_over_three_steps() -> None:
    """Logits are minus energies; k starts at 0 and is moved by each step's own energies, after its loss."""
    began = losses("began", gamma=0.5, speed=0.1)
    assert began.memory is not None
    real, fake = column(-4.0, -8.0), column(-1.0, -3.0)  # energies 4, 8 and 1, 3; means 6 and 2
    torch.testing.assert_close(began.d_loss(real, fake), column(4.0, 8.0))
    torch.testing.assert_close(began.memory.k, torch.tensor(0.1))  # 0 + 0.1 (0.5 6 - 2)
    torch.testing.assert_close(began.d_loss(real, fake), column(4 - 0.1, 8 - 0.3))
    torch.testing.assert_close(began.memory.k, torch.tensor(0.2))
    torch.testing.assert_close(began.d_loss(real, 10 * fake), column(4 - 0.2 * 10, 8 - 0.2 * 30))
    assert began.memory.k == 0  # 0.2 + 0.1 (3 - 20) is below 0
    torch.testing.assert_close(began.g_loss(fake, None), column(1.0, 3.0))


def test_began_keeps_k_in_one_and_out_of_the_gradient() -> None:
    began = losses("began", gamma=1.0, speed=0.25)
    assert began.memory is not None
    for _ in range(4):
        real, fake = column(-40.0).requires_grad_(), column(-1.0).requires_grad_()
        began.d_loss(real, fake).sum().backward()
    assert began.memory.k == 1
    torch.testing.assert_close(real.grad, column(-1.0))
    torch.testing.assert_close(fake.grad, column(1.0))


def test_began_goes_on_from_what_was_saved() -> None:
    first, again = losses("began", speed=0.01), losses("began", speed=0.01)
    assert first.memory is not None
    assert again.memory is not None
    real, fake = -10 * torch.rand(8), -torch.rand(8)
    for _ in range(3):
        first.d_loss(real, fake)
    again.memory.load_state_dict(copy.deepcopy(first.memory.state_dict()))
    assert again.memory.k > 0
    address = again.memory.k.data_ptr()
    for _ in range(2):
        assert first.d_loss(real, fake).equal(again.d_loss(real, fake))
    assert first.memory.k.equal(again.memory.k)
    assert again.memory.k.data_ptr() == address


def test_began_needs_an_energy() -> None:
    assert SPECS["began"].needs == ("energy",)
    assert {name for name, spec in SPECS.items() if spec.needs} == {"began"}


def test_wasserstein_without_clipping_and_with_gp_is_wgan_gp() -> None:
    (clip,) = SPECS["wasserstein"].settings
    assert check(clip, "none", "objective.clip") is None
    assert losses("wasserstein").weight_clip == 0.01
    wasserstein, wgan_gp = losses("wasserstein", clip=None), losses("wgan-gp")
    assert wasserstein.weight_clip is None
    assert wgan_gp.penalty is not None
    batch = batch_for("D", augmentation=None)
    real, fake = batch.of_real["logits"], batch.of_fake["logits"]
    torch.manual_seed(0)
    parts = wasserstein.d_loss(real, fake) + 10 * term_of("gp").loss(batch)
    torch.manual_seed(0)
    whole = wgan_gp.d_loss(real, fake) + wgan_gp.penalty(batch.critic, batch.real, batch.fake)
    assert parts.equal(whole)
    assert wasserstein.g_loss(fake, None).equal(wgan_gp.g_loss(fake, None))
