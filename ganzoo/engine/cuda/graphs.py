"""Iterations as CUDA graphs: recorded once, replayed with one launch, with the results that eager iterations give.

A small network's iteration is some hundred kernels of a few microseconds each, which Python launches more slowly than
the device runs them. A graph holds all of them: every phase, double backward, optimizers, EMA and statistics.

What makes a replay equal to an eager iteration:

- It reads its inputs from buffers that stay where they are, and that are filled before each replay, on the same stream.
- Random numbers: a captured kernel takes its seed and offset from device memory, which torch fills at each replay from
  the state of the generator that was torch's default one at capture, and then moves that state on by what the graph
  draws. Offsets within the graph grow as they do eagerly, so that a replay draws what an eager iteration would have
  drawn, dropout included. `torch.cuda.get_rng_state` and `set_rng_state` read and write that same state between
  replays: states may be saved and restored while graphs live.
- Whatever Python does besides launching kernels is done once, at capture. Counts of statistics are added again at each
  replay; gradients are made and dropped inside (they live in the graphs' memory pool). A network or a loss that goes by
  more than that is noticed and trained eagerly, by three signs. Its capture has drawn random numbers from a generator
  of the host, or has left a parameter, a buffer, a number or a tensor that it reads back another one than it found (see
  `HostState` for where is looked); or two of the eager iterations and the capture have not called the same functions of
  torch with the same numbers, wherever the cause may be: a clock, a cycle, another file's global (see `Calls`).
  What cannot be noticed: state out of `HostState`'s reach that acts for the first time after the capture (a schedule in
  a generator function, say, or in another process), and Python within a backward pass that goes by such state.
- Graphs hold addresses. Between two ticks nothing moves a tensor; whether an observer has, is looked up after each.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from ganzoo.engine.phases import Due, Phase, due_at
from ganzoo.engine.probes.calls import Call, Calls, difference
from ganzoo.engine.probes.host_state import HostState
from ganzoo.engine.state import TrainState
from ganzoo.engine.statistics import Statistics

WARM_UP = 3
"""Eager iterations of each kind before it is captured: optimizers make their state in the first, libraries choose their
kernels and allocate their workspaces in the first few.
"""

ITERATIONS_PER_REPLAY = 4
"""Launching a graph and filling its buffers takes the host tens of microseconds, which several runs that share a device
feel; more than a few iterations per replay save little of that, and take longer to capture.
"""

LONGEST_ROUND = 32
"""Where the phases' round is longer (G at every hundredth step, say), an iteration is a replay: a graph of the whole
round would be slow to capture, and hold as many batches.
"""

Pattern = tuple[str, ...]  # names of the phases of an iteration, and of the terms that are due in each


@dataclass(frozen=True, kw_only=True)
class Iteration:
    """What one iteration is given."""

    pixels: Tensor  # uint8 [B,C,H,W]
    labels: Tensor | None  # int64 [B]
    due: Sequence[Due]
    decay: float  # of the EMA
    rates: Sequence[float]  # factor of the learning rates of each phase that is due
    progress: float = 0.0  # of the run

    @property
    def pattern(self) -> Pattern:
        return _pattern(self.due)


def _pattern(due: Sequence[Due]) -> Pattern:
    return tuple("+".join((phase.name, *(term.name for term in terms))) for phase, terms in due)


class Inputs(Protocol):
    """What the device work of an iteration reads; in a graph, numbers are float32 `[]` on the device."""

    @property
    def pixels(self) -> Tensor: ...

    @property
    def labels(self) -> Tensor | None: ...

    @property
    def due(self) -> Sequence[Due]: ...

    @property
    def decay(self) -> float | Tensor: ...

    @property
    def rates(self) -> Sequence[float | Tensor]: ...

    @property
    def progress(self) -> float | Tensor: ...


Work = Callable[[Inputs], None]


class Backend(Protocol):
    """How work is recorded. Tests have one that needs no GPU."""

    def warm_up(self, work: Callable[[], None]) -> None:
        """Do `work` now, in order with the work before and after, where its capture will find what it allocates."""
        ...

    def capture(self, work: Callable[[], None]) -> Callable[[], None]:
        """Call `work` once without doing its device work; the result does that work, each time it is called.

        Raises whatever `work` or the recording raises, the device's generator, stream and allocator left usable.
        """
        ...

    def forget(self) -> None:
        """What was captured is not called again: later captures share no memory with it."""
        ...


class Iterations:
    """Runs iterations: the first few of each pattern eagerly, as training like any other, then from a graph.

    An error while capturing is no error of the run, which goes on eagerly: `failure` says why, and so does `report`,
    once. Without a backend every iteration is eager, from the same buffers and so with the same numbers.
    """

    def __init__(
        self,
        *,
        work: Work,
        state: TrainState,
        statistics: Statistics,
        backend: Backend | None,
        report: Callable[[str], None] = lambda text: None,
        per_replay: int = ITERATIONS_PER_REPLAY,  # rounded up to whole rounds of the phases' intervals
    ) -> None:
        self._work, self._state, self._statistics, self._report = work, state, statistics, report
        self._backend = backend
        self.failure: str | None = None
        self._period = math.lcm(*(phase.period for phase in state.phases))
        several = per_replay > 1 and self._period <= LONGEST_ROUND
        self._per_replay = -(-per_replay // self._period) * self._period if several else 1
        self._buffers: list[_Buffers] = []
        self._warm: dict[Pattern, int] = {}
        self._counts: dict[Pattern, Counter[str]] = {}  # values an eager iteration adds to the statistics
        self._calls: dict[Pattern, list[list[Call]]] = {}  # of torch, by each eager iteration but the first
        self._graphs: dict[tuple[Pattern, ...], _Graph] = {}
        self._addresses: list[int] = []  # of what the graphs read and write

    @property
    def longest(self) -> int:
        """Iterations that one call of `run` may take."""
        return 1 if self._backend is None else self._per_replay

    @property
    def replays(self) -> bool:
        """Whether there is a graph."""
        return bool(self._graphs)

    def reach(self, step: int, room: int) -> int:
        """How many iterations to run next, after `step` of them: 1, or a replay's where all of them fit in `room`."""
        if self.longest == 1 or room < self.longest or step % self._period:
            return 1
        ahead = (self._pattern(step + 1 + index) for index in range(self._period))
        return self.longest if all(self._warm.get(pattern, 0) >= WARM_UP for pattern in ahead) else 1

    def _pattern(self, step: int) -> Pattern:
        return _pattern(due_at(self._state.phases, step))

    def run(self, iterations: Sequence[Iteration]) -> None:
        """Do them, one after the other."""
        self._fill(iterations)
        if self._graphs and not self._statistics.counted and _addresses(self._state) != self._addresses:
            self.forget()  # the first iteration after a tick, and an observer has moved a network: record again
        key = tuple(iteration.pattern for iteration in iterations)
        graph = self._graphs.get(key)
        if (
            graph is None
            and self._backend is not None
            and all(self._warm.get(pattern, 0) >= WARM_UP for pattern in key)
        ):
            graph = self._capture(key, iterations)
        if graph is not None:
            graph.replay()
            self._statistics.count(graph.counts)
            return
        for index, iteration in enumerate(iterations):
            if self._backend is None:
                self._do(index, iteration)
            else:
                self._warm_up(self._backend, index, iteration)

    def forget(self) -> None:
        """Drop the graphs, and the memory that they hold."""
        self._graphs.clear()
        if self._backend is not None:
            self._backend.forget()

    def _warm_up(self, backend: Backend, index: int, iteration: Iteration) -> None:
        pattern, before, calls = iteration.pattern, Counter(self._statistics.counted), list[Calls]()
        backend.warm_up(lambda: calls.append(self._watched(index, iteration)))
        self._counts[pattern] = self._statistics.counted - before
        self._warm[pattern] = self._warm.get(pattern, 0) + 1
        if self._warm[pattern] > 1:  # the first one makes what the others find
            self._calls.setdefault(pattern, []).append(calls[0].made)

    def _watched(self, index: int, iteration: Iteration) -> Calls:
        with Calls(self._state.device, [phase.optimizer for phase, _ in iteration.due]) as calls:
            self._do(index, iteration)
        return calls

    def _do(self, index: int, iteration: Iteration) -> None:
        buffers = self._buffers[index]
        self._work(buffers.inputs(iteration.due))

    def _fill(self, iterations: Sequence[Iteration]) -> None:
        """Copies on the current stream: after the replay before, which reads the buffers, and before the next."""
        while len(self._buffers) < len(iterations):
            self._buffers.append(_Buffers(iterations[0]))
        for buffers, iteration in zip(self._buffers, iterations, strict=False):
            buffers.fill(iteration)

    def _capture(self, key: tuple[Pattern, ...], iterations: Sequence[Iteration]) -> _Graph | None:
        assert self._backend is not None
        host = HostState(self._state, self._statistics)
        expected: Counter[str] = sum((self._counts[pattern] for pattern in key), Counter())
        calls: list[Calls] = []

        def work() -> None:
            for index, iteration in enumerate(iterations):
                calls.append(self._watched(index, iteration))

        try:
            replay = self._backend.capture(work)
            counts = self._statistics.counted - host.counted
            if replaced := host.replaced():
                raise RuntimeError(f"{replaced} is replaced at each call, where it should be written to")
            if drawn := host.drawn():
                raise RuntimeError(f"{drawn} is drawn from, which a graph would not do again")
            if changed := host.changed(set().union(*(one.read for one in calls))):
                raise RuntimeError(f"{changed} changes with each call, which a graph would not know")
            if counts != expected:
                raise RuntimeError("the statistics differ from call to call")
            for pattern, one in zip(key, calls, strict=True):
                for made in self._calls[pattern]:
                    if name := difference(made, one.made):
                        raise RuntimeError(f"what is computed differs from iteration to iteration, at {name}")
        except Exception as error:  # a plugin's network may do anything; whatever it is, eager iterations can do it
            host.restore()
            self._graphs.clear()
            self._backend = None
            self.failure = (str(error).strip() or type(error).__name__).splitlines()[0]
            self._report(f"no CUDA graphs in this run, which is slower: {self.failure}")
            return None
        host.keep_counts()
        graph = self._graphs[key] = _Graph(replay=replay, counts=counts)
        self._addresses = _addresses(self._state)
        return graph


