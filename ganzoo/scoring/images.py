"""The images of a config: to train on, to score against."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ganzoo.config.fit import check_counts
from ganzoo.config.run_config import RunConfig, score_interval
from ganzoo.data import Images
from ganzoo.data.counted import Count, counted
from ganzoo.scoring.declared import load_declared
from ganzoo.scoring.selection import HELD_OUT, count_held_out, held_out
from ganzoo.zoo.registry import Registry


def load_images(registry: Registry, config: RunConfig, root: Path, split: str, download: bool = True) -> Images:
    """The config's dataset: its "train", less what `eval.held_out` keeps from it, which is HELD_OUT, or its "test".
    Errors as in `ganzoo.data.load_dataset`, `load_declared` and `held_out`.
    """
    images = _declared(registry, config, root, "train" if split == HELD_OUT else split, download)
    share = config.eval.held_out
    return images if split == "test" or not share else held_out(images, share, split)


def _declared(registry: Registry, config: RunConfig, root: Path, split: str, download: bool = True) -> Images:
    spec = registry.dataset(config.dataset.name)
    return load_declared(registry, spec, config.dataset.settings, root=root, split=split, download=download)


def training_images(registry: Registry, config: RunConfig, root: Path) -> Images:
    """What `config` trains on; errors as of `scored_images` where the run is scored, else of `load_images`."""
    if score_interval(config.train.scores, config.eval.every) is None:
        return load_images(registry, config, root, "train")
    return scored_images(registry, config, root, config.eval.num_images)


class _Counted(BaseException):
    """Ends the loading. No Exception, which a plugin's dataset may catch as a fault of its files."""


def count_images(registry: Registry, config: RunConfig, root: Path) -> Count:
    """Of the training images of a config whose dataset has a path, those that are held out among them. None is decoded
    where the dataset can tell without, and then nothing is written. Errors as of `load_declared`.
    """
    size, color = config.dataset.settings.get("size"), config.dataset.settings.get("color")
    known: list[Count] = []

    def stop(count: Count) -> None:
        known.append(count)
        raise _Counted

    try:
        with counted(stop, keep=False):
            images = _declared(registry, config, root, "train", download=False)
    except _Counted:  # what is set is what they become, whatever they are now
        return replace(
            known[0],
            size=size if isinstance(size, int) else known[0].size,
            channels={"gray": 1, "rgb": 3}.get(str(color), known[0].channels),
        )
    channels, height, _ = images.shape
    return Count(images=len(images), num_classes=images.num_classes, size=height, channels=channels)


def check_real(registry: Registry, config: RunConfig, generated: int | None, images: int) -> None:
    """`check_counts` of a config that is trained on `images`, those held out among them. Errors as there and of
    `count_held_out`.
    """
    most, share = config.eval.num_reference, config.eval.held_out
    real = count_held_out(images, share) if share else images
    check_counts(registry, config, generated, min(real, most or real))


def scored_images(registry: Registry, config: RunConfig, root: Path, generated: int | None) -> Images:
    """The training images, which `generated` ones are scored against, None: nobody knows yet how many; errors as of
    `load_images`, and of `check_counts` once the numbers are known, which is before images of a folder are decoded.
    """
    check_counts(registry, config, generated, config.eval.num_reference)
    told: list[int] = []

    def check(count: Count) -> None:
        told.append(count.images)
        check_real(registry, config, generated, count.images)

    with counted(check):
        images = _declared(registry, config, root, "train")
    if not told:  # by a dataset that decodes nothing
        check_real(registry, config, generated, len(images))
    return held_out(images, config.eval.held_out, "train") if config.eval.held_out else images
