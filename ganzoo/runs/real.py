"""Real images, and features of any images, as tensors: what scores are computed from, for whoever wants to look."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganzoo.config.options import Files, config_of, known_arguments, load_zoo, names_of, number_of
from ganzoo.config.places import cache_root
from ganzoo.data import Images
from ganzoo.engine.device import resolve_device
from ganzoo.errors import SettingError
from ganzoo.metrics.extract import extract_features
from ganzoo.runs.question import any_variant, part_of
from ganzoo.scoring.declared import check_features, load_features
from ganzoo.scoring.images import load_images
from ganzoo.scoring.scorer import exact_numerics


@known_arguments
def images(
    dataset: str = "digits",
    n: int | None = None,
    split: str = "train",
    *,
    size: int | None = None,
    data_root: str | Path | None = None,
    plugins: Files = None,
) -> Images:
    """Real images, as runs see them: `pixels`, uint8 `[N,C,H,W]`; `labels`, int64 `[N]` or None; `class_names`.

    Example:
        digits = ganzoo.images("digits", 100)
        sevens = digits.pixels[digits.labels == 7]

    Args:
        dataset: NAME, or NAME:PATH for images of one's own.
        n: at most so many, drawn at random, always the same ones; None: all.
        split: "train" or "test".
        size: pixels: bring images to this square size; None: their own.
        data_root: folder of datasets and caches; None: $GANZOO_DATA or ~/.cache/ganzoo.
        plugins: Python files, or folders with an __init__.py, that register more.

    Raises:
        UserError: no such dataset or split, or images that cannot be had.
    """
    n = None if n is None else number_of(n, "n", int, minimum=1)
    registry = load_zoo(plugins)
    options: dict[str, Any] = {"dataset": names_of(dataset, "dataset"), "size": size}
    config = config_of(registry, any_variant(registry), options)
    return part_of(load_images(registry, config, cache_root(data_root), split), n)


@known_arguments
def features_of(
    images: Images | Tensor | np.ndarray[Any, Any],
    features: str = "digits",
    *,
    device: str | torch.device = "auto",
    plugins: Files = None,
) -> dict[str, Tensor]:
    """What a frozen feature network says of images, on the CPU: "pool", float32 `[N,D]`, of which FID, KID, precision
    and recall are computed, and, by a classifier, "logits", float32 `[N,K]`, of which IS is.

    Example:
        said = ganzoo.features_of(ganzoo.load("cdcgan@digits").sample(100))
        classes = said["logits"].argmax(1)

    Args:
        images: uint8 `[N,C,H,W]` with levels 0 to 255, as `generator.sample(n)` gives, or what `ganzoo.images` gives.
        features: the network's name, as `ganzoo list features` says.
        device: auto, cpu, cuda, cuda:1 or mps.
        plugins: Python files, or folders with an __init__.py, that register more.

    Raises:
        UserError: no such network, or images that are not such.
    """
    pixels = images.pixels if isinstance(images, Images) else torch.as_tensor(images)
    if pixels.dtype != torch.uint8 or pixels.dim() != 4 or pixels.shape[1] not in (1, 3) or not len(pixels):
        raise SettingError(
            f"images are {pixels.dtype} {list(pixels.shape)}",
            "give uint8 [N,C,H,W] of one or three channels, as generator.sample(n) does",
        )
    registry = load_zoo(plugins)
    config = config_of(registry, any_variant(registry), {"features": names_of(features, "features")})
    spec, where = registry.features(config.features.name), resolve_device(str(device))
    extractor = load_features(registry, spec, where, config.features.settings)
    with exact_numerics(where):
        found = extract_features(extractor, pixels, device=where)
    check_features(registry, spec, found)
    return found
