"""From a dataset's target to images that are checked and of the size and colour asked for."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ganzoo.data.facts import Facts, distinct
from ganzoo.data.images import Images
from ganzoo.data.levels import Source, measure, refuse_single, warnings_of
from ganzoo.data.pixels import check_size_and_color, prepare
from ganzoo.errors import DataError, SettingError
from ganzoo.files.text import clean

SPLITS = ("train", "test")

_log = logging.getLogger("ganzoo")


def load_dataset(
    target: Callable[..., Images],
    *,
    root: Path | str,
    split: str,
    download: bool = True,
    size: int | None = None,
    color: str | None = None,
    fit: str = "crop",
    complete_classes: bool = True,
    **settings: Any,
) -> Images:
    """Call a dataset's target and return what it gives, checked, in the size and colour asked for.

    `root`: the folder of downloads and caches. `split`: "train" or "test". `size`: pixels of the square; None: the
    dataset's own. `color`: "gray", "rgb"; None: the dataset's own. `fit`: "crop", "pad" or "stretch", how images that
    are not square become so. The three are passed to a target that declares parameters of these names, and applied by
    `ganzoo.data.prepare` for one that does not. `settings` go to the target as they are (`path` among them).
    `complete_classes` False: of training images a class may have none, as in a few generated ones. The images carry
    facts, and what these warn of goes to the logger "ganzoo" as well, once. Raises SettingError for a wrong split,
    size, colour or fit, DataError for images that cannot be had, of which a class has none or that have a single level,
    or for a target that breaks the contract, and NoTestSplit where there is nothing to test on.
    """
    if split not in SPLITS:
        raise SettingError(f"split is {split!r}", f"choose one of {', '.join(SPLITS)}")
    check_size_and_color(size, color, fit)
    declared = _parameters(target)
    for name, value in (("size", size), ("color", color), ("fit", fit)):
        if value is not None and name in declared:
            settings[name] = value
    images = target(root=Path(root).expanduser(), split=split, download=download, **settings)
    problem = _problem(images)
    if problem is not None:
        name = f"{getattr(target, '__module__', '?')}:{getattr(target, '__qualname__', target)}"
        raise DataError(f"dataset target {name} returned {problem}", "report this to the plugin that registers it")
    names = None if images.class_names is None else distinct(images.class_names)
    images = replace(images, class_names=names, facts=_described(images, names))
    images = prepare(
        images,
        None if "size" in declared else size,
        None if "color" in declared else color,
        "crop" if "fit" in declared else fit,
    )
    what = clean(f"the {split} split of {settings['path']}" if settings.get("path") else f"the {split} split")
    if split == "train" and complete_classes:
        _check_classes(images, "--set dataset.labels=false" if "labels" in declared else "")
    images = _measured(images, what)
    assert images.facts is not None
    for warning in images.facts.warnings:
        _warn_once(f"{what}: {warning}")
    return images


@functools.lru_cache(maxsize=1000)
def _warn_once(text: str) -> None:
    _log.warning("%s", text)


def _described(images: Images, names: tuple[str, ...] | None) -> Facts:
    """What the target tells, and for what it leaves out what the images tell."""
    channels, height, width = images.shape
    facts = images.facts or Facts(images=len(images))
    color = "gray" if channels == 1 else "rgb"
    classes = facts.classes
    if classes is None and images.labels is not None:
        names = names or tuple(map(str, range(images.num_classes)))
        counts = torch.bincount(images.labels, minlength=images.num_classes).tolist()
        classes = tuple(zip(names, counts, strict=True))
    return replace(
        facts,
        images=len(images),
        size=(width, height),
        color=color,
        smallest=facts.smallest or (width, height),
        largest=facts.largest or (width, height),
        original_color=facts.original_color or color,
        classes=classes,
    )


def _check_classes(images: Images, without: str) -> None:
    """Raise DataError if a class has no image: nothing could be learned of it, and its features would be missing.

    `without`: what to say on the command line to do without labels; empty: there is nothing.
    """
    if images.labels is None:
        return
    counts = torch.bincount(images.labels, minlength=images.num_classes)
    absent = torch.nonzero(counts == 0).flatten().tolist()
    if absent:
        names = [repr(images.class_names[n]) if images.class_names else str(n) for n in absent[:3]]
        what = "class" if len(absent) == 1 else "classes"
        more = f" and {len(absent) - 3} more" if len(absent) > 3 else ""
        raise DataError(
            f"the training images have none of {what} {', '.join(names)}{more}",
            f"add some, or leave the class out; or ignore labels: {without}"
            if without
            else f"add some, or number the classes 0 to {images.num_classes - 1 - len(absent)}, each with an image",
        )


def _measured(images: Images, what: str) -> Images:
    """The images with facts that hold their levels. Raises DataError if there is only one level."""
    assert images.facts is not None
    if images.facts.levels is not None:  # of a decoded folder, kept with it
        return images
    levels = measure(images.pixels)
    refuse_single(levels, what, Source())
    warnings = (*images.facts.warnings, *warnings_of(levels, Source()))
    return replace(images, facts=replace(images.facts, levels=(levels.lowest, levels.highest), warnings=warnings))


def _parameters(target: Callable[..., Images]) -> frozenset[str]:
    """Names of the parameters a target declares; none where Python cannot tell."""
    try:
        return frozenset(inspect.signature(target).parameters)
    except (TypeError, ValueError):
        return frozenset()


def _problem(images: object) -> str | None:
    """What is wrong with a target's result, as the end of a sentence; None if it keeps the contract."""
    if not isinstance(images, Images):
        return f"{type(images).__name__} instead of ganzoo.data.Images"
    pixels, labels = images.pixels, images.labels
    if pixels.dtype != torch.uint8 or pixels.dim() != 4 or pixels.device.type != "cpu":
        return f"pixels of {pixels.dtype} {list(pixels.shape)} on {pixels.device} instead of uint8 [N,C,H,W] on cpu"
    if 0 in pixels.shape:
        return f"no pixels: {list(pixels.shape)}"
    if pixels.shape[1] not in (1, 3):
        return f"{pixels.shape[1]} channels instead of 1 or 3"
    if len(images.sha256) != 64:
        return f"{images.sha256!r} as SHA-256"
    if labels is None:
        return None if images.num_classes == 0 else f"no labels but {images.num_classes} classes"
    if labels.dtype != torch.int64 or labels.shape != pixels.shape[:1]:
        return f"labels of {labels.dtype} {list(labels.shape)} instead of int64 [{len(pixels)}]"
    lowest, highest = int(labels.min()), int(labels.max())
    if lowest < 0 or highest >= images.num_classes:
        return f"labels {lowest} to {highest} for {images.num_classes} classes"
    if images.class_names is not None and len(images.class_names) != images.num_classes:
        return f"{len(images.class_names)} class names for {images.num_classes} classes"
    return None
