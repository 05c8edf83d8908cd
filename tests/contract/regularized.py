"""Networks and terms for the tests of regularizers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from fake_batch import FakeBatch
from torch import Tensor, nn
from torch.nn import functional as F

from ganzoo import Regularizer, Term
from ganzoo.zoo.specs import Value
from ganzoo_regularizers import register_regularizers

SPECS: dict[str, Regularizer] = {spec.name: spec for spec in register_regularizers()}


def terms_of(name: str, **settings: Value) -> Sequence[Term]:
    """With the spec's own defaults; weights are the terms', without the setting `weight`."""
    config: dict[str, Value] = {s.name: s.default for s in SPECS[name].settings} | settings
    terms = SPECS[name].load()(config)
    return (terms,) if isinstance(terms, Term) else terms


def term_of(name: str, **settings: Value) -> Term:
    (term,) = terms_of(name, **settings)
    return term


class D(nn.Module):
    """Logits and features, each image's its own."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale
        self.hidden = nn.Linear(16, 6)
        self.logit = nn.Linear(6, 1)

    def forward(self, x: Tensor, labels: Tensor | None) -> dict[str, Tensor]:
        features = torch.tanh(self.hidden(x.flatten(1)))
        return {"logits": self.scale * self.logit(features).flatten(), "features": features}


class G(nn.Module):
    """z `[N, 3]` by way of w `[N, 5]` to images `[N,1,4,4]`."""

    def __init__(self) -> None:
        super().__init__()
        self.map, self.draw = nn.Linear(3, 5), nn.Linear(5, 16)

    def forward(self, z: Tensor, labels: Tensor | None) -> dict[str, Tensor]:
        w = torch.tanh(self.map(z))
        return {"images": torch.tanh(self.draw(w)).unflatten(1, (1, 4, 4)), "w": w}


def jitter(images: Tensor) -> Tensor:
    """Each image lighter or darker by its own amount."""
    return images + 0.1 * torch.randn(len(images), 1, 1, 1)


def batch_for(phase: str, *, scale: float = 1.0, images: int = 6, seed: int = 0, **changes: Any) -> FakeBatch:
    """Two small networks, an augmentation and a non-saturating loss, half-way through the run."""
    torch.manual_seed(seed)
    losses: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "D": lambda real, fake: F.softplus(-real) + F.softplus(fake),
        "G": lambda real, fake: F.softplus(-fake),
    }
    options: dict[str, Any] = {
        "discriminator": D(scale), "generator": G(), "z": torch.randn(images, 3), "augmentation": jitter,
        "adversarial": losses[phase], "progress": 0.5,
    }  # fmt: skip
    return FakeBatch(real=torch.rand(images, 1, 4, 4) * 2 - 1, phase=phase, **(options | changes))
