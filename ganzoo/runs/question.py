"""What `ganzoo eval` is asked, and what all of its answers need."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ganzoo.data import Images
from ganzoo.errors import RunError, SettingError, UserError
from ganzoo.metrics.neighbours import subset_index
from ganzoo.runs.find import find_runs, named_under
from ganzoo.runs.snapshots import LoadedSnapshot
from ganzoo.zoo.registry import Registry


@dataclass(frozen=True, kw_only=True)
class Question:
    """What `ganzoo eval` is asked; None: not said."""

    source: str
    dataset: str | None = None
    reference: Path | None = None
    features: str | None = None
    metrics: str | None = None
    num_images: int | None = None
    size: int | None = None
    snapshot: float | None = None
    sets: Sequence[str] = ()
    device: str | None = None

    def overrides(self) -> dict[str, Any]:
        pairs = (("eval.num_images", self.num_images), ("eval.metrics", self.metrics), ("dataset.size", self.size))
        return {key: value for key, value in pairs if value is not None}

    def check_sets(self, of_images: bool) -> None:
        """`of_images`: what is scored is there already, rather than made by a generator. Errors as in `check_sets`."""
        if self.reference is None:
            some = ("eval.metrics", "eval.num_reference", "eval.batch_size", "metrics", "dataset", "features")
        else:
            some = ("eval.batch_size", "metrics.fid", "features", *(("dataset",) if of_images else ()))
        check_sets(self.sets, some if of_images else ("eval.num_images", *some))

    def places(self) -> set[str]:
        """Settings that name a file or folder, and that the user has given."""
        keys = [text.partition("=")[0].strip() for text in self.sets]
        named = {"dataset.path"} if self.dataset is not None or "dataset.path" in keys else set()
        return named | ({"features.weights"} if any(key.endswith("weights") for key in keys) else set())

    def images_path(self) -> Path | None:
        """Of a folder of images or an npz; None: a run, a variant or a snapshot.

        Raises:
            UserError: a folder of runs; a snapshot asked of images.
        """
        path = Path(self.source)
        if path.suffix == ".safetensors" or not os.path.exists(path) or os.path.lexists(path / "config.json"):
            return None
        runs = find_runs([path]) if path.is_dir() else []
        if runs:
            raise RunError(f"{path} holds runs, not images", f"give one of them, such as {named_under(path, runs[0])}")
        if self.snapshot is not None:
            raise SettingError(f"--snapshot is of a run, and {path} holds images", "leave --snapshot out")
        return path


_OPTIONS = {"device": "--device NAME", "eval.num_images": "--num-images N"}
_SECTIONS = ("variant", "objective", "dataset", "features", "train", "eval", "metrics", "regularizer", "augmentation")
_TOP = ("seed", "precision", "engine", "device", "callbacks", "preset", "init", "name", "regularizers", "augmentations")


def check_sets(sets: Sequence[str], some: Sequence[str]) -> None:
    """Whether each --set can have an effect where nothing is trained. `some`: those settings and sections that have.

    Raises:
        SettingError: with the first that has none; what is no setting at all is refused where the config is built.
    """
    for text in sets:
        key = text.partition("=")[0].strip()
        if (key not in _TOP and key.partition(".")[0] not in _SECTIONS) or f"{key}.".startswith(
            tuple(f"{one}." for one in some)
        ):
            continue
        if key in _OPTIONS:
            raise SettingError(f"--set {key} has no effect here", f"say {_OPTIONS[key]}")
        raise SettingError(
            f"--set {key} has no effect here: nothing is trained, and networks are as they were trained",
            f"what may be set: {', '.join(one if one.startswith('eval.') else f'{one}.*' for one in some)}; with "
            "anything else, train another run",
        )


def snapshot_line(file: Path, loaded: LoadedSnapshot) -> str:
    """Which one was taken."""
    return f"{file.name}, {loaded.images / 1000:g} kimg"


def facts_of(images: Images, label: str) -> list[str]:
    """What was read and what was done to it, in a line, where the dataset says so."""
    line = getattr(images.facts, "line", None)
    return [] if line is None else [line(label)]


def part_of(images: Images, most: int | None) -> Images:
    """At most that many of them, drawn at random: a folder is sorted, often by class."""
    if most is None or most >= len(images):
        return images
    index = subset_index(len(images), most)
    labels = None if images.labels is None else images.labels[index]
    return replace(images, pixels=images.pixels[index], labels=labels)


def any_variant(registry: Registry) -> str:
    """The first that fits any data: a config has one, although nothing is trained by it here.

    Raises:
        UserError: there is none.
    """
    variant = next((spec.name for spec in registry.variants() if spec.sizes is None and not spec.conditional), None)
    if variant is None:
        raise UserError("no unconditional variant of any size is registered", "enable the plugin 'gan'")
    return variant
