"""The real side of a score: features of real images, and their statistics, computed once and kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from ganzoo.data.images import Images
from ganzoo.metrics.cache import TensorCache
from ganzoo.metrics.extract import Extractor, extract_features
from ganzoo.metrics.neighbours import nearest, squared_radii, subset_index
from ganzoo.metrics.statistics import Moments, moments
from ganzoo.zoo.source import package_sha256

NEIGHBOUR_IMAGES = 10_000
"""At most this many images are asked how far their nearest training image is."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Reference:
    """Features of real images, on the CPU. Statistics are computed on first use and kept, in the cache if there is one.

    `pool`: float32 `[N,D]`; `logits`: float32 `[N,K]`, or None without a classifier; `labels`: int64 `[N]` or None;
    `num_classes`: of the dataset, 0 when it is unlabelled; `images`: the images themselves, or None; `sha256`: of them;
    `test`: the same of the dataset's test split, or None; `cache`: where statistics are kept between runs, or None.
    """

    pool: Tensor
    logits: Tensor | None = None
    labels: Tensor | None = None
    num_classes: int = 0
    images: Images | None = None
    sha256: str = ""
    test: Reference | None = None
    cache: TensorCache | None = field(default=None, repr=False)
    _kept: dict[str, dict[str, Tensor]] = field(default_factory=dict, repr=False)
    _subsets: dict[str, Reference] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return self.pool.shape[0]

    def keep(self, name: str, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        """The statistics `name`: from memory, from the cache, or made now and kept in both.

        Args:
            name: says what they are and every setting they depend on.
            make: gives tensors on the CPU.
        """
        if name not in self._kept:
            found = None if self.cache is None else self.cache.read(name)
            self._kept[name] = make() if found is None else found
            if found is None and self.cache is not None:
                self.cache.write(name, self._kept[name])
        return self._kept[name]

    @property
    def moments(self) -> Moments:
        """Float64 mean and covariance of `pool`.

        Raises:
            UserError: fewer than two images, or NaN or infinity among the features.
        """

        def make() -> dict[str, Tensor]:
            computed = moments(self.pool)
            return {"mean": computed.mean, "covariance": computed.covariance}

        kept = self.keep("moments", make)
        return Moments(count=len(self), mean=kept["mean"], covariance=kept["covariance"])

    def squared_radii(self, nearest_k: int, device: torch.device) -> Tensor:
        """Squared distance of each feature to its k-th nearest other, float64 `[N]`, computed on `device`.

        Raises:
            UserError: N <= nearest_k.
        """
        kept = self.keep(f"radii-{nearest_k}", lambda: {"radii": squared_radii(self.pool.to(device), nearest_k).cpu()})
        return kept["radii"]

    def fresh_distances(self, device: torch.device) -> Tensor:
        """How far real images that are not in this set are from their nearest image in it: squared, float64 `[n]`.

        They are those of the test split. Without one, images of this set stand for them, each measured to its nearest
        other. At most `NEIGHBOUR_IMAGES`, always the same ones.
        """

        def make() -> dict[str, Tensor]:
            fresh = self.pool if self.test is None else self.test.pool
            index = subset_index(len(fresh), NEIGHBOUR_IMAGES)
            own = index if self.test is None else None
            distances, _ = nearest(fresh[index].to(device), self.pool.to(device), exclude=own)
            return {"distances": distances.cpu()}

        fresh = "train" if self.test is None else f"test-{self.test.sha256}"
        return self.keep(f"fresh-{fresh}-{NEIGHBOUR_IMAGES}", make)["distances"]

    def subset(self, most: int) -> Reference:
        """At most `most` of the images, the same random ones each time."""
        if len(self) <= most:
            return self
        return self._part(f"subset-{most}", lambda: subset_index(len(self), most))

    def of_class(self, label: int) -> Reference:
        """The images of one class; there must be labels."""
        labels = self.labels
        assert labels is not None
        return self._part(f"class-{label}", lambda: (labels == label).nonzero()[:, 0])

    def take(self, index: Tensor) -> Reference:
        """The images at `index` (int64 `[n]`, repeats allowed), without cache, pixels and test split."""
        return Reference(
            pool=self.pool[index],
            logits=None if self.logits is None else self.logits[index],
            labels=None if self.labels is None else self.labels[index],
            num_classes=self.num_classes,
        )

    def _part(self, name: str, make_index: Callable[[], Tensor]) -> Reference:
        """A part that is kept, so that its statistics are too, in this reference's cache under its name."""
        if name not in self._subsets:
            part = self.take(make_index())
            cache = None if self.cache is None else self.cache.below(name)
            self._subsets[name] = Reference(
                pool=part.pool, logits=part.logits, labels=part.labels, num_classes=part.num_classes, cache=cache
            )
        return self._subsets[name]


def reference_features(
    images: Images,
    extractor: Extractor,
    *,
    cache_dir: Path | None,
    key: str,
    device: torch.device,
    batch_size: int = 100,
    on_batch: Callable[[int], object] | None = None,
    test: Reference | None = None,
) -> Reference:
    """The reference of a dataset, from the cache where it is there.

    Args:
        images: the real images.
        extractor: the feature network.
        cache_dir: folder of the cache, made when missing; None: neither read nor written.
        key: names the feature network, its weights' SHA-256, its resizer, its settings and its code. The images' own
            SHA-256 is added here and, for what is computed from features, the code of `ganzoo.metrics`. A file that is
            damaged or belongs to something else is computed again; one that cannot be written is a warning. While
            another process computes them, this one waits.
        device: where the network is.
        batch_size: images per call.
        on_batch: called with the number of images just done; not called for a cache hit.
        test: the dataset's test split, where there is one.

    Raises:
        UserError: as `extract_features`.
    """
    cache = None if cache_dir is None else feature_cache(images, cache_dir, key)

    def compute() -> dict[str, Tensor]:
        return extract_features(extractor, images.pixels, device=device, batch_size=batch_size, on_batch=on_batch)

    features = compute() if cache is None else _kept_or_made(cache, len(images), compute)
    return Reference(
        pool=features["pool"],
        logits=features.get("logits"),
        labels=images.labels,
        num_classes=images.num_classes,
        images=images,
        sha256=images.sha256,
        test=test,
        cache=None if cache is None else cache.below(package_sha256("ganzoo.metrics")),
    )


def feature_cache(images: Images, cache_dir: Path, key: str) -> TensorCache:
    """Where features of `images` are kept, by the name "features"; arguments as of `reference_features`."""
    return TensorCache(cache_dir, f"{key} {images.sha256}")


def _kept_or_made(cache: TensorCache, count: int, compute: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """The features of `count` images from the cache; minutes of work where they are not there, so one process does it
    for all that run at the same time.
    """
    kept = _whole(cache, count)
    if kept is not None:
        return kept
    with cache.being_made("features"):
        made = _whole(cache, count)  # by another, who was first
        if made is None:
            made = compute()
            cache.write("features", made)
    return made


def _whole(cache: TensorCache, count: int) -> dict[str, Tensor] | None:
    features = cache.read("features")
    return features if features is not None and _complete(features, count) else None


def _complete(features: dict[str, Tensor], count: int) -> bool:
    """Whether they are features of `count` images."""
    good = all(
        values.dtype == torch.float32 and values.dim() == 2 and len(values) == count for values in features.values()
    )
    return good and "pool" in features
