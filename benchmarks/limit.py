"""What the machine could do at most: the products of a step alone, and the bytes that it has to move.

The products are those of the step by its definition, as the plain engine asks torch for them: a convolution counts as
the matrix product of its windows and its weights. Each is done as often as in the step, at its own shape, on operands
of its own. Then as many bytes are streamed as Adam, the averaging of weights and the activations take if each is done
in one pass: 28 bytes a parameter that is moved, 12 one that is averaged; between two products an activation is read and
written once, 8 bytes forward, and its gradient is read and written beside it, 12 bytes backward. What computes less
than the definition, as Winograd's convolutions do, may come closer to this than fused code would, or beyond it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from ganzoo.bench.speed import advance
from ganzoo.engine.step import Step

aten = torch.ops.aten

Shape = tuple[int, int, int, int]
"""b, m, k, n: b products `[m,k] @ [k,n]`."""


@dataclass
class Counted:
    """What a number of steps computes and moves."""

    products: Counter[Shape] = field(default_factory=Counter)
    bytes: int = 0
    flop: int = 0


class Watch(TorchDispatchMode):
    """Notes the products of what runs inside."""

    def __init__(self, weights: set[tuple[int, ...]]) -> None:
        """`weights`: shapes of parameters."""
        super().__init__()
        self.counted = Counted()
        self._weights = weights | {shape[::-1] for shape in weights}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        shapes = SHAPES.get(func._overloadpacket, lambda *_: [])(args, out)
        for shape in shapes:
            self.counted.products[shape] += 1
            self.counted.flop += 2 * math.prod(shape)
        if shapes:
            backward = torch._C._current_autograd_node() is not None
            results = [one for one in (out if isinstance(out, tuple) else (out,)) if isinstance(one, Tensor)]
            values = sum(one.numel() for one in results if not (backward and tuple(one.shape) in self._weights))
            self.counted.bytes += (12 if backward else 8) * values
        return out


def _mm(args: Sequence[Any], out: Any) -> list[Shape]:
    left, right = args[-2:]
    return [(1, left.shape[0], left.shape[1], right.shape[1])]


def _bmm(args: Sequence[Any], out: Any) -> list[Shape]:
    left, right = args[-2:]
    return [(left.shape[0], left.shape[1], left.shape[2], right.shape[2])]


def _addmm(args: Sequence[Any], out: Any) -> list[Shape]:
    return _mm(args[1:3], out)


def _convolution(args: Sequence[Any], out: Any) -> list[Shape]:
    """As a product of windows and weights, `[positions, c h w] @ [c h w, k]`; a transposed one is the adjoint."""
    image, weight, transposed = args[0], args[1], args[6]
    k, window = weight.shape[0], math.prod(weight.shape[1:])
    positions = _positions(image if transposed else out)
    return [(1, positions, k, window) if transposed else (1, positions, window, k)]


def _convolution_backward(args: Sequence[Any], out: Any) -> list[Shape]:
    gradient, image, weight, transposed, wanted = args[0], args[1], args[2], args[7], args[10]
    k, window = weight.shape[0], math.prod(weight.shape[1:])
    positions = _positions(image if transposed else gradient)
    into_image = (1, positions, window, k) if transposed else (1, positions, k, window)
    return [into_image] * wanted[0] + [(1, window, positions, k)] * wanted[1]


def _positions(image: Tensor) -> int:
    return image.numel() // image.shape[1]


SHAPES: dict[Any, Callable[[Sequence[Any], Any], list[Shape]]] = {
    aten.mm: _mm,
    aten.addmm: _addmm,
    aten.bmm: _bmm,
    aten.convolution: _convolution,
    aten.convolution_backward: _convolution_backward,
}


def counted(step: Step, period: int) -> Counted:
    """Of a round of `period` iterations of the plain engine."""
    modules = [phase.module for phase in step.state.phases]
    with Watch({tuple(one.shape) for module in modules for one in module.parameters()}) as watch:
        advance(step, period)
    found = watch.counted
    for phase in step.state.phases:
        found.bytes += 28 * sum(one.numel() for one in phase.parameters) * period // phase.interval
    found.bytes += 12 * sum(one.numel() for one in step.state.ema.parameters())
    return found


class Least:
    """A loop that does only what a step cannot do without. Called with a number of iterations."""

    def __init__(self, step: Step, period: int, device: torch.device) -> None:
        self.period = period
        self.counted = counted(step, period)
        self._products = [
            (torch.randn(b, m, k, device=device), torch.randn(b, k, n, device=device), torch.empty(b, m, n), times)
            for (b, m, k, n), times in self.counted.products.items()
        ]
        self._products = [(a, b, c.to(device), times) for a, b, c, times in self._products]
        # As much memory as gradients, weights and moments take: what fits a cache there does so here.
        moved = 16 * sum(one.numel() for phase in step.state.phases for one in phase.parameters)
        self._streams = [torch.zeros(max(moved // 8, 1), device=device) for _ in range(2)]

    def __call__(self, iterations: int) -> None:
        """Raises ValueError for what is no multiple of the period."""
        rounds, left = divmod(iterations, self.period)
        if left:
            raise ValueError(f"{iterations} iterations are no whole rounds of {self.period}")
        for _ in range(rounds):
            for a, b, out, times in self._products:
                for _ in range(times):
                    torch.mm(a[0], b[0], out=out[0]) if len(a) == 1 else torch.bmm(a, b, out=out)
            self._stream(self.counted.bytes // 12)

    def _stream(self, elements: int) -> None:
        """In place, as optimizers work: what is only written is read by the processor all the same."""
        one, other = self._streams
        while elements > 0:
            part = min(elements, len(one))
            one[:part].add_(other[:part])  # two numbers are read and one is written
            elements -= part
