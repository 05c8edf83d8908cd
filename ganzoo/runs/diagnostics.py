"""What losses and scores mean, in plain words: rules that look at a run as it goes on, each of which speaks up once.

Torch-free: all that is looked at stands in stats.jsonl and metrics.jsonl.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ganzoo.runs.history import PAGE, Facts, Finding, History, Numbers
from ganzoo.runs.rules import OF_SCORES, RULES

__all__ = ["OF_SCORES", "PAGE", "RULES", "Diagnosis", "Facts", "Finding", "facts_of_record", "replay"]


class Diagnosis:
    """Told of ticks and scores, in order, it gives what is found: each rule speaks once in a run."""

    def __init__(
        self,
        facts: Facts,
        ticks: Iterable[Numbers] = (),
        scores: Iterable[Numbers] = (),
        found: Iterable[Mapping[str, Any]] = (),
    ) -> None:
        """`ticks`, `scores` and `found` of a run that goes on: its stats.jsonl, metrics.jsonl, diagnostics.jsonl."""
        self._run = History(facts, list(ticks))
        self._take(list(scores))
        self._left = dict.fromkeys(RULES.keys() - {str(one["rule"]) for one in found})

    def tick(self, tick: Numbers) -> list[Finding]:
        """A line of stats.jsonl, just written."""
        self._run.ticks.append(tick)
        return self._ask(name for name in RULES if name not in OF_SCORES)

    def scored(self, scores: Sequence[Numbers]) -> list[Finding]:
        """All lines of metrics.jsonl, of which one was just written."""
        self._take(scores)
        return self._ask(OF_SCORES)

    def _take(self, scores: Sequence[Numbers]) -> None:
        protocol = scores[-1].get("protocol") if scores else None  # numbers of others are not compared with
        ours = sorted((one for one in scores if one.get("protocol") == protocol), key=lambda one: one["images"])
        self._run.scores = [one for one in ours if one["images"] > 0]
        self._run.untrained = next((one["values"] for one in ours if one["images"] == 0), {})

    def _ask(self, names: Iterable[str]) -> list[Finding]:
        findings = [finding for name in names if name in self._left and (finding := RULES[name](self._run))]
        for finding in findings:
            del self._left[finding.rule]
        return findings


def replay(facts: Facts, ticks: Sequence[Numbers], scores: Sequence[Numbers]) -> list[dict[str, Any]]:
    """What a run of these records would have been told: lines of diagnostics.jsonl. `ticks`: stats.jsonl; `scores`:
    metrics.jsonl.
    """
    diagnosis, lines = Diagnosis(facts), list[dict[str, Any]]()
    for tick in ticks:
        findings = diagnosis.tick(tick)
        due = [score for score in scores if score["images"] <= tick["images"]]
        if any(score["images"] == tick["images"] for score in due):
            findings += diagnosis.scored(due)
        kimg = tick["images"] / 1000
        lines += [{"images": tick["images"], "kimg": kimg, **finding.to_dict()} for finding in findings]
    return lines


def facts_of_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """For `Facts.of`, what run.json knows of the images."""
    split = (record.get("data") or {}).get("train") or {}
    return {"num_classes": split.get("num_classes", 0), "numbers": math.prod(split.get("shape") or [0])}
