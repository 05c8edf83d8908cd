"""What an iteration asks torch to do, to be compared with what another asked for."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

Call = tuple[str, Any]  # a function's name, and what it was given: numbers by value, tensors by shape and dtype


class Calls(TorchFunctionMode):
    """While entered, notes each call of torch that Python makes, steps of optimizers excepted (their state is tensors,
    and on the CPU they read it). Wherever a network keeps what it decides by, the decision shows here: in another
    function or another number. What backward passes do by themselves, and compiled parts, is not seen.
    """

    def __init__(self, device: torch.device, optimizers: Iterable[torch.optim.Optimizer] = ()) -> None:
        super().__init__()
        self.made: list[Call] = []
        self.read: set[int] = set()  # ids of the tensors that were given to a function
        self._device_type, self._optimizers = device.type, tuple(optimizers)
        self._paused = False
        self._hooks: list[Any] = []

    def __enter__(self) -> Calls:
        for optimizer in self._optimizers:
            self._hooks.append(optimizer.register_step_pre_hook(lambda *_: self._pause(True)))
            self._hooks.append(optimizer.register_step_post_hook(lambda *_: self._pause(False)))
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        while self._hooks:
            self._hooks.pop().remove()

    def _pause(self, paused: bool) -> None:
        self._paused = paused

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if torch.compiler.is_compiling() or self._paused:
            return func(*args, **kwargs)
        given = _described((*args, kwargs))
        self.read.update(id(value) for value in _flat((args, kwargs)) if isinstance(value, Tensor))
        result = func(*args, **kwargs)
        if self._device_type != "cpu" and isinstance(result, Tensor) and result.device.type == self._device_type:
            # What comes from the host has its values of now in a graph. (On the CPU nothing tells host and device.)
            given = given, tuple(filter(None, map(host_digest, _flat((args, kwargs)))))
        self.made.append((getattr(func, "__name__", type(func).__name__), given))
        return result


def difference(made: Sequence[Call], others: Sequence[Call]) -> str | None:
    """The name of the first call in which they differ; None: in none."""
    for call, other in zip(made, others, strict=False):
        if call != other:
            return call[0]
    if len(made) == len(others):
        return None
    longer = max(made, others, key=len)
    return longer[min(len(made), len(others))][0]


def host_digest(value: Any) -> int | None:
    """Of a tensor in main memory, or an array; None of anything else."""
    if isinstance(value, Tensor):
        if value.device.type != "cpu" or value.layout != torch.strided or torch.compiler.is_compiling():
            return None
        value = value.detach().resolve_conj().resolve_neg().contiguous().reshape(-1).view(torch.uint8).numpy()
    if not isinstance(value, np.ndarray) or value.dtype.hasobject:
        return None
    return zlib.crc32(np.ascontiguousarray(value).reshape(-1).view(np.uint8).data)


def _flat(value: Any) -> Iterator[Any]:
    if isinstance(value, (tuple, list)):
        for one in value:
            yield from _flat(one)
    elif isinstance(value, dict):
        yield from _flat(list(value.values()))
    else:
        yield value


def _described(value: Any) -> Any:
    """To be compared by `==`: NaN is NaN, and 1 is not True."""
    if isinstance(value, Tensor):
        return tuple(value.shape), value.dtype, value.device.type
    if isinstance(value, (tuple, list)):
        return tuple(map(_described, value))
    if isinstance(value, dict):
        return tuple((name, _described(one)) for name, one in value.items())
    if isinstance(value, slice):
        return "slice", *map(_described, (value.start, value.stop, value.step))
    if value is None or isinstance(value, (bool, int, float, complex, str, torch.dtype, torch.device, np.generic)):
        return repr(value)
    if isinstance(value, np.ndarray):
        return value.shape, str(value.dtype)
    return type(value).__qualname__
