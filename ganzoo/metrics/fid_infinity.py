"""FID extrapolated to infinitely many generated images (Chong and Forsyth 2020, arXiv 1911.07023)."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ganzoo.errors import Unavailable
from ganzoo.metrics.fid import factor, factored_distance
from ganzoo.metrics.statistics import Moments, gather, moments

if TYPE_CHECKING:
    from ganzoo.metrics.reference import Reference


def smallest_count(count: int, dim: int) -> int:
    """Fewest images the line is fitted to: a tenth of all, as in the paper, and twice the feature dimension, below
    which FID is no longer linear in 1/N.
    """
    return max(2 * dim, count // 10)


def fid_at_counts(generated: Tensor, reference: Moments, *, points: int = 15, seed: int = 2020) -> dict[int, float]:
    """FIDs of `points` numbers of images, from `smallest_count` to all of them in equal steps, each of a random subset
    (`numpy.random.RandomState(seed)`).

    Args:
        generated: float `[N,D]`, N >= 4 D.
        reference: of the real images.
        points: numbers of images, at least 2.
        seed: of the subsets; torch's random state is not touched.

    Raises:
        Unavailable: N < 4 D: too few images for a line.
    """
    n, dim = generated.shape
    if n < 4 * dim:
        raise Unavailable(
            f"FID at infinity needs four times as many images as the {dim} feature dimensions, there are {n}",
            f"score at least {4 * dim} images",
        )
    rng = np.random.RandomState(seed)
    known = factor(reference.covariance)
    fids = {}
    for count in np.linspace(smallest_count(n, dim), n, points).astype(int).tolist():
        chosen = torch.from_numpy(rng.permutation(n)[:count]).to(generated.device)
        fids[count] = factored_distance(moments(generated[chosen]), reference, known)
    return fids


def fid_infinity(fids: Mapping[int, float]) -> float:
    """The value at 1/N = 0 of the line  FID(N) = FID_inf + b / N  through FIDs at several numbers of images N.

    The bias of FID at N images depends on the generator, so that two of them may swap places at another N; the
    intercept does not have it. What the finite reference adds stays. The fit is by least squares; it may come out
    slightly below 0 where the distance is 0.
    """
    rank = len(fids) * sys.float_info.epsilon  # its default, which older NumPy looks up with a warning of denormals
    _, intercept = np.polyfit([1 / count for count in fids], list(fids.values()), 1, rcond=rank)
    return float(intercept)


class FrechetDistanceInfinity:
    """FID of "pool" features at infinitely many generated images, lower is better. Keys: "fid_inf" and "fid.N", the FID
    at each number N of images that the line is fitted to.

    `points`: numbers of images the line is fitted to.
    """

    def __init__(self, *, points: int = 15) -> None:
        self.points = points
        self._pool: list[Tensor] = []

    def update(self, features: Mapping[str, Tensor], labels: Tensor | None = None) -> None:
        """Add "pool" float32 `[n,D]` of generated images."""
        self._pool.append(features["pool"])

    def compute(self, reference: Reference) -> dict[str, float]:
        """The extrapolated distance.

        Raises:
            Unavailable: too few images on a side.
            UserError: NaN or infinity in the features.
        """
        if len(reference) <= reference.pool.shape[1]:
            raise Unavailable(
                f"FID at infinity needs more reference images than the {reference.pool.shape[1]} feature dimensions",
                "use more reference images, or kid",
            )
        fids = fid_at_counts(gather(self._pool, "features"), reference.moments, points=self.points)
        return {"fid_inf": fid_infinity(fids), **{f"fid.{count}": value for count, value in fids.items()}}
