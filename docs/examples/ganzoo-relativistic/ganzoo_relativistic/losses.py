"""The relativistic average objective with hinges, RaHingeGAN (Jolicoeur-Martineau 2018, arXiv:1807.00734)."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from torch.nn import functional as F

from ganzoo.objectives import Losses
from ganzoo.zoo.specs import Value


def relativistic_hinge(config: Mapping[str, Value]) -> Losses:
    """Logits `[N]` are compared with the mean of the other kind, so the batch is the comparison group."""

    # D:  max(0, 1 - (C(x) - E C(G(z)))) + max(0, 1 + C(G(z)) - E C(x))
    def d_loss(real: Tensor, fake: Tensor) -> Tensor:
        return F.relu(1 + fake.mean() - real) + F.relu(1 + fake - real.mean())

    # G: the same with the roles exchanged, so it learns from real images too
    def g_loss(fake: Tensor, real: Tensor | None) -> Tensor:
        assert real is not None  # g_uses_real
        return d_loss(fake, real)

    return Losses(d_loss=d_loss, g_loss=g_loss, g_uses_real=True)
