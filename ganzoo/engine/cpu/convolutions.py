"""The convolutions of small GANs, computed as a CPU likes them; which way is decided by their shapes alone.

oneDNN's kernels are made for many channels on both sides and stride 1. Three kinds of layer that every DCGAN has are
far from that: the strided and transposed 4x4 convolutions, those with an image's one to four channels on one side,
and those as large as the image, the discriminator's last and a generator's first. They are computed by matrix products
instead: docs/performance.md has what that gains. The rule reads shapes and the processor's instruction set, never a
clock, so that a run computes the same numbers whenever it is continued.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn import functional as F

from ganzoo.engine.cpu import bf16
from ganzoo.engine.cpu.bf16 import rows_of
from ganzoo.engine.cpu.winograd import conv4x4, conv_transpose4x4, lay_out, linear, new_image

FEW = 4
"""Channels, at most, of an image: a matrix product over 16 times as many columns is then cheaper than a convolution."""

MANY = 64
"""Channels, at least, on both sides for which transforming images and weights for Winograd pays."""

Size = tuple[int, ...]
Way = Callable[[Tensor, Tensor, Size, Size], Tensor]


def convolve(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """`torch.nn.functional.conv2d`; results and gradients of any order equal its own to rounding.

    What is not float32 on the CPU, or grouped, or dilated, is left to torch. So is what is under autocast, but for bf16
    on a processor that multiplies tiles of it: results then equal torch's to bf16's rounding.
    """
    if groups == 1 and not isinstance(padding, str) and _ours(input, weight, bias, weight.shape[0], stride, padding):
        way = way_of(tuple(input.shape), tuple(weight.shape), _pair(stride), _pair(padding))
        if way is not None and input.shape[1] == weight.shape[1] and _pair(dilation) == (1, 1):
            return _finished(way(input, weight, _pair(stride), _pair(padding)), bias, input, weight)
    if not isinstance(padding, str) and _tiles(input, weight, bias, weight.shape[0], stride, padding):
        if bf16.hinders(tuple(weight.shape), groups):
            return _in_fp32(torch.conv2d, input, weight, bias, stride, padding, dilation, groups)
        way = bf16_way_of(tuple(input.shape), tuple(weight.shape), _pair(stride), _pair(padding))
        if way is not None and groups == 1 and input.shape[1] == weight.shape[1] and _pair(dilation) == (1, 1):
            return _in_bf16(way, input, weight, bias, _pair(stride), _pair(padding))
    return torch.conv2d(input, weight, bias, stride, padding, dilation, groups)


def convolve_transposed(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    """`torch.nn.functional.conv_transpose2d`, as `convolve`."""
    if groups == 1 and _ours(input, weight, bias, weight.shape[1], stride, padding):
        way = way_of_transposed(tuple(input.shape), tuple(weight.shape), _pair(stride), _pair(padding))
        simple = _pair(dilation) == (1, 1) and _pair(output_padding) == (0, 0)
        if way is not None and simple and input.shape[1] == weight.shape[0]:
            return _finished(way(input, weight, _pair(stride), _pair(padding)), bias, input, weight)
    if _tiles(input, weight, bias, weight.shape[1] * groups, stride, padding):
        if groups > 1:
            how = stride, padding, output_padding, groups, dilation
            return _in_fp32(torch.conv_transpose2d, input, weight, bias, *how)
        way = bf16_way_of_transposed(tuple(input.shape), tuple(weight.shape), _pair(stride), _pair(padding))
        simple = _pair(dilation) == (1, 1) and _pair(output_padding) == (0, 0)
        if way is not None and simple and input.shape[1] == weight.shape[0]:
            return _in_bf16(way, input, weight, bias, _pair(stride), _pair(padding))
    return torch.conv_transpose2d(input, weight, bias, stride, padding, output_padding, groups, dilation)


def lay_out_weights(network: nn.Module) -> bool:
    """Lay out in memory, as Winograd's transform reads them, the weights of convolutions that will go through it;
    whether there are any. With such weights torch's own convolutions take a third longer.
    """
    found = False
    for layer in network.modules():
        if not isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) or layer.groups > 1:
            continue
        weight = layer._parameters.get("weight")  # None where it is computed from others
        if weight is None or weight.dtype != torch.float32 or min(weight.shape[:2]) < MANY:
            continue
        if _halves(tuple(weight.shape), layer.stride, layer.padding):
            weight.data = lay_out(weight.data)
            found = True
    return found


@functools.lru_cache(maxsize=1024)
def way_of(input: Size, weight: Size, stride: Size, padding: Size) -> Way | None:
    """How a convolution of these shapes is computed; None: as torch does it."""
    _, channels, height, width = input
    if weight[2] > height + 2 * padding[0] or weight[3] > width + 2 * padding[1]:
        return None  # torch says what is wrong
    if weight[2:] == (height, width) and padding == (0, 0):
        return by_inner_product
    if channels <= FEW < weight[0] and weight[2:] != (1, 1):
        return by_columns
    if _halves(weight, stride, padding) and height % 2 == width % 2 == 0 and min(weight[:2]) >= MANY:
        return lambda x, w, *_: conv4x4(x, w)
    return None


@functools.lru_cache(maxsize=1024)
def way_of_transposed(input: Size, weight: Size, stride: Size, padding: Size) -> Way | None:
    """How a transposed convolution of these shapes is computed; None: as torch does it."""
    if input[2:] == (1, 1) and padding == (0, 0):
        return by_outer_product
    if weight[1] <= FEW < weight[0] and weight[2:] != (1, 1):
        return transposed_by_columns
    if _halves(weight, stride, padding) and min(weight[:2]) >= MANY:
        return lambda x, w, *_: conv_transpose4x4(x, w)
    return None


@functools.lru_cache(maxsize=1024)
def bf16_way_of(input: Size, weight: Size, stride: Size, padding: Size) -> Way | None:
    """As `way_of`, in bf16 where the processor multiplies tiles of it."""
    way = way_of(input, weight, stride, padding)
    if way in (by_inner_product, by_columns):
        return way
    outputs = [(input[2 + i] + 2 * padding[i] - weight[2 + i]) // stride[i] + 1 for i in (0, 1)]
    how = _windows(input, weight, stride, padding, outputs)
    return None if how is None else lambda x, w, *_: bf16.convolve(x, w, how)


@functools.lru_cache(maxsize=1024)
def bf16_way_of_transposed(input: Size, weight: Size, stride: Size, padding: Size) -> Way | None:
    """As `way_of_transposed`, in bf16 where the processor multiplies tiles of it."""
    way = way_of_transposed(input, weight, stride, padding)
    if way in (by_outer_product, transposed_by_columns):
        return way
    image = [(input[2 + i] - 1) * stride[i] - 2 * padding[i] + weight[2 + i] for i in (0, 1)]
    how = _windows((*input[:2], *image), weight, stride, padding, input[2:])
    return None if how is None else lambda x, w, *_: bf16.convolve_transposed(x, w, how)


def _windows(image: Size, weight: Size, stride: Size, padding: Size, outputs: Sequence[int]) -> bf16.How | None:
    """How a convolution from `image` to `outputs` is computed by windows; None: not."""
    how = bf16.How(weight[2], stride[0], padding[0])
    square = weight[2:] == (how.kernel,) * 2 and stride == (how.stride,) * 2 and padding == (how.padding,) * 2
    right = min(outputs) > 0 and (not how.halves() or image[2] % 2 == image[3] % 2 == 0)
    small = outputs[0] * outputs[1] <= bf16.SMALL and min(weight[:2]) >= MANY
    return how if square and right and small and how.answers() else None


def by_inner_product(x: Tensor, weight: Tensor, stride: Size, padding: Size) -> Tensor:
    """A kernel as large as its input: `[N,C,H,W]`, `[K,C,H,W]` -> `[N,K,1,1]`."""
    left = x.permute(0, 2, 3, 1).reshape(len(x), -1)
    right = weight.permute(0, 2, 3, 1).reshape(len(weight), -1)
    return (left @ right.T)[:, :, None, None]


def by_outer_product(x: Tensor, weight: Tensor, stride: Size, padding: Size) -> Tensor:
    """One pixel: `[N,K,1,1]`, `[K,C,h,w]` -> `[N,C,h,w]`, as generators begin with z."""
    y = (x.flatten(1) @ weight.flatten(1)).view(len(x), *weight.shape[1:])
    return y.contiguous(memory_format=torch.channels_last)


def by_columns(x: Tensor, weight: Tensor, stride: Size, padding: Size) -> Tensor:
    """`[N,C,H,W]`, `[K,C,h,w]` -> `[N,K,H',W']`: every output's window is a column of a matrix."""
    windows = Windows(tuple(x.shape[2:]), tuple(weight.shape[2:]), stride, padding)
    columns = linear(x, windows.unfold, windows.fold)
    out: Tensor = ImageProduct.apply(columns, weight.reshape(len(weight), -1), (len(x), *windows.outputs))
    return out


