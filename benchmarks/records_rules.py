"""What a record of time to quality is: the targets, what may be set, what a run must show, and when one counts."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ganzoo.config.run_config import LATER, PLACES, difference, flatten
from ganzoo.errors import SettingError, UserError
from ganzoo.leaderboard.significance import welch_p

SEEDS = 5
"""Of a record, and of whoever challenges it."""

LEVEL = 0.01
"""p below which a challenger is faster."""

TRIAL_SEEDS = 1000
"""The first of those that settings are looked for with. Records have the seeds below it, each challenge five of its
own: whoever tries again meets seeds that no one has seen.
"""

CORES = 2
ENVIRONMENT: Mapping[str, str] = {}
"""Of every run: how many threads train, and how they wait, is the engine's own affair."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """A score to reach. `protocol` is that of docs/results.md: its number of generated images, the training split."""

    title: str
    dataset: str
    fid: float
    protocol: str  # its id
    grid: float  # kimg from one score to the next


FASHION = "fashion-mnist-28x28x1-train60000-gen2000-fashion-mnist-last-ema-dac5d9ff"
DIGITS = "digits-32x32x1-train1437-gen2000-digits-last-ema-56548aa1"
TARGETS = {
    "fashion-mnist-fid20": Target(
        title="Fashion-MNIST to FID 20", dataset="fashion-mnist", fid=20.0, protocol=FASHION, grid=0.25
    ),
    "fashion-mnist-fid10": Target(
        title="Fashion-MNIST to FID 10", dataset="fashion-mnist", fid=10.0, protocol=FASHION, grid=0.5
    ),
    "digits-fid5": Target(title="Digits to FID 5", dataset="digits", fid=5.0, protocol=DIGITS, grid=0.25),
}

FREE = ("variant.", "objective.", "regularizer.", "augmentation.", "train.")
"""Sections of the settings that a challenger may choose in. The others say what is scored, on what and how."""

FIXED = {"kimg", "minutes", "until", "snapshots", "pictures", "scores", "keep", "rank_timeout", "sync_batch_norm"}
"""Of `train.`: how long the run is, which is said by --kimg, when it is scored and what stays of it."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a challenger trains with, above the preset `laptop`."""

    variant: str
    kimg: float  # the budget; a seed that has not reached the target by then has failed
    sets: Mapping[str, str] = field(default_factory=dict)  # setting -> value, as `--set` takes them
    objective: str | None = None  # None: the variant's
    regularize: str | None = None
    augment: str | None = None

    def to_dict(self) -> dict[str, Any]:
        named = {key: getattr(self, key) for key in ("objective", "regularize", "augment")}
        document: dict[str, Any] = {"variant": self.variant, "kimg": self.kimg, "sets": dict(self.sets)}
        return document | {key: value for key, value in named.items() if value}

    def __str__(self) -> str:
        named = [f"{key} {value}" for key, value in self.to_dict().items() if key not in ("variant", "kimg", "sets")]
        return ", ".join([self.variant, *named, *(f"{key}={value}" for key, value in self.sets.items())])


def check_settings(settings: Settings, target: Target) -> None:
    """Raises:
    SettingError: a setting is no challenger's to choose, or the budget is none of whole intervals.
    """
    for key in settings.sets:
        section, dot, name = key.partition(".")
        if f"{section}{dot}" not in FREE or (section == "train" and (name in FIXED or name.startswith("tick_"))):
            raise SettingError(
                f"{key} is the same for all that want this record",
                f"choose in {', '.join(f'{one}*' for one in FREE)}; the length is --kimg",
            )
    intervals = settings.kimg / target.grid
    if intervals < 1 or abs(intervals - round(intervals)) > 1e-9:
        raise SettingError(f"--kimg {settings.kimg:g} is no multiple of {target.grid:g}, the kimg between two scores",
                           "choose one that is: scores are equally far apart for all")  # fmt: skip


def words_of(settings: Settings, target: Target) -> Iterator[str]:
    """Of `ganzoo train` and `ganzoo bench`, all but variant and seed."""
    yield from ("--dataset", target.dataset, "--preset", "laptop", "--device", "cpu")
    yield from ("--kimg", f"{settings.kimg:g}", "--until", f"fid={target.fid:g}")
    for option in ("objective", "regularize", "augment"):
        if value := getattr(settings, option):
            yield from (f"--{option}", value)
    fixed = {"train.snapshots": f"{round(settings.kimg / target.grid)}", "eval.metrics": "fid"}
    for key, value in {**settings.sets, **fixed}.items():
        yield from ("--set", f"{key}={value}")


def evidence(result: Mapping[str, Any], target: Target, settings: Settings, seed: int) -> dict[str, Any]:
    """What of a result.json a record stands on: seed, whether the target was reached, seconds of training until then,
    kimg, FID of the score that reached it or of the last, seconds of the whole command.

    Raises:
        UserError: the run was not what the rules ask for.
    """
    config, until, last = result["config"], result.get("until") or {}, result.get("last") or {}
    environment = result["environment"]
    asked = {
        "protocol": (result["protocol"]["id"], target.protocol),
        "target": ((until.get("metric"), until.get("value")), ("fid", target.fid)),
        "seed": (result["seed"], seed),
        "variant": (config["variant"]["name"], settings.variant),
        "kimg": (config["train"]["kimg"], settings.kimg),
        "snapshots": (config["train"]["snapshots"], round(settings.kimg / target.grid)),
        "scores": ((config["train"]["scores"], config["eval"]["every"]), ("every", 1)),
        "held out": (config["eval"].get("held_out", 0.0), 0.0),
        "initial weights": (config.get("init"), None),
        "times begun": (len(result["budgets"]), 1),
        "runs at once": (environment["concurrent"] + environment.get("beside", 0), 1),
        "processes": (environment.get("ranks", 1), 1),
        "threads": (environment["device"].rpartition(", ")[2], f"{CORES} threads"),
    }
    for what, (found, wanted) in asked.items():
        if found != wanted:
            raise UserError(f"a run of {settings.variant} has {what} {found}, not {wanted}", "remove it and begin anew")
    fid = (last.get("values") or {}).get("fid")
    reached = bool(until["reached"]) and result.get("diverged") is None
    if reached and (fid is None or fid > target.fid):
        raise UserError(f"a run of {settings.variant} says it reached FID {target.fid:g}, and its score is {fid}",
                        "remove it and begin anew")  # fmt: skip
    return {
        "seed": seed,
        "reached": reached,
        "seconds": round(until["seconds"], 3),
        "kimg": until["kimg"],
        "fid": None if fid is None else round(fid, 3),
        "wall": round(result["seconds"]["wall"], 1),
    }


