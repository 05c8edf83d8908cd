"""FID against closed forms; other libraries are in tests/parity."""

import numpy as np
import pytest
import torch

from ganzoo.errors import UserError
from ganzoo.metrics.evaluate import Reference
from ganzoo.metrics.fid import FrechetDistance, frechet_distance
from ganzoo.metrics.statistics import Moments, moments


def features(n: int, dim: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(dim, dim, generator=generator) / dim**0.5
    return torch.relu(torch.randn(n, dim, generator=generator) @ mix + 0.3 * seed)


def gaussian(mean: list[float], covariance: torch.Tensor) -> Moments:
    return Moments(count=1000, mean=torch.tensor(mean, dtype=torch.float64), covariance=covariance.double())


def score(generated: torch.Tensor, real: torch.Tensor, **settings: bool) -> float:
    metric = FrechetDistance(**settings)
    for batch in generated.split(37):
        metric.update({"pool": batch}, None)
    return metric.compute(Reference(pool=real))["fid"]


def test_diagonal_gaussians():
    a = gaussian([0.0, 1.0, 2.0], torch.diag(torch.tensor([1.0, 4.0, 9.0])))
    b = gaussian([1.0, 1.0, 0.0], torch.diag(torch.tensor([4.0, 4.0, 1.0])))
    expected = (1 + 0 + 4) + (1 - 2) ** 2 + 0 + (3 - 1) ** 2
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-12)


def test_gaussians_that_do_not_commute():
    # in two dimensions tr((A B)^(1/2)) = sqrt(tr(A B) + 2 sqrt(det(A B)))
    s, t = torch.tensor([[2.0, 0.9], [0.9, 1.0]]).double(), torch.tensor([[1.0, -0.5], [-0.5, 3.0]]).double()
    cross = ((s @ t).trace() + 2 * (s @ t).det().sqrt()).sqrt()
    expected = float(s.trace() + t.trace() - 2 * cross)
    assert frechet_distance(gaussian([0.0, 0.0], s), gaussian([0.0, 0.0], t)) == pytest.approx(expected, rel=1e-12)


def test_identical_sets_are_at_zero():
    x = features(300, 48, 1)
    assert score(x, x) == pytest.approx(0.0, abs=1e-10)


def test_dead_features_leave_the_rest_alone():
    # units that never fire make the covariance singular, though there are images enough
    x, y = features(200, 8, 1), features(200, 8, 2)
    dead = torch.zeros(200, 5)
    assert score(torch.cat([x, dead], 1), torch.cat([y, dead], 1)) == pytest.approx(score(x, y), rel=1e-10)


def test_rank_deficient_against_the_exact_value():
    # 20 images in 64 dimensions, compared in the 40 dimensions the two sets span: the same distance
    x, y = features(20, 64, 1).double(), features(20, 64, 2).double()
    basis = torch.linalg.qr(torch.cat([x, y]).T).Q
    expected = frechet_distance(moments(x @ basis), moments(y @ basis))
    # Half the digits: where the covariance is singular, rounding decides about directions that have no variance.
    assert score(x, y, allow_rank_deficient=True) == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("counts", [(64, 100), (100, 64)])
def test_too_few_images_are_refused(counts):
    x, y = features(counts[0], 64, 1), features(counts[1], 64, 2)
    with pytest.raises(UserError, match=f"64 feature dimensions.*{counts[0]} generated, {counts[1]} reference"):
        score(x, y)
    assert score(x, y, allow_rank_deficient=True) > 0


def test_one_image_more_than_dimensions_is_enough():
    assert score(features(65, 64, 1), features(65, 64, 2)) > 0


def test_nan_features_are_refused():
    x = features(100, 8, 1)
    x[5, 5] = float("nan")
    with pytest.raises(UserError, match="NaN"):
        score(x, features(100, 8, 2))


def test_covariance_is_that_of_numpy():
    x, y = features(80, 4, 1), features(90, 4, 2)
    s, t = np.cov(x.double().numpy(), rowvar=False), np.cov(y.double().numpy(), rowvar=False)
    roots = np.sqrt(np.linalg.eigvals(s @ t).real).sum()
    mean = x.double().mean(0) - y.double().mean(0)
    assert score(x, y) == pytest.approx(float(mean @ mean) + np.trace(s) + np.trace(t) - 2 * roots, rel=1e-10)


@pytest.mark.parametrize("smallest", [1e-2, 1e-8, 1e-16, 0.0])
def test_small_and_missing_variances_keep_their_digits(smallest, monkeypatch):
    """Diagonal covariances, for which the distance is sum (sqrt a_i - sqrt b_i)^2; both ways of summing are used."""
    spread = torch.logspace(0, -2, 40, dtype=torch.float64)
    a = torch.cat([spread, torch.full((400,), smallest, dtype=torch.float64)])
    b = torch.cat([2 * spread, torch.full((400,), 4 * smallest, dtype=torch.float64)])
    turn, _ = torch.linalg.qr(torch.randn(440, 440, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))
    zero = torch.zeros(440, dtype=torch.float64)
    one, other = (Moments(count=1000, mean=zero, covariance=turn @ values.diag() @ turn.T) for values in (a, b))
    exact = float((a.sqrt() - b.sqrt()).square().sum())
    decomposed = []
    original = torch.linalg.svdvals
    monkeypatch.setattr(torch.linalg, "svdvals", lambda m: decomposed.append(1) or original(m))
    assert frechet_distance(one, other) == pytest.approx(exact, abs=3e-7 if smallest else 1e-6)
    assert bool(decomposed) == (smallest < 1e-7)
