"""What runs would be: where, how long, how much; estimated from finished runs of the same kind. Torch-free."""

from __future__ import annotations

import os
import statistics
from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ganzoo.config.kept import kept_of
from ganzoo.config.run_config import RunConfig, difference, flatten
from ganzoo.engine.schedule import Schedule
from ganzoo.errors import RunError
from ganzoo.runs.directory import RunDirectory
from ganzoo.runs.names import whose_and_what
from ganzoo.runs.score_time import known_speed
from ganzoo.zoo.registry import Registry

_ALIKE = ("variant", "objective", "dataset", "regularizers", "augmentations")
_TRAINED_ALIKE = ("batch_size", "d_steps", "optimizer")


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """Seconds and bytes; None: nothing to estimate from."""

    train: float | None  # without scores
    score: float | None
    disk: int | None  # of the finished run
    memory: int | None  # the most, training or scoring: of the device, or of the process on a CPU
    source: Path | None  # the run that all of it is estimated from; None: of another kind, or none
    device: str  # that was measured on
    real_counted: bool  # whether features of the real images are there, so that `score` is all that scoring takes


def scored_snapshots(config: RunConfig) -> int:
    """How many scores a run that comes to its end has: the untrained generator's among them."""
    taken = snapshots_of(config)
    return sum(config.is_scored(index, last=index == taken[-1]) for index in taken)


def snapshots_of(config: RunConfig) -> Sequence[int]:
    """Numbers of the snapshots that a run takes which comes to its end: one of fewer steps than snapshots passes over
    some.
    """
    schedule = Schedule(config.train)
    steps, last = schedule.budget.steps, schedule.budget.snapshots
    if steps is None or steps >= last:
        return range(last + 1)
    return sorted({schedule.reached(step, 0.0) for step in range(steps + 1)})


class Present:
    """Runs that there are, by what their configs say; a config is read once, when a run of its name is looked for."""

    def __init__(self, runs: Sequence[RunDirectory]) -> None:
        self._runs = runs
        self._configs: dict[Path, dict[str, Any] | None] = {}

    @cached_property
    def _named(self) -> dict[tuple[str, str], list[RunDirectory]]:
        """By the folder of the dataset, and the name without the digest."""
        named: dict[tuple[str, str], list[RunDirectory]] = defaultdict(list)
        for run in self._runs:
            named[run.path.parent.name, run.path.name.rpartition("-")[0]].append(run)
        return named

    def the_same(self, registry: Registry, config: RunConfig, seeds: int = 1) -> list[RunDirectory | None]:
        """For each seed from the config's on a run that it would continue or find finished, if its images are the same;
        None where there is none.
        """
        name, ours = whose_and_what(registry, config), config.identity()
        found: list[RunDirectory | None] = []
        for seed in range(config.seed, config.seed + seeds):
            ours["seed"] = seed
            near = self._named.get((config.dataset.name, f"{name}-s{seed}"), ())
            found.append(next((run for run in near if self._is(run, ours)), None))
        return found

    def _is(self, run: RunDirectory, ours: dict[str, Any]) -> bool:
        if run.path not in self._configs:
            try:
                self._configs[run.path] = flatten(run.read_config())
            except RunError:
                self._configs[run.path] = None
        stored = self._configs[run.path]
        return stored is not None and not difference(ours, {key: stored.get(key, ours[key]) for key in ours})


@dataclass(kw_only=True)
class _Source:
    """A finished run to estimate from; what it holds is looked at once."""

    run: RunDirectory
    result: dict[str, Any]

    @cached_property
    def kind(self) -> Hashable:
        return _kind(self.result.get("config") or {})

    @property
    def trained(self) -> bool:
        """Whether it knows how fast."""
        return bool(self.result.get("train_img_per_s"))

    @property
    def device(self) -> str:
        return str((self.result.get("environment") or {}).get("device") or "unknown")

    @property
    def memory(self) -> int | None:
        found = [self.result.get(key) for key in ("peak_memory", "score_peak_memory")]
        return max((int(most) for most in found if most), default=None)

    def has_seen(self, config: RunConfig) -> bool:
        """Whether it has had features of these images taken by this network."""
        ours, theirs = config.to_dict(), self.result.get("config") or {}
        return bool(self.result.get("floors")) and all(theirs.get(key) == ours[key] for key in ("dataset", "features"))

    @cached_property
    def score_seconds(self) -> float | None:
        """Of one score, the median."""
        seconds = [score["seconds"] for score in self.run.metrics()]
        return statistics.median(seconds) if seconds else None

    @cached_property
    def sizes(self) -> tuple[float, float, int, int]:
        """Bytes of a snapshot, of its grid, of the state, and of the rest."""
        snapshots = [os.lstat(path).st_size for path in self.run.snapshots()]
        samples = [os.lstat(path).st_size for path in self.run.samples()]
        states = [os.lstat(path).st_size for path in (self.run.state_file, self.run.previous_state_file)
                  if os.path.lexists(path)]  # fmt: skip
        whole = sum(
            os.lstat(os.path.join(folder, name)).st_size
            for folder, _, names in os.walk(self.run.path)
            for name in names
        )
        rest = whole - sum(snapshots) - sum(samples) - sum(states)
        return _mean(snapshots), _mean(samples), max(states, default=self._state), rest

    @property
    def _state(self) -> int:
        """Where it was not kept: G, its average and two moments of Adam, D and its two."""
        parameters = self.result.get("parameters") or {}
        return int(16 * (parameters.get("generator") or 0) + 12 * (parameters.get("discriminator") or 0))


