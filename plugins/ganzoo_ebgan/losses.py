"""EBGAN's objective and its pulling-away term (Zhao et al. 2016, arXiv:1609.03126)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from ganzoo import Batch, Losses, Term, Value


def ebgan(config: Mapping[str, Value]) -> Losses:
    """Equations 1 and 2, for a D whose logit is minus an energy E >= 0. Setting `margin` (m)."""
    margin = cast(float, config["margin"])

    # D:  E(x) + max(0, m - E(G(z))),  E = -C
    def d_loss(real: Tensor, fake: Tensor) -> Tensor:
        return -real.float() + F.relu(margin + fake.float())

    # G:  E(G(z))
    def g_loss(fake: Tensor, real: Tensor | None = None) -> Tensor:
        return -fake.float()

    # No sign of a logit means anything: only which energy is the larger.
    return Losses(d_loss=d_loss, g_loss=g_loss, paired=True, symmetric=False)


def pulling_away(weight: float) -> Term:
    """The term of G that draws the codes of a batch's images apart, float32 `[]`: reads "features" `[N, ...]`."""
    return Term(name="pulling-away", phase="G", loss=lambda batch: similarity(codes_of(batch)), weight=weight)


def codes_of(batch: Batch) -> Tensor:
    return batch.of_fake["features"]


def similarity(codes: Tensor) -> Tensor:
    """Codes `[N, ...]` -> the mean squared cosine of all pairs of two, float32 `[]` in [0, 1]; 0 for N = 1.

    Equation 4: 1 / (N (N - 1)) sum_i sum_{j != i} (S_i . S_j / (|S_i| |S_j|))^2.
    """
    codes = F.normalize(codes.float().flatten(1), dim=1)
    count = len(codes)
    with torch.autocast(device_type=codes.device.type, enabled=False):
        squares = (codes @ codes.T).square()  # [N, N]
    # Not by subtracting N from the sum, whose diagonal is 1 to rounding and has a gradient of its own.
    apart = squares.masked_fill(torch.eye(count, dtype=torch.bool, device=codes.device), 0.0)
    return apart.sum() / max(count * (count - 1), 1)
