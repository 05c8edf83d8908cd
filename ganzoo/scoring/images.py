"""The images of a config: to train on, to score against."""

from __future__ import annotations

from pathlib import Path

from ganzoo.config.fit import check_counts
from ganzoo.config.run_config import RunConfig, score_interval
from ganzoo.data import Images
from ganzoo.data.counted import counted
from ganzoo.scoring.declared import load_declared
from ganzoo.scoring.selection import HELD_OUT, held_out
from ganzoo.zoo.registry import Registry


def load_images(registry: Registry, config: RunConfig, root: Path, split: str, download: bool = True) -> Images:
    """The config's dataset: its "train", less what `eval.held_out` keeps from it, which is HELD_OUT, or its "test".
    Errors as in `ganzoo.data.load_dataset`, `load_declared` and `held_out`.
    """
    spec, share = registry.dataset(config.dataset.name), config.eval.held_out
    source = "train" if split == HELD_OUT else split
    images = load_declared(registry, spec, config.dataset.settings, root=root, split=source, download=download)
    return images if source == "test" or not share else held_out(images, share, split)


def training_images(registry: Registry, config: RunConfig, root: Path) -> Images:
    """What `config` trains on; errors as of `scored_images` where the run is scored, else of `load_images`."""
    if score_interval(config.train.scores, config.eval.every) is None:
        return load_images(registry, config, root, "train")
    return scored_images(registry, config, root, config.eval.num_images)


def scored_images(registry: Registry, config: RunConfig, root: Path, generated: int | None) -> Images:
    """The training images, which `generated` ones are scored against, None: nobody knows yet how many; errors as of
    `load_images`, and of `check_counts` once the numbers are known, which is before images of a folder are decoded.
    """
    most, share = config.eval.num_reference, config.eval.held_out
    check_counts(registry, config, generated)

    def check(images: int) -> None:
        real = round(share * images) if share else images
        check_counts(registry, config, generated, min(real, most or real))

    with counted(check):
        return load_images(registry, config, root, "train")
