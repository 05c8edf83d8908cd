"""Residual blocks of Miyato et al. 2018 (arXiv:1802.05957, appendix B, figure 8), as BigGAN and others use them."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from ganzoo_blocks.norms import BatchNorm, Norm, Wrap, plain


class UpBlock(nn.Module):
    """Of a generator: x `[N,before,H,W]`, what the norms are conditioned on -> `[N,after,2H,2W]`.

    Norm, ReLU, upsampling by repetition, convolution, norm, ReLU, convolution; beside it upsampling and, always, a 1x1
    convolution. With `up=False` the size stays.
    """

    def __init__(self, before: int, after: int, *, norm: Norm = BatchNorm, wrap: Wrap = plain, up: bool = True) -> None:
        super().__init__()
        self.up = up
        self.norm1, self.norm2 = norm(before), norm(after)
        self.conv1 = wrap(convolution(before, after, 3))
        self.conv2 = wrap(convolution(after, after, 3))
        self.skip = wrap(convolution(before, after, 1))

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        y = F.relu(self.norm1(x, condition))
        y = self.conv1(F.interpolate(y, scale_factor=2) if self.up else y)
        y = self.conv2(F.relu(self.norm2(y, condition)))
        x = self.skip(x)  # the same as after the upsampling, at a quarter of the work
        return y + (F.interpolate(x, scale_factor=2) if self.up else x)


class DownBlock(nn.Module):
    """Of a discriminator: x `[N,before,H,W]` -> `[N,after,H/2,W/2]`.

    ReLU, convolution, ReLU, convolution, mean over 2x2; beside it a 1x1 convolution and the mean. No norm but what
    `wrap` does to the weights. `first=True` takes images: no ReLU before the first convolution. With `down=False` the
    size stays, and where the width does as well, nothing is beside it but x itself.
    """

    def __init__(self, before: int, after: int, *, wrap: Wrap, down: bool = True, first: bool = False) -> None:
        super().__init__()
        self.down, self.first = down, first
        self.conv1 = wrap(convolution(before, after, 3))
        self.conv2 = wrap(convolution(after, after, 3))
        self.skip = wrap(convolution(before, after, 1)) if down or before != after else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(F.relu(self.conv1(x if self.first else F.relu(x))))
        if not self.down:
            return y + self.skip(x)
        # Means and 1x1 convolutions commute: the convolution is cheaper behind the mean.
        return F.avg_pool2d(y, 2) + self.skip(F.avg_pool2d(x, 2))


def convolution(before: int, after: int, kernel: int) -> nn.Conv2d:
    """Of stride 1 that keeps the size, with Glorot's uniform weights: gain sqrt(2) in the 3x3 ones, 1 beside them."""
    layer = nn.Conv2d(before, after, kernel, padding=kernel // 2)
    nn.init.xavier_uniform_(layer.weight, 2**0.5 if kernel > 1 else 1.0)
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer
