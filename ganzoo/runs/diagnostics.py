"""What losses and scores mean, in plain words: rules that look at a run as it goes on, each of which speaks up once.

Thresholds were fitted on runs that went well and on runs that were made to fail; docs/diagnostics.md says which, and
explains each rule. Torch-free: all that is looked at stands in stats.jsonl and metrics.jsonl.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

PAGE = "docs/diagnostics.md"

Numbers = Mapping[str, Any]  # of a line of stats.jsonl, or the values of a line of metrics.jsonl

LOGARITHMIC = ("minimax", "non-saturating")
"""Objectives whose losses are cross-entropies, in nats."""

CRITICS = ("wasserstein", "wgan-gp")
"""Objectives whose logits are heights of a function, with no border between real and generated at 0."""

BY_SIGN = (*LOGARITHMIC, "least-squares", "hinge", "relativistic-average", "relativistic-pairing")
"""Objectives of which D's accuracy is what its name says."""


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

    def last(self, kimg: float) -> list[tuple[Numbers, int]]:
        """The ticks of the last `kimg` with their numbers of images; nothing while there are not as many."""
        if not self.ticks:
            return []
        end, found = self.ticks[-1]["images"], []
        starts = [0, *(tick["images"] for tick in self.ticks[:-1])]
        for tick, start in zip(reversed(self.ticks), reversed(starts), strict=True):
            found.append((tick, tick["images"] - start))
            if end - start >= kimg * 1000 - SLACK:
                return found[::-1]
        return []

    def mean(self, name: str, kimg: float) -> float | None:
        """Over the images of the last `kimg`; None: not known of all of them."""
        pairs = [(tick.get(name), images) for tick, images in self.last(kimg)]
        known = [(value, images) for value, images in pairs if value is not None and images]
        total = sum(images for _, images in known)
        return sum(value * images for value, images in known) / total if total else None

    def all_of(self, name: str, kimg: float, holds: Callable[[float], bool]) -> bool:
        """Whether every tick of the last `kimg` that has a number has such a one."""
        values = [value for tick, _ in self.last(kimg) if (value := tick.get(name)) is not None]
        return bool(values) and all(map(holds, values))

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


SLACK = 100  # images by which a window may be short: ticks are whole batches apart

Rule = Callable[[History], Finding | None]


def d_wins(run: History) -> Finding | None:
    width = run.window(3.0)
    if run.facts.objective not in BY_SIGN or not run.all_of("d_accuracy", width, lambda value: value >= 0.985):
        return None
    accuracy = run.mean("d_accuracy", width) or 1.0
    return Finding(
        rule="d-wins",
        text=f"D wins: accuracy {percent(accuracy)} for {width:g} kimg, so G learns little from it",
        cure="try a lower train.d_lr, fewer train.d_steps, --augment diffaug or --regularize r1",
    )


def d_loses(run: History) -> Finding | None:
    width = run.window(3.0)
    if run.facts.objective not in LOGARITHMIC or not run.all_of("d_accuracy", width, lambda value: value <= 0.4):
        return None
    return Finding(
        rule="d-loses",
        text=f"D is fooled: accuracy {percent(run.mean('d_accuracy', width) or 0.0)} for {width:g} kimg, worse than "
        "guessing, so G has nothing to learn from",
        cure="try a higher train.d_lr, a lower train.g_lr or more train.d_steps",
    )


def saturated(run: History) -> Finding | None:
    width = run.window(2.0)
    if run.facts.objective != "minimax" or not run.all_of("d_accuracy", width, lambda value: value >= 0.95):
        return None
    return Finding(
        rule="saturated",
        text=f"the minimax loss is saturated: D is right {percent(run.mean('d_accuracy', width) or 1.0)} of "
        "the time, where G's gradient is nearly 0",
        cure="try --objective non-saturating, made for this",
    )


def g_loss_explodes(run: History) -> Finding | None:
    loss = run.mean("g_loss", run.window(1.0))
    if run.facts.objective not in LOGARITHMIC or loss is None or loss < 15.0:
        return None
    return Finding(
        rule="g-loss-explodes",
        text=f"G's loss is {loss:.3g}: D is surer than e^{loss:.0f} to 1 that its images are generated",
        cure="try a lower train.d_lr, --regularize r1, or --objective hinge",
    )


def critic_unbounded(run: History) -> Finding | None:
    gap, most = run.mean("d_loss", run.window(1.0)), 2 * math.sqrt(run.facts.numbers)
    if run.facts.objective not in CRITICS or gap is None or not most or -gap <= most:
        return None
    return Finding(
        rule="critic-unbounded",
        text=f"the critic is no longer 1-Lipschitz: it tells real from generated by {-gap:.3g}, and no two images are "
        f"further apart than {most:.3g}",
        cure="try a larger weight of the gradient penalty (objective.weight), or --objective wgan-gp",
    )