def transposed_by_columns(x: Tensor, weight: Tensor, stride: Size, padding: Size) -> Tensor:
    """`[N,K,H',W']`, `[K,C,h,w]` -> `[N,C,H,W]`: the adjoint of `by_columns`."""
    height, width = ((x.shape[2 + i] - 1) * stride[i] - 2 * padding[i] + weight.shape[2 + i] for i in (0, 1))
    windows = Windows((height, width), tuple(weight.shape[2:]), stride, padding)
    columns = weight.reshape(len(weight), -1).T @ rows_of(x).T  # [C h w, N H' W']
    return linear(columns, windows.fold, windows.unfold)


class ImageProduct(torch.autograd.Function):
    """Columns `[J, N H W]`, weight `[K, J]` -> their products as an image `[N,K,H,W]`: see `new_image`."""

    @staticmethod
    def forward(ctx: Any, columns: Tensor, weight: Tensor, size: Size) -> Tensor:
        ctx.save_for_backward(columns, weight)
        image = new_image(columns, size[0], len(weight), *size[1:])
        torch.mm(columns.T, weight.T, out=image.permute(0, 2, 3, 1).view(-1, len(weight)))
        return image

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        columns, weight = ctx.saved_tensors
        need_columns, need_weight, _ = ctx.needs_input_grad
        rows = rows_of(gradient)
        return weight.T @ rows.T if need_columns else None, (columns @ rows).T if need_weight else None, None


