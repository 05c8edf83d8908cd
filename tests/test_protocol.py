"""Two scores are comparable when their protocol ids are equal: every ingredient has to change the id."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from ganzoo.protocol import Protocol

BASE = Protocol(
    dataset="digits",
    dataset_sha256="a" * 64,
    shape=(1, 32, 32),
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
    "split": "test",
    "reference_count": 1438,
    "generated_count": 2001,
    "features": "mnist",
    "features_sha256": "d" * 64,
    "resizer": "bilinear",
    "metric_settings": ("kid.subsets=5",),
    "quantiser": "floor",
    "ema": False,
    "bn_mode": "train",
    "label_law": "balanced",
    "checkpoint": "best",
}


@pytest.mark.parametrize("name", [field.name for field in fields(Protocol)])
def test_every_ingredient_changes_the_id(name: str) -> None:
    assert replace(BASE, **{name: OTHER[name]}).id != BASE.id


def test_the_id_can_be_read_and_repeated() -> None:
    assert BASE.id.startswith("digits-32x32x1-train1437-gen2000-digits-last-ema-")
    assert replace(BASE).id == BASE.id
