"""The losses: what discriminator and generator minimise, per sample, on logits.

Every loss here works in float32 whatever the precision of the logits, stays finite for logits of any size a network
produces and never waits for the device; none but `relativistic_average` mixes samples. In the equations x is real, z is
noise, D(x) a probability, C(x) = logit D(x) the network's output (the critic), and every expression is to be minimised.
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
    # True: only differences of logits mean something, so d_accuracy is the share of pairs in which the real image has
    # the larger logit, not that of logits of the right sign. Implied by `g_uses_real`.
    paired: bool = False
    # False: real and generated images are not treated alike but for the sign of their logits.
    symmetric: bool = True
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

    return Losses(d_loss=d_loss, g_loss=g_loss, symmetric=False)


def hinge(config: Mapping[str, Value]) -> Losses:
    """Lim & Ye 2017, section 3; Miyato et al. 2018, equations 16 and 17."""

    # D:  max(0, 1 - C(x)) + max(0, 1 + C(G(z)))
    def d_loss(real: Tensor, fake: Tensor) -> Tensor:
        return F.relu(1 - real.float()) + F.relu(1 + fake.float())

    return Losses(d_loss=d_loss, g_loss=_minus_critic)


def wasserstein(config: Mapping[str, Value]) -> Losses:
    """Arjovsky et al. 2017, algorithm 1. Setting `clip`: the bound on the critic's parameters, None for none."""
    return Losses(d_loss=_critic_difference, g_loss=_minus_critic, weight_clip=cast(float | None, config["clip"]))


def wgan_gp(config: Mapping[str, Value]) -> Losses:
    """Gulrajani et al. 2017, algorithm 1. Settings `gp_weight` (lambda) and `gp_target` (k, 1 in the paper)."""
    weight, target = cast(float, config["gp_weight"]), cast(float, config["gp_target"])

    def penalty(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor) -> Tensor:
        return weight * gradient_penalty(critic, real, fake, target=target)

    return Losses(d_loss=_critic_difference, g_loss=_minus_critic, penalty=penalty)


def relativistic_average(config: Mapping[str, Value]) -> Losses:
    """Jolicoeur-Martineau 2018, section 4, the relativistic average standard GAN (RaSGAN), in which G is given D's
    task with real and generated images exchanged: it does not saturate. The one objective here whose losses depend on
    the whole batch, through the mean of the other side's logits.
    """

    # D:  -log D~(x) - log(1 - D~(G(z))),  D~(x) = sigmoid(C(x) - E C(G(z))),  D~(G(z)) = sigmoid(C(G(z)) - E C(x))
    def d_loss(real: Tensor, fake: Tensor) -> Tensor:
        real, fake = real.float(), fake.float()
        return F.softplus(fake.mean() - real) + F.softplus(fake - real.mean())

    # G:  -log D~(G(z)) - log(1 - D~(x))
    def g_loss(fake: Tensor, real: Tensor | None = None) -> Tensor:
        return d_loss(fake, _given(real))

    return Losses(d_loss=d_loss, g_loss=g_loss, g_uses_real=True)


def relativistic_pairing(config: Mapping[str, Value]) -> Losses:
    """Each generated image is compared with one real image: Jolicoeur-Martineau 2018, section 4 (RSGAN), called
    RpGAN in Huang et al. 2025, section 2, with f(t) = -softplus(-t). The latter adds the regularizers r1 and r2.
    """

    # D:  -log sigmoid(C(x) - C(G(z))) = softplus(C(G(z)) - C(x))
    def d_loss(real: Tensor, fake: Tensor) -> Tensor:
        return F.softplus(fake.float() - real.float())

    # G:  -log sigmoid(C(G(z)) - C(x))
    def g_loss(fake: Tensor, real: Tensor | None = None) -> Tensor:
        return d_loss(fake, _given(real))

    return Losses(d_loss=d_loss, g_loss=g_loss, g_uses_real=True)


