"""Kernel inception distance (Binkowski et al. 2018, arXiv 1801.01401)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ganzoo.errors import Unavailable
from ganzoo.metrics.statistics import gather, require_finite, to_float64

if TYPE_CHECKING:
    from ganzoo.metrics.reference import Reference

_BLOCK = 4_000_000
"""Entries of a kernel matrix that are in memory at a time."""


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
    all_x, all_y = (torch.arange(len(z), device=z.device)[:, None] for z in (x, y))
    sums = _sums(x, all_x, y, all_y), _sums(x, all_x), _sums(y, all_y)
    return _mmd2_and_variances(*sums)[0, 0]


class _Sums(NamedTuple):
    """Of the kernel matrix `[m,n]` of each of S subsets: sums of its rows `[m,S]`, of its columns `[n,S]`, and of the
    squares of all of it `[S]`. A matrix of features with themselves has zeros on its diagonal.
    """

    rows: Tensor
    columns: Tensor
    squares: Tensor


def _mmd2_and_variances(across: _Sums, within_x: _Sums, within_y: _Sums) -> Tensor:
    """`[6,S]`, of each of S subsets: the squared MMD; what single features add to it varies by var h_x, var h_y; what
    pairs of features add beyond that by s_xx, s_yy, s_xy. With a_i the effect of row i of a kernel matrix (and a_i +
    a_j that of a pair),

        h(x_i) = a_i of k(x,x) - a_i of k(x,y),     s = mean square of k - a_i - a_j.
    """
    m, n = len(across.rows), len(across.columns)
    rows, columns = across.rows / n, across.columns / m
    mean = rows.mean(dim=0)
    total = across.squares - m * n * mean**2
    explained = n * (rows - mean).square().sum(dim=0) + m * (columns - mean).square().sum(dim=0)
    s_across = (total - explained) / ((m - 1) * (n - 1))
    means, spreads, pairs = [], [], []
    for own, cross, others in ((within_x, rows, n), (within_y, columns, m)):
        count = len(own.rows)
        within = own.rows / (count - 1)
        mean_within = within.mean(dim=0)
        centred = within - mean_within
        free = max(count * (count - 3), 1)
        effects = centred.square().sum(dim=0) * (count - 1) ** 2 / max(count - 2, 1)
        s = (own.squares - count * (count - 1) * mean_within**2 - 2 * effects) / free
        noise = s / (count - 1) + s_across / others  # what finite rows add to the spread of their means
        means.append(mean_within)
        spreads.append((within - cross).var(dim=0) - noise)
        pairs.append(s)
    return torch.stack([means[0] + means[1] - 2 * mean, *spreads, *pairs, s_across])


def _sums(x: Tensor, chosen_x: Tensor, y: Tensor | None = None, chosen_y: Tensor | None = None) -> _Sums:
    """Of the kernel matrices of subsets of x with subsets of y, or with themselves.

    Args:
        x: float `[N,D]`.
        chosen_x: int64 `[m,S]`, the rows of x that are in each subset, none twice.
        y: float `[M,D]`; None: x, and the matrices have zeros on their diagonals.
        chosen_y: int64 `[n,S]`, the rows of y.
    """
    (m, subsets), n = chosen_x.shape, len(chosen_x if chosen_y is None else chosen_y)
    if 2 * len(x) * len(x if y is None else y) <= subsets * m * n:
        return _overlapping_sums(x, chosen_x, y, chosen_y)
    of_each = []  # subsets that hardly overlap: a matrix for each is less work
    all_x, all_y = (torch.arange(count, device=x.device)[:, None] for count in (m, n))
    for number, at_x in enumerate(chosen_x.T):
        other = None if y is None or chosen_y is None else y[chosen_y[:, number]]
        of_each.append(_overlapping_sums(x[at_x], all_x, other, None if other is None else all_y))
    return _Sums(*(torch.cat(parts, dim=-1) for parts in zip(*of_each, strict=True)))


def _overlapping_sums(x: Tensor, chosen_x: Tensor, y: Tensor | None, chosen_y: Tensor | None) -> _Sums:
    """As `_sums`: the matrix of all features is computed once, in blocks of rows, and a subset's sums are products with
    ones and zeros. Where subsets overlap, this is many times less work than a matrix for each.
    """
    with_itself = y is None or chosen_y is None
    x = to_float64(x)
    y, chosen_y = (x, chosen_x) if y is None or chosen_y is None else (to_float64(y), chosen_y)
    in_x = torch.zeros(len(x), chosen_x.shape[1], dtype=x.dtype, device=x.device).scatter_(0, chosen_x, 1)
    in_y = torch.zeros(len(y), chosen_y.shape[1], dtype=y.dtype, device=y.device).scatter_(0, chosen_y, 1)
    rows = torch.empty_like(in_x)
    columns, squares = torch.zeros_like(in_y), torch.zeros_like(in_x[0])
    step = max(1, _BLOCK // len(y))
    for start in range(0, len(x), step):
        block = slice(start, start + step)
        kernel = _kernel(x[block], y)
        if with_itself:
            kernel.diagonal(start).zero_()
        rows[block] = kernel @ in_y
        columns += kernel.T @ in_x[block]
        squares += (kernel.square_() @ in_y).mul_(in_x[block]).sum(dim=0)
    return _Sums(rows.gather(0, chosen_x), columns.gather(0, chosen_y), squares)


def _kernel(x: Tensor, y: Tensor) -> Tensor:
    """(x.y / D + 1)^3, `[m,n]`."""
    inner = (x @ y.T).div_(x.shape[1]).add_(1)
    return inner.square().mul_(inner)  # faster than pow


def kernel_distance(
    generated: Tensor,
    reference: Tensor,
    *,
    subsets: int = 100,
    subset_size: int = 1000,
    seed: int = 2020,
    keep: Callable[[str, Callable[[], dict[str, Tensor]]], dict[str, Tensor]] = lambda name, make: make(),
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
        keep: `Reference.keep`, for what is computed from the reference alone.

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
    draws = [(rng.choice(n, size, replace=False), rng.choice(m, size, replace=False)) for _ in range(subsets)]
    if generated.device.type == "mps":  # it has no float64
        generated = generated.cpu()
    device = generated.device
    reference = reference.to(device)
    x, y = (torch.from_numpy(np.stack(drawn, axis=1)).to(device) for drawn in zip(*draws, strict=True))

    def within_reference() -> dict[str, Tensor]:
        return {part: sums.cpu() for part, sums in _sums(reference, y)._asdict().items()}

    # The number of generated images is in the name, because both sides are drawn from one stream
    within = keep(f"kid-{subsets}x{size}-{seed}-beside-{n}", within_reference)
    within_y = _Sums(**{part: sums.to(device) for part, sums in within.items()})
    drawn = _mmd2_and_variances(_sums(generated, x, reference, y), _sums(generated, x), within_y).T.cpu()
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
            keep=reference.keep,
        )
        return {"kid": estimate.mean, "kid_std": estimate.std, "kid_se": estimate.standard_error}
