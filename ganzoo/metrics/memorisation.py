"""Whether a generator repeats its training images (after Meehan et al. 2020, arXiv 2004.05675)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ganzoo.metrics.neighbours import nearest, subset_index
from ganzoo.metrics.statistics import gather

if TYPE_CHECKING:
    from ganzoo.metrics.reference import Reference


def closer_share(generated: Tensor, fresh: Tensor) -> float:
    """Percent of pairs (generated, fresh) in which the generated distance is the smaller one, ties counted half: 50
    where both are spread alike. The Mann-Whitney statistic U over its maximum.

    Args:
        generated: squared distances `[n]`.
        fresh: squared distances `[m]`.
    """
    ordered = fresh.sort().values
    above = len(ordered) - torch.searchsorted(ordered, generated, right=True)  # how many fresh ones are farther
    ties = torch.searchsorted(ordered, generated, right=True) - torch.searchsorted(ordered, generated)
    return 100.0 * float(above.sum() + 0.5 * ties.sum()) / (len(generated) * len(ordered))


class Memorisation:
    """How near generated images come to training images, against real images that are not among these: those of the
    test split or, without one, training images measured to their nearest other. Distances are Euclidean, between "pool"
    features. Lower is better. Keys: "memorised", the percentage of generated images that are at least as near to a
    training image as the nearest `quantile` of the fresh real ones: about 100 times `quantile` for a generator that
    copies nothing and draws from the right distribution, less for one whose images are off; "nn_closer", of pairs of a
    generated and a fresh real image in which the generated one is nearer.

    `quantile`: from 0 to 1. `max_images`: at most this many generated images are looked at, the same positions each
    time. After `compute`, `pairs` holds int64 `[p,2]`: the generated image and its nearest reference image, of the
    nearest pairs first; `keep` says how many.
    """

    def __init__(self, *, quantile: float = 0.01, max_images: int = 10_000, keep: int = 20) -> None:
        self.quantile = quantile
        self.max_images = max_images
        self.keep = keep
        self.pairs = torch.empty(0, 2, dtype=torch.int64)
        self._pool: list[Tensor] = []

    def update(self, features: Mapping[str, Tensor], labels: Tensor | None = None) -> None:
        """Add "pool" float32 `[n,D]` of generated images."""
        self._pool.append(features["pool"])

    def compute(self, reference: Reference) -> dict[str, float]:
        """Both percentages.

        Raises:
            UserError: no images, or NaN or infinity in the features.
        """
        pool = gather(self._pool, "features")
        looked_at = subset_index(len(pool), self.max_images)
        distances, index = nearest(pool[looked_at.to(pool.device)], reference.pool.to(pool.device))
        distances, index = distances.cpu(), index.cpu()
        fresh = reference.fresh_distances(pool.device)
        order = distances.argsort(stable=True)[: self.keep]
        self.pairs = torch.stack([looked_at[order], index[order]], dim=1)
        # One of the distances, and ties count: where duplicates put it at 0, copies are at 0, too.
        limit = fresh.sort().values[min(int(self.quantile * len(fresh)), len(fresh) - 1)]
        return {
            "memorised": 100.0 * float((distances <= limit).double().mean()),
            "nn_closer": closer_share(distances, fresh),
        }
