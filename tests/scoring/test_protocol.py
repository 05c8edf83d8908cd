"""Two scores are comparable when their protocol ids are equal: every ingredient has to change the id."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from ganzoo.scoring.generation import BLOCK
from ganzoo.scoring.protocol import MEANINGS, METRIC_RULES, RULES, Protocol, explain, looks_like_id, metric_rules

BASE = Protocol(
    dataset="digits",
    dataset_sha256="a" * 64,
    shape=(1, 32, 32),
    test_sha256="e" * 64,
    split="train",
    reference_count=1437,
    generated_count=2000,
    features="digits",
    features_sha256="b" * 64,
    resizer="none",
)
OTHER: dict[str, Any] = {
    "dataset": "mnist",
    "dataset_sha256": "c" * 64,
    "shape": (1, 28, 28),
    "test_sha256": "none",
    "split": "test",
    "reference_count": 1438,
    "generated_count": 2001,
    "features": "mnist",
    "features_sha256": "d" * 64,
    "resizer": "bilinear",
    "features_settings": ("layer=3",),
    "plugin_code": ("mine=1a2b3c4d",),
    "metric_settings": ("kid.subsets=5",),
    "quantiser": "floor",
    "ema": False,
    "bn_mode": "train",
    "label_law": "balanced",
    "checkpoint": "best",
    "rules": 1,
    "metric_rules": ("cas=2",),
}


@pytest.mark.parametrize("name", [field.name for field in fields(Protocol)])
def test_every_ingredient_changes_the_id(name: str) -> None:
    assert replace(BASE, **{name: OTHER[name]}).id != BASE.id


def test_the_id_can_be_read_and_repeated() -> None:
    assert BASE.id.startswith("digits-32x32x1-train1437-gen2000-digits-last-ema-")
    assert replace(BASE).id == BASE.id


def test_the_rules_in_force_are_the_last_ones_that_are_described() -> None:
    """Another noise or another block is another set of images: scores made before are not ranked with those after."""
    assert list(RULES) == list(range(1, BASE.rules + 1))
    assert str(BLOCK) in RULES[BASE.rules]


def test_rules_of_single_metrics_leave_the_ids_of_other_scores_alone() -> None:
    assert "metric_rules" not in BASE.ingredients()
    assert metric_rules(["fid", "cas"]) == (f"cas={max(METRIC_RULES['cas'])}",)
    assert metric_rules(["fid"]) == ()


def test_every_ingredient_is_explained() -> None:
    lines = list(explain({"id": BASE.id, **replace(BASE, metric_rules=("cas=2",)).ingredients()}))
    assert [name for name, _, _ in lines] == [field.name for field in fields(Protocol)] == list(MEANINGS)
    assert ("metric_settings", "none", MEANINGS["metric_settings"]) in lines
    assert ("shape", "1, 32, 32", MEANINGS["shape"]) in lines
    assert all(meaning for _, _, meaning in lines)
    assert list(explain({"later": 1})) == [("later", "1", "")]


def test_an_id_is_told_from_a_name() -> None:
    assert looks_like_id(BASE.id)
    assert looks_like_id(replace(BASE, dataset="fashion-mnist", features="efficientnet-lite0", ema=False).id)
    assert not looks_like_id("dcgan")
    assert not looks_like_id("upsample-dcgan-32x32x3")
