"""Images at a path belong to no kind until it is said what they are: a line says what to add for a recipe."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ganzoo.cli.main import cli

LITTLE = ("--dataset", "npz:x.npz", "--preset", "laptop", "--kimg", "0.016", "--set", "train.scores=none")
TOLD = "for 28x28 gray images, not used: add --size 28 --set dataset.color=gray\n"
SAID = ("--size", "28", "--set", "dataset.color=gray")


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command beside 40 images of 28x28 pixels; what it told."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GANZOO_DATA", str(tmp_path / "root"))
    np.savez(tmp_path / "x.npz", images=np.random.default_rng(0).integers(0, 256, (40, 28, 28), np.uint8))

    def call(*words: str) -> str:
        cli.main(list(words), standalone_mode=False)
        return capsys.readouterr().err

    return call


def test_a_run_tells_before_it_begins(told: Callable[..., str]) -> None:
    train = ("train", "dcgan", *LITTLE)
    assert told(*train).count(f"dcgan has a recipe {TOLD}") == 1
    for words in (train, (*train, "--kimg", "0.032")):  # it is there already, and is what it is
        assert "recipe" not in told(*words)
    assert "recipe" not in told(*train, *SAID)
    assert "recipe" not in told(*train, "--preset", "standard")


def test_a_bench_tells_once_of_all(told: Callable[..., str]) -> None:
    bench = ("bench", "--variants", "lsgan,dcgan,dragan", *LITTLE, "--seeds", "2", "--concurrent", "1")
    assert told(*bench).count(f"lsgan, dcgan, dragan have recipes {TOLD}") == 1
    assert "recipe" not in told(*bench)
    more = told("bench", "--variants", "lsgan,dcgan", *LITTLE, "--grid", "train.g_lr=0.001,0.002")
    assert more.count(f"lsgan, dcgan have recipes {TOLD}") == 1


PLUGIN = """
GANZOO_API = 2
import ganzoo

@ganzoo.hookimpl
def register_variants():
    settings = (ganzoo.Setting(name="z_dim", default=16, minimum=1, doc="Of the noise."),
                ganzoo.Setting(name="channels", default=4, minimum=1, doc="Width."))
    return [ganzoo.Variant(name="wide", target="ganzoo_dcgan.networks:dcgan", settings=settings,
                           presets={"laptop@gray-32": {"variant.channels": CHANNELS, "train.schedule": SCHEDULE}})]
"""


def plugin(folder: Path, channels: int, schedule: str) -> str:
    text = PLUGIN.replace("CHANNELS", str(channels)).replace("SCHEDULE", repr(schedule))
    (folder / "wide.py").write_text(text)
    return str(folder / "wide.py")


def test_what_could_not_be_run_is_not_advised(told: Callable[..., str], tmp_path: Path) -> None:
    wide = ("--plugin", plugin(tmp_path, 8, "constant"))
    assert f"wide has a recipe {TOLD}" in told("train", "wide", *wide, *LITTLE, "--out", "a")
    begun = told("train", "wide", *wide, *LITTLE, "--init", "a", "--out", "b")  # a's networks are not of that width
    assert "recipe" not in begun
    timed = ("--set", "train.minutes=0.01", "--set", "train.kimg=none")
    linear = ("--plugin", plugin(tmp_path, 4, "linear"))  # which needs a length in kimg
    assert "recipe" not in told("bench", "--variants", "dcgan,wide", *linear, *LITTLE[:4], *LITTLE[6:], *timed)
