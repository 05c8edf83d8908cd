"""Operations that torch has, done otherwise. They are intercepted where a network asks for them, however it does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

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


def fast_operations(*, convolutions: bool = True) -> Substitution:
    """Convolutions and dropout on the CPU take the fastest way that is known; and `any_layout`."""
    others: dict[Any, Callable[..., Tensor]] = {Tensor.view: view, F.dropout: dropout}
    if convolutions:
        others |= {torch.conv2d: convolve, torch.conv_transpose2d: convolve_transposed}
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


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """`torch.nn.functional.dropout`, with p rounded to a multiple of 2^-16 (and the scale accordingly).

    torch draws a 64-bit number per element, one after another, which is a tenth of a step of `gan`; a quarter of one is
    enough.
    """
    dropped = round(p * 2**16)
    plain = input.device.type != "cpu" or not input.is_floating_point() or not 0 < dropped < 2**16
    # Without gradients it may be the first pass of a checkpoint, which draws the same again without us.
    if plain or not training or not torch.is_grad_enabled() or not ordinary():
        return F.dropout(input, p, training, inplace)
    draws = torch.empty(-(-input.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
    kept = draws.view(torch.int16)[: input.numel()] >= dropped - 2**15  # uniform over -2^15 .. 2^15 - 1
    mask = kept.to(input.dtype).mul_(2**16 / (2**16 - dropped)).view(input.shape)
    return input.mul_(mask) if inplace else input * mask
