"""Discriminators that say more of an image than whether it is real, and what they pay for it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganzoo import Batch
from ganzoo_blocks.norms import Wrap, spectral_norm
from ganzoo_blocks.resnet import Body, Width, linear
from ganzoo_blocks.shapes import Shape, given


class Headed(nn.Module):
    """x `[N,C,H,W]` -> "logits" `[N]`, "features" `[N, F]`, and what each of `heads` makes of the features. It is not
    told the class.

    A head maps features `[N, F]` to a tensor, which goes by the head's name, or to tensors by name.
    """

    def __init__(self, body: Body, heads: Mapping[str, nn.Module], wrap: Wrap = spectral_norm) -> None:
        super().__init__()
        self.body = body
        self.logit = linear(body.width, 1, wrap)
        self.heads = nn.ModuleDict(heads)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        features = self.body(x)
        said = {"logits": self.logit(features).flatten(), "features": features}
        for name, head in self.heads.items():
            found = head(features)
            said |= {name: found} if isinstance(found, Tensor) else found
        return said


class Sphere(nn.Module):
    """A head: features `[N, F]` -> "embedding" `[N, dim]`, of length 1, and "classes" `[N, num_classes]`, its cosines
    with a vector that is learned for each class, its proxy.
    """

    def __init__(self, features: int, num_classes: int, dim: int, wrap: Wrap = spectral_norm) -> None:
        super().__init__()
        self.embed = linear(features, dim, wrap)
        self.proxies = nn.Parameter(torch.randn(num_classes, dim) / dim**0.5)  # of length 1, which alone does not count

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        embedding = F.normalize(self.embed(features), dim=1)
        return {"embedding": embedding, "classes": embedding @ F.normalize(self.proxies, dim=1).T.to(embedding.dtype)}


def headed(width: Width, shape: Shape, **outputs: int) -> Headed:
    """SNGAN's residual discriminator with linear heads: `classes=10` is one of ten outputs."""
    body = Body(width, shape)
    return Headed(body, {name: linear(body.width, size) for name, size in outputs.items()})


def wrong(batch: Batch, said: Mapping[str, Tensor], head: str = "classes") -> Tensor:
    """-log P(C = c | x), float32 `[N]`, of the batch's labels by the softmax of what `head` said."""
    return F.cross_entropy(said[head].float(), given(batch.labels), reduction="none")


def tell_accuracy(batch: Batch, said: Mapping[str, Tensor]) -> None:
    """Have the share of images in stats.jsonl whose class D names rightly, as `class_accuracy`."""
    batch.tell("class_accuracy", (said["classes"].argmax(1) == given(batch.labels)).float())
