"""Layers of StyleGAN2 (Karras et al. 2019, arXiv:1912.04958): equalised ones, modulated convolutions, resampling.

A layer's activation is LeakyReLU(0.2) times sqrt(2), which keeps the variance. It is positively homogeneous, so the
factor is put into what goes into it, at no cost.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

GAIN = math.sqrt(2)
EPS = 1e-8


class Resample(nn.Module):
    """The filter of [1, 3, 3, 1] along both axes, on each channel: low-pass between two sizes (section 3).

    `up`: zeros are put between pixels, so each is weighted 4 times. Behind or before a convolution, which resamples,
    `blur` filters alone.
    """

    kernel: Tensor  # float32 [1,1,4,4], sum 1

    def __init__(self) -> None:
        super().__init__()
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
        self.register_buffer("kernel", torch.outer(taps, taps)[None, None], persistent=False)

    def up(self, x: Tensor) -> Tensor:
        """`[N,C,H,W]` -> `[N,C,2H,2W]`."""
        return F.conv_transpose2d(x, self._of(x) * 4, stride=2, padding=1, groups=x.shape[1])

    def down(self, x: Tensor) -> Tensor:
        """`[N,C,H,W]` -> `[N,C,H/2,W/2]`."""
        return F.conv2d(x, self._of(x), stride=2, padding=1, groups=x.shape[1])

    def blur(self, x: Tensor, padding: int, gain: float = 1.0) -> Tensor:
        """`[N,C,H,W]` -> `[N,C,H',W']`, H' = H + 2 padding - 3."""
        return F.conv2d(x, self._of(x) * gain, padding=padding, groups=x.shape[1])

    def _of(self, x: Tensor) -> Tensor:
        return self.kernel.to(x.dtype).expand(x.shape[1], 1, 4, 4)


class Linear(nn.Module):
    """x `[N, before]` -> `[N, after]`, with equalised learning rate (Karras et al. 2018, arXiv:1710.10196, section
    4.1): weights are N(0, 1) and scaled when they are used.

    `rate` divides the first weights and multiplies weights and bias in use: the layer learns so much more slowly.
    """

    def __init__(self, before: int, after: int, *, bias: float = 0.0, rate: float = 1.0, active: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(after, before) / rate)
        self.bias = nn.Parameter(torch.full((after,), bias / rate))
        gain = GAIN if active else 1.0
        self.active, self.scale, self.shift = active, gain * rate / math.sqrt(before), gain * rate

    def forward(self, x: Tensor) -> Tensor:
        y = F.linear(x, self.weight * self.scale, self.bias * self.shift)
        return F.leaky_relu(y, 0.2) if self.active else y


