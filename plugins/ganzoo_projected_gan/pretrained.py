"""EfficientNet-Lite0 as a fixed function of images, differentiable by them: maps of four scales."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganzoo.features.efficientnet import MEAN, SCALE, efficientnet_lite0

WIDTHS = (24, 40, 112, 320)
"""Of the maps, from the finest, at a quarter of the image's side, to the coarsest, at a 32nd."""

ENDS = (3, 5, 11, 16)
"""Of the network's 16 blocks, how many make each map: those before the next halving, as far as there is one."""


class Pretrained(nn.Module):
    """x `[N,3,R,R]` in [-1, 1] -> four maps `[N,WIDTHS[l],R/4,R/4]` to `[N,WIDTHS[l],R/32,R/32]`, sides rounded up.

    It has no parameters, so nothing trains it, whatever is done to a network that has it; and it is the same in train
    and eval mode. Its weights are buffers that are not saved: they are those of a file whose SHA-256 is checked.

    Raises:
        UserError: the optional packages are missing, or their weights are others.
    """

    def __init__(self) -> None:
        super().__init__()
        network = efficientnet_lite0("cpu").network
        self.stem = Frozen(network._conv_stem, network._bn0, active=True)
        self.blocks = nn.ModuleList(Block(block) for block in network._blocks)

    def forward(self, x: Tensor) -> list[Tensor]:
        # Pixels of 0 to 255, normalised as this network was trained
        x = self.stem((x * 127.5 + (127.5 - MEAN)) / SCALE)
        maps = []
        for number, block in enumerate(self.blocks, 1):
            x = block(x)
            if number in ENDS:
                maps.append(x)
        return maps


class Block(nn.Module):
    """x `[N,before,H,W]` -> `[N,after,H',W']`: a 1x1 convolution that widens, but for the first block, one per channel
    and a 1x1 that narrows; and x beside them where the shape stays.
    """

    def __init__(self, block: Any) -> None:
        super().__init__()
        widens = hasattr(block, "_expand_conv")  # torch's modules answer for their layers
        layers = [Frozen(block._expand_conv, block._bn0, active=True)] if widens else []
        layers += [
            Frozen(block._depthwise_conv, block._bn1, active=True),
            Frozen(block._project_conv, block._bn2, active=False),
        ]
        self.layers = nn.Sequential(*layers)
        before, after = layers[0].weight.shape[1], layers[-1].weight.shape[0]
        self.beside = widens and layers[-2].stride == 1 and before == after

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return x + y if self.beside else y


class Frozen(nn.Module):
    """x `[N,before,H,W]` -> `[N,after,H/stride,W/stride]`, sides rounded up: a convolution and the batch norm behind
    it, in eval mode, as one convolution; with `active`, ReLU6.
    """

    weight: Tensor
    bias: Tensor

    @torch.no_grad()
    def __init__(self, convolution: nn.Conv2d, norm: nn.BatchNorm2d, *, active: bool) -> None:
        super().__init__()
        assert norm.running_var is not None
        assert norm.running_mean is not None
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        self.register_buffer("weight", convolution.weight * scale[:, None, None, None], persistent=False)
        self.register_buffer("bias", norm.bias - norm.running_mean * scale, persistent=False)
        self.stride, self.groups, self.active = convolution.stride[0], convolution.groups, active

    def forward(self, x: Tensor) -> Tensor:
        # TensorFlow's "same": as many places as the stride asks for, and the odd zero goes behind.
        missing = [self._missing(side) for side in x.shape[2:]]
        before = [zeros // 2 for zeros in missing]
        if any(zeros % 2 for zeros in missing):
            behind = [zeros - first for zeros, first in zip(missing, before, strict=True)]
            x, before = F.pad(x, (before[1], behind[1], before[0], behind[0])), [0, 0]
        y = F.conv2d(x, self.weight, self.bias, stride=self.stride, padding=before, groups=self.groups)
        return F.relu6(y) if self.active else y

    def _missing(self, side: int) -> int:
        places = -(-side // self.stride)
        return max((places - 1) * self.stride + self.weight.shape[2] - side, 0)
