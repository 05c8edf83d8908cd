"""Float64 statistics of features: mean and covariance of a stream, and what the metrics share about samples."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ganzoo.errors import UserError


def to_float64(features: Tensor) -> Tensor:
    """Any float tensor -> float64, on its own device, or on the CPU where the device (MPS) has no float64."""
    return (features.cpu() if features.device.type == "mps" else features).to(torch.float64)


def require_finite(values: Tensor, what: str) -> None:
    """Refuse NaN and infinity, which would otherwise turn into a number that looks like any other.

    Raises:
        UserError: `values` holds NaN or an infinity; the message starts with `what`.
    """
    if not bool(torch.isfinite(values).all()):
        raise UserError(
            f"{what} hold NaN or infinity",
            "the generator has diverged or the feature network is broken: look at samples",
        )


@dataclass(frozen=True, kw_only=True)
class Moments:
    """What a Gaussian keeps of N features: `count` N, `mean` float64 `[D]`, unbiased `covariance` float64 `[D,D]`."""

    count: int
    mean: Tensor
    covariance: Tensor


class RunningMoments:
    """Mean and covariance of features that arrive in batches, in float64.

    The update of Chan, Golub and LeVeque (1983, "Algorithms for computing the sample variance"): each batch is centred
    on its own mean before it is squared, so features far from 0 lose no digits, and the result does not depend on how
    the stream is split or ordered beyond float64 rounding.
    """

    def __init__(self) -> None:
        self.count = 0
        self._mean: Tensor | None = None  # [D]
        self._scatter: Tensor | None = None  # [D,D] sum of (x - mean)(x - mean)^T

    def update(self, features: Tensor) -> None:
        """Add features float `[n,D]`. An empty batch changes nothing."""
        n = features.shape[0]
        if n == 0:
            return
        batch = to_float64(features)
        mean = batch.mean(dim=0)
        if self._mean is None or self._scatter is None:
            self._mean = torch.zeros_like(mean)
            self._scatter = mean.new_zeros(mean.shape[0], mean.shape[0])
        shift = mean - self._mean
        # scatter += sum (x - m)(x - m)^T + shift shift^T count n / (count + n): one product, the shift as one more row
        rows = torch.cat([batch - mean, (shift * (self.count * n / (self.count + n)) ** 0.5)[None]])
        self._scatter.addmm_(rows.T, rows)
        self.count += n
        self._mean += shift * (n / self.count)

    def compute(self) -> Moments:
        """The moments so far, on the CPU.

        Raises:
            UserError: fewer than two features, or NaN or infinity among them.
        """
        if self._mean is None or self._scatter is None or self.count < 2:
            raise UserError(f"a covariance needs at least 2 images, got {self.count}", "score more images")
        mean, scatter = self._mean.cpu(), self._scatter.cpu()
        require_finite(mean, "features")
        require_finite(scatter, "features")
        return Moments(count=self.count, mean=mean, covariance=scatter / (self.count - 1))


def moments(features: Tensor, *, batch_size: int = 4096) -> Moments:
    """Moments of features float `[N,D]`, in slices of `batch_size` so that the float64 copy stays small.

    Raises:
        UserError: N < 2, or NaN or infinity among the features.
    """
    running = RunningMoments()
    for batch in features.split(batch_size):
        running.update(batch)
    return running.compute()


def gather(batches: list[Tensor], what: str) -> Tensor:
    """Join batches `[n,D]` -> `[N,D]`.

    Raises:
        UserError: there are none, they differ in D, or they hold NaN or infinity; the message names `what`.
    """
    if not batches:
        raise UserError(f"no {what} to score", "score at least one image")
    dims = sorted({batch.shape[1] for batch in batches})
    if len(dims) > 1:
        raise UserError(
            f"{what} have {' and '.join(map(str, dims))} dimensions in different batches",
            "use a feature network whose output has one size",
        )
    joined = torch.cat(batches)
    require_finite(joined, what)
    return joined


def require_logits(logits: Tensor | None, metric: str) -> Tensor:
    """The logits `[n,K]`, which some feature networks do not have.

    Raises:
        UserError: they are None.
    """
    if logits is None:
        raise UserError(
            f"{metric} needs a classifier, and this feature network gives no logits", "choose other features"
        )
    return logits
