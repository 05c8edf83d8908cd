"""What an iteration is given, and where a recorded one finds it: at addresses that stay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ganzoo.engine.phases import Due, Phase

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
        return pattern_of(self.due)


def pattern_of(due: Sequence[Due]) -> Pattern:
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


class Buffers:
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
        numbers |= {rate_of(phase): rate for (phase, _), rate in zip(iteration.due, iteration.rates, strict=True)}
        for name, number in numbers.items():
            if name not in self._numbers:
                self._numbers[name] = torch.zeros((), dtype=torch.float32, device=self._device)
                self._held[name] = 0.0
            if number != self._held[name]:
                self._numbers[name].fill_(number)
                self._held[name] = number

    def turn_round(self) -> None:
        self.pixels.copy_(self.pixels.flip(0))

    def inputs(self, due: Sequence[Due]) -> Given:
        numbers = self._numbers
        return Given(
            pixels=self.pixels,
            labels=self.labels,
            due=due,
            decay=numbers["decay"],
            rates=[numbers[rate_of(phase)] for phase, _ in due],
            progress=numbers["progress"],
        )


def rate_of(phase: Phase) -> str:
    """Apart from the other numbers, whatever a phase is called."""
    return f"rate of {phase.name}"


@dataclass(frozen=True, kw_only=True)
class Given:
    pixels: Tensor
    labels: Tensor | None
    due: Sequence[Due]
    decay: Tensor
    rates: Sequence[Tensor]
    progress: Tensor
