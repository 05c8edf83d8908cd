"""A feature network that is not installed is missed before images are read."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import ganzoo
from ganzoo.cli.main import cli
from ganzoo.config.layers import build_config
from ganzoo.errors import UserError
from ganzoo.zoo.registry import Registry

CURE = "in the checkout: pip install '.[efficientnet]'; or train without scores: --set train.scores=none"


@pytest.fixture(autouse=True)
def without_efficientnet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)


def command(*words: str) -> None:
    cli.main(list(words), standalone_mode=False)


def in_library(name: str, **options: object) -> Callable[[], object]:
    return lambda: getattr(ganzoo, name)("gan", listen=None, **options)


FOLDER = "folder:nowhere"  # what is looked at first would be told first


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


@pytest.mark.parametrize("how", [{"sets": {"train.scores": None}}, {"features": "digits"}])
def test_it_is_not_missed_where_it_scores_nothing(how: dict[str, object]) -> None:
    with pytest.raises(UserError, match="nowhere"):
        ganzoo.train("gan", dataset=FOLDER, listen=None, **how)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="nowhere"):
        ganzoo.speed("gan", dataset=FOLDER, listen=None)


def test_it_is_not_missed_by_other_machines(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("submitit", reason="the extra 'slurm' is not installed")
    command("bench", "--variants", "gan", "--dataset", FOLDER, "--dry-run", "--executor", "slurm")
    assert "would train gan" in capsys.readouterr().out


@pytest.mark.parametrize("place", ["runs/digits/gan-s0-0123456789", "mine"])
def test_a_finished_run_does_without(place: str, registry: Registry, tmp_path: Path) -> None:
    """It is found, whatever it was scored with; one that was interrupted is not."""
    folder = tmp_path / place
    folder.mkdir(parents=True)
    config = build_config(registry, variant="gan", features="efficientnet-lite0")
    (folder / "config.json").write_text(json.dumps(config.to_dict()))
    out = ["--out", place] if place == "mine" else []
    with pytest.raises(UserError, match="needs efficientnet"):
        command("train", "gan", "--features", "efficientnet-lite0", "--dry-run", *out)
    (folder / "result.json").write_text("{}")
    command("train", "gan", "--features", "efficientnet-lite0", "--dry-run", *out)
