"""Convolutions of small images in bf16, on processors that multiply tiles of it (Intel's AMX).

There a matrix product in bf16 is five times as fast as one in fp32, and oneDNN's convolutions of small images make
little of that: docs/performance.md. So here each output's window of the image is a row of a matrix, laid out channels
last, so that each row of pixels of it lies in one piece; the products are of bf16, summed in fp32 and rounded. What is
added to them, a bias or windows that overlap, is added in bf16: relative errors are up to twice those of oneDNN's.

The convolution, its adjoint and the gradient of its weight are each linear in both arguments, and the derivatives of
each are the two others: what is made of them can be differentiated as often as one likes.
"""

from __future__ import annotations

import functools
import os
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ganzoo.engine.cpu.winograd import new_image

SMALL = 64
"""Outputs of an image, at most, for which rows of windows are faster than oneDNN's convolution."""

FEW = 64
"""Channels of a convolution of 1x1 pixels, fewer than which oneDNN takes longer in bf16."""

ROWS = 64
"""Of a linear layer's input, at least, for which its product in bf16 gains more than rounding its weights takes."""

KINDS = (torch.float32, torch.bfloat16)
"""What autocast turns into bf16, or leaves."""


@functools.cache
def multiplies_tiles() -> bool:
    """Whether the processor has AMX, by its instruction set and not by a clock; and whether oneDNN, which multiplies
    for torch, is not kept from it by its own environment variables.
    """
    at_most = (os.environ.get("ONEDNN_MAX_CPU_ISA") or os.environ.get("DNNL_MAX_CPU_ISA") or "").upper()
    return bool(torch.cpu._is_amx_tile_supported()) and (at_most in ("", "ALL", "DEFAULT") or "AMX" in at_most)


def hinders(weight: tuple[int, ...], groups: int) -> bool:
    """Whether oneDNN's convolution takes longer in bf16 than in fp32, up to sixty times as long for the gradients of
    grouped ones of stride 2.
    """
    return groups > 1 or (weight[2:] == (1, 1) and min(weight[:2]) < FEW)


def asked() -> bool:
    """Whether autocast has products on the CPU in bf16, on a processor that multiplies tiles of it."""
    return torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16 and multiplies_tiles()


def convolve(x: Tensor, weight: Tensor, how: How) -> Tensor:
    """`[N,C,H,W]`, weight `[K,C,h,w]`, both bf16 -> `[N,K,H',W']`, as `torch.nn.functional.conv2d` to bf16's rounding;
    the result is laid out channels last. `how` has to be one that `answers`.
    """
    y: Tensor = Convolution.apply(x, weight, how)
    return y


def convolve_transposed(x: Tensor, weight: Tensor, how: How) -> Tensor:
    """`[N,K,H',W']`, weight `[K,C,h,w]`, both bf16 -> `[N,C,H,W]`: the adjoint, `conv_transpose2d`."""
    y: Tensor = Adjoint.apply(x, weight, how)
    return y


class How(NamedTuple):
    """Of a convolution: kernel, stride and padding, the same in both directions."""

    kernel: int
    stride: int
    padding: int

    def halves(self) -> bool:
        return self == (4, 2, 1)

    def answers(self) -> bool:
        """Whether the adjoint is known: that of 4x4 pixels and stride 2 by sums of windows where they overlap, those of
        stride 1 as convolutions of their own.
        """
        return self.halves() or (self.stride == 1 and self.padding < self.kernel)


class Convolution(torch.autograd.Function):
    """Image `[N,C,H,W]`, weight `[K,C,k,k]` -> `[N,K,H',W']`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, how: How) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.how = how
        return product(x, columns(weight), how)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        need_image, need_weight, _ = ctx.needs_input_grad
        return (
            Adjoint.apply(gradient, weight, ctx.how) if need_image else None,
            WeightGradient.apply(x, gradient, ctx.how) if need_weight else None,
            None,
        )


class Adjoint(torch.autograd.Function):
    """Outputs `[N,K,H',W']`, weight `[K,C,k,k]` -> image `[N,C,H,W]`."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, weight: Tensor, how: How) -> Tensor:
        ctx.save_for_backward(y, weight)
        ctx.how = how
        if how.halves():
            n, _, height, width = y.shape
            return fold((rows_of(y) @ columns(weight).T).view(n, height, width, 4, 4, -1))
        turned = weight.flip(2, 3).permute(2, 3, 0, 1).reshape(-1, weight.shape[1])  # [k k K, C]
        return product(y, turned, How(how.kernel, 1, how.kernel - 1 - how.padding))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        y, weight = ctx.saved_tensors
        need_outputs, need_weight, _ = ctx.needs_input_grad
        return (
            Convolution.apply(gradient, weight, ctx.how) if need_outputs else None,
            WeightGradient.apply(gradient, y, ctx.how) if need_weight else None,
            None,
        )


