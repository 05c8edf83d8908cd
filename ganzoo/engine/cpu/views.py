"""Networks that are written as if their tensors were contiguous, although we lay images out channels last.

What would be a view of a contiguous tensor has to be a copy of one that is channels last; and what would be a copy,
`x.permute(0, 2, 3, 1).reshape(n, -1)` for one, may be a view. Reading there is no difference, but what is written into
such a copy does not reach the original, and what is written into such a view does. So both are watched.
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
    """The copies that took the place of views since `clear`, and the views that took that of copies."""

    def __init__(self) -> None:
        self._made: list[tuple[Tensor, int]] = []  # kept: the number that says whether it was written to goes with it

    def watched(self, function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        """`function`, one of `VIEWS`, with copies noted."""

        def call(input: Tensor, *arguments: Any, **named: Any) -> Tensor:
            out = function(input, *arguments, **named)
            if not torch.compiler.is_compiling() and (is_copy(out, input) or is_view(out, input)):
                self._made.append((out, out._version))
            return out

        return call

    def written(self) -> bool:
        """Whether something was written into one of them, or into what it is a view of."""
        return any(copy._version != version for copy, version in self._made)

    def clear(self) -> None:
        self._made.clear()


def is_view(out: Tensor, input: Tensor) -> bool:
    """Whether `out` shares the memory of `input`, which is contiguous because the image that it is a view of is not."""
    image = input._base
    return (
        image is not None
        and image.ndim == 4
        and input.is_contiguous()
        and not image.is_contiguous()
        and not torch._C._are_functorch_transforms_active()
        and out.untyped_storage().data_ptr() == input.untyped_storage().data_ptr()
    )


def is_copy(out: Tensor, input: Tensor) -> bool:
    """Whether `out` has memory of its own, where `input` is channels last."""
    return (
        input.ndim == 4
        and not input.is_contiguous()
        and input.layout == torch.strided
        and not out.is_inference()
        and not torch._C._are_functorch_transforms_active()
        and out is not input
        and out.untyped_storage().data_ptr() != input.untyped_storage().data_ptr()
    )
