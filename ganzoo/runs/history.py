"""A run so far, as rules of diagnosis see it, and what they find. Torch-free."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

PAGE = "docs/diagnostics.md"

SLACK = 100
"""Images by which a window may be short: ticks are whole batches apart."""

Numbers = Mapping[str, Any]  # of a line of stats.jsonl, or the values of a line of metrics.jsonl


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a rule has found."""

    rule: str
    text: str
    """What was found, with the numbers."""
    cure: str
    """What to try."""

    def to_dict(self) -> dict[str, str]:
        return {"rule": self.rule, "text": self.text, "cure": self.cure, "link": f"{PAGE}#{self.rule}"}


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a rule has to know of a run beside its numbers."""

    objective: str
    kimg: float | None = None
    """The budget; None: by time."""
    num_classes: int = 0
    numbers: int = 0
    """Of an image: C * H * W; 0: not known."""
    real_diversity: float | None = None
    """Mean standard deviation of real images over the data set, in units of [-1, 1]; None: not known."""
    ema_kimg: float = 10.0
    ema_rampup: float | None = 0.05

    @classmethod
    def of(cls, config: Mapping[str, Any], **more: Any) -> Facts:
        """From config.json, and what is not in there."""
        train = config["train"]
        return cls(
            objective=config["objective"]["name"],
            kimg=train.get("kimg"),
            ema_kimg=train.get("ema_kimg", 10.0),
            ema_rampup=train.get("ema_rampup", 0.05),
            **more,
        )


@dataclass
class History:
    """A run so far."""

    facts: Facts
    ticks: list[Numbers] = field(default_factory=list)
    scores: list[Numbers] = field(default_factory=list)
    """Of trained snapshots: lines of metrics.jsonl."""
    untrained: Numbers = field(default_factory=dict)
    """Values of the untrained generator."""

    def window(self, kimg: float) -> float:
        """`kimg`, or a tenth of the budget where that is more: early struggles of a long run are no finding."""
        return max(kimg, (self.facts.kimg or 0.0) / 10)

    def back(self, kimg: float) -> Iterator[tuple[Numbers, int]]:
        """The ticks of the last `kimg` with their numbers of images, newest first; an empty one at the end where there
        are not as many.
        """
        end = self.ticks[-1]["images"] if self.ticks else 0
        for index in range(len(self.ticks) - 1, -1, -1):
            start = self.ticks[index - 1]["images"] if index else 0
            yield self.ticks[index], self.ticks[index]["images"] - start
            if end - start >= kimg * 1000 - SLACK:
                return
        yield {}, 0

    def now(self, name: str) -> float | None:
        """Of the last tick."""
        return self.ticks[-1].get(name) if self.ticks else None

    def mean(self, name: str, kimg: float) -> float | None:
        """Over the images of the last `kimg`; None: there are not as many, or it is known of none."""
        total, images = 0.0, 0
        for tick, count in self.back(kimg):
            if not tick:
                return None
            value = tick.get(name)
            if value is not None:
                total, images = total + value * count, images + count
        return total / images if images else None

    def all_of(self, name: str, kimg: float, holds: Callable[[float], bool]) -> bool:
        """Whether there are `kimg`, and every tick of the last of them that has a number has such a one."""
        known = False
        for tick, _ in self.back(kimg):
            value = tick.get(name)
            if not tick or (value is not None and not holds(value)):
                return False
            known |= value is not None
        return known

    @property
    def late(self) -> bool:
        """Whether the last score is of the second half of the run, and not of its first 3 kimg, by which no run has got
        anywhere; of a run by time, whether it is of more than 10.
        """
        if not self.scores:
            return False
        return float(self.scores[-1]["kimg"]) >= (10.0 if self.facts.kimg is None else max(3.0, self.facts.kimg / 2))

    def score(self, name: str) -> float | None:
        """Of the last snapshot that was scored."""
        return self.scores[-1]["values"].get(name) if self.scores else None
