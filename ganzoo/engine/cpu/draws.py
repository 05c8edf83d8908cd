"""Random numbers that do not depend on how tensors lie in memory.

torch fills a tensor in the order of its memory, so that the same generator gives an image channels last other noise,
and another dropout mask, than one that is contiguous. On the CPU, where the fast engine lays out and the plain one does
not, both get what a contiguous one gets.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ganzoo.engine.cpu.convolutions import ordinary
from ganzoo.engine.cpu.substitution import Substitution
from ganzoo.engine.ranks.rows import PER_ELEMENT, current


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """`torch.nn.functional.dropout`, with p rounded to a multiple of 2^-16 (and the scale accordingly).

    torch draws a 64-bit number per element, one after another, which is a tenth of a step of `gan`; a quarter of one is
    enough. NumPy compares and converts small integers several times faster than torch.
    """
    _note()
    dropped = round(p * 2**16)
    plain = input.device.type != "cpu" or not input.is_floating_point() or not 0 < dropped < 2**16
    if plain or not training or not ordinary():
        return _torch_dropout(input, p, training, inplace)
    rows = current()
    if rows is not None and rows.divides(input.shape):
        with rows.aside():
            draws = rows.own(torch.from_numpy(_sixteen_bits(rows.size * input.numel())).view(rows.of_all(input.shape)))
        mask = _mask(draws.numpy(), dropped).view(input.shape).to(input.dtype)
    else:
        mask = torch.ops.ganzoo.dropout_mask(input.detach(), dropped)
    return input.mul_(mask) if inplace else input * mask


def _dropout_mask(like: Tensor, dropped: int) -> Tensor:
    return _mask(_sixteen_bits(like.numel()), dropped).view(like.shape).to(like.dtype)


def _mask(draws: NDArray[np.int16], dropped: int) -> Tensor:
    """float32, 0 for `dropped` of 2^16 of them, and what keeps the mean for the others."""
    kept = draws >= dropped - 2**15
    return torch.from_numpy(np.multiply(kept, np.float32(2**16 / (2**16 - dropped))))


def _sixteen_bits(count: int) -> NDArray[np.int16]:
    """`[count]`, uniform over -2^15 .. 2^15 - 1."""
    draws = np.empty(-(-count // 4), dtype=np.int64)
    torch.from_numpy(draws).random_(-(2**63), None)
    return draws.view(np.int16)[:count]


_OPERATORS = torch.library.Library("ganzoo", "DEF")
"""NumPy's work as an operator of torch's, which a recording (see `recording.py`) holds."""

_OPERATORS.define("dropout_mask(Tensor like, int dropped) -> Tensor", tags=(torch.Tag.nondeterministic_seeded,))
_OPERATORS.impl("dropout_mask", _dropout_mask, "CPU")

_thread = threading.local()


def _note() -> None:
    """That this thread has drawn without gradients: perhaps in a reentrant checkpoint, which will draw again."""
    if not torch.is_grad_enabled():
        _thread.drawn = True


@contextlib.contextmanager
def everywhere() -> Iterator[None]:
    """Inside, this thread draws by position on other devices, too."""
    _thread.everywhere = True
    try:
        yield
    finally:
        _thread.everywhere = False


def lies_otherwise(tensor: Tensor) -> bool:
    """Whether it is an image of ours that would be contiguous under torch's own layout."""
    return (
        tensor.ndim == 4
        and (tensor.device.type == "cpu" or _thread.__dict__.get("everywhere", False))
        and not tensor.is_contiguous()
        and tensor.is_contiguous(memory_format=torch.channels_last)
    )


def contiguously(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """`function`, which draws a number for each of its first argument, in place or not, of a contiguous one; the result
    lies as given.
    """

    def call(*arguments: Any, **named: Any) -> Tensor:
        input = arguments[0] if arguments else None  # a number, in `torch.normal(0.0, 1.0, size)`
        # In a checkpoint, whose second pass may be out of reach, both draw in the order of memory.
        if not isinstance(input, Tensor) or not lies_otherwise(input) or not ordinary():
            return function(*arguments, **named)
        _note()
        copy = input.contiguous()
        before = copy._version
        out = function(copy, *arguments[1:], **named)
        if out is copy:
            # What dropout of nothing returns was not written to, and a write would spoil what backward needs.
            return input if copy._version == before else input.copy_(out)
        return out.contiguous(memory_format=torch.channels_last)

    return call


def backward(
    tensor: Tensor,
    gradient: Tensor | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """`torch.Tensor.backward`, on which a reentrant checkpoint draws once more what it has drawn before."""
    if inputs is not None and not isinstance(inputs, Tensor) and not len(inputs):
        raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
    (gradient,) = torch.autograd._make_grads((tensor,), (gradient,), is_grads_batched=False)  # refuses what torch does
    retain_graph = create_graph if retain_graph is None else retain_graph
    of = () if inputs is None else (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    # Around the call below torch's own function, which would leave the mode first.
    with Substitution(DRAWS) if _thread.__dict__.get("drawn") else contextlib.nullcontext():
        torch.autograd.graph._engine_run_backward(
            (tensor,), (gradient,), retain_graph, create_graph, of, allow_unreachable=True, accumulate_grad=True
        )


_torch_dropout = contiguously(F.dropout)


def dropout_of_torch(input: Tensor, p: float, train: bool) -> Tensor:
    """`torch.dropout`, whose last argument has another name."""
    return dropout(input, p, train)


DRAWS: dict[Any, Callable[..., Any]] = {
    Tensor.backward: backward,
    F.dropout: dropout,
    torch.dropout: dropout_of_torch,
    **{function: contiguously(function) for function in PER_ELEMENT},
}
"""Functions that draw a number per element, and what is called instead. Out of reach is what draws in compiled or
scripted code, within another function of torch, or in a checkpoint that is not reentrant.
`torch.nn.functional.dropout2d` draws per channel.
"""