class Balance(nn.Module):
    """BEGAN's k, the weight of generated images in D's loss: a buffer, float32 `[]` in [0, 1], 0 at first."""

    k: Tensor

    def __init__(self, gamma: float, speed: float) -> None:
        super().__init__()
        self.gamma, self.speed = gamma, speed
        self.register_buffer("k", torch.zeros(()))

    @torch.no_grad()
    def move(self, real: Tensor, fake: Tensor) -> None:
        """`real`, `fake`: the energies L of a batch, float32 `[N]`."""
        # k <- k + lambda (gamma L(x) - L(G(z))), kept in [0, 1]
        self.k.add_(self.gamma * real.mean() - fake.mean(), alpha=self.speed).clamp_(0, 1)


def began(config: Mapping[str, Value]) -> Losses:
    """Berthelot et al. 2017, section 3.4, for a D whose logit is minus an energy L >= 0, its reconstruction's error.

    Settings `gamma`, the diversity ratio E L(G(z)) / E L(x) that k keeps, and `speed` (lambda_k). k is moved after
    each loss of D, by that loss's own batch.
    """
    balance = Balance(cast(float, config["gamma"]), cast(float, config["speed"]))

    # D:  L(x) - k L(G(z)),  L = -C
    def d_loss(real: Tensor, fake: Tensor) -> Tensor:
        real, fake = -real.float(), -fake.float()
        # A copy, since the gradient still needs it when k has been moved.
        loss = real - balance.k.clone() * fake
        balance.move(real, fake)
        return loss

    # G:  L(G(z)) = -C(G(z))
    return Losses(d_loss=d_loss, g_loss=_minus_critic, memory=balance, paired=True)


def gradient_penalty(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, *, target: float = 1.0) -> Tensor:
    """Squared distance of the critic's gradient norm to `target`, between real and generated images, unweighted.

    `critic` maps images to logits `[N]`, each from its own image alone (no batch norm); `real` and `fake` are
    `[N, ...]` of any floating dtype, and are detached. Returns float32 `[N]`, differentiable in the critic's parameters
    (double backward). Draws one random number per sample from the global generator of the images' device. Gulrajani
    et al. 2017, equation 3.
    """
    with torch.autocast(device_type=real.device.type, enabled=False):
        # (||grad C(x^)||_2 - k)^2
        return (gradient_norm(critic, between(real, fake)) - target).square()


def between(real: Tensor, fake: Tensor) -> Tensor:
    """Images on the lines between real and generated ones, `[N, ...]` each -> float32, detached, with one random number
    per sample from the global generator of the images' device. Gulrajani et al. 2017, algorithm 1, line 6.
    """
    with torch.autocast(device_type=real.device.type, enabled=False):
        real, fake = real.detach().float(), fake.detach().float()
        # x^ = e x + (1 - e) G(z),  e ~ U[0, 1] per sample
        mix = torch.rand([real.shape[0]] + [1] * (real.ndim - 1), device=real.device)
        return torch.lerp(fake, real, mix)


def gradient_norm(critic: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """||grad C(x)||_2 at each of `images` `[N, ...]` -> float32 `[N]`; conditions as for `gradient_penalty`."""
    return (squared_gradient(critic, images) + NORM_EPS).sqrt()


def squared_gradient(critic: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """||grad C(x)||_2^2 at each of `images` `[N, ...]` -> float32 `[N]`; conditions as for `gradient_penalty`."""
    # In float32 even where the caller is under autocast: squared gradients underflow and overflow in half precision.
    with torch.autocast(device_type=images.device.type, enabled=False):
        x = images.detach().float().requires_grad_()
        # Summing gives each sample's own gradient, because no logit depends on another sample's image.
        (gradient,) = torch.autograd.grad(critic(x).float().sum(), x, create_graph=True)
        return gradient.square().flatten(1).sum(1)


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


def _given(real: Tensor | None) -> Tensor:
    """
    Raises:
        ValueError: G's loss was called without the logits of real images, though it `g_uses_real`.
    """
    if real is None:
        raise ValueError("a relativistic loss of G needs the logits of real images")
    return real
