"""FID and recall within classes see what the whole does not: swapped classes, and a class of a single image."""

import pytest
import torch

from ganzoo.errors import Unavailable
from ganzoo.metrics.fid import frechet_distance
from ganzoo.metrics.neighbours import subset_index
from ganzoo.metrics.per_class import ClassFrechetDistance, ClassRecall
from ganzoo.metrics.prdc import prdc
from ganzoo.metrics.reference import Reference
from ganzoo.metrics.statistics import moments


def blobs(per_class: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Three classes far apart: features `[3 * per_class, 4]` and labels, shuffled."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(3).repeat(per_class)
    pool = torch.randn(len(labels), 4, generator=generator)
    pool[:, 0] += 20.0 * labels
    return pool, labels


def compute(metric, pool, labels, reference, size=50):
    for x, y in zip(pool.split(size), labels.split(size), strict=True):
        metric.update({"pool": x}, y)
    return metric.compute(reference)


def real(per_class: int = 100) -> Reference:
    pool, labels = blobs(per_class, 0)
    return Reference(pool=pool, labels=labels, num_classes=3)


def test_fid_is_that_of_each_class_and_their_mean():
    pool, labels = blobs(80, 1)
    reference = real()
    values = compute(ClassFrechetDistance(), pool, labels, reference)
    expected = [
        frechet_distance(moments(pool[labels == c]), moments(reference.pool[reference.labels == c])) for c in range(3)
    ]
    assert [values[f"class_fid.{c}"] for c in range(3)] == pytest.approx(expected, rel=1e-9)
    assert values["class_fid"] == pytest.approx(sum(expected) / 3, rel=1e-9)
    swapped = compute(ClassFrechetDistance(), pool, (labels + 1) % 3, reference)
    assert swapped["class_fid"] > 100 * values["class_fid"]  # all together, the images are the same


def test_recall_sees_a_class_of_one_image():
    pool, labels = blobs(80, 1)
    reference = real()
    values = compute(ClassRecall(), pool, labels, reference)
    expected = [prdc(pool[labels == c], reference.pool[reference.labels == c])["recall"] for c in range(3)]
    assert [values[f"class_recall.{c}"] for c in range(3)] == expected
    assert values["class_recall"] == pytest.approx(sum(expected) / 3)
    collapsed = pool.clone()
    collapsed[labels == 2] = pool[labels == 2][0]
    after = compute(ClassRecall(), collapsed, labels, reference)
    assert after["class_recall.2"] < 0.05 < values["class_recall.2"]
    assert after["class_recall.0"] == values["class_recall.0"]


def test_recall_looks_at_no_more_than_it_is_told():
    pool, labels = blobs(60, 1)
    capped = compute(ClassRecall(max_images=30), pool, labels, real())
    first = torch.cat([pool[labels == c][subset_index(60, 30)] for c in range(3)])
    again = compute(ClassRecall(max_images=30), first, torch.arange(3).repeat_interleave(30), real())
    assert capped == again


@pytest.mark.parametrize("metric", [ClassFrechetDistance, ClassRecall])
def test_what_cannot_be_had_is_said(metric):
    pool, labels = blobs(80, 1)
    with pytest.raises(Unavailable, match="classes the images were asked for"):
        metric().update({"pool": pool}, None)
    with pytest.raises(Unavailable, match="labelled reference"):
        compute(metric(), pool, labels, Reference(pool=pool))
    few = labels.clone()
    few[labels == 1] = 0
    few[0] = 1
    with pytest.raises(Unavailable, match="generated images of each class, class 1 has 1"):
        compute(metric(), pool, few, real())
    with pytest.raises(Unavailable, match="reference images of each class, class 0 has 4"):
        compute(metric(), pool, labels, real(per_class=4))
