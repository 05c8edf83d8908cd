"""Iterations on the CPU, recorded as the kernels that torch calls, and replayed without networks, autograd and modes.

A small network's iteration is some hundreds or thousands of kernels of a few microseconds each, and Python's modules
and autograd's graph, which do the same each time, take about as long again. A recording is the list of what torch's
dispatcher has called below autograd: forwards, backwards, double backwards, optimizers. A replay calls the same kernels
in the same order on the same memory, so that weights are the same bit for bit. What makes it so:

- A tensor is known by its memory and how it lies in it. What is there before the iteration (weights, buffers, states
  of optimizers, the batch) is *given*; what is made on the way is made anew by each replay, and let go after its last
  use. Views of what is given are made once; what nobody reads is left out, unless it draws random numbers.
- Random numbers are drawn by the same kernels from torch's generator.
- An iteration is recorded twice, the second time with the weights that the first has left, other random numbers and
  the images in another order. The two have to be equal, to the last number that Python has made, and a replay of the
  first has to do what an eager iteration does in place of the second, bit for bit. Then everything is put back.
- What a recording does not hold is refused: numbers that Python reads, shapes that depend on numbers, memory that
  something else than torch has filled, compiled code. What Python keeps besides, `Iterations` (`engine/replays.py`)
  looks after, as for CUDA graphs, and trains eagerly where anything is refused.
- Numbers that move from step to step are not in it: learning rates are set before, the average follows after.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from ganzoo.engine.cpu.allocator import give_back_freed_memory
from ganzoo.engine.cpu.recorder import Call, Recorder, Refused, Value, same_bits
from ganzoo.engine.cpu.threads import compiled
from ganzoo.engine.replays import nothing

AFTER = 8
"""Eager iterations of a kind before it is recorded, which takes as long as some ten of them: runs of a few do not."""

INTO_MEMORY = {Tensor.numpy, Tensor.tolist, Tensor.__array__, Tensor.__dlpack__, Tensor.data_ptr}
"""Functions that let Python at a tensor's memory, past the dispatcher."""


class Recordings:
    """The backend of `Iterations` on CPUs."""

    after = AFTER

    def __init__(self, *, rates_move: bool = False) -> None:
        """`rates_move`: learning rates change, and have to be read from memory."""
        self._rates_move = rates_move

    def warm_up(self, work: Callable[[], None]) -> None:
        work()

    def capture(self, work: Callable[[], None], vary: Callable[[], None] = nothing) -> Callable[[], None]:
        """As of `Backend`."""
        if compiled():  # and is perhaps part of it: watched it is other code, or calls kernels that nobody sees
            raise Refused("torch.compile is used in this process")
        made: list[Recorder] = []
        try:
            for prepare in (nothing, vary):
                prepare()
                give_back_freed_memory()  # the next iteration fills it otherwise, and would take more beside it
                made.append(Recorder(rates_move=self._rates_move))
                with _Outside(), made[-1]:
                    work()
                if made[-1].refused is not None:
                    raise made[-1].refused
            first, second = made
            if name := first.differs_from(second):
                raise Refused(f"what is computed differs from iteration to iteration, at {name}")
            second.put_back()
            work()
            expected, replay = second.left(), replay_of(first.calls)
            second.put_back()
            replay()
            if not all(map(_same, second.left(), expected)):
                raise Refused("a replay does not do what an eager iteration does")
        finally:
            for recorder in reversed(made):
                recorder.put_back()
            made.clear()
            give_back_freed_memory()
        return replay

    def forget(self) -> None:
        pass


def _same(first: Tensor | None, second: Tensor | None) -> bool:
    return first is second if first is None or second is None else same_bits(first, second)


class _Outside(TorchFunctionMode):
    """Refuses what goes past the dispatcher."""

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func in INTO_MEMORY:
            raise Refused(f"Python looks into a tensor, by {func.__name__}")
        return (one_hot if func is F.one_hot else func)(*args, **(kwargs or {}))


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """`torch.nn.functional.one_hot`, but that it does not look at the numbers before."""
    if num_classes < 1:
        return F.one_hot(tensor, num_classes)
    return tensor.new_zeros(*tensor.shape, num_classes).scatter_(-1, tensor.unsqueeze(-1), 1)


def replay_of(recorded: Sequence[Call]) -> Callable[[], None]:
    """A function that does what was recorded."""
    calls = _needed(recorded)
    names: dict[str, Any] = {}  # that the function finds
    last: dict[Value, int] = {}
    for index, call in enumerate(calls):
        last.update(dict.fromkeys((*call.read, *call.made), index))
    ends: dict[int, list[str]] = {}
    for value, index in last.items():
        if value.given is None:
            ends.setdefault(index, []).append(str(value))
        else:
            names[str(value)] = value.given
    functions = {
        function: f"f{number}" for number, function in enumerate(dict.fromkeys(call.function for call in calls))
    }
    names |= {name: function for function, name in functions.items()}
    lines = ["def replay():"]
    for index, call in enumerate(calls):
        given = [_source(one, names) for one in call.args]
        given += [f"{name}={_source(one, names)}" for name, one in call.kwargs.items()]
        lines.append(f" {_targets(call)}{functions[call.function]}({', '.join(given)})")
        if index in ends:
            lines.append(f" del {', '.join(ends[index])}")
    exec(compile("\n".join(lines), "<recording>", "exec"), names)
    return torch.inference_mode()(cast("Callable[[], None]", names.pop("replay")))


def _needed(recorded: Sequence[Call]) -> list[Call]:
    """Without those that make what nobody reads, and those that have been called for good."""
    read, calls = set[Value](), list[Call]()
    for call in reversed(recorded):
        if not call.once and (call.kept or not read.isdisjoint(call.made)):
            calls.append(call)
            read.update(call.read)
    return calls[::-1]


def _targets(call: Call) -> str:
    """What a call's results are assigned to: those that are new."""
    if not call.made:
        return ""
    if isinstance(call.out, Value):
        return f"{call.out} = "
    return "".join(f"{one}, " if one in call.made else "_, " for one in call.out) + "= "


def _source(one: Any, names: dict[str, Any]) -> str:
    """Python for an argument; what has no literal gets a name."""
    if isinstance(one, Value):
        return str(one)
    if isinstance(one, (list, tuple)):
        inner = "".join(f"{_source(each, names)}, " for each in one)
        return f"[{inner}]" if isinstance(one, list) else f"({inner})"
    if one is None or isinstance(one, (bool, int, str)):
        return repr(one)
    if not isinstance(one, (float, complex, torch.dtype, torch.layout, torch.memory_format, torch.device)):
        raise Refused(f"an operator is given a {type(one).__name__}")
    name = f"c{len(names)}"
    names[name] = one
    return name
