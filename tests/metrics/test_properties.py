"""What must hold of the metrics whatever the features: shapes, counts, batches and order are drawn by hypothesis."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ganzoo.data import make_images
from ganzoo.features import classifiers
from ganzoo.metrics.evaluate import Reference, evaluate, reference_features
from ganzoo.metrics.fid import FrechetDistance
from ganzoo.metrics.inception_score import InceptionScore
from ganzoo.metrics.kid import KernelDistance
from ganzoo.metrics.prdc import PrecisionRecallDensityCoverage
from ganzoo.metrics.statistics import RunningMoments, moments

CPU = torch.device("cpu")
K = 3  # neighbours
quick = settings(deadline=None, derandomize=True, max_examples=20, database=None)

seeds = st.integers(0, 2**31)


def random(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def features(n: int, dim: int, seed: int, kind: str) -> torch.Tensor:
    """float64 `[n,dim]` of a law of its own for each seed, well behaved or not."""
    generator = random(seed)
    mix = torch.randn(dim, dim, generator=generator, dtype=torch.float64)
    x = torch.randn(n, dim, generator=generator, dtype=torch.float64) @ mix + torch.randn(dim, generator=generator)
    if kind == "dead":  # a unit that never fires, as after a ReLU: the covariance is singular
        x = x.relu()
        x[:, 0] = 0
    if kind == "far":
        x += 1000
    if kind == "repeated":  # a collapsed generator
        x = x[torch.randint(0, max(n // 4, 1), (n,), generator=generator)]
    if kind == "constant":
        x = x[:1].repeat(n, 1)
    return x


kinds = st.sampled_from(["normal", "dead", "far", "repeated", "constant"])


@st.composite
def one_set(draw: st.DrawFn, most: int = 60) -> torch.Tensor:
    return features(draw(st.integers(K + 1, most)), draw(st.integers(1, 6)), draw(seeds), draw(kinds))


@st.composite
def two_sets(draw: st.DrawFn, equal: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """Of one dimension; as many in both where `equal`."""
    dim, n = draw(st.integers(1, 6)), draw(st.integers(K + 1, 60))
    m = n if equal else draw(st.integers(K + 1, 60))
    return features(n, dim, draw(seeds), draw(kinds)), features(m, dim, draw(seeds), draw(kinds))


def split(data: st.DataObject, *tensors: torch.Tensor) -> list[tuple[torch.Tensor, ...]]:
    """The same batches of each, some perhaps empty."""
    n = len(tensors[0])
    cuts = sorted(data.draw(st.lists(st.integers(0, n), max_size=6), label="cuts"))
    bounds = list(zip([0, *cuts], [*cuts, n], strict=True))
    return [tuple(tensor[a:b] for tensor in tensors) for a, b in bounds]


def fresh(name: str):
    return {
        "fid": lambda: FrechetDistance(allow_rank_deficient=True),
        "kid": lambda: KernelDistance(subsets=4, subset_size=K),
        "is": lambda: InceptionScore(splits=1),
        "prdc": lambda: PrecisionRecallDensityCoverage(nearest_k=K),
    }[name]()


def score(metric, batches, real: torch.Tensor) -> dict[str, float]:
    for batch in batches:
        metric.update({"pool": batch, "logits": batch}, None)
    return metric.compute(Reference(pool=real))


def fid(x: torch.Tensor, y: torch.Tensor) -> float:
    return score(fresh("fid"), [x], y)["fid"]


def near(value: float, *sets: torch.Tensor, scale: float = 1.0):
    """As near as float64 lets FID be: a distance is the difference of traces, and roots halve the digits of a 0."""
    spread = sum(float(moments(x).covariance.trace()) for x in sets)
    offset = sum(float(x.square().mean(dim=0).sum()) for x in sets)
    return pytest.approx(value, rel=1e-9, abs=scale * (1e-8 * spread + 1e-12 * offset))


@quick
@given(data=st.data(), x=one_set())
def test_moments_know_no_batches_and_no_order(data, x):
    whole = moments(x)
    running = RunningMoments()
    for (batch,) in split(data, x[torch.randperm(len(x), generator=random(data.draw(seeds)))]):
        running.update(batch)
    found = running.compute()
    size = float(x.abs().max())
    torch.testing.assert_close(found.mean, whole.mean, rtol=1e-12, atol=1e-14 * size)
    torch.testing.assert_close(found.covariance, whole.covariance, rtol=1e-10, atol=1e-13 * size * size)
    assert found.count == len(x)


@pytest.mark.parametrize("name", ["kid", "prdc"])
@quick
@given(data=st.data(), sets=two_sets())
def test_batches_do_not_matter(name, data, sets):
    x, y = sets
    batches = [batch for (batch,) in split(data, x)]
    assert score(fresh(name), batches, y) == score(fresh(name), [x], y)


@quick
@given(data=st.data(), sets=two_sets())
def test_batches_do_not_matter_to_fid(data, sets):
    x, y = sets
    batches = [batch for (batch,) in split(data, x)]
    assert score(fresh("fid"), batches, y)["fid"] == near(fid(x, y), x, y)


@quick
@given(data=st.data(), n=st.integers(40, 90), classes=st.integers(1, 12), sharpness=st.sampled_from([0, 1, 10, 1e4]))
def test_batches_do_not_matter_to_the_inception_score_and_it_is_between_one_and_the_classes(
    data, n, classes, sharpness
):
    logits = sharpness * features(n, classes, data.draw(seeds), data.draw(kinds))
    batches = [batch for (batch,) in split(data, logits)]
    found = score(InceptionScore(splits=4), batches, logits)
    assert found == score(InceptionScore(splits=4), [logits], logits)
    assert 1 - 1e-9 <= found["is"] <= classes + 1e-9
    assert found["is_std"] >= 0
    shuffled = logits[torch.randperm(n, generator=random(data.draw(seeds)))]
    one = score(fresh("is"), [logits], logits)["is"]
    assert score(fresh("is"), [shuffled], logits)["is"] == pytest.approx(one, rel=1e-9)


@quick
@given(sets=two_sets(), seed=seeds)
def test_order_does_not_matter(sets, seed):
    x, y = sets
    generator = random(seed)
    mixed = [z[torch.randperm(len(z), generator=generator)] for z in (x, y)]
    assert fid(*mixed) == near(fid(x, y), x, y)
    assert score(fresh("prdc"), [mixed[0]], mixed[1]) == score(fresh("prdc"), [x], y)


@quick
@given(sets=two_sets())
def test_fid_is_a_squared_distance(sets):
    x, y = sets
    assert fid(x, y) >= 0
    assert fid(x, y) == near(fid(y, x), x, y)
    assert fid(x, x) == near(0, x)
    means = (x.mean(dim=0) - y.mean(dim=0)).square().sum()
    assert fid(x, y) >= float(means) * (1 - 1e-9) - near(0, x, y).abs


@quick
@given(sets=two_sets(), seed=seeds)
def test_fid_is_blind_to_a_common_rotation_and_shift(sets, seed):
    x, y = sets
    generator, dim = random(seed), x.shape[1]
    rotation = torch.linalg.qr(torch.randn(dim, dim, generator=generator, dtype=torch.float64)).Q
    shift = 10 * torch.randn(dim, generator=generator, dtype=torch.float64)
    moved = x @ rotation + shift, y @ rotation + shift
    assert fid(*moved) == near(fid(x, y), x, y, *moved)


@quick
@given(sets=two_sets(), scale=st.floats(0.01, 100))
def test_fid_grows_with_the_square_of_a_common_scale(sets, scale):
    x, y = sets
    assert fid(scale * x, scale * y) == near(scale**2 * fid(x, y), x, y, scale=scale**2)


@quick
@given(sets=two_sets(equal=True), seed=seeds)
def test_kid_of_whole_sets_is_symmetric_and_knows_no_order(sets, seed):
    x, y = sets
    scale = float(max((z.square().sum(dim=1) / z.shape[1] + 1).max() for z in sets)) ** 3  # the largest kernel value
    mixed = x[torch.randperm(len(x), generator=random(seed))]
    one = score(KernelDistance(), [x], y)
    for other in (score(KernelDistance(), [y], x), score(KernelDistance(), [mixed], y)):
        assert other["kid"] == pytest.approx(one["kid"], rel=1e-9, abs=1e-12 * scale)
        assert other["kid_std"] == one["kid_std"] == 0


@quick
@given(sets=two_sets())
def test_kid_of_subsets_is_finite_and_its_deviation_is_not_negative(sets):
    found = score(fresh("kid"), [sets[0]], sets[1])
    assert all(map(math.isfinite, found.values()))
    assert found["kid_std"] >= 0


@quick
@given(sets=two_sets())
def test_precision_and_recall_change_places_with_the_sets(sets):
    one, other = score(fresh("prdc"), [sets[0]], sets[1]), score(fresh("prdc"), [sets[1]], sets[0])
    assert one["precision"] == other["recall"]
    assert one["recall"] == other["precision"]


@quick
@given(sets=two_sets())
def test_the_ranges_of_precision_recall_density_and_coverage(sets):
    x, y = sets
    found = score(fresh("prdc"), [x], y)
    assert all(0 <= found[name] <= 1 for name in ("precision", "recall", "coverage"))
    assert found["precision"] / K <= found["density"] * (1 + 1e-9)  # who is in a ball is in one at least
    assert found["density"] <= len(y) / K
    assert (found["precision"] == 0) == (found["density"] == 0) == (found["coverage"] == 0)


@quick
@given(x=one_set())
def test_a_set_against_itself_is_perfect(x):
    found = score(fresh("prdc"), [x], x)
    assert (found["precision"], found["recall"], found["coverage"]) == (1, 1, 1)
    assert found["density"] >= (K + 1) / K - 1e-9


def exact(pixels: torch.Tensor) -> dict[str, torch.Tensor]:
    """A feature network without rounding: sums of levels, each image on its own."""
    flat = pixels.flatten(1).to(torch.float32)
    pool = torch.stack([flat.sum(dim=1), flat[:, ::2].sum(dim=1), flat[:, 0]], dim=1)
    return {"pool": pool, "logits": pool / 64}


def made_images(n: int, shape: tuple[int, int, int], seed: int) -> torch.Tensor:
    return torch.randint(0, 256, (n, *shape), dtype=torch.uint8, generator=random(seed))


@quick
@given(
    data=st.data(),
    n=st.integers(10, 60),
    m=st.integers(10, 60),
    shape=st.tuples(st.sampled_from([1, 3]), st.integers(1, 9), st.integers(1, 9)),
    sizes=st.tuples(st.integers(1, 70), st.integers(1, 70)),
)
def test_evaluate_gives_the_same_for_any_batches(data, n, m, shape, sizes):
    generated, real = made_images(n, shape, data.draw(seeds)), made_images(m, shape, data.draw(seeds))
    labels = torch.arange(n) % 3

    def found(batches, batch_size):
        reference = reference_features(
            make_images(real), exact, cache_dir=None, key="", device=CPU, batch_size=batch_size
        )
        metrics = {name: fresh(name) for name in ("fid", "kid", "is", "prdc")}
        return evaluate(metrics, batches, exact, reference, device=CPU)

    whole = found([(generated, labels)], sizes[0])
    parts = found(split(data, generated, labels), sizes[1])
    pools = exact(generated)["pool"].double(), exact(real)["pool"].double()
    assert parts.pop("fid") == near(whole.pop("fid"), *pools)
    assert parts == whole


@settings(quick, max_examples=3)
@given(size=st.integers(2, 20), seed=seeds)
def test_a_real_network_gives_the_same_for_any_batch_size(size, seed):
    network = classifiers.digits("cpu")
    generated, real = made_images(24, (1, 12, 12), seed), made_images(20, (1, 12, 12), seed + 1)

    def found(batch_size):
        reference = reference_features(
            make_images(real), network, cache_dir=None, key="", device=CPU, batch_size=batch_size
        )
        metrics = {name: fresh(name) for name in ("fid", "kid", "is", "prdc")}
        batches = [(batch, None) for batch in generated.split(batch_size)]
        return evaluate(metrics, batches, network, reference, device=CPU)

    assert found(size) == pytest.approx(found(24), rel=1e-4, abs=1e-6)
