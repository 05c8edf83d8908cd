"""What `benchmarks/search.py` has chosen is what a variant is trained with."""

from __future__ import annotations

import importlib
import json
import math
import sys
from pathlib import Path

import pytest

from ganzoo.config.layers import build_config
from ganzoo.zoo.registry import Registry

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
FOUND = sorted((BENCHMARKS / "search").glob("*/*.json"))


def test_there_is_a_search() -> None:
    assert FOUND


@pytest.mark.parametrize("file", FOUND, ids=lambda file: f"{file.stem}-{file.parent.name}")
def test_the_choice_is_the_recipe(file: Path, registry: Registry) -> None:
    if str(BENCHMARKS) not in sys.path:
        sys.path.append(str(BENCHMARKS))
    search = importlib.import_module("search")
    found = json.loads(file.read_text(encoding="utf-8"))
    for one in found["searches"]:
        before, chosen = (math.inf if one[key]["fid"] is None else one[key]["fid"] for key in ("before", "chosen"))
        assert chosen <= before
        assert min(trial["seed"] for trial in (*one["first"], *one["finals"])) >= 1000  # no published run's
    last = found["searches"][-1]
    name = found["dataset"]
    config = build_config(
        registry,
        variant=found["variant"],
        dataset=name if registry.has("dataset", name) else f"{name.partition('-')[0]}:anywhere",  # a folder
        preset=last["preset"],
        sets=[f"dataset.{key}={value}" for key, value in last.get("images", {}).items()],
    )
    now = search.recipe(config)
    for key, value in (last.get("present", {}) | last["chosen"]["settings"]).items():
        assert now[key] == value, key
