"""What `benchmarks/search.py` has chosen is what a variant is trained with."""

from __future__ import annotations

import importlib
import json
import math
import sys
from pathlib import Path
from typing import Any

import pytest

from ganzoo.config.layers import build_config
from ganzoo.zoo.registry import Registry

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
FOUND = sorted((BENCHMARKS / "search").glob("*/*.json"))


if str(BENCHMARKS) not in sys.path:
    sys.path.append(str(BENCHMARKS))
search = importlib.import_module("search")


def test_there_is_a_search() -> None:
    assert FOUND


@pytest.mark.parametrize(
    ("present", "candidate", "chosen"),
    [
        ([(9.0, 10), (9.0, 10)], [(7.0, 10), (9.0, 10)], True),  # a tenth lower
        ([(9.0, 10), (9.0, 10)], [(8.5, 10), (9.0, 10)], False),
        ([(9.0, 10), (9.0, 9)], [(10.0, 10), (10.0, 10)], True),  # all classes, whatever the FID
        ([(9.0, 10), (9.0, 10)], [(4.0, 10), (4.0, 9)], False),
        ([(9.0, 9), (9.0, 9)], [(None, None), (4.0, 10)], False),  # diverged once
        ([(None, None), (4.0, 10)], [(9.0, 10), (9.0, 10)], True),
        ([(9.0, None), (9.0, None)], [(7.0, None), (7.0, None)], True),  # of images without labels
    ],
)
def test_what_is_chosen(
    present: list[tuple[float | None, int | None]], candidate: list[tuple[float | None, int | None]], chosen: bool
) -> None:
    recipes: list[dict[str, float]] = [{}, {"train.g_lr": 0.001}]
    trials = [
        {"settings": settings, "seed": seed, "fid": fid, **({} if modes is None else {"modes": float(modes)})}
        for settings, scores in zip(recipes, (present, candidate), strict=True)
        for seed, (fid, modes) in enumerate(scores)
    ]
    assert search.choice(recipes, trials, "fid")["chosen"]["settings"] == recipes[chosen]


def test_conditional_variants_are_compared_within_classes() -> None:
    """By FID alone, images of any class would do."""
    whole, few = [{"fid": 5.0, "class_fid": 9.0}, {"fid": None}], [{"fid": 5.0}]
    assert [search.compared_by(variant, whole) for variant in ("cdcgan", "dcgan")] == ["class_fid", "fid"]
    assert search.compared_by("cdcgan", few) == "fid"  # fewer images of a class than features
    recipes: list[dict[str, float]] = [{}, {"train.g_lr": 0.001}]
    trials = [
        {"settings": settings, "seed": 0, "fid": fid, "class_fid": within, "modes": 10.0}
        for settings, fid, within in zip(recipes, (7.0, 9.0), (57.0, 37.0), strict=True)
    ]
    assert search.choice(recipes, trials, "class_fid") == {
        "before": {"fid": 7.0, "class_fid": 57.0},
        "chosen": {"settings": recipes[1], "fid": 9.0, "class_fid": 37.0},
    }
    assert search.choice(recipes, trials, "fid")["chosen"]["settings"] == {}


@pytest.mark.parametrize(
    ("dataset", "images", "key"),
    [
        ("digits", {}, "laptop@digits"),
        ("fashion-mnist", {}, "laptop@gray-32"),
        ("folder:.", {"size": 32}, "laptop@rgb-32"),  # a folder's colour is rgb unless one says otherwise
        ("folder:.", {"size": 64, "color": "gray"}, "laptop@gray-64"),
    ],
)
def test_a_recipe_is_for_the_kind_of_images_that_was_searched(dataset: str, images: dict[str, Any], key: str) -> None:
    assert search.preset_of(search.config_of("dcgan", dataset, "laptop", images), "laptop") == key


def test_without_a_kind_of_images_nothing_is_searched() -> None:
    """What is adopted for every kind would take the place of the author's own preset."""
    with pytest.raises(SystemExit, match="--size"):
        search.preset_of(search.config_of("dcgan", "folder:.", "laptop", {}), "laptop")


@pytest.mark.parametrize("file", FOUND, ids=lambda file: f"{file.stem}-{file.parent.name}")
def test_the_choice_is_the_recipe(file: Path, registry: Registry) -> None:
    found = json.loads(file.read_text(encoding="utf-8"))
    for one in found["searches"]:
        by = one.get("by", "fid")
        before, chosen = (math.inf if one[key][by] is None else one[key][by] for key in ("before", "chosen"))
        scores = [[trial for trial in one["finals"] if trial["settings"] == settings]
                  for settings in (one["chosen"]["settings"], {})]  # fmt: skip
        classes = [search.missed(trials, search.most_modes(one["finals"])) for trials in scores]
        assert chosen <= before or classes[0] < classes[1]
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
