"""Normalisation: batch norm that a class moves, spectral norm where it is wanted."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from ganzoo_blocks.shapes import given

Norm = Callable[[int], nn.Module]
"""Channels -> a module of (x `[N,C,H,W]`, condition) -> `[N,C,H,W]`."""

Wrap = Callable[[nn.Module], nn.Module]
"""What is done to each layer with weights: `spectral_norm`, or `plain`."""


def spectral_norm(layer: nn.Module) -> nn.Module:
    """Divide the layer's weights by their largest singular value, by one power iteration per call in training (Miyato
    et al. 2018, arXiv:1802.05957, algorithm 1). Its estimate is in buffers, so it is saved and continued.
    """
    return parametrizations.spectral_norm(layer)


def plain(layer: nn.Module) -> nn.Module:
    return layer


class BatchNorm(nn.BatchNorm2d):
    """Batch norm that looks at no condition: x `[N,C,H,W]` -> `[N,C,H,W]`."""

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return super().forward(x)


class ClassBatchNorm(nn.Module):
    """Batch norm whose gain and bias are the class's: x `[N,C,H,W]`, labels int64 `[N]` -> `[N,C,H,W]` (Dumoulin et al.
    2017, arXiv:1610.07629; in GANs Miyato & Koyama 2018, arXiv:1802.05637).
    """

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.gain = nn.Embedding(num_classes, channels)
        self.bias = nn.Embedding(num_classes, channels)
        nn.init.ones_(self.gain.weight)
        nn.init.zeros_(self.bias.weight)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        labels = given(condition)
        return modulate(self.norm(x), self.gain(labels), self.bias(labels))


class VectorBatchNorm(nn.Module):
    """Batch norm whose gain and bias are linear in a vector: x `[N,C,H,W]`, vector `[N, dim]` -> `[N,C,H,W]` (Brock et
    al. 2018, arXiv:1809.11096, appendix B). `wrap` is done to both linear maps.
    """

    def __init__(self, channels: int, dim: int, wrap: Wrap = plain) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.gain = wrap(nn.Linear(dim, channels, bias=False))
        self.bias = wrap(nn.Linear(dim, channels, bias=False))

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        if condition is None:
            raise ValueError("a conditional batch norm was called without its condition")
        return modulate(self.norm(x), 1 + self.gain(condition), self.bias(condition))


def modulate(x: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
    """x `[N,C,H,W]`, gain and bias `[N,C]` -> x * gain + bias, in the dtype of x."""
    return torch.addcmul(bias[:, :, None, None].to(x.dtype), x, gain[:, :, None, None].to(x.dtype))
