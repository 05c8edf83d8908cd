"""Precision, recall, density and coverage against brute force and by hand; other libraries are in tests/parity."""

import pytest
import torch

from ganzoo.errors import UserError
from ganzoo.metrics import neighbours as module
from ganzoo.metrics.evaluate import Reference
from ganzoo.metrics.prdc import PrecisionRecallDensityCoverage, prdc, subset_index


def features(n: int, dim: int, seed: int) -> torch.Tensor:
    return torch.randn(n, dim, generator=torch.Generator().manual_seed(seed)) * (1 + 0.2 * seed)


def brute_force(generated: torch.Tensor, real: torch.Tensor, k: int) -> dict[str, float]:
    """Straight from the definitions, on matrices of differences."""

    def distances(a, b):
        return (a[:, None] - b[None]).square().sum(-1).sqrt()

    x, y = generated.double(), real.double()
    x_radii = distances(x, x).sort(dim=1).values[:, k]
    y_radii = distances(y, y).sort(dim=1).values[:, k]
    cross = distances(x, y)  # [N,M]
    return {
        "precision": (cross <= y_radii).any(1).double().mean().item(),
        "recall": (cross <= x_radii[:, None]).any(0).double().mean().item(),
        "density": (cross <= y_radii).sum().item() / (k * len(x)),
        "coverage": (cross.min(0).values <= y_radii).double().mean().item(),
    }


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("block", [1, 1000, 2**23])
def test_brute_force(k, block, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", block)
    x, y = features(130, 6, 1), features(90, 6, 2) + 0.5
    found = prdc(x, y, nearest_k=k)
    assert found == pytest.approx(brute_force(x, y, k), rel=1e-12)
    assert all(0 < value < 1.5 for value in found.values())  # the case is not trivial
    assert found["precision"] != found["recall"]


def test_far_from_the_origin_nothing_is_lost():
    x, y = features(130, 6, 1), features(90, 6, 2)
    assert prdc(x.double() + 1e7, y.double() + 1e7) == pytest.approx(prdc(x, y), rel=1e-12)


def test_identical_sets():
    x = features(300, 40, 1)
    # each ball holds its centre and k neighbours, the last of them exactly on its surface
    assert prdc(x, x, nearest_k=5) == {"precision": 1.0, "recall": 1.0, "density": 6 / 5, "coverage": 1.0}


def test_repeated_images_have_balls_of_radius_zero_and_are_inside_them():
    x = features(4, 300, 1).repeat_interleave(10, dim=0)
    found = prdc(x[torch.randperm(40, generator=torch.Generator().manual_seed(0))], x, nearest_k=5)
    assert found == {"precision": 1.0, "recall": 1.0, "density": 2.0, "coverage": 1.0}


def test_sets_far_apart_share_nothing():
    found = prdc(features(50, 4, 1) + 1000, features(50, 4, 2))
    assert found == {"precision": 0.0, "recall": 0.0, "density": 0.0, "coverage": 0.0}


def test_a_collapsed_generator_is_precise_but_covers_little():
    real = features(400, 4, 1)
    generated = real[:1] + 1e-3 * features(400, 4, 2)
    found = prdc(generated, real)
    assert found["precision"] == 1.0
    assert found["recall"] < 0.05
    assert found["coverage"] < 0.1


def test_the_metric_object_gives_the_same_and_keeps_the_radii():
    x, y = features(130, 6, 1), features(90, 6, 2)
    reference = Reference(pool=y)
    for _ in range(2):
        metric = PrecisionRecallDensityCoverage(nearest_k=3)
        for batch in x.split(50):
            metric.update({"pool": batch}, None)
        assert metric.compute(reference) == prdc(x, y, nearest_k=3)
    assert reference.squared_radii(3, x.device) is reference.squared_radii(3, x.device)


@pytest.mark.parametrize("counts", [(5, 50), (50, 5)])
def test_too_few_images_are_refused(counts):
    with pytest.raises(UserError, match="5 images have no 5-th"):
        prdc(features(counts[0], 4, 1), features(counts[1], 4, 2))


def test_at_most_max_images_of_each_side_are_used() -> None:
    random = torch.Generator().manual_seed(3)
    generated, real = (torch.randn(n, 4, generator=random) for n in (90, 120))
    reference = Reference(pool=real)
    metric = PrecisionRecallDensityCoverage(nearest_k=3, max_images=60)
    for part in generated.split(7):
        metric.update({"pool": part})
    few = [values[subset_index(len(values), 60)] for values in (generated, real)]
    assert [len(values) for values in few] == [60, 60]
    assert metric.compute(reference) == prdc(*few, nearest_k=3)
    assert reference.subset(60) is reference.subset(60)  # so that its radii are computed once
    whole = PrecisionRecallDensityCoverage(nearest_k=3)
    whole.update({"pool": generated})
    assert whole.compute(reference) == prdc(generated, real, nearest_k=3)
