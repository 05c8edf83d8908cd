"""Kernel inception distance (Binkowski et al. 2018, arXiv 1801.01401)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ganzoo.errors import UserError
from ganzoo.metrics.statistics import gather, to_float64

if TYPE_CHECKING:
    from ganzoo.metrics.evaluate import Reference


def polynomial_mmd2(x: Tensor, y: Tensor) -> Tensor:
    """Unbiased squared MMD under the kernel k(a, b) = (a.b / D + 1)^3, a scalar; slightly below 0 is possible.

        1/(m(m-1)) sum_{i!=j} k(x_i,x_j) + 1/(n(n-1)) sum_{i!=j} k(y_i,y_j) - 2/(mn) sum_ij k(x_i,y_j)

    (Gretton et al. 2012, equation 3; kernel of Binkowski et al. 2018, equation 4.)

    Args:
        x: `[m,D]` float64, m >= 2.
        y: `[n,D]` float64, n >= 2.
    """
    m, n, dim = x.shape[0], y.shape[0], x.shape[1]
    within = []
    for z, count in ((x, m), (y, n)):
        diagonal = (z.square().sum(dim=1) / dim + 1).pow(3).sum()
        within.append((_kernel(z, z).sum() - diagonal) / (count * (count - 1)))
    return within[0] + within[1] - 2 * _kernel(x, y).mean()


def _kernel(x: Tensor, y: Tensor) -> Tensor:
    """(x.y / D + 1)^3, `[m,n]`."""
    inner = x @ y.T / x.shape[1] + 1
    return inner * inner * inner  # faster than pow


def kernel_distance(
    generated: Tensor, reference: Tensor, *, subsets: int = 100, subset_size: int = 1000, seed: int = 2020
) -> tuple[float, float]:
    """Mean and (population) standard deviation over subsets of the unbiased squared MMD.

    Subsets are drawn as torch-fidelity does, without replacement by `numpy.random.RandomState(seed)`, generated before
    reference. Where a set has fewer images than `subset_size`, the subsets of both shrink to that number; when both
    sets are taken whole, every subset is the same, so one is computed and the deviation is 0.

    Args:
        generated: float `[N,D]`.
        reference: float `[M,D]`, on any device; moved to that of `generated`.
        subsets: number of subsets.
        subset_size: images in each.
        seed: of the draw; torch's random state is not touched.

    Raises:
        UserError: fewer than 2 images on a side.
    """
    n, m = generated.shape[0], reference.shape[0]
    size = min(subset_size, n, m)
    if size < 2:
        raise UserError(f"KID needs at least 2 images on each side: {n} generated, {m} reference", "score more images")
    if size == n == m:
        subsets = 1
    rng = np.random.RandomState(seed)
    reference = reference.to(generated.device)
    values = []
    for _ in range(subsets):
        x = generated[torch.from_numpy(rng.choice(n, size, replace=False)).to(generated.device)]
        y = reference[torch.from_numpy(rng.choice(m, size, replace=False)).to(generated.device)]
        values.append(polynomial_mmd2(to_float64(x), to_float64(y)))
    per_subset = torch.stack(values)
    return float(per_subset.mean()), float(per_subset.std(correction=0))


class KernelDistance:
    """KID of "pool" features, unbiased at any number of images, lower is better. Keys: "kid", "kid_std".

    `subsets`: number of subsets; `subset_size`: images in each, fewer where a set is smaller; `seed`: of the draw.
    """

    def __init__(self, *, subsets: int = 100, subset_size: int = 1000, seed: int = 2020) -> None:
        self.subsets = subsets
        self.subset_size = subset_size
        self.seed = seed
        self._pool: list[Tensor] = []

    def update(self, features: Mapping[str, Tensor], labels: Tensor | None = None) -> None:
        """Add "pool" float32 `[n,D]` of generated images."""
        self._pool.append(features["pool"])

    def compute(self, reference: Reference) -> dict[str, float]:
        """The distance to the reference.

        Raises:
            UserError: fewer than 2 images on a side; NaN or infinity in the features.
        """
        kid, std = kernel_distance(
            gather(self._pool, "features"),
            reference.pool,
            subsets=self.subsets,
            subset_size=self.subset_size,
            seed=self.seed,
        )
        return {"kid": kid, "kid_std": std}
