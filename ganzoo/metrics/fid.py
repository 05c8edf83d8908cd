"""Frechet distance between Gaussians fitted to features (Heusel et al. 2017, arXiv 1706.08500)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ganzoo.errors import UserError
from ganzoo.metrics.statistics import Moments, RunningMoments

if TYPE_CHECKING:
    from ganzoo.metrics.reference import Reference


def frechet_distance(a: Moments, b: Moments) -> float:
    """Squared Frechet (2-Wasserstein) distance between N(a.mean, a.covariance) and N(b.mean, b.covariance), >= 0.

        d^2 = |m_a - m_b|^2 + tr(S_a) + tr(S_b) - 2 tr((S_a S_b)^(1/2))        (Dowson and Landau 1982)

    With S = L L^T, the eigenvalues of S_a S_b are the squared singular values of M = L_a^T L_b, so the last trace is
    the sum of those singular values. Nothing non-symmetric is decomposed: no complex numbers, no failure to converge.
    """
    return factored_distance(a, b, factor(b.covariance))


def factored_distance(a: Moments, b: Moments, b_factor: Tensor) -> float:
    """`frechet_distance`, where `factor(b.covariance)` is known already."""
    trace = a.covariance.trace() + b.covariance.trace()
    cross = _nuclear_norm(factor(a.covariance).T @ b_factor, tolerance=1e-7 * float(trace))
    distance = (a.mean - b.mean).square().sum() + trace - 2 * cross
    return max(float(distance), 0.0)  # rounding can leave a distance of 0 at -1e-14


def _nuclear_norm(m: Tensor, tolerance: float) -> Tensor:
    """Sum of the singular values of m `[D,D]` float64, right to `tolerance` at worst.

    The roots of the eigenvalues of m^T m, at a third of the cost of a singular value decomposition, whose small values
    keep all their digits. An eigenvalue is off by up to about e = 10 eps times the largest, its root by e over twice
    the root, or by the root of e where it is no larger than that; where these sum to more than `tolerance`, as for
    covariances without full rank, the decomposition is done after all.
    """
    eigenvalues = torch.linalg.eigvalsh(m.T @ m).clamp_min(0)
    roots = eigenvalues.sqrt()
    off = 10 * torch.finfo(m.dtype).eps * eigenvalues[-1]
    if float((off / (2 * roots)).nan_to_num(torch.inf, posinf=torch.inf).clamp_max(off.sqrt()).sum()) <= tolerance:
        return roots.sum()
    return torch.linalg.svdvals(m).sum()


def factor(covariance: Tensor) -> Tensor:
    """L `[D,D]` with L L^T = covariance (float64, symmetric): Cholesky, or by eigenvalues where it is singular."""
    lower, failed = torch.linalg.cholesky_ex(covariance)
    if not bool(failed):
        return lower
    values, vectors = torch.linalg.eigh(covariance)
    return vectors * values.clamp_min(0).sqrt()


class FrechetDistance:
    """FID of "pool" features: the squared Frechet distance, lower is better. Key: "fid".

    `allow_rank_deficient`: score although there are no more images than feature dimensions. The fitted covariance is
    then singular and the distance grows with every missing image, so that such numbers compare only with themselves.
    """

    def __init__(self, *, allow_rank_deficient: bool = False) -> None:
        self.allow_rank_deficient = allow_rank_deficient
        self._moments = RunningMoments()

    def update(self, features: Mapping[str, Tensor], labels: Tensor | None = None) -> None:
        """Add "pool" float32 `[n,D]` of generated images."""
        self._moments.update(features["pool"])

    def compute(self, reference: Reference) -> dict[str, float]:
        """The distance to the reference.

        Raises:
            UserError: N <= D on either side without `allow_rank_deficient`; NaN or infinity in the features.
        """
        dim = reference.pool.shape[1]
        counts = {"generated": self._moments.count, "reference": reference.pool.shape[0]}
        if not self.allow_rank_deficient and min(counts.values()) <= dim:
            raise UserError(
                f"FID needs more images than the {dim} feature dimensions, or its covariance is singular and the number"
                f" depends on the count: {counts['generated']} generated, {counts['reference']} reference",
                f"score at least {dim + 1} images, use kid, or --set metrics.fid.allow_rank_deficient=true",
            )
        return {"fid": frechet_distance(self._moments.compute(), reference.moments)}