def not_finite_soon(run: History) -> Finding | None:
    last = run.ticks[-1] if run.ticks else {}
    large = {name: value for name, value in last.items() if is_loss(name) and value is not None}
    worst = max(large, key=lambda name: abs(large[name]), default=None)
    if worst is None or abs(large[worst]) < 1e4:
        return None
    return Finding(
        rule="not-finite-soon",
        text=f"{worst} is {large[worst]:.3g}: numbers that are not finite are near",
        cure="try lower learning rates, --precision fp32, or less weight of the largest term",
    )


def mode_collapse(run: History) -> Finding | None:
    real, width = run.facts.real_diversity, max(3.0, (run.facts.kimg or 0.0) / 4)
    now = run.mean("diversity", 1.0)
    if not real or now is None:
        return None
    best = max((tick.get("diversity") or 0.0 for tick in run.ticks), default=0.0)
    fallen = best > real / 2 and run.all_of("diversity", run.window(1.0), lambda value: value < real / 10)
    never = run.all_of("diversity", width, lambda value: value < real / 10)
    if not fallen and not never:
        return None
    how = "have become nearly the same" if fallen else f"have been nearly the same for {width:g} kimg"
    return Finding(
        rule="mode-collapse",
        text=f"mode collapse: all images {how}, they differ by {percent(now / real)} as much as real ones",
        cure="try a lower train.g_lr, another --objective (hinge, wgan-gp), or --regularize r1",
    )


def classes_missing(run: History) -> Finding | None:
    modes, classes = run.score("modes"), run.facts.num_classes
    if not run.late or modes is None or classes < 2 or modes > 0.8 * classes:
        return None
    return Finding(
        rule="classes-missing",
        text=f"{modes:.0f} of {classes} classes appear: the others are hardly ever made",
        cure="train longer, or try another --objective, --regularize r1, or a conditional variant",
    )


def low_recall(run: History) -> Finding | None:
    recall, precision = run.score("recall"), run.score("precision")
    if not run.late or recall is None or recall >= 0.02:
        return None
    known = "" if precision is None else f", precision {precision:.2f}"
    return Finding(
        rule="low-recall",
        text=f"few of the real images are within reach: recall {recall:.2f}{known}",
        cure="train longer; where precision is high, G makes few kinds of images: see mode collapse",
    )


def memorised(run: History) -> Finding | None:
    share = run.score("memorised")
    if share is None or share < 10.0:
        return None
    return Finding(
        rule="memorised",
        text=f"{share:.0f} % of the images are as near to a training image as 1 % of fresh real ones are: G copies",
        cure="look at neighbours/; take more images, --augment diffaug, a smaller network or an earlier snapshot",
    )


def getting_worse(run: History) -> Finding | None:
    fids = [(score["kimg"], fid) for score in run.scores if (fid := score["values"].get("fid")) is not None]
    if len(fids) < 3:
        return None
    at, best = min(fids[:-2], key=lambda pair: pair[1])
    if min(fid for _, fid in fids[-2:]) <= 1.5 * best:
        return None
    return Finding(
        rule="getting-worse",
        text=f"FID was {best:.4g} at {at:g} kimg and is {fids[-1][1]:.4g} now",
        cure="take that snapshot (--snapshot KIMG), or try lower learning rates, a schedule, or --augment diffaug",
    )


def learns_nothing(run: History) -> Finding | None:
    before, now = run.untrained.get("fid"), run.score("fid")
    if not run.late or not before or now is None or now < 0.6 * before:
        return None
    return Finding(
        rule="learns-nothing",
        text=f"FID is {now:.4g}, that of the untrained generator was {before:.4g}",
        cure="look at the losses first: when D wins or is fooled, G gets no direction",
    )


def ema_behind(run: History) -> Finding | None:
    facts = run.facts
    if not run.scores or not facts.ema_kimg or facts.ema_rampup is not None:
        return None
    share = 0.5 ** (float(run.scores[-1]["kimg"]) / facts.ema_kimg)
    if not run.late or share < 0.05:
        return None
    return Finding(
        rule="ema-behind",
        text=f"the averaged generator, which is scored, is still {percent(share)} the untrained one",
        cure=f"try a smaller train.ema_kimg than {facts.ema_kimg:g}, or train.ema_rampup=0.05, the default",
    )


RULES: Mapping[str, Rule] = {
    rule.__name__.replace("_", "-"): rule
    for rule in (
        *(d_wins, d_loses, saturated, g_loss_explodes, critic_unbounded, not_finite_soon),
        *(mode_collapse, classes_missing, low_recall, memorised, getting_worse, learns_nothing, ema_behind),
    )
}
"""By name, which is a heading of docs/diagnostics.md."""

OF_SCORES = ("classes-missing", "low-recall", "memorised", "getting-worse", "learns-nothing", "ema-behind")
"""Rules that look at scores; the others look at ticks."""


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


def is_loss(name: str) -> bool:
    return name.endswith("loss") or name == "penalty"


def percent(share: float) -> str:
    return f"{100 * share:.0f} %"