class WeightGradient(torch.autograd.Function):
    """Image `[N,C,H,W]`, outputs `[N,K,H',W']` -> `[K,C,k,k]`: the sum over samples and windows."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, how: How) -> Tensor:
        ctx.save_for_backward(x, y)
        ctx.how = how
        gradient = windows(x, how).T @ rows_of(y)
        return gradient.view(how.kernel, how.kernel, x.shape[1], y.shape[1]).permute(3, 2, 0, 1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, y = ctx.saved_tensors
        need_image, need_outputs, _ = ctx.needs_input_grad
        return (
            Adjoint.apply(y, gradient, ctx.how) if need_image else None,
            Convolution.apply(x, gradient, ctx.how) if need_outputs else None,
            None,
        )


def product(x: Tensor, right: Tensor, how: How) -> Tensor:
    """The windows of `[N,C,H,W]` by `[k k C, K]` -> `[N,K,H',W']`, channels last."""
    height, width = (size + 2 * how.padding - how.kernel + how.stride for size in x.shape[2:])
    image = new_image(x, len(x), right.shape[1], height // how.stride, width // how.stride)
    torch.mm(windows(x, how), right, out=rows_of(image))
    return image


def windows(x: Tensor, how: How) -> Tensor:
    """`[N,C,H,W]` -> the windows of its outputs, `[N H' W', k k C]`, each in the order row, column, channel."""
    if how.kernel == 1 and how.padding == 0:
        return rows_of(x)
    padded = F.pad(x.permute(0, 2, 3, 1), (0, 0, *(how.padding,) * 4)).contiguous()
    n, height, width, c = padded.shape
    sample, row, pixel, _ = padded.stride()
    down, across = ((size - how.kernel) // how.stride + 1 for size in (height, width))
    shape = (n, down, across, how.kernel, how.kernel * c)
    strides = (sample, how.stride * row, how.stride * pixel, row, 1)
    return padded.as_strided(shape, strides).reshape(-1, how.kernel**2 * c)


def columns(weight: Tensor) -> Tensor:
    """`[K,C,k,k]` -> `[k k C, K]`."""
    return weight.permute(2, 3, 1, 0).reshape(-1, len(weight))


def rows_of(image: Tensor) -> Tensor:
    """`[N,C,H,W]` -> `[N H W, C]`; a view of what is channels last."""
    return image.permute(0, 2, 3, 1).reshape(-1, image.shape[1])


def fold(values: Tensor) -> Tensor:
    """Windows `[N,h,w,4,4,C]` -> their sums where they overlap, `[N,C,2h,2w]`: the adjoint of `windows` of 4x4 pixels,
    stride 2 and padding 1.

    A row of the image lies in two windows' rows, one above the other, and a column in two side by side: row 2 i is the
    second of window i and the fourth of the one before, row 2 i + 1 the third, and the first of the one after.
    """
    n, height, width, _, _, c = values.shape
    down = values.new_empty(n, height, 2, width, 4, c)
    down.copy_(values[:, :, :, 1:3].transpose(2, 3))
    down[:, 1:, 0] += values[:, :-1, :, 3]
    down[:, :-1, 1] += values[:, 1:, :, 0]
    down = down.view(n, 2 * height, width, 4, c)
    image = new_image(values, n, c, 2 * height, 2 * width)
    across = image.permute(0, 2, 3, 1).view(n, 2 * height, width, 2, c)
    across.copy_(down[:, :, :, 1:3])
    across[:, :, 1:, 0] += down[:, :, :-1, 3]
    across[:, :, :-1, 1] += down[:, :, 1:, 0]
    return image
