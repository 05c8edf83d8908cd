"""How the runs of a bench stand while it runs: rows of text, for the board."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Entry:
    """A variant with its options, over the seeds that have a score."""

    label: str
    scores: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Values of the last score, by run; "img_per_s" and "kimg" among them."""
    finished: set[str] = field(default_factory=set)

    def take(
        self, job: str, values: dict[str, Any], *, img_per_s: float | None, kimg: float | None, finished: bool
    ) -> None:
        before = self.scores.get(job, {})
        known = {"img_per_s": img_per_s, "kimg": kimg}
        self.scores[job] = before | values | {key: value for key, value in known.items() if value is not None}
        if finished:
            self.finished.add(job)

    def mean(self, key: str) -> float | None:
        """Over the runs that have it."""
        known = [float(values[key]) for values in self.scores.values() if values.get(key) is not None]
        return statistics.fmean(known) if known else None


COLUMNS = (("FID", "fid", 1), ("IS", "is", 2), ("prec.", "precision", 2), ("recall", "recall", 2),
           ("modes", "modes", 0), ("kimg", "kimg", 1), ("img/s", "img_per_s", 0))  # fmt: skip
"""Title, key, decimals; the first ones where not all fit."""


def standings(entries: Sequence[Entry], width: int) -> tuple[list[str], list[list[str]]]:
    """Titles of columns and rows of cells, best FID first, in at most `width` letters with two spaces between columns.

    A variant that is still training stands where it would, were this its end.
    """
    ranked = sorted(entries, key=lambda entry: (entry.mean("fid") is None, entry.mean("fid") or 0.0, entry.label))
    room = width - 4 - min(max((len(entry.label) for entry in ranked), default=7), width // 3) - 9
    shown = list(COLUMNS)
    while len(shown) > 1 and 9 * len(shown) > room:
        shown.pop()
    rows = []
    for number, entry in enumerate(ranked, start=1):
        numbers = ["-" if (mean := entry.mean(key)) is None else f"{mean:,.{places}f}" for _, key, places in shown]
        going = len(entry.scores) > len(entry.finished)
        seeds = f"{len(entry.finished)}{'+' if going else ''}"
        label = entry.label if len(entry.label) <= width // 3 else entry.label[: width // 3 - 1] + "…"
        rows.append([str(number), label, seeds, *numbers])
    return ["", "variant", "seeds", *(title for title, _, _ in shown)], rows
