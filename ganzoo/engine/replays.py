"""Iterations recorded once and replayed, with the results that eager iterations give: as CUDA graphs on a GPU, and as
lists of kernels on the CPU, see `cpu/recording.py`.

A small network's iteration is some hundred kernels of a few microseconds each, which Python launches more slowly than
the device runs them. A graph holds all of them: every phase, double backward, optimizers, EMA and statistics.

What makes a replay equal to an eager iteration, with CUDA graphs:

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
from typing import Any, Protocol

from torch import Tensor, nn

from ganzoo.engine.inputs import Buffers, Inputs, Iteration, Pattern, pattern_of
from ganzoo.engine.phases import due_at
from ganzoo.engine.probes.calls import Call, Calls, difference
from ganzoo.engine.probes.host_state import HostState
from ganzoo.engine.state import TrainState
from ganzoo.engine.statistics import Statistics

WARM_UP = 3
"""Eager iterations of each kind before it is captured on CUDA: optimizers make their state in the first, libraries
choose their kernels and allocate their workspaces in the first few.
"""

WATCHED = 2
"""The last eager iterations before a recording, which has to call the same functions."""

ITERATIONS_PER_REPLAY = 4
"""Launching a graph and filling its buffers takes the host tens of microseconds, which several runs that share a device
feel; more than a few iterations per replay save little of that, and take longer to capture.
"""

LONGEST_ROUND = 32
"""Where the phases' round is longer (G at every hundredth step, say), an iteration is a replay: a graph of the whole
round would be slow to capture, and hold as many batches.
"""

Work = Callable[[Inputs], None]


def nothing() -> None:
    """What `vary` is by default."""


class Backend(Protocol):
    """How work is recorded. Tests have one that needs no GPU."""

    @property
    def after(self) -> int:
        """Eager iterations of each kind before it is recorded."""
        ...

    def warm_up(self, work: Callable[[], None]) -> None:
        """Do `work` now, in order with the work before and after, where its capture will find what it allocates."""
        ...

    def capture(self, work: Callable[[], None], vary: Callable[[], None] = nothing) -> Callable[[], None]:
        """Call `work` once without doing its device work, or so that it is as if it had not been done; the result does
        that work, each time it is called. It may be called again, to be compared, after `vary` has given it other
        images.

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
        apart: bool = False,  # `work` reads images and labels alone, in eager iterations their own
    ) -> None:
        self._apart = apart
        self._work, self._state, self._statistics, self._report = work, state, statistics, report
        self._backend, self._after = backend, WARM_UP if backend is None else backend.after
        self.failure: str | None = None
        self._period = math.lcm(*(phase.period for phase in state.phases))
        several = per_replay > 1 and self._period <= LONGEST_ROUND
        self._per_replay = -(-per_replay // self._period) * self._period if several else 1
        self._buffers: list[Buffers] = []
        self._warm: dict[Pattern, int] = {}
        self._counts: dict[Pattern, Counter[str]] = {}  # values an eager iteration adds to the statistics
        self._calls: dict[Pattern, list[list[Call]]] = {}  # of torch, by each of the last eager iterations
        self._graphs: dict[tuple[Pattern, ...], _Graph] = {}
        self._taken = Taken()  # what the graphs go by

    @property
    def longest(self) -> int:
        """Iterations that one call of `run` may take."""
        return 1 if self._backend is None else self._per_replay

    @property
    def warm_up(self) -> int:
        """Iterations, from the first, until there are as many of each kind as come before its recording."""
        return 0 if self._backend is None else self._after * self._period

    @property
    def replays(self) -> bool:
        """Whether there is a graph."""
        return bool(self._graphs)

    def reach(self, step: int, room: int) -> int:
        """How many iterations to run next, after `step` of them: 1, or a replay's where all of them fit in `room`."""
        if self.longest == 1 or room < self.longest or step % self._period:
            return 1
        ahead = (self._pattern(step + 1 + index) for index in range(self._period))
        return self.longest if all(self._is_warm(pattern) for pattern in ahead) else 1

    def _is_warm(self, pattern: Pattern) -> bool:
        return self._warm.get(pattern, 0) >= self._after

    def _pattern(self, step: int) -> Pattern:
        return pattern_of(due_at(self._state.phases, step))

    def run(self, iterations: Sequence[Iteration]) -> None:
        """Do them, one after the other."""
        self._fill(iterations)
        if self._graphs and not self._statistics.counted and (now := self._taking()) != self._taken:
            self.forget()  # the first iteration after a tick, and an observer has moved a network: record again
            if now.settings != self._taken.settings:
                for one in (self._warm, self._counts, self._calls):  # of iterations that are no more
                    one.clear()
        key = tuple(iteration.pattern for iteration in iterations)
        graph = self._graphs.get(key)
        if graph is None and self._backend is not None and all(map(self._is_warm, key)):
            graph = self._capture(key, iterations)
        if graph is not None:
            graph.replay()
            self._statistics.count(graph.counts)
            return
        for index, iteration in enumerate(iterations):
            if self._backend is None:
                self._do(index, iteration, recorded=False)
            else:
                self._warm_up(self._backend, index, iteration)

    def forget(self) -> None:
        """Drop the graphs, and the memory that they hold."""
        self._graphs.clear()
        if self._backend is not None:
            self._backend.forget()

    def _warm_up(self, backend: Backend, index: int, iteration: Iteration) -> None:
        pattern, before, calls = iteration.pattern, Counter(self._statistics.counted), list[Calls]()
        done = self._warm.get(pattern, 0)
        if done < self._after - WATCHED:
            backend.warm_up(lambda: self._do(index, iteration, recorded=False))
        else:
            backend.warm_up(lambda: calls.append(self._watched(index, iteration, recorded=False)))
            self._calls.setdefault(pattern, []).append(calls[0].made)
        self._counts[pattern] = self._statistics.counted - before
        self._warm[pattern] = done + 1

    def _watched(self, index: int, iteration: Iteration, *, recorded: bool) -> Calls:
        with Calls(self._state.device, [phase.optimizer for phase, _ in iteration.due]) as calls:
            self._do(index, iteration, recorded=recorded)
        return calls

    def _do(self, index: int, iteration: Iteration, *, recorded: bool) -> None:
        if self._apart and not recorded:
            self._work(iteration)
        else:
            self._work(self._buffers[index].inputs(iteration.due))

    def _fill(self, iterations: Sequence[Iteration]) -> None:
        """Copies on the current stream: after the replay before, which reads the buffers, and before the next."""
        while len(self._buffers) < len(iterations):
            self._buffers.append(Buffers(iterations[0]))
        for buffers, iteration in zip(self._buffers, iterations, strict=False):
            buffers.fill(iteration)

    def _capture(self, key: tuple[Pattern, ...], iterations: Sequence[Iteration]) -> _Graph | None:
        assert self._backend is not None
        host = HostState(self._state, self._statistics)
        expected: Counter[str] = sum((self._counts[pattern] for pattern in key), Counter())
        calls: list[Calls] = []
        read: set[int] = set()

        def vary() -> None:
            for buffers in self._buffers:
                buffers.turn_round()

        def work() -> None:
            calls.clear()
            host.counts_as_before()
            for index, iteration in enumerate(iterations):
                calls.append(self._watched(index, iteration, recorded=True))
                read.update(calls[-1].read)

        try:
            replay = self._backend.capture(work, vary)
            counts = self._statistics.counted - host.counted
            if replaced := host.replaced():
                raise RuntimeError(f"{replaced} is replaced at each call, where it should be written to")
            if drawn := host.drawn():
                raise RuntimeError(f"{drawn} is drawn from, which a graph would not do again")
            if changed := host.changed(read):
                raise RuntimeError(f"{changed} changes with each call, which a graph would not know")
            if self._apart and self._kinds() > 1 and (anew := host.anew()):
                raise RuntimeError(f"{anew} is another tensor after each call, which other iterations may read")
            if counts != expected:
                raise RuntimeError("the statistics differ from call to call")
            for pattern, one in zip(key, calls, strict=True):
                for made in self._calls[pattern]:
                    if name := difference(made, one.made):
                        raise RuntimeError(f"what is computed differs from iteration to iteration, at {name}")
        except Exception as error:  # a plugin's network may do anything; whatever it is, eager iterations can do it
            host.restore()
            self._fill(iterations)
            self._graphs.clear()
            self._backend = None
            self.failure = (str(error).strip() or type(error).__name__).splitlines()[0]
            self._report(f"no CUDA graphs in this run, which is slower: {self.failure}")
            return None
        host.keep_counts()
        self._fill(iterations)
        graph = self._graphs[key] = _Graph(replay=replay, counts=counts)
        self._taken = self._taking()
        return graph

    def _kinds(self) -> int:
        return len({self._pattern(step) for step in range(1, self._period + 1)})

    def _taking(self) -> Taken:
        return taken_from(self._state)


@dataclass(frozen=True, kw_only=True)
class _Graph:
    replay: Callable[[], None]
    counts: Counter[str]  # values that a replay adds to the statistics


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What recordings have taken as it was."""

    addresses: Sequence[int] = ()  # of the networks and the optimizers' states
    settings: Sequence[Any] = ()  # whether each layer trains; the optimizers'


def taken_from(state: TrainState) -> Taken:
    modules: list[nn.Module] = [state.gan.generator, state.gan.discriminator, state.ema, *state.kept.values()]
    tensors = [tensor for module in modules for tensor in (*module.parameters(), *module.buffers())]
    settings: list[Any] = [part.training for module in modules for part in module.modules()]
    for phase in state.phases:
        for values in phase.optimizer.state.values():
            tensors += [value for value in values.values() if isinstance(value, Tensor)]
        for group in phase.optimizer.param_groups:
            names = group.keys() - {"params", *(() if phase.rate is None else ("lr",))}  # rates that move are inputs
            settings += [group[name] for name in sorted(names) if not isinstance(group[name], Tensor)]
    return Taken(addresses=[tensor.data_ptr() for tensor in tensors], settings=settings)