class Conv(nn.Module):
    """x `[N,before,H,W]` -> `[N,after,H,W]`, or half the size with `down`: filtered, then of stride 2. Equalised."""

    def __init__(
        self, before: int, after: int, kernel: int, *, down: bool = False, active: bool = True, bias: bool = True
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(after, before, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(after)) if bias else None
        self.active, self.gain = active, GAIN if active else 1.0
        self.scale = self.gain / math.sqrt(before * kernel * kernel)
        self.padding = kernel // 2
        self.resample = Resample() if down else None

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight * self.scale
        bias = None if self.bias is None else self.bias * self.gain
        if self.resample is None:
            y = F.conv2d(x, weight, bias, padding=self.padding)
        elif self.padding:
            y = F.conv2d(self.resample.blur(x, padding=2), weight, bias, stride=2)
        else:  # a 1x1 convolution sees only the pixels that are kept
            y = F.conv2d(self.resample.down(x), weight, bias)
        return F.leaky_relu(y, 0.2) if self.active else y


class ModulatedConv(nn.Module):
    """x `[N,before,H,W]`, w `[N, w_dim]` -> `[N,after,H,W]`, or twice the size with `up`: section 2.2, figure 2d.

    Weights w_ijk are scaled by the style s_i and divided by their norm over i and k: equations 1 and 3. As both are
    factors of an input or output channel, maps are scaled in place of weights (s_i before the convolution, the norm
    behind it), so that one convolution serves all images; on a CPU that takes 0.4 to 0.8 of the time of one with a
    group per image. Noise and bias are added to the normalised map. In eval mode the noise is always the same.

    Args:
        side: of the map that it returns, in pixels.
    """

    noise: Tensor  # float32 [side, side]

    def __init__(self, before: int, after: int, w_dim: int, side: int, *, up: bool = False) -> None:
        super().__init__()
        self.style = Linear(w_dim, before, bias=1.0)
        self.weight = nn.Parameter(torch.randn((before, after, 3, 3) if up else (after, before, 3, 3)))
        self.bias = nn.Parameter(torch.zeros(after))
        self.strength = nn.Parameter(torch.zeros(()))
        self.register_buffer("noise", torch.randn(side, side))
        self.scale = 1 / math.sqrt(before * 9)
        self.resample = Resample() if up else None

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        style, weight = self.style(w).float(), self.weight * self.scale
        squares = weight.square().sum((2, 3))  # [after, before], or transposed
        squares = squares if self.resample is not None else squares.T
        # In float32, as sums of squares overflow in half precision.
        with torch.autocast(device_type=x.device.type, enabled=False):
            norm = (style.square() @ squares.float() + EPS).rsqrt() * GAIN  # [N, after]
        x = x * style[:, :, None, None].to(x.dtype)
        if self.resample is None:
            y = F.conv2d(x, weight, padding=1)
        else:
            y = self.resample.blur(F.conv_transpose2d(x, weight, stride=2), padding=1, gain=4)
        size = (len(x), 1, *self.noise.shape)
        noise = torch.randn(size, device=x.device) if self.training else self.noise[None, None]
        y = torch.addcmul(self.bias[:, None, None].to(y.dtype) * GAIN, y, norm[:, :, None, None].to(y.dtype))
        return F.leaky_relu(y + (noise * (self.strength * GAIN)).to(y.dtype), 0.2)


class ToImage(nn.Module):
    """x `[N,C,H,W]`, w `[N, w_dim]` -> `[N,colors,H,W]`: a modulated 1x1 convolution, not normalised."""

    def __init__(self, channels: int, colors: int, w_dim: int) -> None:
        super().__init__()
        self.style = Linear(w_dim, channels, bias=1.0)
        self.weight = nn.Parameter(torch.randn(colors, channels))
        self.bias = nn.Parameter(torch.zeros(colors))
        self.scale = 1 / math.sqrt(channels)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        weight = self.weight * (self.style(w)[:, None] * self.scale)  # [N, colors, C]
        image = torch.bmm(weight.to(x.dtype), x.flatten(2)).unflatten(2, x.shape[2:])
        return image + self.bias[:, None, None].to(image.dtype)


def normalised(x: Tensor) -> Tensor:
    """Rows `[N, dim]` of mean square 1."""
    return x * (x.square().mean(1, keepdim=True) + EPS).rsqrt()


def deviation(x: Tensor, group: int) -> Tensor:
    """Minibatch standard deviation (Karras et al. 2018, arXiv:1710.10196, section 3): x `[N,C,H,W]` -> `[N,C+1,H,W]`.

    Standard deviations of each feature and place over `group` images, or as many as divide N, whose mean is one more
    map of each image of the group.
    """
    size = next(count for count in range(min(group, len(x)), 0, -1) if len(x) % count == 0)
    groups = x.float().unflatten(0, (-1, size))  # [N / size, size, C, H, W]: neighbours are a group
    spread = (groups.var(1, correction=0) + EPS).sqrt().mean((1, 2, 3))  # [N / size]
    one_map = spread.repeat_interleave(size)[:, None, None, None].expand(-1, 1, *x.shape[2:])
    return torch.cat([x, one_map.to(x.dtype)], 1)
