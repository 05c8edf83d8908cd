"""Which of the recipes that a search has tried is taken: by which score, and by how much it has to be better."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

MARGIN = 0.1
"""By how much, as a share of the mean FID, a neighbour has to be better: a few seeds tell no less apart."""


def compared_by(variant: str, first: Sequence[Mapping[str, Any]]) -> str:
    """The score that recipes of a variant are compared by, of those that the first round has."""
    from ganzoo.zoo.registry import Registry

    scored = any(one.get("class_fid") is not None for one in first)
    return "class_fid" if scored and Registry.load().variant(variant).conditional else "fid"


def mean_of(trials: Sequence[Mapping[str, Any]], by: str) -> float:
    """Of the score `by`; infinity where one of them has none: it diverged or was refused."""
    scores = [float(one[by]) for one in trials if one.get(by) is not None]
    return statistics.fmean(scores) if scores and len(scores) == len(trials) else math.inf


def missed(trials: Sequence[Mapping[str, Any]], there: int) -> int:
    """How many of the classes the worst of them does not show; 0 where classes are not told."""
    return max((there - int(one["modes"]) for one in trials if one.get("modes") is not None), default=0)


def better(one: Sequence[Mapping[str, Any]], other: Sequence[Mapping[str, Any]], there: int, by: str) -> bool:
    """Whether the first of two recipes' trials are the better ones. One that diverged is never."""
    mean, before = mean_of(one, by), mean_of(other, by)
    if not math.isfinite(mean):
        return False
    misses = missed(one, there), missed(other, there)
    return misses[0] < misses[1] or (misses[0] == misses[1] and mean < (1 - MARGIN) * before)


def most_modes(trials: Sequence[Mapping[str, Any]]) -> int:
    return max((int(one["modes"]) for one in trials if one.get("modes") is not None), default=0)


def choice(finalists: Sequence[Mapping[str, Any]], last: Sequence[Mapping[str, Any]], by: str) -> dict[str, Any]:
    """The best finalist, if it is better than the first, which is what there was; `by`: as of `compared_by`."""
    trials = [[one for one in last if one["settings"] == settings] for settings in finalists]
    there = most_modes(last)
    best = min(range(len(trials)), key=lambda index: (missed(trials[index], there), mean_of(trials[index], by)))
    best = best if better(trials[best], trials[0], there, by) else 0

    def means(index: int) -> dict[str, float | None]:
        found = {name: mean_of(trials[index], name) for name in dict.fromkeys(("fid", by))}
        return {name: mean if math.isfinite(mean) else None for name, mean in found.items()}

    return {"before": means(0), "chosen": {"settings": dict(finalists[best]), **means(best)}}
