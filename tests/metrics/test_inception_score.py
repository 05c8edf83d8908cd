"""Inception score against closed forms; other libraries are in tests/parity."""

import pytest
import torch

from ganzoo.errors import UserError
from ganzoo.metrics.evaluate import Reference
from ganzoo.metrics.inception_score import InceptionScore, inception_score

REFERENCE = Reference(pool=torch.zeros(1, 1))


def logits(n: int, classes: int) -> torch.Tensor:
    return 3 * torch.randn(n, classes, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("classes", [2, 10])
def test_certain_and_balanced_classes_score_their_number(classes):
    # certain to the last bit: every p but one is 0, and p log p must be 0 there
    one_hot = 1e4 * torch.eye(classes).repeat(50, 1)
    assert inception_score(one_hot, splits=1) == (pytest.approx(classes, rel=1e-12), 0.0)


def test_one_class_and_no_idea_both_score_one():
    assert inception_score(torch.eye(10)[[3] * 200] * 50)[0] == pytest.approx(1.0, rel=1e-12)
    assert inception_score(torch.zeros(200, 10))[0] == pytest.approx(1.0, rel=1e-12)


def test_sorted_classes_are_shuffled_before_they_are_split():
    one_hot = 1e4 * torch.eye(10).repeat_interleave(100, dim=0)
    assert inception_score(one_hot)[0] > 8


def test_too_few_images_are_refused():
    assert inception_score(logits(100, 5))[0] > 1
    with pytest.raises(UserError, match="99 images are too few"):
        inception_score(logits(99, 5))


def test_networks_without_logits_and_nan_are_refused():
    with pytest.raises(UserError, match="no logits"):
        InceptionScore().update({"pool": torch.zeros(3, 3)}, None)
    metric = InceptionScore()
    metric.update({"logits": torch.full((100, 3), float("nan"))}, None)
    with pytest.raises(UserError, match="NaN"):
        metric.compute(REFERENCE)
