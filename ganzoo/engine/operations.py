"""Operations that torch has, done faster on a CPU. They are intercepted where a network asks for them, however it
does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from ganzoo.engine.convolutions import convolve, convolve_transposed


class FastOperations(TorchFunctionMode):
    """While entered, convolutions and dropout on the CPU take the fastest way that is known."""

    def __init__(self, *, convolutions: bool = True) -> None:
        super().__init__()
        self._fast: dict[Any, Callable[..., Tensor]] = {F.dropout: dropout}
        if convolutions:
            self._fast |= {torch.conv2d: convolve, torch.conv_transpose2d: convolve_transposed}

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        return self._fast.get(func, func)(*args, **(kwargs or {}))


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """`torch.nn.functional.dropout`, with p rounded to a multiple of 2^-16 (and the scale accordingly).

    torch draws a 64-bit number per element, one after another, which is a tenth of a step of `gan`; a quarter of one is
    enough.
    """
    dropped = round(p * 2**16)
    if not training or input.device.type != "cpu" or not input.is_floating_point() or not 0 < dropped < 2**16:
        return F.dropout(input, p, training, inplace)
    draws = torch.empty(-(-input.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
    kept = draws.view(torch.int16)[: input.numel()] >= dropped - 2**15  # uniform over -2^15 .. 2^15 - 1
    mask = kept.to(input.dtype).mul_(2**16 / (2**16 - dropped)).view(input.shape)
    return input.mul_(mask) if inplace else input * mask
