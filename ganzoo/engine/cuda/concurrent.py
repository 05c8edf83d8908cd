"""Several runs on one device, in one process: each on its own stream, with its own random numbers, one at a time on the
host.

Small networks leave most of a GPU idle, and kernels of different streams run side by side. The host's part is taken in
turns: of all runs in the process one thread works at a time, and lets the others have their turn after each replay and
while it waits for the device. Whatever a run computes between two turns, it computes as if it were alone, and at each
change of turns the states of the global random generators are changed with it; so that the weights are those of a run
that had the process to itself. Processes would do as well for that, but a GPU runs the kernels of one process at a
time, unless a service is set up for it.
"""

from __future__ import annotations

import contextlib
import copy
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar, cast

import torch

T = TypeVar("T")


class Turn(Protocol):
    """A run's right to work, which it holds from its beginning."""

    @property
    def runs(self) -> int:
        """How many share the device, this one included."""
        ...

    @property
    def beside(self) -> int:
        """How many others run on processors of their own, with which it shares no more than the machine's memory."""
        ...

    def pass_on(self) -> None:
        """Let each run that waits have its turn."""
        ...

    def away(self) -> contextlib.AbstractContextManager[None]:
        """Inside, the run only waits, and others work."""
        ...


class OwnProcess:
    """The turn of a run that has its process to itself, though not always the processors."""

    def __init__(self, runs: int = 1, *, beside: int = 0) -> None:
        self.runs, self.beside = runs, beside

    def pass_on(self) -> None:
        """There is nobody to wait for."""

    def away(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()


ALONE: Turn = OwnProcess()


class Baton:
    """A lock that is handed to whoever has waited longest, so that turns go round."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._held = False
        self._waiting: deque[threading.Lock] = deque()

    @property
    def waiting(self) -> int:
        """How many want it."""
        return len(self._waiting)

    def take(self) -> None:
        with self._mutex:
            if not self._held:
                self._held = True
                return
            gate = threading.Lock()
            gate.acquire()
            self._waiting.append(gate)
        gate.acquire()  # released by the holder before, together with the baton

    def pass_round(self) -> None:
        """Give it to the first who waits, and wait behind the last. To be called where there are some."""
        gate = threading.Lock()
        gate.acquire()
        with self._mutex:
            self._waiting.append(gate)
            self._waiting.popleft().release()
        gate.acquire()

    def give(self) -> None:
        with self._mutex:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._held = False


class RandomNumbers:
    """A run's states of the global generators, to be put in when its turn comes and taken out when it ends.

    On CUDA the generator is pointed at a state of the run's own (`graphsafe_set_state`), rather than given its values:
    graphs draw from the state that they were captured with, whichever is in.
    """

    def __init__(self, device: torch.device) -> None:
        """The states that are in now, those themselves."""
        self._default: torch.Generator | None = None
        if device.type == "cuda":
            torch.cuda.init()  # before it there are no generators
            self._default = torch.cuda.default_generators[
                torch.cuda.current_device() if device.index is None else device.index
            ]
        self.take_out()

    def copy(self) -> RandomNumbers:
        """The same states, to go ways of their own."""
        other = copy.copy(self)
        other._cpu = self._cpu.clone()
        other._cuda = None if self._cuda is None else self._cuda.clone_state()
        return other

    def put_in(self) -> None:
        torch.set_rng_state(self._cpu)
        if self._default is not None and self._cuda is not None:
            self._default.graphsafe_set_state(self._cuda)

    def take_out(self) -> None:
        self._cpu = torch.get_rng_state()
        self._cuda = None if self._default is None else self._default.graphsafe_get_state()


class _Shared:
    """The turn of one of several runs."""

    def __init__(self, baton: Baton, random: RandomNumbers, runs: int) -> None:
        self.runs, self.beside = runs, 0
        self._baton, self._random = baton, random

    def begin(self) -> None:
        self._baton.take()
        self._random.put_in()

    def end(self) -> None:
        self._random.take_out()
        self._baton.give()

    def pass_on(self) -> None:
        if self._baton.waiting:
            self._random.take_out()
            self._baton.pass_round()
            self._random.put_in()

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        self.end()
        try:
            yield
        finally:
            self.begin()


def run_together(jobs: Sequence[Callable[[Turn], T]], *, device: torch.device, at_once: int) -> list[T | BaseException]:
    """Call each of `jobs` with its turn, `at_once` (at least 1) of them side by side, in order.

    A job begins with the caller's random states.

    Returns:
        What each job returned, or the error that it ended with; the others go on. The caller's random states and stream
        are as before.
    """
    at_once = max(1, min(at_once, len(jobs)))
    baton, left = Baton(), deque(enumerate(jobs))
    outcomes: list[T | BaseException | None] = [None] * len(jobs)
    caller = RandomNumbers(device)
    # All made at once: torch hands streams out from a pool, and only then are they sure to be different ones.
    streams = [torch.cuda.Stream(device) if device.type == "cuda" else None for _ in range(at_once)]
    for stream in streams:
        if stream is not None:
            stream.wait_stream(torch.cuda.current_stream(device))

    def worker(stream: torch.cuda.Stream | None) -> None:
        on_stream = contextlib.nullcontext() if stream is None else torch.cuda.stream(stream)
        with on_stream:
            while True:
                turn = _Shared(baton, caller.copy(), at_once)
                turn.begin()
                try:
                    if not left:
                        return
                    index, job = left.popleft()
                    outcomes[index] = job(turn)
                except BaseException as error:
                    outcomes[index] = error
                finally:
                    turn.end()

    threads = [threading.Thread(target=worker, args=(stream,), daemon=True) for stream in streams]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for stream in streams:
        if stream is not None:
            torch.cuda.current_stream(device).wait_stream(stream)
    caller.put_in()
    return cast("list[T | BaseException]", outcomes)
