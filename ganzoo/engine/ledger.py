"""Where a job's wall clock goes: at each moment to one part, so that the parts add up to the whole. Torch-free."""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

PARTS = ("start", "train", "ticks", "score", "rest")
"""Everything before the first step; steps; statistics, rows, observers, saving and storing between steps; sampling and
metrics, of real images too, whenever they come; what is none of these, such as the ending.
"""


class Ledger:
    """Seconds of each of `PARTS`, over all starts of a job. It begins in "start"."""

    def __init__(self, began: float | None = None, clock: Callable[[], float] = time.perf_counter) -> None:
        """`began`: by `clock`, when the job began; None: now."""
        self._clock = clock
        self._part, self._since = "start", clock() if began is None else began
        self._spent = dict.fromkeys(PARTS, 0.0)

    def take_up(self, spent: Mapping[str, float]) -> None:
        """Add what earlier starts took, by part."""
        for part, seconds in spent.items():
            self._spent[part] += seconds

    def turn_to(self, part: str) -> None:
        """From now on time goes to `part`."""
        now = self._clock()
        self._spent[self._part] += now - self._since
        self._part, self._since = part, now

    @contextlib.contextmanager
    def of(self, part: str) -> Iterator[None]:
        """Inside, time goes to `part`; then to where it went before."""
        before = self._part
        self.turn_to(part)
        try:
            yield
        finally:
            self.turn_to(before)

    def seconds(self, part: str) -> float:
        """Of the part, until now."""
        return self._spent[part] + (self._clock() - self._since if part == self._part else 0.0)

    def spent(self) -> dict[str, float]:
        """Of each part, until now."""
        self.turn_to(self._part)
        return dict(self._spent)


def wall_seconds(spent: Mapping[str, float]) -> float:
    """All of it."""
    return math.fsum(spent.values())


def process_began() -> float:
    """`time.perf_counter()` when the system made this process: on Linux, where it says so to a hundredth of a second;
    elsewhere now.
    """
    now = time.perf_counter()
    try:
        booted, hertz = time.clock_gettime(time.CLOCK_BOOTTIME), os.sysconf("SC_CLK_TCK")
        return now - _age(Path("/proc/self/stat").read_bytes(), booted, hertz)
    except (OSError, AttributeError, ValueError, IndexError):
        return now


def _age(stat: bytes, booted: float, hertz: int) -> float:
    """Seconds since the process of `stat`, a line of /proc/PID/stat, was made. `booted`: seconds since the system was
    started; `hertz`: of the clock that `stat` counts by. 0 where the line does not tell.
    """
    created = int(stat.rpartition(b")")[2].split()[19])  # field 22; the name, field 2, may hold spaces and brackets
    return max(0.0, booted - created / hertz) if created > 0 else 0.0
