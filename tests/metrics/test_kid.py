"""KID against its definition; other libraries are in tests/parity."""

import statistics

import numpy as np
import pytest
import torch

from ganzoo.errors import UserError
from ganzoo.metrics import kid
from ganzoo.metrics.cache import TensorCache
from ganzoo.metrics.evaluate import Reference
from ganzoo.metrics.kid import KernelDistance, kernel_distance, polynomial_mmd2


def features(n: int, dim: int, seed: int) -> torch.Tensor:
    return torch.rand(n, dim, generator=torch.Generator().manual_seed(seed)) * (1 + 0.3 * seed)


def score(generated: torch.Tensor, real: torch.Tensor, **settings: int) -> dict[str, float]:
    metric = KernelDistance(**settings)
    for batch in generated.split(41):
        metric.update({"pool": batch}, None)
    return metric.compute(Reference(pool=real))


def test_mmd_is_its_definition_written_out():
    x, y = features(5, 3, 1).double(), features(4, 3, 2).double()

    def kernel(a, b):
        return (float(a @ b) / 3 + 1) ** 3

    xx = sum(kernel(x[i], x[j]) for i in range(5) for j in range(5) if i != j) / 20
    yy = sum(kernel(y[i], y[j]) for i in range(4) for j in range(4) if i != j) / 12
    xy = sum(kernel(a, b) for a in x for b in y) / 20
    assert float(polynomial_mmd2(x, y)) == pytest.approx(xx + yy - 2 * xy, rel=1e-12)


def test_it_is_unbiased():
    # two samples of one distribution: the mean over many subsets stays near 0, however few images are in each
    x, y = features(4000, 8, 1).split(2000)
    kid, std, _ = kernel_distance(x, y, subsets=400, subset_size=10)
    assert abs(kid) < 4 * std / 400**0.5


@pytest.mark.parametrize("apart", [0.0, 0.1, 0.4])
@pytest.mark.parametrize(
    ("sizes", "settings"), [((300, 200), {"subsets": 5}), ((500, 200), {"subsets": 25, "subset_size": 100})]
)
def test_the_standard_error_is_how_far_the_number_varies(sizes, settings, apart):
    """Over fresh samples, of equal distributions as well as of different ones."""
    n, m = sizes
    generator = torch.Generator().manual_seed(0)
    draws = [(torch.randn(n, 8, generator=generator), torch.randn(m, 8, generator=generator)) for _ in range(100)]
    found = [kernel_distance((1 + apart) * x + apart, y, **settings) for x, y in draws]
    actual = statistics.stdev(estimate.mean for estimate in found)
    claimed = statistics.fmean(estimate.standard_error**2 for estimate in found) ** 0.5
    assert claimed == pytest.approx(actual, rel=0.3)
    assert len(settings) == 1 or claimed < 0.8 * statistics.fmean(estimate.std for estimate in found)


def test_subsets_shrink_to_the_smaller_set():
    x, y = features(30, 8, 1), features(90, 8, 2)
    assert score(x, y, subsets=7) == score(x, y, subsets=7, subset_size=30)
    assert score(x, y, subsets=7)["kid_std"] > 0  # the larger set is still drawn from


# One matrix for all, one for each, and one for all of the generated images alone
@pytest.mark.parametrize(("n", "m", "size"), [(40, 50, 30), (300, 200, 10), (40, 500, 30)])
def test_subsets_are_those_of_the_definition(n, m, size, monkeypatch):
    monkeypatch.setattr(kid, "_BLOCK", 700)  # several blocks, the last one not whole
    x, y = features(n, 8, 1), features(m, 8, 2)
    rng = np.random.RandomState(2020)
    drawn = []
    for _ in range(25):
        at_x, at_y = rng.choice(n, size, replace=False), rng.choice(m, size, replace=False)
        drawn.append(float(polynomial_mmd2(x[at_x].double(), y[at_y].double())))
    estimate = kernel_distance(x, y, subsets=25, subset_size=size)
    assert estimate.mean == pytest.approx(statistics.fmean(drawn), rel=1e-10)
    assert estimate.std == pytest.approx(statistics.pstdev(drawn), rel=1e-10)


