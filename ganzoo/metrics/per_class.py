"""Quality within each class of conditional generators (intra FID: Miyato and Koyama 2018, arXiv 1802.05637)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from statistics import fmean
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ganzoo.errors import Unavailable
from ganzoo.metrics.fid import frechet_distance
from ganzoo.metrics.neighbours import subset_index
from ganzoo.metrics.prdc import prdc
from ganzoo.metrics.statistics import gather, moments

if TYPE_CHECKING:
    from ganzoo.metrics.reference import Reference


class _ByClass:
    """Features of generated images, gathered by the class they were asked for."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._pool: list[Tensor] = []
        self._labels: list[Tensor] = []

    def update(self, features: Mapping[str, Tensor], labels: Tensor | None) -> None:
        if labels is None:
            raise Unavailable(f"{self._what} needs the classes the images were asked for", "score a conditional model")
        self._pool.append(features["pool"])
        self._labels.append(labels.cpu())

    def pairs(self, reference: Reference, least: int) -> Iterator[tuple[int, Tensor, Reference]]:
        """Of each class its number, generated features `[n,D]` and real ones.

        Raises:
            Unavailable: the reference has no labels, or some class has fewer than `least` images on a side.
        """
        pool, labels = gather(self._pool, "features"), torch.cat(self._labels)
        if reference.labels is None:
            raise Unavailable(f"{self._what} needs labelled reference images", "use a labelled dataset")
        classes = reference.num_classes
        for side, found in (("generated", labels), ("reference", reference.labels)):
            counts = torch.bincount(found, minlength=classes)
            fewest = int(counts.argmin())
            if int(counts[fewest]) < least:
                raise Unavailable(
                    f"{self._what} needs {least} {side} images of each class, class {fewest} has {int(counts[fewest])}",
                    "score more images",
                )
        for label in range(classes):
            yield label, pool[(labels == label).to(pool.device)], reference.of_class(label)


class ClassFrechetDistance:
    """FID of each class's "pool" features to the real ones of that class, lower is better. Keys: "class_fid", the mean
    over classes, and "class_fid.C" of class C.
    """

    def __init__(self) -> None:
        self._images = _ByClass("FID of each class")

    def update(self, features: Mapping[str, Tensor], labels: Tensor | None = None) -> None:
        """Add "pool" float32 `[n,D]` of generated images, and the classes they were asked for, int64 `[n]`.

        Raises:
            Unavailable: there are no labels.
        """
        self._images.update(features, labels)

    def compute(self, reference: Reference) -> dict[str, float]:
        """Mean, then every class.

        Raises:
            Unavailable: no labelled reference, or a class has no more images than there are feature dimensions.
            UserError: NaN or infinity in the features.
        """
        fids = {
            f"class_fid.{label}": frechet_distance(moments(pool), real.moments)
            for label, pool, real in self._images.pairs(reference, least=reference.pool.shape[1] + 1)
        }
        return {"class_fid": fmean(fids.values()), **fids}


class ClassRecall:
    """Recall (Kynkäänniemi et al. 2019) within each class, from 0 to 1, higher is better: a conditional generator that
    draws one good 7 has a class it has lost, though its overall recall hardly shows it. Keys: "class_recall", the mean
    over classes, and "class_recall.C" of class C.

    `nearest_k`: the neighbour that sets the radius of a ball. `max_images`: at most this many images of each class and
    side are used, the same random ones each time.
    """

    def __init__(self, *, nearest_k: int = 5, max_images: int = 2_000) -> None:
        self.nearest_k = nearest_k
        self.max_images = max_images
        self._images = _ByClass("recall of each class")

    def update(self, features: Mapping[str, Tensor], labels: Tensor | None = None) -> None:
        """Add "pool" float32 `[n,D]` of generated images, and the classes they were asked for, int64 `[n]`.

        Raises:
            Unavailable: there are no labels.
        """
        self._images.update(features, labels)

    def compute(self, reference: Reference) -> dict[str, float]:
        """Mean, then every class.

        Raises:
            Unavailable: no labelled reference, or a class has no more than `nearest_k` images.
            UserError: NaN or infinity in the features.
        """
        recalls: dict[str, float] = {}
        for label, pool, real in self._images.pairs(reference, least=self.nearest_k + 1):
            real = real.subset(self.max_images)
            radii = real.squared_radii(self.nearest_k, pool.device)
            pool = pool[subset_index(len(pool), self.max_images).to(pool.device)]
            found = prdc(pool, real.pool, nearest_k=self.nearest_k, reference_radii=radii)
            recalls[f"class_recall.{label}"] = found["recall"]
        return {"class_recall": fmean(recalls.values()), **recalls}
