"""FID at infinity: the bias that falls with 1/N is gone, for generators whose bias differs."""

import numpy as np
import pytest
import torch

from ganzoo.errors import Unavailable
from ganzoo.metrics.fid import frechet_distance
from ganzoo.metrics.fid_infinity import FrechetDistanceInfinity, fid_at_counts, fid_infinity, smallest_count
from ganzoo.metrics.reference import Reference
from ganzoo.metrics.statistics import Moments, moments

DIM = 16
REAL = Moments(count=10**6, mean=torch.zeros(DIM).double(), covariance=torch.eye(DIM).double())


def gaussian(n: int, scale: float, seed: int) -> torch.Tensor:
    return scale * torch.randn(n, DIM, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_it_takes_the_bias_away(scale):
    """FID of N samples of N(0, s^2 I_D) to N(0, I_D) is too large by s^2 D / N for the error of the mean and, to first
    order, by s D (D + 1) / 4 N for that of the covariance, because tr sqrt(I + E) = D + tr E / 2 - tr E^2 / 8.
    """
    n = 1000
    bias = scale**2 * DIM / n + scale * DIM * (DIM + 1) / (4 * n)
    samples = [gaussian(n, scale, seed) for seed in range(40)]
    removed = [frechet_distance(moments(x), REAL) - fid_infinity(fid_at_counts(x, REAL)) for x in samples]
    assert np.mean(removed) == pytest.approx(bias, rel=0.3)


def test_the_line_starts_where_fid_is_linear():
    assert smallest_count(10_000, 128) == 1000
    assert smallest_count(2000, 128) == 256


def test_the_intercept_of_a_line_is_found_and_subsets_are_random():
    assert fid_infinity({10: 5 + 3 / 10, 20: 5 + 3 / 20, 70: 5 + 3 / 70}) == pytest.approx(5)
    ordered = gaussian(300, 1.0, 0)[gaussian(300, 1.0, 0)[:, 0].argsort()]
    fids = fid_at_counts(ordered, REAL)
    assert fids[32] < 5  # the first 32 of a sorted set are far from the rest


def test_too_few_images_have_no_number():
    with pytest.raises(Unavailable, match=r"four times.*16 feature dimensions, there are 63"):
        fid_at_counts(gaussian(63, 1.0, 0), REAL)
    fid_at_counts(gaussian(64, 1.0, 0), REAL)


def test_the_metric_joins_batches_and_leaves_the_random_state():
    x, real = gaussian(300, 1.2, 0), Reference(pool=gaussian(200, 1.0, 1))
    values = []
    before = torch.get_rng_state()
    for size in (300, 77):
        metric = FrechetDistanceInfinity(points=5)
        for batch in x.split(size):
            metric.update({"pool": batch})
        values.append(metric.compute(real))
    assert torch.equal(torch.get_rng_state(), before)
    fids = fid_at_counts(x, real.moments, points=5)
    assert list(fids) == [32, 99, 166, 233, 300]
    assert values[0] == values[1] == {"fid_inf": fid_infinity(fids), **{f"fid.{n}": fid for n, fid in fids.items()}}
    assert fids[300] == pytest.approx(frechet_distance(moments(x), real.moments))


def test_a_small_reference_has_no_number():
    metric = FrechetDistanceInfinity()
    metric.update({"pool": gaussian(300, 1.0, 0)})
    with pytest.raises(Unavailable, match="more reference images"):
        metric.compute(Reference(pool=gaussian(16, 1.0, 1)))
