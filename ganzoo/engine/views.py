"""Networks that are written as if their tensors were contiguous, although we lay images out channels last.

What would be a view of a contiguous tensor has to be a copy of one that is channels last. Reading there is no
difference; what is written into the copy does not reach the original. So copies are watched.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def view(input: Tensor, *shape: Any, **named: Any) -> Tensor:
    """`torch.Tensor.view`, or a copy where the layout has none: `x.view(len(x), -1)` after a convolution, for one."""
    try:
        return input.view(*shape, **named)
    except RuntimeError:
        if named or isinstance(shape[0], torch.dtype):
            raise
        return input.reshape(*shape)


def view_as(input: Tensor, other: Tensor) -> Tensor:
    return view(input, other.shape)


VIEWS: dict[Any, Callable[..., Tensor]] = {
    Tensor.view: view,
    Tensor.view_as: view_as,
    **{
        function: function
        for function in (
            Tensor.reshape,
            Tensor.reshape_as,
            Tensor.flatten,
            Tensor.ravel,
            Tensor.contiguous,
            torch.reshape,
            torch.flatten,
            torch.ravel,
        )
    },
}
"""Functions that give views of contiguous tensors, and what is called instead."""


class Copies:
    """The copies that took the place of views since `clear`."""

    def __init__(self) -> None:
        self._made: list[tuple[Tensor, int]] = []  # kept: a number that says whether it was written to goes with it

    def watched(self, function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        """`function`, one of `VIEWS`, with copies noted."""

        def call(input: Tensor, *arguments: Any, **named: Any) -> Tensor:
            out = function(input, *arguments, **named)
            if out is not input and not torch.compiler.is_compiling() and is_copy(out, input):
                self._made.append((out, out._version))
            return out

        return call

    def written(self) -> bool:
        """Whether something was written into one of them."""
        return any(copy._version != version for copy, version in self._made)

    def clear(self) -> None:
        self._made.clear()


def is_copy(out: Tensor, input: Tensor) -> bool:
    """Whether `out` has memory of its own, where `input` is channels last."""
    return (
        input.ndim == 4
        and not input.is_contiguous()
        and input.layout == torch.strided
        and not out.is_inference()
        and not torch._C._are_functorch_transforms_active()
        and out.untyped_storage().data_ptr() != input.untyped_storage().data_ptr()
    )
