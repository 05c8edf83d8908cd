"""Random numbers of a run in several processes: those that one process would draw.

Every rank's generators are in the same state. What is drawn for the rows of its batch, a tensor whose first dimension
is k times the n rows of a rank, is drawn for the rows of all `size` ranks, in the order in which one process has them:
`[k, size, n]` (k = 2 is a joint pass of real and generated images). The rank keeps its own rows. Whatever else is drawn
is the same on all ranks. So all generators stay in one state, which is that of one process, and a run goes on in
another number of processes. The price: each rank draws the numbers of all.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode


class Rows(TorchFunctionMode):
    """Entered around an iteration: what is drawn in it is this rank's part of what one process draws."""

    def __init__(self, *, rank: int, size: int, rows: int) -> None:
        """`rows`: of a batch, on each rank."""
        super().__init__()
        self.rank, self.size, self.rows = rank, size, rows
        self._aside = False
        self._others = {
            **{function: self._made(function) for function in _MAKERS},
            **{function: self._drawn_for(function) for function in _DRAWERS},
        }

    def __enter__(self) -> Any:
        _thread.rows = self
        return super().__enter__()

    def __exit__(self, kind: Any, value: Any, traceback: Any) -> None:
        super().__exit__(kind, value, traceback)
        _thread.rows = None

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        other = func if self._aside else self._others.get(func, func)
        return other(*args, **(kwargs or {}))

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """Inside, the caller sees to the rows itself."""
        before, self._aside = self._aside, True
        try:
            yield
        finally:
            self._aside = before

    def divides(self, shape: Sequence[int]) -> bool:
        """Whether a tensor of this shape has one of its rows for each image, or k."""
        return len(shape) > 0 and shape[0] > 0 and shape[0] % self.rows == 0

    def of_all(self, shape: Sequence[int]) -> list[int]:
        """The shape that one process's tensor has."""
        return [shape[0] * self.size, *shape[1:]]

    def own(self, whole: Tensor) -> Tensor:
        """Of a tensor of all ranks' rows, those of this one."""
        parts = whole.unflatten(0, (-1, self.size, self.rows))[:, self.rank]
        own = parts.flatten(0, 1)
        return own.contiguous(memory_format=torch.channels_last) if _is_channels_last(whole) else own

    def repeated(self, own: Tensor) -> Tensor:
        """A tensor of all ranks' rows, each rank's being this one's."""
        parts = own.unflatten(0, (-1, 1, self.rows))
        whole = parts.expand(-1, self.size, *parts.shape[2:]).flatten(0, 2)
        return whole.contiguous(memory_format=torch.channels_last) if _is_channels_last(own) else whole

    def _made(self, function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        """Of a function that is told a size: in a list, or in numbers one after the other."""

        def call(*arguments: Any, **named: Any) -> Tensor:
            given, place = _size_in(arguments, named)
            if given is None or not self.divides(given):
                return function(*arguments, **named)
            whole = self.of_all(given)
            if place is None:
                return self.own(function(*arguments, **{**named, "size": whole}))
            return self.own(function(*arguments[:place], whole, **named))

        return call

    def _drawn_for(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Of a function that draws for each number, or row, of its first argument; in place or not."""

        def call(*arguments: Any, **named: Any) -> Any:
            first = arguments[0] if arguments else named.get("input")
            if not isinstance(first, Tensor) or not self.divides(first.shape):
                return function(*arguments, **named)

            def of_all(value: Any) -> Any:
                rows = isinstance(value, Tensor) and value.ndim > 0 and len(value) == len(first)
                return self.repeated(value) if rows else value

            several = [of_all(value) for value in arguments]
            known = {name: of_all(value) for name, value in named.items()}
            whole = several[0] if arguments else known["input"]
            before = whole._version
            out = function(*several, **known)
            if out is whole:
                return first if whole._version == before else first.copy_(self.own(out))
            return self.own(out)

        return call


_thread = threading.local()


def current() -> Rows | None:
    """What this thread draws rows for; None: for all of them."""
    rows: Rows | None = _thread.__dict__.get("rows")
    return None if rows is None or rows._aside else rows


def _is_channels_last(tensor: Tensor) -> bool:
    return tensor.ndim == 4 and not tensor.is_contiguous() and tensor.is_contiguous(memory_format=torch.channels_last)


def _size_in(arguments: Sequence[Any], named: Mapping[str, Any]) -> tuple[list[int] | None, int | None]:
    """The size that is asked for, None where there is none; and the argument it begins at, None where it is named."""
    if "size" in named:
        return list(named["size"]), None
    for place, argument in enumerate(arguments):
        if isinstance(argument, (tuple, list, torch.Size)):
            return list(argument), place
    # `torch.randn(2, 3)`; the numbers of `torch.randint(0, 10, (3,))` are followed by a list
    if arguments and all(isinstance(argument, int) for argument in arguments):
        return list(arguments), 0
    return None, None


_MAKERS = (torch.randn, torch.rand, torch.randint)
"""Functions that draw as many numbers as they are told."""

PER_ELEMENT = (
    torch.randn_like,
    torch.rand_like,
    torch.randint_like,
    torch.bernoulli,
    torch.poisson,
    torch.normal,
    torch.rrelu,
    F.rrelu,
    F.alpha_dropout,
    F.gumbel_softmax,
    Tensor.bernoulli,
    Tensor.bernoulli_,
    Tensor.cauchy_,
    Tensor.exponential_,
    Tensor.geometric_,
    Tensor.log_normal_,
    Tensor.normal_,
    Tensor.random_,
    Tensor.uniform_,
)
"""Functions that draw a number, or several, for each element of what they are given."""

_DRAWERS = (
    *PER_ELEMENT,
    torch.multinomial,
    torch.dropout,
    torch.feature_dropout,
    torch.alpha_dropout,
    torch.feature_alpha_dropout,
    F.dropout,
    F.dropout1d,
    F.dropout2d,
    F.dropout3d,
    F.feature_alpha_dropout,
    Tensor.multinomial,
)
"""Functions that draw for what they are given. Of those whose number of draws goes by the values (`poisson`, `rrelu`),
ranks draw differently many, until they are brought together again: see `gathering`.
"""
