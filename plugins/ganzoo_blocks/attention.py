"""Self-attention over the places of a map (Zhang et al. 2018, arXiv:1805.08318, section 3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganzoo_blocks.norms import Wrap, spectral_norm


class SelfAttention(nn.Module):
    """x `[N,C,H,W]` -> `[N,C,H,W]`: each place adds what it gathers from all others, at first nothing (gamma is 0).

    Queries and keys have C/8 channels and values C/2; keys and values are pooled to half the height and width, which
    the paper's own code does. Height and width are even, or the last row and column are no keys.
    """

    def __init__(self, channels: int, wrap: Wrap = spectral_norm) -> None:
        super().__init__()
        narrow, half = max(channels // 8, 1), max(channels // 2, 1)
        self.query = wrap(nn.Conv2d(channels, narrow, 1, bias=False))
        self.key = wrap(nn.Conv2d(channels, narrow, 1, bias=False))
        self.value = wrap(nn.Conv2d(channels, half, 1, bias=False))
        self.out = wrap(nn.Conv2d(half, channels, 1, bias=False))
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        query = self.query(x).flatten(2)  # [N, C/8, HW]
        key = F.max_pool2d(self.key(x), 2).flatten(2)  # [N, C/8, HW/4]
        value = F.max_pool2d(self.value(x), 2).flatten(2)  # [N, C/2, HW/4]
        weights = torch.softmax(query.transpose(1, 2) @ key, dim=-1)  # [N, HW, HW/4], equation 1
        gathered = (value @ weights.transpose(1, 2)).unflatten(2, x.shape[2:])  # [N, C/2, H, W]
        return torch.addcmul(x, self.gamma, self.out(gathered))  # equation 3
