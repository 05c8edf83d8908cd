"""Kernel inception distance (Binkowski et al. 2018, arXiv 1801.01401)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ganzoo.errors import Unavailable
from ganzoo.metrics.statistics import gather, require_finite, to_float64

if TYPE_CHECKING:
    from ganzoo.metrics.reference import Reference


class KernelEstimate(NamedTuple):
    """`mean` and population standard deviation `std` over subsets; `standard_error` of the mean as an estimate."""

    mean: float
    std: float
    standard_error: float


def polynomial_mmd2(x: Tensor, y: Tensor) -> Tensor:
    """Unbiased squared MMD under the kernel k(a, b) = (a.b / D + 1)^3, a scalar; slightly below 0 is possible.

        1/(m(m-1)) sum_{i!=j} k(x_i,x_j) + 1/(n(n-1)) sum_{i!=j} k(y_i,y_j) - 2/(mn) sum_ij k(x_i,y_j)

    (Gretton et al. 2012, equation 3; kernel of Binkowski et al. 2018, equation 4.)

    Args:
        x: `[m,D]` float64, m >= 2.
        y: `[n,D]` float64, n >= 2.
    """
    return _mmd2_and_variances(x, y)[0]


def _mmd2_and_variances(x: Tensor, y: Tensor) -> Tensor:
    """`[6]`: the squared MMD; what single features add to it varies by var h_x, var h_y; what pairs of features add
    beyond that by s_xx, s_yy, s_xy. With a_i the effect of row i of a kernel matrix (and a_i + a_j that of a pair),

        h(x_i) = a_i of k(x,x) - a_i of k(x,y),     s = mean square of k - a_i - a_j.
    """
    across = _kernel(x, y)
    rows, columns = across.mean(dim=1), across.mean(dim=0)
    mean = across.mean()
    m, n = across.shape
    total = across.square().sum() - m * n * mean**2
    explained = n * (rows - mean).square().sum() + m * (columns - mean).square().sum()
    s_across = (total - explained) / ((m - 1) * (n - 1))
    means, spreads, pairs = [], [], []
    for z, cross, others in ((x, rows, n), (y, columns, m)):
        count = z.shape[0]
        kernel = _kernel(z, z).fill_diagonal_(0)
        within = kernel.sum(dim=1) / (count - 1)
        centred = within - within.mean()
        free = max(count * (count - 3), 1)
        effects = centred.square().sum() * (count - 1) ** 2 / max(count - 2, 1)
        s = (kernel.square().sum() - count * (count - 1) * within.mean() ** 2 - 2 * effects) / free
        noise = s / (count - 1) + s_across / others  # what finite rows add to the spread of their means
        means.append(within.mean())
        spreads.append((within - cross).var() - noise)
        pairs.append(s)
    return torch.stack([means[0] + means[1] - 2 * mean, *spreads, *pairs, s_across])


def _kernel(x: Tensor, y: Tensor) -> Tensor:
    """(x.y / D + 1)^3, `[m,n]`."""
    inner = x @ y.T / x.shape[1] + 1
    return inner * inner * inner  # faster than pow


def kernel_distance(
    generated: Tensor, reference: Tensor, *, subsets: int = 100, subset_size: int = 1000, seed: int = 2020
) -> KernelEstimate:
    """Mean and deviation over subsets of the unbiased squared MMD, and the standard error of the mean.

    Subsets are drawn as torch-fidelity does, without replacement by `numpy.random.RandomState(seed)`, generated before
    reference. Where a set has fewer images than `subset_size`, the subsets of both shrink to that number; when both
    sets are taken whole, every subset is the same, so one is computed and the deviation is 0.

    The deviation over subsets says how much one subset would vary, not how far the mean of many is off: that is

        s.e.^2 = 4 var h_x / N + 4 var h_y / M + 2 s_xx / N(N-1) + 2 s_yy / M(M-1) + 4 s_xy / NM + std^2 / subsets

    the variance of a U-statistic on all N and M images (Hoeffding 1948), its parts estimated within the subsets, and
    what choosing the subsets at random adds.

    Args:
        generated: float `[N,D]`.
        reference: float `[M,D]`, on any device; moved to that of `generated`.
        subsets: number of subsets.
        subset_size: images in each.
        seed: of the draw; torch's random state is not touched.

    Raises:
        Unavailable: fewer than 2 images on a side.
        UserError: features so large that the kernel overflows.
    """
    n, m = generated.shape[0], reference.shape[0]
    size = min(subset_size, n, m)
    if size < 2:
        raise Unavailable(
            f"KID needs at least 2 images on each side: {n} generated, {m} reference", "score more images"
        )
    if size == n == m:
        subsets = 1
    rng = np.random.RandomState(seed)
    reference = reference.to(generated.device)
    estimates = []
    for _ in range(subsets):
        x = generated[torch.from_numpy(rng.choice(n, size, replace=False)).to(generated.device)]
        y = reference[torch.from_numpy(rng.choice(m, size, replace=False)).to(generated.device)]
        estimates.append(_mmd2_and_variances(to_float64(x), to_float64(y)))
    drawn = torch.stack(estimates).cpu()
    require_finite(drawn, "kernel values of these features")
    std = float(drawn[:, 0].std(correction=0))
    mean, h_x, h_y, s_xx, s_yy, s_xy = drawn.mean(dim=0).tolist()
    h_x, h_y = max(h_x, 0.0), max(h_y, 0.0)  # estimates of variances that may be 0
    variance = 4 * (h_x / n + h_y / m) + 2 * (s_xx / (n * (n - 1)) + s_yy / (m * (m - 1))) + 4 * s_xy / (n * m)
    return KernelEstimate(mean=mean, std=std, standard_error=max(variance + std**2 / subsets, 0.0) ** 0.5)


class KernelDistance:
    """KID of "pool" features, unbiased at any number of images, lower is better. Keys: "kid", "kid_std" over subsets,
    and "kid_se", the standard error of "kid".

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
            Unavailable: fewer than 2 images on a side.
            UserError: NaN or infinity in the features.
        """
        estimate = kernel_distance(
            gather(self._pool, "features"),
            reference.pool,
            subsets=self.subsets,
            subset_size=self.subset_size,
            seed=self.seed,
        )
        return {"kid": estimate.mean, "kid_std": estimate.std, "kid_se": estimate.standard_error}
