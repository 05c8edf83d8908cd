"""How far the host may run ahead of a device: signals, budgets and ticks go by the clock of the host."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable

import torch

from ganzoo.engine.cuda.concurrent import Turn
from ganzoo.engine.ranks.group import ALONE, Ranks

SHORT, LONG = 0.05, 0.2
"""Seconds between two marks, at least and at most, once the number of calls between them has settled."""

Mark = Callable[[], Callable[[], object]]
"""Marks the point that the device's work has come to; the result waits until the device has passed it."""


class Pace:
    """Told of each call of `Step.advance`, it marks every so many and waits for the mark before: what the device still
    has to do is at most what was told between two marks and since, some 0.1 to 0.4 s of work, whether a call is 50
    microseconds or a second of it. The device has work all the while: what came after the mark that is awaited.
    """

    def __init__(self, mark: Mark | None, clock: Callable[[], float] = time.perf_counter) -> None:
        """`mark` None: calls return when their work is done."""
        self._mark, self._clock = mark, clock
        self._every, self._told = 1, 0  # calls between two marks; since the last
        self._wait: Callable[[], object] | None = None  # for the last mark
        self._since = clock()

    def tell(self, turn: Turn) -> None:
        """One more call. Others may work while this one waits."""
        if self._mark is None:
            return
        self._told += 1
        if self._told < self._every and self._clock() - self._since < LONG:
            return
        wait, self._wait = self._wait, self._mark()
        if wait is not None:
            with turn.away():
                wait()
        now = self._clock()
        taken, self._since, self._told = now - self._since, now, 0
        if taken < SHORT:
            self._every *= 2
        elif taken > LONG:
            self._every = max(1, self._every // 2)


def marks(device: torch.device, ranks: Ranks = ALONE) -> Mark | None:
    """Marks on the current stream of `device`; None where work is done when a call returns."""
    if device.type == "cuda":

        def mark() -> Callable[[], object]:
            event = torch.cuda.Event(blocking=True)  # who waits sleeps: other runs of the process want the core
            event.record(torch.cuda.current_stream(device))
            wait: Callable[[], object] = event.synchronize
            return functools.partial(ranks.wait_until, event.query) if ranks.several else wait

        return mark
    if device.type == "mps":
        return lambda: torch.mps.synchronize  # of all work, which costs a moment of it each time
    return None
