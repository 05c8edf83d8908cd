"""From a dataset's target to images that are checked and of the size and colour asked for."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from ganzoo.data.images import Images
from ganzoo.data.pixels import check_size_and_color, prepare
from ganzoo.errors import DataError, SettingError

SPLITS = ("train", "test")


def load_dataset(
    target: Callable[..., Images],
    *,
    root: Path | str,
    split: str,
    download: bool = True,
    size: int | None = None,
    color: str | None = None,
    **settings: Any,
) -> Images:
    """Call a dataset's target and return what it gives, checked, in the size and colour asked for.

    `root`: the folder of downloads and caches. `split`: "train" or "test". `size`: pixels of the square; None: the
    dataset's own. `color`: "gray", "rgb"; None: the dataset's own. Both are passed to a target that declares
    parameters of these names, and applied by `ganzoo.data.prepare` for one that does not. `settings` go to the target
    as they are (`path` among them). Raises SettingError for a wrong split, size or colour, DataError for images that
    cannot be had or for a target that breaks the contract, and NoTestSplit where there is nothing to test on.
    """
    if split not in SPLITS:
        raise SettingError(f"split is {split!r}", f"choose one of {', '.join(SPLITS)}")
    check_size_and_color(size, color)
    declared = _parameters(target)
    for name, value in (("size", size), ("color", color)):
        if value is not None and name in declared:
            settings[name] = value
    images = target(root=Path(root).expanduser(), split=split, download=download, **settings)
    problem = _problem(images)
    if problem is not None:
        name = f"{getattr(target, '__module__', '?')}:{getattr(target, '__qualname__', target)}"
        raise DataError(f"dataset target {name} returned {problem}", "report this to the plugin that registers it")
    return prepare(images, None if "size" in declared else size, None if "color" in declared else color)


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
