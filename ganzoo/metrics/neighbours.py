"""Distances between sets of features, looked at a block at a time so that memory stays linear in their numbers."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ganzoo.errors import Unavailable
from ganzoo.metrics.statistics import to_float64

BLOCK = 2**23  # distances held at a time: 64 MiB in float64, whatever the number of images


def squared_radii(features: Tensor, nearest_k: int) -> Tensor:
    """Squared distance of each feature to its k-th nearest other feature, float64 `[N]`.

    Widened by the rounding error of the distances (about 1e-12 of them), so that "inside" below means d <= r also
    where the two are equal: identical sets and repeated images.

    Args:
        features: float `[N,D]`.
        nearest_k: k >= 1, the feature itself not counted.

    Raises:
        Unavailable: N <= k.
    """
    if features.shape[0] <= nearest_k:
        raise Unavailable(
            f"{features.shape[0]} images have no {nearest_k}-th nearest neighbour",
            "score more images, or lower nearest_k",
        )
    points = to_float64(features)
    points = points - points.mean(dim=0)  # distances do not change, their rounding errors shrink
    radii = torch.cat([d2.kthvalue(nearest_k + 1, dim=1).values for _, d2 in distance_blocks(points, points)])
    error = points.shape[1] * torch.finfo(torch.float64).eps
    return radii + 4 * error * (radii.abs() + points.square().sum(dim=1))


def subset_index(n: int, most: int) -> Tensor:
    """Which of `n` images stand for all of them: int64, ascending, `min(n, most)` of 0..n-1, always the same."""
    return torch.randperm(n, generator=torch.Generator().manual_seed(0))[:most].sort().values


def nearest(x: Tensor, y: Tensor, *, exclude: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """For each feature in x its nearest in y: squared distance float64 `[n]`, and which one it is, int64 `[n]`.

    The neighbour is searched in float32, at half the cost; its distance is then computed in float64, from the
    difference, so that a copy is at 0. Two neighbours that differ by less than float32 tells may be taken for another.

    Args:
        x: float `[n,D]`.
        y: float `[m,D]`, on the same device.
        exclude: int64 `[n]`, an element of y each feature of x may not take, such as itself; None: all may be taken.
    """
    centre = y.to(torch.float32).mean(dim=0)  # distances do not change, their rounding errors shrink
    near, far = x.to(torch.float32) - centre, y.to(torch.float32) - centre
    index = []
    for rows, d2 in distance_blocks(near, far):
        if exclude is not None:
            d2.scatter_(1, exclude[rows, None].to(d2.device), torch.inf)
        index.append(d2.argmin(dim=1))
    found = torch.cat(index)
    distances = [
        (to_float64(a) - to_float64(y[b])).square().sum(dim=1)
        for a, b in zip(x.split(1024), found.split(1024), strict=True)
    ]
    return torch.cat(distances), found


def distance_blocks(x: Tensor, y: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Rows of x `[n,D]`, and their squared distances `[rows,m]`, of their dtype, to all of y `[m,D]`."""
    x_norms, y_norms = x.square().sum(dim=1), y.square().sum(dim=1)
    step = max(1, BLOCK // len(y))
    for start in range(0, len(x), step):
        rows = slice(start, start + step)
        yield rows, torch.addmm(y_norms, x[rows], y.T, alpha=-2).add_(x_norms[rows, None])
