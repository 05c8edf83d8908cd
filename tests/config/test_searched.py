"""What `benchmarks/search.py` has chosen is what a variant is trained with."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from ganzoo.config.layers import build_config
from ganzoo.zoo.registry import Registry

FOUND = sorted((Path(__file__).parents[2] / "benchmarks" / "search").glob("*/*.json"))


def test_there_is_a_search() -> None:
    assert FOUND


@pytest.mark.parametrize("file", FOUND, ids=lambda file: f"{file.stem}-{file.parent.name}")
def test_the_choice_is_the_recipe(file: Path, registry: Registry) -> None:
    found = json.loads(file.read_text(encoding="utf-8"))
    for search in found["searches"]:
        before, chosen = (
            math.inf if search[key]["fid"] is None else search[key]["fid"] for key in ("before", "chosen")
        )
        assert chosen <= before
        assert min(one["seed"] for one in (*search["first"], *search["finals"])) >= 1000  # no published run's
    last = found["searches"][-1]
    config = build_config(registry, variant=found["variant"], dataset=found["dataset"], preset=last["preset"])
    for key, value in (last.get("present", {}) | last["chosen"]["settings"]).items():
        section, _, name = key.partition(".")
        has = getattr(config.train, name) if section == "train" else getattr(config, section).settings[name]
        assert has == value, key
