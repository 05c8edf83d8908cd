"""What a variant gives the engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from ganzoo.specs import Value


@dataclass(frozen=True, kw_only=True)
class VariantConfig:
    """What a variant's target is called with: its settings, and what the objective asks of the critic."""

    settings: Mapping[str, Value]
    per_sample_critic: bool  # True: D must treat samples independently (gradient penalties): no batch norm in D

    def __getitem__(self, name: str) -> Value:
        return self.settings[name]


@dataclass(frozen=True, kw_only=True)
class GAN:
    """A generator and a discriminator (a critic, for Wasserstein objectives).

    `generator(z, labels)`: z float32 `[N, z_dim]` ~ N(0, I), labels int64 `[N]` or None -> `[N,C,H,W]` in [-1, 1].
    `discriminator(x, labels)`: x `[N,C,H,W]` in [-1, 1], labels int64 `[N]` or None -> logits `[N]`, without a sigmoid.
    """

    generator: nn.Module
    discriminator: nn.Module
    z_dim: int
    batch_dependent: bool = False  # True: D looks at the whole batch; it judges real and generated images separately
