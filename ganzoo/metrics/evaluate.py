"""Images to numbers: extract features once, let every metric see them, compare with a cached reference."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ganzoo.data.images import Images
from ganzoo.errors import UserError
from ganzoo.files import write_atomic
from ganzoo.metrics.extract import Extractor, checked_features, extract_features, scoring
from ganzoo.metrics.prdc import squared_radii, subset_index
from ganzoo.metrics.statistics import Moments, moments

__all__ = ["Extractor", "Metric", "Reference", "evaluate", "extract_features", "reference_features"]


class Metric(Protocol):
    """What a metric spec's target returns."""

    def update(self, features: Mapping[str, Tensor], labels: Tensor | None) -> None:
        """Add the features of a batch of generated images, and the classes they were asked for, int64 `[n]`."""

    def compute(self, reference: Reference) -> dict[str, float]:
        """The numbers, once all batches are in."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Reference:
    """Features of real images, on the CPU. Moments and radii are computed on first use and kept.

    `pool`: float32 `[N,D]`; `logits`: float32 `[N,K]`, or None without a classifier; `labels`: int64 `[N]` or None;
    `num_classes`: of the dataset, 0 when it is unlabelled.
    """

    pool: Tensor
    logits: Tensor | None = None
    labels: Tensor | None = None
    num_classes: int = 0
    _radii: dict[int, Tensor] = field(default_factory=dict, repr=False)
    _subsets: dict[int, Reference] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return self.pool.shape[0]

    @cached_property
    def moments(self) -> Moments:
        """Float64 mean and covariance of `pool`.

        Raises:
            UserError: fewer than two images, or NaN or infinity among the features.
        """
        return moments(self.pool)

    def subset(self, most: int) -> Reference:
        """At most `most` of the images, the same random ones each time; kept, so that their radii are too."""
        if len(self) <= most:
            return self
        if most not in self._subsets:
            index = subset_index(len(self), most)
            self._subsets[most] = Reference(
                pool=self.pool[index],
                logits=None if self.logits is None else self.logits[index],
                labels=None if self.labels is None else self.labels[index],
                num_classes=self.num_classes,
            )
        return self._subsets[most]

    def squared_radii(self, nearest_k: int, device: torch.device) -> Tensor:
        """Squared distance of each feature to its k-th nearest other, float64 `[N]`, computed on `device`.

        Raises:
            UserError: N <= nearest_k.
        """
        if nearest_k not in self._radii:
            self._radii[nearest_k] = squared_radii(self.pool.to(device), nearest_k).cpu()
        return self._radii[nearest_k]


def reference_features(
    images: Images,
    extractor: Extractor,
    *,
    cache_dir: Path | None,
    key: str,
    device: torch.device,
    batch_size: int = 100,
    on_batch: Callable[[int], object] | None = None,
) -> Reference:
    """The reference of a dataset, from the cache where it is there.

    Args:
        images: the real images.
        extractor: the feature network.
        cache_dir: folder of the cache, made when missing; None: neither read nor written.
        key: names the feature network, its weights' SHA-256, its resizer and its settings. The images' own SHA-256 is
            added here. A cache file that is damaged or belongs to something else is computed again; a cache that cannot
            be written is a warning.
        device: where the network is.
        batch_size: images per call.
        on_batch: called with the number of images just done; not called for a cache hit.

    Raises:
        UserError: as `extract_features`.
    """
    key = f"{key} {images.sha256}"
    path = None if cache_dir is None else cache_dir / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.safetensors"
    features = None if path is None else _read_cache(path, key, len(images))
    if features is None:
        features = extract_features(extractor, images.pixels, device=device, batch_size=batch_size, on_batch=on_batch)
        if path is not None:
            _write_cache(path, key, features)
    return Reference(
        pool=features["pool"], logits=features.get("logits"), labels=images.labels, num_classes=images.num_classes
    )


def evaluate(
    metrics: Mapping[str, Metric],
    batches: Iterable[tuple[Tensor, Tensor | None]],
    extractor: Extractor,
    reference: Reference,
    *,
    device: torch.device,
    on_batch: Callable[[int], object] | None = None,
) -> dict[str, float]:
    """Score generated images with every metric, in one pass; torch's random state is left as it was.

    Args:
        metrics: name -> fresh metric object.
        batches: of uint8 `[n,C,H,W]` images and the classes they were asked for, int64 `[n]` or None. May be a
            generator that makes them as they are asked for: it runs without gradients, and what it draws from torch's
            global random state is undone too.
        extractor: the feature network, the same as the reference's.
        reference: features of real images.
        device: where the network is; features stay there until the numbers are made.
        on_batch: called with the number of images just done.

    Returns:
        Every key of every metric.

    Raises:
        UserError: no images, a bad output of the network, two metrics with one key, or what a metric refuses.
    """
    count = 0
    values: dict[str, float] = {}
    owners: dict[str, str] = {}
    with scoring(extractor, device):
        for pixels, labels in batches:
            features = checked_features(extractor, pixels.to(device))
            found, expected = features["pool"].shape[1], reference.pool.shape[1]
            if found != expected:
                raise UserError(
                    f"{found} features per generated image, {expected} per reference image",
                    "take both with the same feature network",
                )
            for metric in metrics.values():
                metric.update(features, labels)
            count += len(pixels)
            if on_batch is not None:
                on_batch(len(pixels))
        if count == 0:
            raise UserError("there are no generated images to score", "generate at least one")
        for name, metric in metrics.items():
            for key, value in metric.compute(reference).items():
                if key in owners:
                    raise UserError(
                        f"metrics '{owners[key]}' and '{name}' both compute '{key}'", "leave one of them out"
                    )
                owners[key] = name
                values[key] = float(value)
    return values


def _read_cache(path: Path, key: str, count: int) -> dict[str, Tensor] | None:
    """Features of `count` images, or None where the file is missing, damaged, or not of this key."""
    try:
        with safe_open(path, framework="pt") as file:
            if (file.metadata() or {}).get("key") != key:
                return None
            features = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (OSError, SafetensorError):
        return None
    good = all(
        values.dtype == torch.float32 and values.dim() == 2 and len(values) == count and bool(values.isfinite().all())
        for values in features.values()
    )
    return features if good and "pool" in features else None


def _write_cache(path: Path, key: str, features: dict[str, Tensor]) -> None:
    try:
        write_atomic(path, lambda temporary: save_file(features, temporary, metadata={"key": key}))
    except (OSError, SafetensorError, UserError) as error:
        # the features are there; only the next run pays
        warnings.warn(f"reference features are not cached: {error}", RuntimeWarning, stacklevel=3)
