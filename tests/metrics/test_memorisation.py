"""A generator that copies is found out; one that draws afresh is as near as fresh real images are."""

import numpy as np
import pytest
import torch
from scipy.stats import mannwhitneyu

from ganzoo.metrics.memorisation import Memorisation, closer_share
from ganzoo.metrics.neighbours import nearest
from ganzoo.metrics.reference import Reference


def points(n: int, seed: int, dim: int = 8) -> torch.Tensor:
    return torch.randn(n, dim, generator=torch.Generator().manual_seed(seed))


TRAIN = Reference(pool=points(2000, 0), test=Reference(pool=points(1500, 1)))


def score(pool: torch.Tensor, reference: Reference = TRAIN, **settings) -> tuple[dict[str, float], torch.Tensor]:
    metric = Memorisation(**settings)
    for batch in pool.split(300):
        metric.update({"pool": batch})
    return metric.compute(reference), metric.pairs


def test_fresh_draws_are_as_near_as_the_test_split():
    values, _ = score(points(3000, 2))
    assert values["memorised"] == pytest.approx(1, abs=0.7)
    assert values["nn_closer"] == pytest.approx(50, abs=2.5)


def test_copies_are_found_and_the_nearest_pairs_named():
    pool = points(1000, 2)
    pool[100:400] = TRAIN.pool[700:1000]
    values, pairs = score(pool)
    assert values["memorised"] == pytest.approx(30.7, abs=0.7)
    assert pairs.shape == (20, 2)
    assert torch.equal(pairs[:, 1] - pairs[:, 0], torch.full((20,), 600))
    jittered = pool + 1e-3 * points(1000, 3)
    assert score(jittered)[0]["memorised"] == pytest.approx(values["memorised"], abs=0.3)


def test_bad_images_are_far_not_memorised():
    values, _ = score(points(500, 2) + 5)
    assert values == {"memorised": 0.0, "nn_closer": pytest.approx(0, abs=1e-9)}


def test_without_a_test_split_train_images_stand_in_but_not_for_themselves():
    alone = Reference(pool=TRAIN.pool)
    values, _ = score(points(3000, 2), alone)
    assert values["memorised"] == pytest.approx(1, abs=0.7)
    assert values["nn_closer"] == pytest.approx(50, abs=2.5)
    assert score(TRAIN.pool, alone)[0]["memorised"] == 100


def test_at_most_so_many_are_looked_at():
    pool = points(900, 2)
    whole, _ = score(pool, max_images=900)
    part, pairs = score(pool, max_images=100)
    assert part != whole
    assert pairs[:, 0].max() > 100  # positions in all of them, not in the part
    assert torch.equal(nearest(pool[pairs[:, 0]], TRAIN.pool)[1], pairs[:, 1])


def test_the_share_is_mann_whitneys():
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 9, 50).astype(float), rng.integers(0, 12, 70).astype(float)
    u = mannwhitneyu(y, x).statistic  # pairs in which y is larger, ties half
    assert closer_share(torch.from_numpy(x), torch.from_numpy(y)) == pytest.approx(100 * u / (50 * 70))


def test_neighbours_are_the_nearest_and_exclude_what_they_are_told():
    x, y = points(300, 4), points(400, 5)
    d2 = (x.double()[:, None] - y.double()[None]).square().sum(dim=2)
    distances, index = nearest(x, y)
    assert torch.equal(index, d2.argmin(dim=1))
    torch.testing.assert_close(distances, d2.min(dim=1).values)
    _, others = nearest(y, y, exclude=torch.arange(400))
    assert (others != torch.arange(400)).all()
    assert torch.equal(nearest(y, y)[0], torch.zeros(400).double())


def test_copies_are_found_where_real_images_repeat():
    """Duplicates put the nearest fresh images at 0, where copies are, too."""
    train = points(200, 0)
    train[:10] = train[10:20]
    values, _ = score(train[30:130], Reference(pool=train))
    assert values["memorised"] == 100
    values, _ = score(points(500, 5), Reference(pool=train))
    assert values["memorised"] == 0
