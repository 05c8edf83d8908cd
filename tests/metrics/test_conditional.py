"""Conditional accuracy, modes and class balance on histograms known by hand."""

import math

import pytest
import torch
from torch.nn.functional import one_hot

from ganzoo.errors import UserError
from ganzoo.metrics.conditional import ClassBalance, ConditionalAccuracy, class_divergence, modes_covered
from ganzoo.metrics.evaluate import Reference


def logits(classes: list[int] | torch.Tensor, num_classes: int = 4) -> torch.Tensor:
    return 5.0 * one_hot(torch.as_tensor(classes), num_classes).float()


def reference(classes: list[int], num_classes: int = 4) -> Reference:
    found = logits(classes, num_classes)
    return Reference(pool=found, logits=found, num_classes=num_classes)


REAL = reference([0, 1, 2, 3] * 25)


def balance(classes: list[int]) -> dict[str, float]:
    metric = ClassBalance()
    for batch in logits(classes).split(7):
        metric.update({"logits": batch}, None)
    return metric.compute(REAL)


def test_conditional_accuracy_is_a_percentage():
    metric = ConditionalAccuracy()
    metric.update({"logits": logits([0, 1, 2, 3])}, torch.tensor([0, 1, 2, 0]))
    metric.update({"logits": logits([1])}, torch.tensor([1]))
    assert metric.compute(REAL) == {"cond_acc": pytest.approx(80.0)}


def test_conditional_accuracy_refuses_what_it_cannot_score():
    metric = ConditionalAccuracy()
    with pytest.raises(UserError, match="labels"):
        metric.update({"logits": logits([0])}, None)
    with pytest.raises(UserError, match="no logits"):
        metric.update({"pool": logits([0])}, torch.tensor([0]))
    with pytest.raises(UserError, match="NaN"):
        metric.update({"logits": logits([0]) * float("nan")}, torch.tensor([0]))
    with pytest.raises(UserError, match="no images"):
        metric.compute(REAL)
    metric.update({"logits": logits([0], 10)}, torch.tensor([0]))
    with pytest.raises(UserError, match="10 classes, the dataset has 4"):
        metric.compute(REAL)


def test_the_same_shares_diverge_by_nothing():
    assert balance([0, 1, 2, 3] * 25) == {"modes": 4.0, "class_kl": 0.0}


def test_one_class_only():
    p = torch.tensor([100.5, 0.5, 0.5, 0.5]) / 102
    expected = sum(float(share) * math.log(float(share) / 0.25) for share in p)
    assert balance([2] * 100) == {"modes": 1.0, "class_kl": pytest.approx(expected, rel=1e-5)}
    assert expected == pytest.approx(math.log(4), abs=0.1)


def test_divergence_tends_to_kl_and_is_not_symmetric():
    p, q = torch.tensor([6e6, 2e6, 2e6]), torch.tensor([1e6, 2e6, 12e6])
    expected = sum(a / 10 * math.log((a / 10) / (b / 15)) for a, b in ((6, 1), (2, 2), (2, 12)))
    assert class_divergence(p, q) == pytest.approx(expected, rel=1e-5)
    assert class_divergence(q, p) != pytest.approx(expected, rel=0.1)


def test_a_class_missing_from_the_reference_keeps_it_finite():
    assert math.isfinite(class_divergence(torch.tensor([50.0, 50.0]), torch.tensor([100.0, 0.0])))


def test_a_trickle_of_images_is_not_a_mode():
    real = torch.tensor([500.0, 400.0, 100.0, 0.0])
    assert modes_covered(torch.tensor([900.0, 80.0, 10.0, 10.0]), real) == 3
    assert modes_covered(torch.tensor([953.0, 38.0, 9.0, 0.0]), real) == 1
    assert modes_covered(torch.tensor([953.0, 38.0, 9.0, 0.0]), real, min_share=0.05) == 3


def test_class_balance_refuses_other_classes():
    metric = ClassBalance()
    metric.update({"logits": logits([0, 1], 10)}, None)
    with pytest.raises(UserError, match="10 classes, the dataset has 4"):
        metric.compute(REAL)
