"""How long scoring takes: what scores on this machine took, kept beside its caches, and what a run still has before it.
Torch-free.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganzoo.config.run_config import RunConfig
from ganzoo.errors import UserError
from ganzoo.files.reading import Unreadable, decode_json, read_inside
from ganzoo.files.writing import write_json

FOLDER = "speeds"
"""Of the data root."""

_BYTES = 10_000


@dataclass(frozen=True, kw_only=True)
class ScoreSpeed:
    seconds: float  # for each generated image: sampling, features and metrics together
    device: str  # that it was measured on


def remember_speed(root: Path, config: RunConfig, device: str, seconds: float) -> None:
    """Keep what a score of `config` took on `device`, for each image; not where the data root cannot be written."""
    record = {"seconds_per_image": seconds, "device": device, "of": _measured(config)}
    file = root / FOLDER / f"{_key(config)}-{hashlib.sha256(device.encode()).hexdigest()[:8]}.json"
    try:
        write_json(file, record)
    except UserError:
        return  # an estimate of a later run, and nothing of this one


def known_speed(root: Path, config: RunConfig, device: str | None = None) -> ScoreSpeed | None:
    """The last of scores with the network and the metrics of `config`; `device`: on that one alone."""
    folder, found = root / FOLDER, []
    for file in folder.glob(f"{_key(config)}-*.json"):
        try:
            record = decode_json(read_inside(folder, file.name, _BYTES))
            seconds, measured_on = float(record["seconds_per_image"]), str(record["device"])
            when = os.stat(file).st_mtime
        except (OSError, Unreadable, ValueError, KeyError, TypeError):  # damaged, or just gone
            continue
        if math.isfinite(seconds) and seconds > 0 and device in (None, measured_on):
            found.append((when, file.name, ScoreSpeed(seconds=seconds, device=measured_on)))
    return max(found, key=lambda one: one[:2])[2] if found else None


def scores_after(config: RunConfig, snapshot: int, last: int) -> int:
    """How many of the snapshots behind number `snapshot`, to number `last`, are scored."""
    return sum(config.is_scored(index, last=index == last) for index in range(snapshot + 1, last + 1))


class ScoresAhead:
    """What scoring a run has before it."""

    def __init__(
        self,
        config: RunConfig,
        scores: Callable[[], Sequence[dict[str, Any]]],
        *,
        count: int,
        real: Callable[[], int],
        known: ScoreSpeed | None,
    ) -> None:
        """
        Args:
            scores: the run's own so far, lines of metrics.jsonl.
            count: generated images of a score.
            real: how many real images the network has yet to see.
            known: what earlier runs took here.
        """
        self._config, self._read = config, scores
        self._count, self._real, self._known = count, real, known
        self._at: int | None = None  # the snapshot that was the newest when the two below were read
        self._scores: Sequence[dict[str, Any]] = ()
        self._unseen = 0

    def seconds(self, snapshot: int, last: int) -> float | None:
        """Of the scores behind number `snapshot`, of the untrained generator if that is still to come, and of the real
        images; None: nothing has told how fast scoring is here.
        """
        if snapshot != self._at:  # scores come with snapshots, and ticks are many
            self._at, self._scores, self._unseen = snapshot, self._read(), self._real()
        scores = self._scores
        untrained = self._config.is_scored(0, last=False) and all(score["images"] for score in scores)
        images = self._count * (scores_after(self._config, snapshot, last) + untrained) + self._unseen
        if not images:
            return 0.0
        measured = [score["seconds"] / self._count for score in scores if score.get("seconds")]
        if not measured and self._known is None:
            return None
        return images * (statistics.median(measured) if measured else self._known.seconds if self._known else 0.0)


def _measured(config: RunConfig) -> dict[str, Any]:
    """What of a config scoring goes by."""
    features = config.to_dict()["features"]
    settings = {key: value for key, value in (features.get("settings") or {}).items() if key != "weights"}
    return {"features": features.get("name"), "settings": settings, "metrics": sorted(set(config.metric_names))}


def _key(config: RunConfig) -> str:
    return hashlib.sha256(json.dumps(_measured(config), sort_keys=True).encode()).hexdigest()[:16]
