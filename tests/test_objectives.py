"""Objectives against numbers worked out by hand, PyTorch's own cross-entropy, and critics with known gradients."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from ganzoo.objectives import Losses, gradient_penalty
from ganzoo.zoo.objective_specs import OBJECTIVES
from ganzoo.zoo.specs import Value

SPECS = {spec.name: spec for spec in OBJECTIVES}
NAMES = list(SPECS)


def losses(name: str, **settings: Value) -> Losses:
    config: dict[str, Value] = {s.name: s.default for s in SPECS[name].settings} | settings
    return SPECS[name].load()(config)


def column(*values: float) -> Tensor:
    return torch.tensor(values)


def test_the_objectives_are_registered_under_these_names() -> None:
    assert NAMES == [
        "minimax", "non-saturating", "least-squares", "hinge", "wasserstein", "wgan-gp", "relativistic-average",
        "relativistic-pairing", "began",
    ]  # fmt: skip
    assert all(spec.paper and spec.summary for spec in OBJECTIVES)


def test_specs_and_their_package_do_not_import_torch() -> None:
    code = "import sys, ganzoo.zoo.objective_specs; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# softplus(t) = ln(1 + e^t):  softplus(-2) = 0.126928, softplus(-1) = 0.313262, softplus(1) = 1.313262
@pytest.mark.parametrize(
    ("name", "d_by_hand", "g_by_hand"),
    [
        ("minimax", [2 * math.log(2), 0.440190, 0.126928 + 1.313262], [-math.log(2), -0.313262, -1.313262]),
        ("non-saturating", [2 * math.log(2), 0.440190, 0.126928 + 1.313262], [math.log(2), 1.313262, 0.313262]),
        ("least-squares", [0.5, 1.0, 1.0], [0.5, 2.0, 0.0]),
        ("hinge", [2.0, 0.0, 2.0], [0.0, 1.0, -1.0]),
        ("wasserstein", [0.0, -3.0, -1.0], [0.0, 1.0, -1.0]),
        ("wgan-gp", [0.0, -3.0, -1.0], [0.0, 1.0, -1.0]),
    ],
)
def test_losses_by_hand(name: str, d_by_hand: list[float], g_by_hand: list[float]) -> None:
    objective = losses(name)
    real, fake = column(0.0, 2.0, 2.0), column(0.0, -1.0, 1.0)
    torch.testing.assert_close(objective.d_loss(real, fake), torch.tensor(d_by_hand), rtol=0, atol=1e-6)
    torch.testing.assert_close(objective.g_loss(fake, None), torch.tensor(g_by_hand), rtol=0, atol=1e-6)


def test_hinge_inside_the_margin() -> None:
    torch.testing.assert_close(losses("hinge").d_loss(column(0.5), column(0.25)), column(0.5 + 1.25))


@pytest.mark.parametrize("name", ["minimax", "non-saturating"])
@pytest.mark.parametrize("real_label", [1.0, 0.9])
def test_cross_entropy_is_pytorchs_with_only_real_labels_smoothed(name: str, real_label: float) -> None:
    real, fake = torch.randn(64) * 5, torch.randn(64) * 5
    bce = F.binary_cross_entropy_with_logits
    expected = bce(real, torch.full_like(real, real_label), reduction="none")
    expected = expected + bce(fake, torch.zeros_like(fake), reduction="none")
    torch.testing.assert_close(losses(name, real_label=real_label).d_loss(real, fake), expected)
    # The generator's target stays 1.
    sign = -1 if name == "minimax" else 1
    target = torch.zeros_like(fake) if name == "minimax" else torch.ones_like(fake)
    expected = sign * bce(fake, target, reduction="none")
    torch.testing.assert_close(losses(name, real_label=real_label).g_loss(fake, None), expected)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_losses_are_finite_float32_at_huge_logits_and_so_are_their_gradients(name: str, dtype: torch.dtype) -> None:
    objective = losses(name)
    real = torch.tensor([1e4, 1e4, -1e4, -1e4, 0.0], dtype=dtype, requires_grad=True)
    fake = torch.tensor([1e4, -1e4, 1e4, -1e4, 0.0], dtype=dtype, requires_grad=True)
    for loss in (objective.d_loss(real, fake), objective.g_loss(fake, real)):
        assert loss.dtype == torch.float32
        assert loss.shape == (5,)
        assert loss.isfinite().all()
        (loss / 1e4).sum().backward()  # scaled, because float16 cannot hold five least-squares gradients of 1e4
    assert real.grad is not None
    assert fake.grad is not None
    assert real.grad.isfinite().all()
    assert fake.grad.isfinite().all()


def test_a_confidently_wrong_discriminator_pays_its_logit() -> None:
    # The naive log(sigmoid(t)) is -inf here.
    objective = losses("non-saturating")
    torch.testing.assert_close(objective.d_loss(column(-1e4), column(1e4)), column(2e4))
    torch.testing.assert_close(objective.g_loss(column(-1e4), None), column(1e4))


@pytest.mark.parametrize("name", NAMES)
def test_only_relativistic_average_mixes_samples(name: str) -> None:
    objective = losses(name)
    real, fake = torch.randn(4, requires_grad=True), torch.randn(4, requires_grad=True)
    for loss in (objective.d_loss(real, fake), objective.g_loss(fake, real)):
        (gradient,) = torch.autograd.grad(loss[1], fake)
        assert gradient[[0, 2, 3]].eq(0).all() == (name != "relativistic-average")


def test_only_the_minimax_generator_saturates_where_the_discriminator_is_sure() -> None:
    fake = column(-8.0).requires_grad_()
    (saturating,) = torch.autograd.grad(losses("minimax").g_loss(fake, None).sum(), fake)
    (non_saturating,) = torch.autograd.grad(losses("non-saturating").g_loss(fake, None).sum(), fake)
    assert saturating.abs() < 1e-3
    assert non_saturating.abs() > 0.99


def test_only_wasserstein_clips_and_only_wgan_gp_penalises() -> None:
    assert {name for name in NAMES if losses(name).weight_clip is not None} == {"wasserstein"}
    assert losses("wasserstein", clip=0.05).weight_clip == 0.05
    assert {name for name in NAMES if losses(name).penalty is not None} == {"wgan-gp"}
    assert {name for name in NAMES if SPECS[name].per_sample_gradients} == {"wgan-gp"}


def linear_critic(weight: Tensor) -> Any:
    return lambda x: x.flatten(1) @ weight


@pytest.mark.parametrize(("gp_weight", "gp_target"), [(10.0, 1.0), (0.5, 0.0), (3.0, 7.0)])
def test_penalty_of_a_linear_critic_and_its_gradient_in_closed_form(gp_weight: float, gp_target: float) -> None:
    weight = torch.zeros(12)
    weight[:2] = column(3.0, 4.0)  # norm 5
    weight.requires_grad_()
    objective = losses("wgan-gp", gp_weight=gp_weight, gp_target=gp_target)
    assert objective.penalty is not None
    penalty = objective.penalty(linear_critic(weight), torch.randn(6, 3, 2, 2), torch.randn(6, 3, 2, 2))
    torch.testing.assert_close(penalty, torch.full((6,), gp_weight * (5 - gp_target) ** 2))
    # d/dw lambda (|w| - k)^2 = 2 lambda (|w| - k) w / |w|
    penalty.mean().backward()
    torch.testing.assert_close(weight.grad, 2 * gp_weight * (5 - gp_target) * weight.detach() / 5)


def test_penalty_at_zero_gradient_is_the_target_squared_and_has_a_finite_derivative() -> None:
    weight = torch.zeros(4, requires_grad=True)
    penalty = gradient_penalty(linear_critic(weight), torch.randn(3, 1, 2, 2), torch.randn(3, 1, 2, 2), target=2.0)
    torch.testing.assert_close(penalty, torch.full((3,), 4.0))
    penalty.sum().backward()
    assert weight.grad is not None
    assert weight.grad.isfinite().all()


def test_penalty_interpolates_each_sample_by_its_own_uniform_number_of_the_global_generator() -> None:
    # C(x) = |x|^2 / 2 has gradient x; between 0 (generated) and 1 (real) in 4 dimensions its norm is 2 e.
    real, fake = torch.ones(512, 1, 2, 2), torch.zeros(512, 1, 2, 2)
    torch.manual_seed(3)
    penalty = gradient_penalty(lambda x: 0.5 * x.square().flatten(1).sum(1), real, fake, target=0.0)
    torch.manual_seed(3)
    mix = torch.rand(512)
    torch.testing.assert_close(penalty.sqrt(), 2 * mix)
    assert penalty.unique().numel() > 500


def test_penalty_of_a_sample_depends_on_that_sample_alone() -> None:
    critic = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
    real, fake = torch.randn(5, 1, 4, 4), torch.randn(5, 1, 4, 4)
    torch.manual_seed(0)
    before = gradient_penalty(lambda x: critic(x).flatten(), real, fake)
    real[2] += 1
    torch.manual_seed(0)
    after = gradient_penalty(lambda x: critic(x).flatten(), real, fake)
    changed = before.ne(after)
    assert changed.tolist() == [False, False, True, False, False]


def test_penalty_leaves_the_images_out_of_the_graph() -> None:
    real, fake = torch.randn(2, 1, 2, 2, requires_grad=True), torch.randn(2, 1, 2, 2, requires_grad=True)
    weight = torch.randn(4, requires_grad=True)
    gradient_penalty(lambda x: x.square().flatten(1) @ weight, real, fake).sum().backward()
    assert real.grad is None
    assert fake.grad is None
    assert weight.grad is not None


def test_penalty_is_float32_under_autocast() -> None:
    critic = torch.nn.Linear(16, 1)
    seen: list[torch.dtype] = []

    def logits(x: Tensor) -> Tensor:
        y = critic(x.flatten(1)).flatten()
        seen.extend([x.dtype, y.dtype])
        return y

    real, fake = torch.randn(3, 1, 4, 4), torch.randn(3, 1, 4, 4)
    torch.manual_seed(0)
    plain = gradient_penalty(logits, real, fake)
    torch.manual_seed(0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert critic(real.flatten(1)).dtype == torch.bfloat16
        penalty = gradient_penalty(logits, real, fake)
    assert set(seen) == {torch.float32}
    torch.testing.assert_close(penalty, plain, rtol=0, atol=0)


class NoSync(TorchDispatchMode):
    """Fails on the operator behind `.item()`, `bool(tensor)` and `print(tensor)`, which waits for the device."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert func is not torch.ops.aten._local_scalar_dense.default, "a loss waits for the device"
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", NAMES)
def test_losses_never_wait_for_the_device(name: str) -> None:
    objective = losses(name)
    weight = torch.randn(4, requires_grad=True)
    images = torch.randn(3, 1, 2, 2)
    with NoSync():
        loss = objective.d_loss(linear_critic(weight)(images), linear_critic(weight)(-images))
        if objective.penalty is not None:
            loss = loss + objective.penalty(linear_critic(weight), images, -images)
        g_loss = objective.g_loss(linear_critic(weight)(images), linear_critic(weight)(-images))
        (loss + g_loss).mean().backward()
    with NoSync(), pytest.raises(AssertionError, match="waits"):
        weight.sum().item()
