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
from ganzoo.zoo.registry import Registry

_ALIKE = ("variant", "objective", "dataset", "regularizers", "augmentations")
_TRAINED_ALIKE = ("batch_size", "d_steps", "optimizer")


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """Seconds and bytes; None: nothing to estimate from."""

    train: float | None  # without scores
    score: float | None
    disk: int  # of the finished run
    source: Path  # the run that it is estimated from
    device: str  # that that run was made on


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


def forecast(config: RunConfig, runs: Sequence[RunDirectory]) -> Forecast | None:
    """From the newest of `runs` that has finished and trains alike; None: none does."""
    wanted, found = config.to_dict(), []
    for run in runs:
        try:
            result = run.read_result()
        except RunError:  # damaged, or of another version
            continue
        if result is not None and result.get("train_img_per_s") and _alike(wanted, result.get("config") or {}):
            found.append((os.lstat(run.result_file).st_mtime, str(run.path), run, result))
    if not found:
        return None
    *_, run, result = max(found, key=lambda one: one[:2])
    train = config.train
    limits = [] if train.minutes is None else [60 * train.minutes]
    limits += [] if train.kimg is None else [1000 * train.kimg / float(result["train_img_per_s"])]
    return Forecast(
        train=min(limits),
        score=_scoring(config, run, result["config"]),
        disk=_disk(config, run),
        source=run.path,
        device=str((result.get("environment") or {}).get("device") or "unknown"),
    )


def _alike(ours: dict[str, Any], theirs: dict[str, Any]) -> bool:
    if any((theirs.get(key) or {}) != (ours.get(key) or {}) for key in _ALIKE):
        return False
    train = theirs.get("train") or {}
    return all(train.get(key) == ours["train"][key] for key in _TRAINED_ALIKE)


def _scoring(config: RunConfig, run: RunDirectory, theirs: dict[str, Any]) -> float | None:
    """Of all scores; by images, which is what most of a score goes by."""
    count, before = scored_snapshots(config), theirs.get("eval") or {}
    if not count:
        return 0.0
    same = theirs.get("features") == config.to_dict()["features"] and before.get("metrics") == config.eval.metrics
    seconds = [score["seconds"] for score in run.metrics()]
    if not same or not seconds or not before.get("num_images"):
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