def conditions_of(result: Mapping[str, Any]) -> dict[str, Any]:
    """On what, and by which code, a run was made: equal for all runs of a challenge."""
    environment = result["environment"]
    packages = {name: environment["packages"][name] for name in ("ganzoo", "torch")}
    return {
        "device": environment["device"],
        **packages,
        "python": environment["python"],
        "commit": (environment.get("git") or {}).get("commit"),
    }


def recipe_of(result: Mapping[str, Any]) -> dict[str, Any]:
    """All that a run was trained with, as flat settings, less seed, places, and what earlier versions did not have."""
    left_out = PLACES | {"seed", "schema", "train.until", "train.snapshots"}
    flat = flatten(result["config"])
    return {key: value for key, value in flat.items() if key not in left_out and value != LATER.get(key, ...)}


def check_recipe(recorded: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """Raises:
    UserError: the holder's command trains with other settings than it did when it became the record.
    """
    if changed := difference(found, recorded):
        raise UserError(f"the record's command trains with another recipe now: {'; '.join(changed)}",
                        "name the former values among its settings, in docs/records")  # fmt: skip


def seeds_of(number: int) -> list[int]:
    """Of challenge `number`, from 0 on.

    Raises:
        UserError: all below `TRIAL_SEEDS` are used up.
    """
    if (number + 1) * SEEDS > TRIAL_SEEDS:
        raise UserError(f"{number} challenges have used all seeds below {TRIAL_SEEDS}", "raise TRIAL_SEEDS")
    return list(range(number * SEEDS, (number + 1) * SEEDS))


@dataclass(frozen=True, kw_only=True)
class Verdict:
    record: bool
    why: str
    p: float | None = None  # None: there was no comparison


def verdict(runs: Sequence[Mapping[str, Any]], before: Sequence[Mapping[str, Any]] | None) -> Verdict:
    """Whether the challenger's `runs` are a record. `before`: those of the holder beside them; None: nobody holds it.

    A holder's seed that missed the target counts with the seconds it had, which is less than it would have needed.
    """
    missed = [run["seed"] for run in runs if not run["reached"]]
    if missed:
        return Verdict(record=False, why=f"seed {missed[0]} did not reach the target")
    if len(runs) < SEEDS or (before is not None and len(before) < SEEDS):
        return Verdict(record=False, why="not finished")
    if before is None:
        return Verdict(record=True, why="the first")
    ours, theirs = ([run["seconds"] for run in side] for side in (runs, before))
    p = welch_p(ours, theirs)
    if statistics.fmean(ours) >= statistics.fmean(theirs):
        return Verdict(record=False, why="not faster", p=p)
    faster = p < LEVEL
    return Verdict(record=faster, why="faster" if faster else f"faster, but p is not below {LEVEL:g}", p=p)


def holder(challenges: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The challenge that holds the record: the last that was one."""
    return next((one for one in reversed(challenges) if one["record"]), None)


def settings_of(challenge: Mapping[str, Any]) -> Settings:
    return Settings(**challenge["settings"])


def read(file: Path) -> list[dict[str, Any]]:
    """The challenges of a target, in order; none where there is no file."""
    return list(json.loads(file.read_text(encoding="utf-8"))["challenges"]) if file.exists() else []


def _same_p(one: float | None, other: float | None) -> bool:
    """But for the last digits, in which versions of SciPy differ."""
    return one is other or (one is not None and other is not None and math.isclose(one, other, rel_tol=1e-9))


def faults(target: Target, challenges: Sequence[dict[str, Any]]) -> Iterator[str]:
    """What in a target's history does not follow from its runs, or is against the rules."""
    for number, one in enumerate(challenges):
        before = holder(challenges[:number])
        told = verdict(one["runs"], one["holder"])
        said = (one["record"], one["why"], one["p"])
        if said[:2] != (told.record, told.why) or not _same_p(one["p"], told.p):
            yield f"challenge {number} says {said}, and its runs {(told.record, told.why, told.p)}"
        if (before is None) != (one["holder"] is None):
            yield f"challenge {number} was not run beside the record of then"
        if one["protocol"] != target.protocol or one["grid"] != target.grid:
            yield f"challenge {number} was scored by {one['protocol']} every {one['grid']:g} kimg"
        wanted = seeds_of(number)
        for side in (one["runs"], one["holder"] or []):
            if [run["seed"] for run in side] != wanted[: len(side)]:
                yield f"challenge {number} has seeds {[run['seed'] for run in side]}, not {wanted}"
            yield from (
                f"challenge {number}, seed {run['seed']}: FID {run['fid']} is not {target.fid:g}"
                for run in side
                if run["reached"] and not (run["fid"] is not None and run["fid"] <= target.fid)
            )
        try:
            check_settings(settings_of(one), target)
        except SettingError as error:
            yield f"challenge {number}: {error.cause}"
