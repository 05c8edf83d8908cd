"""Operations that torch has, done otherwise. They are intercepted where a network asks for them, however it does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from ganzoo.engine.convolutions import convolve, convolve_transposed, ordinary


class Substitution(TorchFunctionMode):
    """While entered, functions are called in place of others."""

    def __init__(self, others: Mapping[Any, Callable[..., Tensor]]) -> None:
        super().__init__()
        self._others = others

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        return self._others.get(func, func)(*args, **(kwargs or {}))


def any_layout() -> Substitution:
    """Lets networks be written as if their tensors were contiguous, although we lay them out channels last."""
    return Substitution({Tensor.view: view})


def fast_operations(*, plain: bool = False) -> Substitution:
    """Convolutions, batch norm and dropout on the CPU as fast as we know how; and `any_layout`. `plain`: of these, only
    dropout, whose random numbers have to be the same.
    """
    others: dict[Any, Callable[..., Tensor]] = {Tensor.view: view, F.dropout: dropout}
    if not plain:
        others |= {torch.conv2d: convolve, torch.conv_transpose2d: convolve_transposed, F.batch_norm: batch_norm}
    return Substitution(others)


def view(input: Tensor, *shape: Any, **named: Any) -> Tensor:
    """`torch.Tensor.view`, or a copy where the layout has none: `x.view(len(x), -1)` after a convolution, for one. What
    is written into such a copy does not reach the original.
    """
    try:
        return input.view(*shape, **named)
    except RuntimeError:
        if named or isinstance(shape[0], torch.dtype) or isinstance(input, torch.nn.Parameter):
            raise
        return input.reshape(*shape)


def batch_norm(input: Tensor, *arguments: Any, **named: Any) -> Tensor:
    """`torch.nn.functional.batch_norm`, of images channels last. A projection of z that was reshaped to an image is
    contiguous; the activation after it would get its gradient in another layout, and take ten times as long.
    """
    if input.ndim == 4 and input.device.type == "cpu" and ordinary():
        input = input.contiguous(memory_format=torch.channels_last)
    return F.batch_norm(input, *arguments, **named)


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """`torch.nn.functional.dropout`, with p rounded to a multiple of 2^-16 (and the scale accordingly).

    torch draws a 64-bit number per element, one after another, which is a tenth of a step of `gan`; a quarter of one is
    enough. NumPy compares and converts small integers several times faster than torch.
    """
    dropped = round(p * 2**16)
    plain = input.device.type != "cpu" or not input.is_floating_point() or not 0 < dropped < 2**16
    # Without gradients it may be the first pass of a checkpoint, which draws the same again without us.
    if plain or not training or not torch.is_grad_enabled() or not ordinary():
        return F.dropout(input, p, training, inplace)
    draws = np.empty(-(-input.numel() // 4), dtype=np.int64)
    torch.from_numpy(draws).random_(-(2**63), None)
    kept = draws.view(np.int16)[: input.numel()] >= dropped - 2**15  # uniform over -2^15 .. 2^15 - 1
    scaled = np.multiply(kept, np.float32(2**16 / (2**16 - dropped))).reshape(tuple(input.shape))
    mask = torch.from_numpy(scaled).to(input.dtype)
    return input.mul_(mask) if inplace else input * mask
