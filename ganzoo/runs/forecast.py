"""What a run would be: where, how long, how much; estimated from a finished run of the same kind. Torch-free."""

from __future__ import annotations

import os
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganzoo.config.run_config import RunConfig, difference, flatten
from ganzoo.errors import RunError
from ganzoo.runs.directory import RunDirectory
from ganzoo.runs.find import find_runs
from ganzoo.runs.names import beside_the_variant
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
    source: Path | None  # the run that all of it is estimated from; None: of another kind, or none
    device: str  # that was measured on
    real_counted: bool  # whether features of the real images are there, so that `score` is all that scoring takes


def scored_snapshots(config: RunConfig) -> int:
    """How many scores a run that comes to its end has: the untrained generator's among them."""
    last = config.train.snapshots
    return sum(config.is_scored(index, last=index == last) for index in range(last + 1))


def the_same(registry: Registry, config: RunConfig, under: Path) -> RunDirectory | None:
    """A run under `under` that this config would continue or find finished, if its images are the same."""
    prefix = f"{config.variant.name}{beside_the_variant(registry, config)}-s{config.seed}-"
    ours = config.identity()
    for run in find_runs([under / config.dataset.name]):
        if run.path.name.startswith(prefix):
            try:
                stored = flatten(run.read_config())
            except RunError:
                continue
            if not difference(ours, {key: stored.get(key, ours[key]) for key in ours}):
                return run
    return None


def forecast(config: RunConfig, runs: Sequence[RunDirectory], root: Path) -> Forecast | None:
    """From the newest of `runs` that has finished and trains alike; scoring, where that one was scored otherwise or is
    not there, from what scores took here, by what is kept under `root`, the data root, or by other `runs`. None:
    nothing is known.
    """
    wanted, found = config.to_dict(), []
    for run in runs:
        try:
            result = run.read_result()
        except RunError:  # damaged, or of another version
            continue
        if result is not None:
            found.append((os.lstat(run.result_file).st_mtime, str(run.path), run, result))
    found.sort(key=lambda one: one[:2], reverse=True)
    alike = next(
        ((run, result) for *_, run, result in found
         if result.get("train_img_per_s") and _alike(wanted, result.get("config") or {})), None
    )  # fmt: skip
    measured: tuple[float, str] | None = None
    if alike is not None and (seconds := _scoring(config, *alike)) is not None:
        measured = (seconds, _device(alike[1]))
    else:
        measured = _scoring_elsewhere(config, [(run, result) for *_, run, result in found], root)
    if alike is None and measured is None:
        return None
    score, measured_on = measured or (None, "")
    return Forecast(
        train=None if alike is None else _training(config, alike[1]),
        score=score,
        disk=None if alike is None else _disk(config, alike[0]),
        source=None if alike is None else alike[0].path,
        device=measured_on if alike is None else _device(alike[1]),
        real_counted=not score or any(_same_images(wanted, result) for *_, result in found),
    )


def _training(config: RunConfig, result: dict[str, Any]) -> float:
    train = config.train
    limits = [] if train.minutes is None else [60 * train.minutes]
    limits += [] if train.kimg is None else [1000 * train.kimg / float(result["train_img_per_s"])]
    return min(limits)


def _device(result: dict[str, Any]) -> str:
    return str((result.get("environment") or {}).get("device") or "unknown")


def _scoring_elsewhere(
    config: RunConfig, finished: Sequence[tuple[RunDirectory, dict[str, Any]]], root: Path
) -> tuple[float, str] | None:
    """Seconds of all scores by scores of whatever generator, and the device; None: there were none."""
    if known := known_speed(root, config):
        return scored_snapshots(config) * config.eval.num_images * known.seconds, known.device
    scores = ((_scoring(config, run, result), _device(result)) for run, result in finished)
    return next(((seconds, device) for seconds, device in scores if seconds is not None), None)


def _same_images(ours: dict[str, Any], theirs: dict[str, Any]) -> bool:
    """Whether a run has had features of these images taken by this network."""
    before = theirs.get("config") or {}
    return bool(theirs.get("floors")) and all(before.get(key) == ours[key] for key in ("dataset", "features"))


def _alike(ours: dict[str, Any], theirs: dict[str, Any]) -> bool:
    if any((theirs.get(key) or {}) != (ours.get(key) or {}) for key in _ALIKE):
        return False
    train = theirs.get("train") or {}
    return all(train.get(key) == ours["train"][key] for key in _TRAINED_ALIKE)


def _scoring(config: RunConfig, run: RunDirectory, result: dict[str, Any]) -> float | None:
    """Of all scores; by images, which is what most of a score goes by. None: the run was scored otherwise, or not."""
    count, theirs = scored_snapshots(config), result.get("config") or {}
    if not count:
        return 0.0
    before = theirs.get("eval") or {}
    if theirs.get("features") != config.to_dict()["features"] or before.get("metrics") != config.eval.metrics:
        return None
    seconds = [score["seconds"] for score in run.metrics()]
    if not seconds or not before.get("num_images"):
        return None
    return count * statistics.median(seconds) * config.eval.num_images / before["num_images"]


def _disk(config: RunConfig, run: RunDirectory) -> int:
    """As much for each snapshot as there, and the rest as it is."""
    whole = sum(
        os.lstat(os.path.join(folder, name)).st_size for folder, _, names in os.walk(run.path) for name in names
    )
    kept = [os.lstat(path).st_size for path in (*run.snapshots(), *run.samples())]
    if not kept:
        return whole
    of_one = sum(kept) / max(1, len(run.snapshots()))
    return round(whole - sum(kept) + of_one * (config.train.snapshots + 1))
