"""The laws of z: what a prior makes of standard normal noise, against scipy's distributions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from ganzoo import Codes, Normal, Prior, TruncatedNormal, Uniform

PRIORS = [
    Normal(),
    Uniform(),
    Uniform(low=0.1, high=0.7),
    TruncatedNormal(),
    TruncatedNormal(limit=0.3),
    Codes(noise=20, categorical=(10, 3), continuous=4),
    Codes(noise=0, continuous=37),
]


def named(value: object) -> str:
    """A prior in full, a law of scipy's by its name."""
    return value.dist.name if hasattr(value, "dist") else repr(value)


def normal(n: int, dim: int = 37, seed: int = 0) -> Tensor:
    return torch.randn(n, dim, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("prior", PRIORS, ids=repr)
def test_rows_are_what_they_are_in_any_batch(prior: Prior) -> None:
    noise = normal(300)
    z = prior(noise)
    assert z.shape == noise.shape
    for first, n in ((0, 1), (7, 1), (3, 2), (11, 5), (250, 17), (1, 299)):
        assert torch.equal(prior(noise[first : first + n]), z[first : first + n])
    order = torch.randperm(300, generator=torch.Generator().manual_seed(1))
    assert torch.equal(prior(noise[order]), z[order])


@pytest.mark.parametrize("prior", PRIORS, ids=repr)
def test_a_prior_draws_nothing_and_leaves_the_noise(prior: Prior) -> None:
    noise = normal(10)
    before, state = noise.clone(), torch.get_rng_state()
    assert torch.equal(prior(noise), prior(noise))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(noise, before)


@pytest.mark.parametrize("prior", PRIORS, ids=repr)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_dtype_is_kept(prior: Prior, dtype: torch.dtype) -> None:
    assert prior(normal(5).to(dtype)).dtype == dtype


@pytest.mark.parametrize("prior", PRIORS, ids=repr)
def test_device_is_kept(prior: Prior) -> None:
    assert prior(torch.empty(5, 37, device="meta")).device.type == "meta"


@pytest.mark.parametrize("prior", PRIORS, ids=repr)
def test_equal_priors_are_equal(prior: Prior) -> None:
    assert hash(prior) == hash(type(prior)(**vars(prior)))


@pytest.mark.parametrize(
    ("prior", "law"),
    [
        (Normal(), stats.norm()),
        (Uniform(), stats.uniform(-1, 2)),
        (Uniform(low=0.1, high=0.7), stats.uniform(0.1, 0.6)),
        (TruncatedNormal(), stats.truncnorm(-2, 2)),
        (TruncatedNormal(limit=0.3), stats.truncnorm(-0.3, 0.3)),
        (TruncatedNormal(limit=6.0), stats.truncnorm(-6, 6)),
        (Codes(noise=1), stats.norm()),
        (Codes(noise=0, continuous=1, low=-2.0, high=5.0), stats.uniform(-2, 7)),
    ],
    ids=named,
)
def test_laws(prior: Prior, law: stats.rv_continuous) -> None:
    n = 200_000
    z = prior(normal(n, 1)).double().flatten().numpy()
    mean, variance = law.stats("mv")
    assert z.mean() == pytest.approx(mean, abs=4 * math.sqrt(variance / n))
    assert z.var() == pytest.approx(variance, rel=4 * math.sqrt(2 / n))
    assert stats.kstest(z, law.cdf).pvalue > 1e-3


@pytest.mark.parametrize(
    ("prior", "law"),
    [
        (Uniform(), stats.uniform(-1, 2)),
        (TruncatedNormal(), stats.truncnorm(-2, 2)),
        (TruncatedNormal(limit=0.01), stats.truncnorm(-0.01, 0.01)),
        (TruncatedNormal(limit=5.0), stats.truncnorm(-5, 5)),
        (TruncatedNormal(limit=30.0), stats.norm()),
    ],
    ids=named,
)
def test_every_quantile_in_float32_as_far_as_noise_goes(prior: Prior, law: stats.rv_continuous) -> None:
    noise = torch.linspace(-6.34, 6.34, 20_001)[:, None]  # the most that `ganzoo.noise` gives
    z = prior(noise).flatten()
    below, above = stats.norm.cdf(noise.flatten().numpy()), stats.norm.sf(noise.flatten().numpy())
    expected = np.where(below < 0.5, law.ppf(below), law.isf(above))
    np.testing.assert_allclose(z.numpy(), expected, rtol=1e-6, atol=2e-7)
    assert (z.diff() >= 0).all()


@pytest.mark.parametrize(
    ("prior", "low", "high"),
    [
        (Uniform(), -1.0, 1.0),
        (Uniform(low=0.1, high=0.7), 0.1, 0.7),
        (Uniform(low=-3.0, high=1e-3), -3.0, 1e-3),
        (TruncatedNormal(), -2.0, 2.0),
        (TruncatedNormal(limit=0.7), -0.7, 0.7),
        (TruncatedNormal(limit=10.0), -10.0, 10.0),
    ],
    ids=named,
)
def test_edges(prior: Prior, low: float, high: float) -> None:
    z = prior(torch.tensor([[-math.inf, -100.0, -9.0, 0.0, 9.0, 100.0, math.inf]]))[0]
    edges = torch.tensor([low, high])
    assert torch.equal(z[[0, -1]], edges)
    assert (z >= edges[0]).all()
    assert (z <= edges[1]).all()
    assert z[3].item() == pytest.approx((low + high) / 2)


def test_truncation_is_odd() -> None:
    noise = normal(100)
    assert torch.equal(TruncatedNormal()(-noise), -TruncatedNormal()(noise))


def test_codes_one_by_one() -> None:
    prior = Codes(noise=2, categorical=(3, 2), continuous=1, low=0.0)
    assert prior.dim == 8
    noise = torch.tensor([[0.5, -1.5, 0.1, 0.3, -2.0, 1.0, 2.0, 0.0], [7.0, 8.0, -1.0, -3.0, -2.0, 1.0, 0.9, -9.0]])
    expected = torch.tensor([[0.5, -1.5, 0, 1, 0, 0, 1, 0.5], [7, 8, 1, 0, 0, 1, 0, 0]])
    z = prior(noise)
    assert torch.equal(z, expected)
    noise_of_z, (first, second), continuous = prior.split(z)
    assert torch.equal(noise_of_z, expected[:, :2])
    assert torch.equal(first, expected[:, 2:5])
    assert torch.equal(second, expected[:, 5:7])
    assert torch.equal(continuous, expected[:, 7:])


def test_codes_without_some() -> None:
    noise, categorical, continuous = Codes(noise=4).split(normal(5, 4))
    assert noise.shape == (5, 4)
    assert categorical == ()
    assert continuous.shape == (5, 0)
    only = Codes(noise=0, categorical=(2,))
    assert only.dim == 2
    assert torch.equal(only(normal(50, 2)).sum(1), torch.ones(50))


def test_classes_are_alike_and_independent() -> None:
    prior = Codes(noise=1, categorical=(10, 3), continuous=1)
    noise, (ten, three), continuous = prior.split(prior(normal(60_000, prior.dim)))
    assert set(ten.unique().tolist()) == {0.0, 1.0}
    counts = ten.T @ three  # [10, 3]
    assert stats.chisquare(counts.flatten().numpy()).pvalue > 1e-3
    assert stats.chi2_contingency(counts.numpy()).pvalue > 1e-3
    others = torch.cat([ten, noise, continuous], 1).numpy()
    correlations = np.corrcoef(others, rowvar=False)[10:, :]
    correlations[0, 10] = correlations[1, 11] = 0
    assert abs(correlations).max() < 4.5 / math.sqrt(60_000)


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Uniform(low=1.0), "Uniform.low is 1.0 and Uniform.high is 1.0.*low below high"),
        (lambda: Uniform(high=math.inf), "Uniform.high is inf.*finite"),
        (lambda: Uniform(low=math.nan), "Uniform.low is nan.*finite"),
        (lambda: TruncatedNormal(limit=0.0), "TruncatedNormal.limit is 0.0: give a number above 0"),
        (lambda: TruncatedNormal(limit=math.nan), "TruncatedNormal.limit is nan"),
        (lambda: Codes(noise=-1), "Codes.noise is -1: give a number of components"),
        (lambda: Codes(noise=1, continuous=-2), "Codes.continuous is -2: give a number of components"),
        (lambda: Codes(noise=1, categorical=(10, 1)), r"Codes.categorical is \(10, 1\): .* each from 2"),
        (lambda: Codes(noise=1, categorical=10), r"Codes.categorical is 10: give a tuple .* as \(10,\)"),  # type: ignore[arg-type]
        (lambda: Codes(noise=0), "no components: give noise"),
        (lambda: Codes(noise=1, low=2.0), "Codes.low is 2.0 and Codes.high is 1.0"),
        (lambda: Codes(noise=3)(torch.zeros(1, 4)), "3 components, not 4: give GAN z_dim=3"),
    ],
)
def test_what_makes_no_law_is_refused(make: object, field: str) -> None:
    with pytest.raises(ValueError, match=field):
        make()  # type: ignore[operator]
