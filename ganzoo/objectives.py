"""The losses: what discriminator and generator minimise, per sample, on logits.

Every loss here works in float32 whatever the precision of the logits, stays finite for logits of any size a network
produces, never mixes samples and never waits for the device. In the equations x is real, z is noise, D(x) a
probability, C(x) = logit D(x) the network's output (the critic), and every expression is to be minimised.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganzoo.gan import Term
from ganzoo.zoo.specs import Value

NORM_EPS = 1e-12
"""Added to the squared gradient norm: the square root has no derivative at 0. Shifts a norm of 1 by less than 1e-12."""


@dataclass(frozen=True, kw_only=True)
class Losses:
    """What an objective gives the engine. All tensors are per sample, so that the engine owns reduction and weighting.

    `d_loss(real, fake)`: logits `[N]`, `[N]` -> float32 `[N]`.
    `g_loss(fake, real)`: logits `[N]`, and `[N]` or None -> float32 `[N]`.
    `penalty(critic, real, fake)`: critic maps images to logits `[N]` and binds the labels, if there are any; real and
    fake are images `[N,C,H,W]` -> float32 `[N]`, already weighted, to be added to `d_loss`.
    """

    d_loss: Callable[[Tensor, Tensor], Tensor]
    g_loss: Callable[[Tensor, Tensor | None], Tensor]
    penalty: Callable[[Callable[[Tensor], Tensor], Tensor, Tensor], Tensor] | None = None
    weight_clip: float | None = None  # every parameter of D is clamped to [-c, c] after a step of D; None: not clipped
    g_uses_real: bool = False  # True: g_loss is given the logits of real images, as relativistic objectives need
    terms: Sequence[Term] = ()  # further losses, which see the whole batch
    # What the losses keep between steps, as buffers written in place under `torch.no_grad()`: saved with the run.
    memory: nn.Module | None = None


def minimax(config: Mapping[str, Value]) -> Losses:
    """Goodfellow et al. 2014, equation 1. Setting `real_label`: one-sided label smoothing (Salimans et al. 2016)."""

    # G:  log(1 - D(G(z))) = -softplus(C(G(z)));  vanishes as D learns to tell, hence "saturating"
    def g_loss(fake: Tensor, real: Tensor | None = None) -> Tensor:
        return -F.softplus(fake.float())

    return Losses(d_loss=_cross_entropy(cast(float, config["real_label"])), g_loss=g_loss)


def non_saturating(config: Mapping[str, Value]) -> Losses:
    """Goodfellow et al. 2014, section 3. Setting `real_label`: one-sided label smoothing (Salimans et al. 2016)."""

    # G:  -log D(G(z)) = softplus(-C(G(z)))
    def g_loss(fake: Tensor, real: Tensor | None = None) -> Tensor:
        return F.softplus(-fake.float())

    return Losses(d_loss=_cross_entropy(cast(float, config["real_label"])), g_loss=g_loss)


def least_squares(config: Mapping[str, Value]) -> Losses:
    """Mao et al. 2016, equation 9 (a = 0, b = c = 1): the network's output itself is drawn to 0 or 1."""

    # D:  1/2 (C(x) - 1)^2 + 1/2 C(G(z))^2
    def d_loss(real: Tensor, fake: Tensor) -> Tensor:
        return 0.5 * (real.float() - 1).square() + 0.5 * fake.float().square()

    # G:  1/2 (C(G(z)) - 1)^2
    def g_loss(fake: Tensor, real: Tensor | None = None) -> Tensor:
        return 0.5 * (fake.float() - 1).square()

    return Losses(d_loss=d_loss, g_loss=g_loss)


def hinge(config: Mapping[str, Value]) -> Losses:
    """Lim & Ye 2017, section 3; Miyato et al. 2018, equations 16 and 17."""

    # D:  max(0, 1 - C(x)) + max(0, 1 + C(G(z)))
    def d_loss(real: Tensor, fake: Tensor) -> Tensor:
        return F.relu(1 - real.float()) + F.relu(1 + fake.float())

    return Losses(d_loss=d_loss, g_loss=_minus_critic)


def wasserstein(config: Mapping[str, Value]) -> Losses:
    """Arjovsky et al. 2017, algorithm 1. Setting `clip`: the bound on the critic's parameters."""
    return Losses(d_loss=_critic_difference, g_loss=_minus_critic, weight_clip=cast(float, config["clip"]))


def wgan_gp(config: Mapping[str, Value]) -> Losses:
    """Gulrajani et al. 2017, algorithm 1. Settings `gp_weight` (lambda) and `gp_target` (k, 1 in the paper)."""
    weight, target = cast(float, config["gp_weight"]), cast(float, config["gp_target"])

    def penalty(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor) -> Tensor:
        return weight * gradient_penalty(critic, real, fake, target=target)

    return Losses(d_loss=_critic_difference, g_loss=_minus_critic, penalty=penalty)


def gradient_penalty(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, *, target: float = 1.0) -> Tensor:
    """Squared distance of the critic's gradient norm to `target`, between real and generated images, unweighted.

    `critic` maps images to logits `[N]`, each from its own image alone (no batch norm); `real` and `fake` are
    `[N, ...]` of any floating dtype, and are detached. Returns float32 `[N]`, differentiable in the critic's parameters
    (double backward). Draws one random number per sample from the global generator of the images' device. Gulrajani
    et al. 2017, equation 3.
    """
    # In float32 even where the caller is under autocast: squared gradients underflow and overflow in half precision.
    with torch.autocast(device_type=real.device.type, enabled=False):
        real, fake = real.detach().float(), fake.detach().float()
        # x^ = e x + (1 - e) G(z),  e ~ U[0, 1] per sample
        mix = torch.rand([real.shape[0]] + [1] * (real.ndim - 1), device=real.device)
        x = torch.lerp(fake, real, mix).requires_grad_()
        # Summing gives each sample's own gradient, because no logit depends on another sample's image.
        (gradient,) = torch.autograd.grad(critic(x).float().sum(), x, create_graph=True)
        # (||grad C(x^)||_2 - k)^2
        norm = (gradient.square().flatten(1).sum(1) + NORM_EPS).sqrt()
        return (norm - target).square()


def _cross_entropy(real_label: float) -> Callable[[Tensor, Tensor], Tensor]:
    # D:  -a log D(x) - (1 - a) log(1 - D(x)) - log(1 - D(G(z))),  a = real_label;  -log sigmoid(t) = softplus(-t).
    # Only real labels are smoothed: Salimans et al. 2016, section 3.4.
    def d_loss(real: Tensor, fake: Tensor) -> Tensor:
        real, fake = real.float(), fake.float()
        return real_label * F.softplus(-real) + (1 - real_label) * F.softplus(real) + F.softplus(fake)

    return d_loss


def _critic_difference(real: Tensor, fake: Tensor) -> Tensor:
    # D:  C(G(z)) - C(x)
    return fake.float() - real.float()


def _minus_critic(fake: Tensor, real: Tensor | None = None) -> Tensor:
    # G:  -C(G(z))
    return -fake.float()
