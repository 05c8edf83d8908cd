"""A graphs backend that needs no GPU, for tests of what happens where iterations are replayed."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from ganzoo.engine.device import preserved_random_state
from ganzoo.engine.graphs import Iterations
from ganzoo.engine.state import TrainState
from ganzoo.engine.statistics import Statistics

CPU = torch.device("cpu")


class NoReading(TorchDispatchMode):
    """Refuses to tell the host a number, as CUDA does while a stream is captured."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default:
            raise RuntimeError("operation not permitted when stream is capturing")
        return func(*args, **(kwargs or {}))


class Pretended:
    """Does as CUDA graphs do: a capture runs Python and changes no tensor, a replay changes tensors alone."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.capturing = False
        self.state: TrainState
        self.statistics: Statistics

    def tensors(self) -> list[Tensor]:
        state = self.state
        modules: list[nn.Module] = [state.gan.generator, state.gan.discriminator, state.ema]
        found = [tensor for module in modules for tensor in (*module.parameters(), *module.buffers())]
        for phase in state.phases:
            found += [v for values in phase.optimizer.state.values() for v in values.values() if isinstance(v, Tensor)]
        return found + list(self.statistics._sums.values())

    def warm_up(self, work: Callable[[], None]) -> None:
        self.events.append("eager")
        work()

    def capture(self, work: Callable[[], None]) -> Callable[[], None]:
        self.events.append("capture")
        tensors = self.tensors()
        before = [tensor.detach().clone() for tensor in tensors]
        self.capturing = True
        try:
            with preserved_random_state(CPU), NoReading():
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


@contextlib.contextmanager
def pretended_graphs(make_backend: Callable[[], Pretended] = Pretended) -> Iterator[list[Pretended]]:
    """Inside, a Step on the CPU has a backend of its own, as on CUDA; the list holds them, in the order of making."""
    made: list[Pretended] = []

    def backend_of(device: torch.device) -> Pretended:
        return make_backend()

    def make(**arguments: Any) -> Iterations:
        if isinstance(arguments["backend"], Pretended):
            backend = arguments["backend"]
            backend.state, backend.statistics = arguments["state"], arguments["statistics"]
            made.append(backend)
        return Iterations(**arguments)

    with (
        mock.patch("ganzoo.engine.step.cuda_graphs", backend_of),
        mock.patch("ganzoo.engine.step.Iterations", make),
    ):
        yield made