class Windows:
    """The windows of a convolution: `unfold`, `[N,C,H,W]` -> `[C h w, N H' W']`, and its adjoint `fold`."""

    def __init__(self, size: Size, kernel: Size, stride: Size, padding: Size) -> None:
        self.size, self.kernel, self.stride, self.padding = size, kernel, stride, padding
        self.outputs = [(size[i] + 2 * padding[i] - kernel[i]) // stride[i] + 1 for i in (0, 1)]

    def unfold(self, x: Tensor) -> Tensor:
        """As `torch.nn.functional.unfold`, in a quarter of its time: one copy of an overlapping view."""
        down, across = self.padding
        padded = F.pad(x.contiguous(), (across, across, down, down))
        n, c, h, w = padded.stride()
        strides = (c, h, w, n, h * self.stride[0], w * self.stride[1])
        view = padded.as_strided((x.shape[1], *self.kernel, len(x), *self.outputs), strides)
        return view.reshape(x.shape[1] * self.kernel[0] * self.kernel[1], -1)

    def fold(self, columns: Tensor) -> Tensor:
        each = columns.view(len(columns), -1, self.outputs[0] * self.outputs[1]).transpose(0, 1)
        return F.fold(each, self.size, self.kernel, padding=self.padding, stride=self.stride)


def _halves(weight: Size, stride: Size, padding: Size | str) -> bool:
    return weight[2:] == (4, 4) and stride == (2, 2) and padding == (1, 1)


def _ours(input: Tensor, weight: Tensor, bias: Tensor | None, outputs: int, stride: Any, padding: Any) -> bool:
    """Whether this is a call in fp32 that we may answer."""
    return not torch.is_autocast_enabled("cpu") and _answerable(
        input, weight, bias, outputs, stride, padding, (torch.float32,)
    )


def _answerable(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    outputs: int,
    stride: Any,
    padding: Any,
    kinds: tuple[torch.dtype, ...],
) -> bool:
    """Whether the arguments are right; torch answers the others, and refuses those that are wrong."""
    return (
        is_ours(input, weight, *(() if bias is None else (bias,)), kinds=kinds)
        and input.ndim == weight.ndim == 4
        and input.numel() > 0 < weight.numel()
        and (bias is None or tuple(bias.shape) == (outputs,))
        and len(_pair(stride)) == len(_pair(padding)) == 2
        and min(_pair(stride)) > 0 <= min(_pair(padding))
        and ordinary()
    )


def _tiles(input: Tensor, weight: Tensor, bias: Tensor | None, outputs: int, stride: Any, padding: Any) -> bool:
    """Whether autocast would have this call in bf16, the processor multiplies tiles of it, and we may answer."""
    return bf16.asked() and _answerable(input, weight, bias, outputs, stride, padding, bf16.KINDS)


def _in_bf16(way: Way, input: Tensor, weight: Tensor, bias: Tensor | None, stride: Size, padding: Size) -> Tensor:
    y = way(input.to(torch.bfloat16), weight.to(torch.bfloat16), stride, padding)
    return y if bias is None else y.add_(bias.to(torch.bfloat16)[:, None, None])


def _in_fp32(function: Callable[..., Tensor], input: Tensor, weight: Tensor, bias: Tensor | None, *how: Any) -> Tensor:
    """What autocast would have in bf16, rounded to it at the end alone."""
    with torch.autocast("cpu", enabled=False):
        y = function(input.float(), weight.float(), None if bias is None else bias.float(), *how)
    return y.bfloat16()


def is_ours(*tensors: Tensor, kinds: tuple[torch.dtype, ...] = (torch.float32,)) -> bool:
    """Whether they are plain tensors of float32 on the CPU, or of one of `kinds`: what has a class of its own may mean
    something else.
    """
    return all(
        type(tensor) in (Tensor, nn.Parameter) and tensor.dtype in kinds and tensor.device.type == "cpu"
        for tensor in tensors
    )


_KINDS = torch._C._TorchDispatchModeKey
_PRETENDING = (_KINDS.FAKE, _KINDS.PROXY, _KINDS.FUNCTIONAL)


def ordinary() -> bool:
    """False where torch watches operations: in a checkpoint, which does them again without us and has to get the same;
    under a transform of torch.func; in forward-mode differentiation; while compiling or tracing; with fake tensors; in
    inference mode.
    """
    watched = torch._C._autograd._top_saved_tensors_default_hooks(True) is not None
    return not (
        watched
        or torch._C._are_functorch_transforms_active()
        or any(torch._C._get_dispatch_mode(kind) is not None for kind in _PRETENDING)
        or forward_ad._current_level >= 0
        or torch.compiler.is_compiling()
        or torch.jit.is_tracing()
        or torch.is_inference_mode_enabled()
    )


def _pair(value: Any) -> Size:
    """Both directions' value, as torch reads it; of another length where it is wrong."""
    if not isinstance(value, (tuple, list, torch.Size)):
        return (int(value),) * 2
    return tuple(int(one) for one in value) * (2 if len(value) == 1 else 1)


def _finished(y: Tensor, bias: Tensor | None, input: Tensor, weight: Tensor) -> Tensor:
    """`y` with its bias; and refusing to be differentiated, as torch's does, once what it was made of has changed."""
    if bias is not None:
        y = y.add_(bias[:, None, None])
    if not y.requires_grad:
        return y
    used = [(weakref.ref(tensor), tensor._version) for tensor in (input, weight)]  # alive as long as it is of use

    def check(gradient: Tensor) -> None:
        for reference, version in used:
            tensor = reference()
            if tensor is not None and tensor._version != version:
                raise RuntimeError(
                    "one of the variables needed for gradient computation has been modified by an inplace operation: "
                    f"the input or weight {list(tensor.shape)} of a convolution"
                )

    y.register_hook(check)
    return y
