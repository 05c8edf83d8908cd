"""When a run ends, and when its ticks and snapshots are due."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ganzoo.config.run_config import Train

FIRST_PICTURE = 256
"""Images after which the first picture is due: from then on each step shows; what is before it is noise."""

_SLACK = 1e-9  # of progress: what floating point may be short of a whole snapshot


@dataclass(frozen=True, kw_only=True)
class Budget:
    """A length in steps, in seconds of training, or in both, whichever ends first; and its evenly spaced snapshots."""

    steps: int | None
    seconds: float | None
    snapshots: int

    @classmethod
    def of(cls, *, kimg: float | None, minutes: float | None, snapshots: int, batch_size: int) -> Budget:
        """`kimg`: thousands of real images, or None; `minutes`: of training, or None; `batch_size`: images."""
        steps = math.ceil(kimg * 1000 / batch_size) if kimg is not None else None
        return cls(steps=steps, seconds=minutes * 60 if minutes else None, snapshots=snapshots)

    def progress(self, step: int, seconds: float) -> float:
        """0 at the start, 1 at the end, of whichever limit is nearer; more than 1 beyond it."""
        by_images = step / self.steps if self.steps else 0.0
        by_time = seconds / self.seconds if self.seconds else 0.0
        return max(by_images, by_time)


class Schedule:
    """A run's budget, and the snapshots in the interval that its first budget gave them: a run that is made longer
    takes the snapshots that it would have taken, had it been as long from the start with that interval.

    Ticks are at multiples of `tick_steps`, those alone for which it is time, and at snapshots. Where steps are cut
    goes by images, so that the clock decides nothing but how often statistics are read.
    """

    def __init__(self, config: Train, first: Budget | None = None, longest: int = 1) -> None:
        """`first`: the budget that the run began with; None: it is this one. `longest`: the most steps that are done in
        one call; ticks are whole calls apart.
        """
        self.budget = Budget.of(
            kimg=config.kimg, minutes=config.minutes, snapshots=config.snapshots, batch_size=config.batch_size
        )
        self.first = first or self.budget
        tick_steps = max(1, round(config.tick_kimg * 1000 / config.batch_size))
        self.tick_steps = -(-tick_steps // longest) * longest
        self._tick_seconds, self._longest = config.tick_seconds, longest
        self._pictures, self._batch_size = config.pictures, config.batch_size

    def progress(self, step: int, seconds: float) -> float:
        """0 .. 1 of the budget."""
        return min(1.0, self.budget.progress(step, seconds))

    def ended(self, step: int, seconds: float) -> bool:
        return self.budget.progress(step, seconds) >= 1 - _SLACK

    def reached(self, step: int, seconds: float) -> int:
        """Number of the newest snapshot that is due, 0 for the untrained one. The end of the run is a snapshot, too:
        the next number, where it falls between two of the interval.
        """
        intervals = self.first.progress(step, seconds) * self.first.snapshots
        if not self.ended(step, seconds):
            return int(intervals + _SLACK)
        if self.budget == self.first:
            return self.first.snapshots  # not one more for a last step that ended a little late
        return max(1, math.ceil(intervals - _SLACK))

    @property
    def last(self) -> int:
        """Number of the snapshot that ends the run, as far as its budget alone decides it."""
        limits = [(self.budget.steps, 0.0)] if self.budget.steps is not None else []
        limits += [(0, self.budget.seconds)] if self.budget.seconds is not None else []
        return min(self.reached(steps, seconds) for steps, seconds in limits)

    def ticks(self, step: int, seconds: float) -> bool:
        """Whether statistics are read after `step`, `seconds` of training after the last reading, if no snapshot is
        due. However short the time, they are read once before each snapshot that is due by images: what is said at the
        end of a run, that it has collapsed perhaps, is always said of at most the same last steps.
        """
        if step % self.tick_steps:
            return False
        return seconds >= self._tick_seconds or self.reached(step + self.tick_steps, 0.0) > self.reached(step, 0.0)

    def pictured(self, before: int, step: int) -> bool:
        """Whether a picture is due after `step`, the call before having ended after step `before`. They are so many to
        each doubling of the images seen, so that a run that is made longer has those that it would have had.
        """
        return self._pictures_until(step) > self._pictures_until(before)

    def _pictures_until(self, step: int) -> int:
        images = step * self._batch_size
        if images < FIRST_PICTURE or not self._pictures:
            return 0
        return int(math.log2(images / FIRST_PICTURE) * self._pictures + _SLACK) + 1

    def room(self, step: int, seconds: float, snapshot: int) -> int:
        """Steps from `step` that may be done in one call: until the next multiple of `tick_steps` or the next snapshot
        after number `snapshot`, as far as images decide it, or `longest`.
        """
        for ahead in range(1, self._longest):
            if (step + ahead) % self.tick_steps == 0 or self.reached(step + ahead, seconds) > snapshot:
                return ahead
        return self._longest
