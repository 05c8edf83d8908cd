"""What all loggers have in common: which numbers they show, under which names, and when."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any

import numpy as np

from ganzoo.config.run_config import RunConfig, flatten
from ganzoo.engine.loop import Snapshot, Status
from ganzoo.files.pictures import decode_png
from ganzoo.files.reading import Unreadable, read_picture
from ganzoo.runs.directory import RunDirectory

Scalars = dict[str, float]
Picture = np.ndarray[Any, Any]
"""uint8 `[H,W,3]`."""

SHORT = 0.75
"""Of a tick: what is shorter is shown together with the next, because a mean over a few steps looks like an event."""


class Logger(abc.ABC):
    """An observer that tells another program of a run. `open` is called at the first event: only then it is known where
    a run is taken up again.
    """

    def __init__(self, run: RunDirectory, config: RunConfig) -> None:
        self.run, self.config = run, config
        self._opened = False
        self._pool = Pool(SHORT * config.train.tick_kimg * 1000)

    @abc.abstractmethod
    def open(self, images: int) -> None:
        """The run begins, or goes on after so many images."""

    @abc.abstractmethod
    def log(self, scalars: Scalars, images: int) -> None:
        """Numbers by "GROUP/NAME"."""

    @abc.abstractmethod
    def picture(self, name: str, picture: Picture, images: int) -> None: ...

    @abc.abstractmethod
    def close(self, result: Mapping[str, Any]) -> None:
        """The run has ended. Whatever had been opened is closed."""

    def on_status(self, status: Status) -> None:
        """Losses, D's accuracy, diversity, img/s and peak memory, of whole ticks."""
        self._open(status.images)
        pooled = self._pool.add(status)
        if pooled is not None:
            self.log(pooled, status.images)

    def on_snapshot(self, snapshot: Snapshot) -> None:
        """Metrics where it was scored, the grid of fakes, and once the grid of real images."""
        self._open(snapshot.images)
        if scores := named_scores(snapshot.metrics):
            self.log(scores, snapshot.images)
        if snapshot.grid is not None:
            self.picture("grid/fake", snapshot.grid.permute(1, 2, 0).cpu().numpy(), snapshot.images)
        if snapshot.index == 0 and (real := self._real()) is not None:
            self.picture("grid/real", real, 0)

    def on_end(self, result: dict[str, Any]) -> None:
        self._open(round(float(result["kimg"]) * 1000))
        rest = self._pool.take()
        if rest is not None:
            self.log(*rest)
        self.close(result)

    def _open(self, images: int) -> None:
        if not self._opened:
            self.open(images)
            self._opened = True

    def _real(self) -> Picture | None:
        try:
            return np.asarray(decode_png(read_picture(self.run.path, "real.png")))
        except (FileNotFoundError, Unreadable):
            return None


class Pool:
    """Ticks that snapshots have cut short, put together until they are of `images` images or more."""

    def __init__(self, images: float) -> None:
        self._enough = images
        self._sums: dict[str, tuple[float, float]] = {}  # weight, weighted sum
        self._last: int | None = None  # images of the last tick
        self._held = 0.0  # images
        self._at = 0

    def add(self, status: Status) -> Scalars | None:
        """The means by now, where they are of enough images; of a tick whose beginning is not known, always."""
        length = self._enough if self._last is None and status.images > self._enough else status.images
        if self._last is not None:
            length = status.images - self._last
        self._last = self._at = status.images
        values = {f"train/{name}": float(value) for name, value in status.values.items()}
        values["speed/img_per_s"] = status.img_per_s
        for name, value in values.items():
            weight, total = self._sums.get(name, (0.0, 0.0))
            self._sums[name] = (weight + length, total + length * value)
        self._sums["speed/peak_memory_bytes"] = (1.0, float(status.peak_memory))
        self._held += length
        if self._held < self._enough:
            return None
        taken = self.take()
        return None if taken is None else taken[0]

    def take(self) -> tuple[Scalars, int] | None:
        """What is held back, and of how many images it is the end; None: nothing."""
        if not self._sums:
            return None
        means = {name: total / weight for name, (weight, total) in self._sums.items() if weight}
        self._sums, self._held = {}, 0.0
        return means, self._at


def title(config: RunConfig) -> str:
    """What a person calls the run: "dcgan + hinge + r1, digits, seed 0"."""
    extras = [choice.name for choice in (*config.regularizers, *config.augmentations)]
    parts = " + ".join([config.variant.name, config.objective.name, *extras])
    return f"{parts}, {config.dataset.name}, seed {config.seed}"


_TRAIN = (
    *("kimg", "minutes", "batch_size", "d_steps", "optimizer", "g_lr", "d_lr", "beta1", "beta2", "schedule"),
    *("ema_kimg", "weight_decay"),
)


def hyperparameters(config: RunConfig) -> dict[str, str | int | float | bool]:
    """What people vary, flat; None is "none"."""
    document = config.to_dict()
    chosen: dict[str, Any] = {
        key: document[key] for key in ("variant", "objective", "regularizers", "augmentations") if key in document
    }
    chosen["dataset"] = {key: document["dataset"].get(key) for key in ("name", "size")}
    chosen["train"] = {key: document["train"][key] for key in _TRAIN}
    chosen |= {"seed": config.seed, "precision": config.precision}
    return {key: value if isinstance(value, (int, float, str)) else "none" for key, value in flatten(chosen).items()}


TOP = ("fid", "fid_inf", "is", "kid", "precision", "recall", "cond_acc", "modes")
"""What people look for; shown first."""


def named_scores(values: Mapping[str, float | None]) -> Scalars:
    """By "metrics/NAME", and "more/NAME" of what is looked at seldom. What is of one class, or of fewer images,
    stays in metrics.jsonl.
    """
    found = {key: float(value) for key, value in values.items() if value is not None and "." not in key}
    return {f"{'metrics' if key in TOP else 'more'}/{key}": value for key, value in found.items()}


def final_scores(result: Mapping[str, Any]) -> Scalars:
    """Of the end of the run, as `named_scores`."""
    return named_scores((result.get("last") or {}).get("values") or {})