class Forecasts:
    """Estimates from the newest of `runs` that has finished and trains alike; of scoring, where that one was scored
    otherwise or is not there, from what scores took here, by what is kept under `root`, the data root, or by other
    runs. Results are read from the newest on, no more of them than are needed.
    """

    def __init__(self, runs: Sequence[RunDirectory], root: Path) -> None:
        finished = []
        for run in runs:
            try:
                finished.append((os.lstat(run.result_file).st_mtime, str(run.path), run))
            except OSError:
                continue
        self._unread: Iterator[RunDirectory] = (run for *_, run in sorted(finished, key=lambda one: one[:2])[::-1])
        self._read: list[_Source] = []  # the newest first
        self._root = root

    def __call__(self, config: RunConfig) -> Forecast | None:
        """None: nothing is known."""
        wanted = _kind(config.to_dict())
        source = next((one for one in self._sources() if one.trained and one.kind == wanted), None)
        measured: tuple[float, str] | None = None
        if source is not None and (seconds := _scoring(config, source)) is not None:
            measured = (seconds, source.device)
        else:
            measured = self._scoring_elsewhere(config)
        if source is None and measured is None:
            return None
        score, measured_on = measured or (None, "")
        return Forecast(
            train=None if source is None else _training(config, source),
            score=score,
            disk=None if source is None else _disk(config, source),
            memory=None if source is None else source.memory,
            source=None if source is None else source.run.path,
            device=measured_on if source is None else source.device,
            real_counted=not score or any(one.has_seen(config) for one in self._sources()),
        )

    def _scoring_elsewhere(self, config: RunConfig) -> tuple[float, str] | None:
        """Seconds of all scores by scores of whatever generator, and the device; None: there were none."""
        if known := known_speed(self._root, config):
            return scored_snapshots(config) * config.eval.num_images * known.seconds, known.device
        scores = ((_scoring(config, one), one.device) for one in self._sources())
        return next(((seconds, device) for seconds, device in scores if seconds is not None), None)

    def _sources(self) -> Iterator[_Source]:
        yield from self._read
        for run in self._unread:
            try:
                result = run.read_result()
            except RunError:  # damaged, or of another version
                continue
            if result is not None:
                self._read.append(_Source(run=run, result=result))
                yield self._read[-1]


def _training(config: RunConfig, source: _Source) -> float:
    train = config.train
    limits = [] if train.minutes is None else [60 * train.minutes]
    limits += [] if train.kimg is None else [1000 * train.kimg / float(source.result["train_img_per_s"])]
    return min(limits)


def _kind(config: dict[str, Any]) -> Hashable:
    """Runs of one kind train as fast as each other."""
    train = config.get("train") or {}
    return _frozen(([config.get(key) or {} for key in _ALIKE], [train.get(key) for key in _TRAINED_ALIKE]))


def _frozen(value: Any) -> Hashable:
    if isinstance(value, dict):
        return frozenset((key, _frozen(one)) for key, one in value.items())
    return tuple(map(_frozen, value)) if isinstance(value, (list, tuple)) else value


def _mean(values: Sequence[int]) -> float:
    return sum(values) / len(values) if values else 0.0


def _scoring(config: RunConfig, source: _Source) -> float | None:
    """Of all scores; by images, which is what most of a score goes by."""
    count, theirs = scored_snapshots(config), source.result.get("config") or {}
    before = theirs.get("eval") or {}
    if not count:
        return 0.0
    same = theirs.get("features") == config.to_dict()["features"] and before.get("metrics") == config.eval.metrics
    if not same or source.score_seconds is None or not before.get("num_images"):
        return None
    return count * source.score_seconds * config.eval.num_images / before["num_images"]


def _disk(config: RunConfig, source: _Source) -> int:
    """Of the finished run: as much for each snapshot and grid as there, the state, and the rest as it is."""
    snapshot, grid, state, rest = source.sizes
    count, keep = len(snapshots_of(config)), kept_of(config.train.keep)
    kept = count if "all" in keep else min(count, 1 + ("best" in keep and scored_snapshots(config) > 2))
    states = 2 if "all" in keep else int("state" in keep)
    return round(rest + count * grid + kept * snapshot + states * state)