@pytest.mark.parametrize("m", [50, 500])
def test_a_reference_is_compared_with_itself_once(m, monkeypatch, tmp_path):
    """By jobs of a bench that share a cache, whatever else they score with."""
    asked = [
        (40, {"subsets": 20, "subset_size": 30}),
        (39, {"subsets": 20, "subset_size": 30}),  # beside which other subsets are drawn
        (40, {"subsets": 21, "subset_size": 30}),
        (40, {"subsets": 20, "subset_size": 29}),
        (40, {"subsets": 20, "subset_size": 30, "seed": 7}),
    ]
    expected = [score(features(40, 8, 1)[:n], features(m, 8, 2), **settings) for n, settings in asked]
    compared = []

    def counted(x, *others, sums=kid._sums):
        compared.append(len(x) if len(others) == 1 else 0)
        return sums(x, *others)

    monkeypatch.setattr(kid, "_sums", counted)
    for _ in range(2):
        for (n, settings), values in zip(asked, expected, strict=True):
            metric = KernelDistance(**settings)
            metric.update({"pool": features(40, 8, 1)[:n]})
            assert metric.compute(Reference(pool=features(m, 8, 2), cache=TensorCache(tmp_path, "a"))) == values
    assert compared.count(m) == len(asked)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [30, 50])
def test_the_same_tensor_on_both_sides_is_a_copy_of_it(dtype, size):
    x = features(50, 8, 1).to(dtype)
    assert kernel_distance(x, x, subset_size=size) == kernel_distance(x, x.clone(), subset_size=size)
    assert polynomial_mmd2(x.double(), x.double()) == polynomial_mmd2(x.double(), x.double().clone()) < 0


def test_whole_sets_are_compared_once():
    x, y = features(60, 8, 1), features(60, 8, 2)
    found = score(x, y)
    assert found["kid"] == pytest.approx(float(polynomial_mmd2(x.double(), y.double())), rel=1e-12)
    assert found["kid_std"] == 0.0


def test_one_image_is_refused():
    with pytest.raises(UserError, match="at least 2"):
        score(features(1, 8, 1), features(60, 8, 2))


def test_features_too_large_for_the_kernel_are_refused():
    with pytest.raises(UserError, match="kernel values"):
        score(1e30 * features(60, 8, 1), features(60, 8, 2))


def test_nan_features_are_refused():
    x = features(60, 8, 1)
    x[0, 0] = float("nan")
    with pytest.raises(UserError, match="NaN"):
        score(x, features(60, 8, 2))


def test_the_standard_error_by_hand():
    """The parts by least squares on the kernel matrices: effects of rows, and what is left of pairs."""
    n = m = 13
    x, y = (features(count, 6, seed).double().numpy() for count, seed in ((n, 1), (m, 2)))

    def kernel(a, b):
        return (a @ b.T / 6 + 1) ** 3

    def pairs(k):
        i, j = np.triu_indices(len(k), 1)
        design = np.zeros((len(i), len(k)))
        design[np.arange(len(i)), i] = design[np.arange(len(i)), j] = 1
        left = k[i, j] - design @ np.linalg.lstsq(design, k[i, j], rcond=None)[0]
        return (left**2).sum() / (len(i) - len(k))

    across = kernel(x, y)
    left = across - across.mean(1)[:, None] - across.mean(0)[None] + across.mean()
    s_xy = (left**2).sum() / ((n - 1) * (m - 1))
    total = 4 * s_xy / (n * m)
    for z, cross, others in ((x, across.mean(1), m), (y, across.mean(0), n)):
        k, count = kernel(z, z), len(z)
        within = (k.sum(1) - k.diagonal()) / (count - 1)
        h = np.var(within - cross, ddof=1) - pairs(k) / (count - 1) - s_xy / others
        total += 4 * max(h, 0) / count + 2 * pairs(k) / (count * (count - 1))
    estimate = kernel_distance(torch.from_numpy(x), torch.from_numpy(y))
    assert estimate.standard_error == pytest.approx(total**0.5, rel=1e-6)