@dataclass(frozen=True, kw_only=True)
class _Graph:
    replay: Callable[[], None]
    counts: Counter[str]  # values that a replay adds to the statistics


class _Buffers:
    """One iteration's inputs, at addresses that stay."""

    def __init__(self, like: Iteration) -> None:
        self.pixels = torch.empty_like(like.pixels)
        self.labels = None if like.labels is None else torch.empty_like(like.labels)
        self._device = like.pixels.device
        self._numbers: dict[str, Tensor] = {}
        self._held: dict[str, float] = {}  # what they hold: most of the time they need not be written

    def fill(self, iteration: Iteration) -> None:
        self.pixels.copy_(iteration.pixels)
        if self.labels is not None and iteration.labels is not None:
            self.labels.copy_(iteration.labels)
        numbers = {"decay": iteration.decay, "progress": iteration.progress}
        numbers |= {_rate_of(phase): rate for (phase, _), rate in zip(iteration.due, iteration.rates, strict=True)}
        for name, number in numbers.items():
            if name not in self._numbers:
                self._numbers[name] = torch.zeros((), dtype=torch.float32, device=self._device)
                self._held[name] = 0.0
            if number != self._held[name]:
                self._numbers[name].fill_(number)
                self._held[name] = number

    def inputs(self, due: Sequence[Due]) -> _Given:
        numbers = self._numbers
        return _Given(
            pixels=self.pixels,
            labels=self.labels,
            due=due,
            decay=numbers["decay"],
            rates=[numbers[_rate_of(phase)] for phase, _ in due],
            progress=numbers["progress"],
        )


def _rate_of(phase: Phase) -> str:
    """Apart from the other numbers, whatever a phase is called."""
    return f"rate of {phase.name}"


@dataclass(frozen=True, kw_only=True)
class _Given:
    pixels: Tensor
    labels: Tensor | None
    due: Sequence[Due]
    decay: Tensor
    rates: Sequence[Tensor]
    progress: Tensor


def _addresses(state: TrainState) -> list[int]:
    """Where the networks and the optimizers' states lie."""
    modules: list[nn.Module] = [state.gan.generator, state.gan.discriminator, state.ema, *state.kept.values()]
    tensors = [tensor for module in modules for tensor in (*module.parameters(), *module.buffers())]
    for phase in state.phases:
        for values in phase.optimizer.state.values():
            tensors += [value for value in values.values() if isinstance(value, Tensor)]
    return [tensor.data_ptr() for tensor in tensors]
