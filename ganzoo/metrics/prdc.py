"""Precision and recall (Kynkäänniemi et al. 2019, arXiv 1904.06991), density and coverage (Naeem et al. 2020, arXiv
2002.09797): fidelity and diversity apart, from balls around features that reach to their k-th nearest neighbour.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ganzoo.metrics.neighbours import distance_blocks, squared_radii, subset_index
from ganzoo.metrics.statistics import gather, to_float64

if TYPE_CHECKING:
    from ganzoo.metrics.reference import Reference


def prdc(
    generated: Tensor, reference: Tensor, *, nearest_k: int = 5, reference_radii: Tensor | None = None
) -> dict[str, float]:
    """Precision, recall, density and coverage, from one pass over the distances between the sets.

    With B(x) the closed ball around x that reaches to the k-th nearest neighbour of x in its own set:

        precision  share of generated features inside the ball of some reference feature
        recall     share of reference features inside the ball of some generated feature
        density    mean over generated features of the number of reference balls they are in, over k; may exceed 1
        coverage   share of reference features whose ball holds some generated feature

    Exact, in float64, in memory linear in N and M: distances are looked at `BLOCK` at a time.

    Args:
        generated: float `[N,D]`, N > nearest_k.
        reference: float `[M,D]`, M > nearest_k, on any device; the work is done on that of `generated`.
        nearest_k: k.
        reference_radii: `squared_radii(reference, nearest_k)` where it is known already.

    Raises:
        Unavailable: a set has no more than `nearest_k` images.
    """
    generated_radii = squared_radii(generated, nearest_k)  # [N]
    device = generated_radii.device
    reference = reference.to(device)
    if reference_radii is None:
        reference_radii = squared_radii(reference, nearest_k)  # [M]
    reference_radii = reference_radii.to(device)
    y = to_float64(reference)
    centre = y.mean(dim=0)
    x, y = to_float64(generated) - centre, y - centre
    precise = inside_count = torch.zeros((), dtype=torch.int64, device=device)
    recalled = covered = torch.zeros(len(y), dtype=torch.bool, device=device)
    for rows, d2 in distance_blocks(x, y):
        in_reference_ball = d2 <= reference_radii
        precise = precise + in_reference_ball.any(dim=1).sum()
        inside_count = inside_count + in_reference_ball.sum()
        covered = covered | in_reference_ball.any(dim=0)
        recalled = recalled | (d2 <= generated_radii[rows, None]).any(dim=0)
    return {
        "precision": float(precise) / len(x),
        "recall": float(recalled.sum()) / len(y),
        "density": float(inside_count) / (nearest_k * len(x)),
        "coverage": float(covered.sum()) / len(y),
    }


class PrecisionRecallDensityCoverage:
    """PRDC of "pool" features; all four are better when higher. Keys: "precision", "recall", "density", "coverage".

    `nearest_k`: the neighbour that sets the radius of a ball. `max_images`: at most this many images of each side are
    used, the same random ones each time, because the cost grows with the product of the numbers. The numbers depend on
    both settings, and on the numbers of images.
    """

    def __init__(self, *, nearest_k: int = 5, max_images: int = 10_000) -> None:
        self.nearest_k = nearest_k
        self.fewest = nearest_k + 1
        self.max_images = max_images
        self._pool: list[Tensor] = []

    def update(self, features: Mapping[str, Tensor], labels: Tensor | None = None) -> None:
        """Add "pool" float32 `[n,D]` of generated images."""
        self._pool.append(features["pool"])

    def compute(self, reference: Reference) -> dict[str, float]:
        """The four numbers; the radii of the reference are computed once per reference.

        Raises:
            Unavailable: a side has no more than `nearest_k` images.
            UserError: NaN or infinity in the features.
        """
        generated = gather(self._pool, "features")
        generated = generated[subset_index(len(generated), self.max_images).to(generated.device)]
        reference = reference.subset(self.max_images)
        radii = reference.squared_radii(self.nearest_k, generated.device)
        return prdc(generated, reference.pool, nearest_k=self.nearest_k, reference_radii=radii)
