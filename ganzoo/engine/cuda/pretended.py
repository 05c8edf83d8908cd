"""Graphs without a GPU: a backend that does as CUDA graphs do, for tests and for `ganzoo check`."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

from ganzoo.engine.device import preserved_random_state
from ganzoo.engine.replays import WARM_UP, nothing
from ganzoo.engine.state import TrainState
from ganzoo.engine.statistics import Statistics


@contextlib.contextmanager
def no_reading() -> Iterator[None]:
    """No number is told to the host, as CUDA refuses to while a stream is captured."""

    def refuse(*arguments: Any) -> Any:
        raise RuntimeError("operation not permitted when stream is capturing")

    with contextlib.ExitStack() as stack:
        for name in ("item", "tolist", "__bool__", "__int__", "__float__"):
            stack.enter_context(mock.patch.object(Tensor, name, refuse))
        yield


class Pretended:
    """Does as CUDA graphs do: a capture runs Python and changes no tensor, a replay changes tensors alone."""

    after = WARM_UP

    def __init__(self, *, reading: bool = True) -> None:
        """`reading`: whether a number may be told to the host meanwhile, as one of the host's own tensors."""
        self._reading = reading
        self.events: list[str] = []
        self.capturing = False
        self.state: TrainState
        self.statistics: Statistics

    def tensors(self) -> list[Tensor]:
        state = self.state
        modules: list[nn.Module] = [state.gan.generator, state.gan.discriminator, state.ema, *state.kept.values()]
        found = [tensor for module in modules for tensor in (*module.parameters(), *module.buffers())]
        for phase in state.phases:
            found += [v for values in phase.optimizer.state.values() for v in values.values() if isinstance(v, Tensor)]
        return found + list(self.statistics._sums.values())

    def warm_up(self, work: Callable[[], None]) -> None:
        self.events.append("eager")
        work()

    def capture(self, work: Callable[[], None], vary: Callable[[], None] = nothing) -> Callable[[], None]:
        self.events.append("capture")
        tensors = self.tensors()
        before = [tensor.detach().clone() for tensor in tensors]
        self.capturing = True
        try:
            with (
                preserved_random_state(torch.device("cpu")),
                contextlib.nullcontext() if self._reading else no_reading(),
            ):
                work()
        finally:
            self.capturing = False
            with torch.no_grad():
                for tensor, value in zip(tensors, before, strict=True):
                    tensor.copy_(value)

        def replay() -> None:
            self.events.append("replay")
            counted = Counter(self.statistics.counted)
            work()
            self.statistics.counted.clear()
            self.statistics.counted.update(counted)

        return replay

    def forget(self) -> None:
        self.events.append("forget")
