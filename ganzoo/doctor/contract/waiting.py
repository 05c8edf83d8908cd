"""What waits for the device on CUDA, tried without one: tensors that are read on the host."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

METHODS = ("item", "tolist", "numpy", "cpu", "__bool__", "__float__", "__int__", "__index__", "__array__", "nonzero")
"""Methods of a tensor that wait for the device on CUDA, and that no graph can hold."""

OPERATIONS = {
    "aten::_local_scalar_dense": "a number is read",
    "aten::nonzero": "the result's size depends on values",
    "aten::masked_select": "the result's size depends on values",
    "aten::_unique2": "the result's size depends on values",
    "aten::unique_dim": "the result's size depends on values",
    "aten::unique_consecutive": "the result's size depends on values",
    "aten::bincount": "the result's size depends on values",
    "aten::equal": "a truth value is read",
    "aten::is_nonzero": "a truth value is read",
    "aten::repeat_interleave.Tensor": "the result's size depends on values",
}
"""What does so below Python's methods, in functions that do not look like it."""

CURE = "keep numbers in tensors: torch.where instead of `if` and masks, no .item(); what counts is a buffer, or `every`"


class Waited(Exception):
    """A tensor was read on the host."""


class _Operations(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name
        reason = OPERATIONS.get(name) or OPERATIONS.get(f"{name}.{func._overloadname}")
        if reason is None and name in ("aten::index", "aten::index_put", "aten::index_put_"):
            masks = (index for index in args[1] if index is not None)
            if any(mask.dtype in (torch.bool, torch.uint8) for mask in masks):
                reason = "images are chosen by a mask, so the result's size depends on values"
        if reason is not None:
            raise Waited(f"{name.removeprefix('aten::')}: {reason}")
        return func(*args, **(kwargs or {}))


class _Functions(TorchFunctionMode):
    """Of one_hot: on a CPU alone it looks at the labels whenever it is called."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is not F.one_hot:
            return func(*args, **kwargs)
        if (args[1] if len(args) > 1 else kwargs.get("num_classes", -1)) < 0:
            raise Waited("one_hot without num_classes: the largest label is read")
        with _disable_current_modes():
            return func(*args, **kwargs)


@contextlib.contextmanager
def not_read() -> Iterator[None]:
    """What turns a tensor into a Python value, or has a size that depends on values, raises.

    Raises:
        Waited: it did.
    """

    def refusing(name: str) -> Any:
        def refuse(self: Tensor, *arguments: Any, **options: Any) -> Any:
            raise Waited(f"Tensor.{name}")

        return refuse

    with contextlib.ExitStack() as stack:
        for name in METHODS:
            stack.enter_context(mock.patch.object(Tensor, name, refusing(name), create=True))
        stack.enter_context(_Operations())
        stack.enter_context(_Functions())
        yield
