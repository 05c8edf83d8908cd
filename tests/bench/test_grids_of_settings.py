"""A grid of settings: which runs it is, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from commands import GanZoo

from ganzoo.bench.grid import points_of
from ganzoo.bench.plan import asked_for
from ganzoo.errors import SettingError, UserError
from ganzoo.files.progress import Event, listening


def configs(tmp_path: Path, grid: Any, variants: str = "gan,dcgan", **options: Any) -> list[tuple[Any, ...]]:
    said: list[Event] = []
    with listening(said.append):
        asked = asked_for(variants, tmp_path, {"data_root": tmp_path, **options}, grid)  # type: ignore[typeddict-item]
    assert said == []
    return [
        (config.variant.name, config.objective.name, config.train.g_lr, config.variant.settings.get("channels"))
        for config in asked.configs
    ]


def test_every_value_with_every_other(tmp_path: Path) -> None:
    found = configs(tmp_path, ["train.g_lr=0.1, 0.2", "objective=hinge,minimax"], "gan")
    assert found == [("gan", o, lr, None) for lr in (0.1, 0.2) for o in ("hinge", "minimax")]
    mapping = {"train.g_lr": [0.1, 0.2], "objective": ["hinge", "minimax"]}
    assert configs(tmp_path, mapping, "gan") == found


def test_a_setting_of_one_variant_makes_no_copies_of_another(tmp_path: Path) -> None:
    found = configs(tmp_path, "variant.dcgan.channels=4,8")
    assert [(name, channels) for name, _, _, channels in found] == [("gan", None), ("dcgan", 4), ("dcgan", 8)]


def test_what_does_not_fit_is_left_out(tmp_path: Path) -> None:
    asked = asked_for("gan", tmp_path, {"data_root": tmp_path}, ["regularize=none,cr"])
    assert [config.regularizers for config in asked.configs] == [()]
    assert asked.left_out[0].startswith("gan regularize=cr is left out: ")


def test_no_grid_is_one_point() -> None:
    for nothing in (None, (), {}):
        [point] = points_of(nothing)
        assert (point.label, point.sets, dict(point.options)) == ("", (), {})


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ("train.g_lr", "there are no values"),
        ("train.g_lr=,", "there are no values"),
        (["train.g_lr=1", "train.g_lr=2"], "train.g_lr twice"),
        ("eval.num_images=10,20", "same images by the same scores"),
        ("dataset.size=16,32", "same images by the same scores"),
        ("seed=1,2", "same images by the same scores"),
        ("train=1", "same images by the same scores"),
    ],
)
def test_what_is_no_grid(grid: Any, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        points_of(grid)


def test_values_are_checked_before_anything_is_trained(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"train\.g_lr='x' is not a number"):
        configs(tmp_path, "train.g_lr=0.1,x")
    with pytest.raises(SettingError, match="nothing is trained with the regularizer r1"):
        configs(tmp_path, "regularizer.r1.weight=1,2")


def test_a_bench_of_a_grid_is_run_and_told_apart(ganzoo: GanZoo, tmp_path: Path) -> None:
    sets = ("train.snapshots=1", "eval.num_images=60", "eval.metrics=kid", "train.scores=last")
    words = [word for text in sets for word in ("--set", text)]
    command = ("bench", "--variants", "gan", "--kimg", "0.1", "--grid", "train.g_lr=0.001,0.002", *words)
    done = ganzoo(*command, "--data-root", tmp_path / "data", "--json")
    rows = [row for table in json.loads(done.stdout) for row in table["rows"] if row["kind"] != "real"]
    assert sorted(str(row["settings"]) for row in rows) == ["train.g_lr=0.001", "train.g_lr=0.002"]
    again = ganzoo(*command, "--data-root", tmp_path / "data")
    assert again.stderr.count("done before") == 2
    assert "train.g_lr=0.002" in again.stdout
