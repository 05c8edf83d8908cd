"""`--dry-run` of images at a path: refused as training refuses them, though none is decoded."""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganzoo.bench.plan import entrants
from ganzoo.cli.main import cli
from ganzoo.errors import FitError, UserError


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """A dry run in a folder of its own, in which it leaves nothing behind; what it said."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GANZOO_DATA", str(tmp_path / "root"))

    def call(*words: str) -> str:
        before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
        try:
            cli.main([*words, "--dry-run", "--features", "digits"], standalone_mode=False)
        finally:
            assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
        said = capsys.readouterr()
        return said.out + said.err

    return call


def png(seed: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)).save(file, "png")
    return file.getvalue()


def pictures(folder: Path, count: int) -> None:
    folder.mkdir(parents=True)
    image = png(0)
    for index in range(count):
        (folder / f"{index:04d}.png").write_bytes(image)


TRAIN = ("train", "dcgan", "--dataset", "folder:faces", "--size", "32")
BENCH = ("bench", "--variants", "dcgan,gan", "--dataset", "folder:faces", "--size", "32")


SEARCH = ("--search", "1", "--grid", "train.g_lr=1e-4..1e-3")
KID = ("--set", "eval.metrics=kid")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((*TRAIN[:3], "folder:nowhere"), "nowhere does not exist"),
        ((*BENCH[:4], "folder:nowhere"), "nowhere does not exist"),
        ((*TRAIN[:3], "folder:*.png"), "does not exist"),
        ((*TRAIN[:3], "folder:empty"), "has no files"),
        (TRAIN, "there are 20 real ones"),
        (BENCH, "there are 20 real ones"),
        ((*TRAIN[:3], "folder:faces-140", *TRAIN[4:], "--set", "eval.num_reference=15"), "there are 15 real ones"),
        ((*TRAIN, *KID, "--set", "eval.held_out=0.01"), "eval.held_out=0.01 of 20 images leaves none"),
        ((*TRAIN, "--set", "train.scores=none", "--set", "eval.held_out=0.01"), "eval.held_out=0.01 of 20 images"),
        ((*BENCH[:4], "folder:faces-140", *BENCH[5:], *SEARCH), "there are 28 real ones"),
        (("train", "cdcgan", *TRAIN[2:3], "folder:faces-140"), "dataset 'folder:faces-140' has no labels"),
        (("bench", "--variants", "gan,cdcgan", *BENCH[3:4], "folder:faces-140"), "'folder:faces-140' has no labels"),
        (("train", "cdcgan", *TRAIN[2:3], "folder:gap", *TRAIN[4:]), "class 2 of .*gap has no image"),
        (("train", "dcgan", *TRAIN[2:3], "npz:odd.npz"), "cannot make 30x30 images"),
        ((*BENCH[:4], "npz:odd.npz", *BENCH[5:], *SEARCH), "there are 28 real ones"),
        ((*TRAIN[:3], "folder:faces-140", "--size", "30"), "cannot make 30x30 images"),
    ],
)
def test_what_is_refused_is_what_the_command_refuses(
    plan: Callable[..., str], tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    (tmp_path / "empty").mkdir()
    pictures(tmp_path / "faces", 20)
    pictures(tmp_path / "faces-140", 140)
    pictures(tmp_path / "gap", 140)
    labels = {"labels": [[file.name, (0, 1, 3)[int(file.stem) % 3]] for file in sorted((tmp_path / "gap").iterdir())]}
    (tmp_path / "gap" / "dataset.json").write_text(json.dumps(labels))
    np.savez(tmp_path / "odd.npz", images=np.random.default_rng(0).integers(0, 256, (140, 30, 30), np.uint8))
    if "--search" in words:
        pytest.importorskip("optuna", reason="the extra 'optuna' is not installed")
    with pytest.raises(UserError) as planned:
        plan(*words)
    assert re.search(said, f"{planned.value.cause}; {planned.value.cure}")
    with pytest.raises(UserError) as begun:
        cli.main([*words, "--features", "digits", "--quiet"], standalone_mode=False)
    assert (planned.value.cause, planned.value.cure) == (begun.value.cause, begun.value.cure)


def test_what_is_not_scored_may_be_few(plan: Callable[..., str], tmp_path: Path) -> None:
    pictures(tmp_path / "faces", 20)
    for command in (TRAIN, BENCH):
        assert "20 images, unlabelled" in plan(*command, "--set", "train.scores=none")
    assert "20 images" in plan(*BENCH, "--speed-only")
    options = {"dataset": "folder:faces", "features": "digits", "sets": ("dataset.size=32",)}
    assert len(entrants("gan", Path("runs"), options, scored=False).images) == 20  # type: ignore[arg-type]


def test_variants_that_need_labels_are_left_out(plan: Callable[..., str], tmp_path: Path) -> None:
    pictures(tmp_path / "faces", 140)
    some = plan("bench", "--variants", "all", *BENCH[3:])
    assert "cdcgan is left out: variant 'cdcgan' is conditional" in some
    assert "would train dcgan on folder:faces" in some
    assert "would train cdcgan" not in some
    for name in ("a", "b"):
        pictures(tmp_path / "labelled" / name, 70)
    said = plan("train", "cdcgan", "--dataset", "folder:labelled", "--size", "32")
    assert "/labelled, 140 images, 2 classes" in said
    assert re.search(r"dataset\.path +\S*/labelled +\(no default\)", said)


PLUGIN = """
GANZOO_API = 2
import ganzoo
from ganzoo.data.folder import load_folder
from ganzoo.errors import DataError
from pathlib import Path

def listed(root, split, download, *, path, size=None):
    if not (root / "lists").exists():
        raise DataError("no lists", "fetch them")
    try:
        return load_folder(root, split, download, path=path, size=size)
    except Exception as error:
        raise DataError(f"broken: {error!r}", "mend it") from error

@ganzoo.hookimpl
def register_datasets():
    return [ganzoo.Dataset(name="listed", target=listed, takes_path=True)]
"""


def test_datasets_of_plugins(plan: Callable[..., str], tmp_path: Path) -> None:
    pictures(tmp_path / "faces", 140)
    (tmp_path / "mine.py").write_text(PLUGIN)
    (tmp_path / "root" / "lists").mkdir(parents=True)  # what it looks up under the data root is there
    words = ("train", "dcgan", "--plugin", "mine.py", "--dataset", "listed:faces", "--size", "32")
    assert "/faces, 140 images, unlabelled" in plan(*words)
    (tmp_path / "mine.py").write_text(PLUGIN.replace(", size=None", "").replace("size=size", "size=20"))
    assert "/faces, 140 images, unlabelled" in plan(*words)  # they are resized afterwards
    with pytest.raises(FitError, match="cannot make 20x20 images"):
        plan(*words[:-2])


def test_no_image_is_decoded(plan: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures(tmp_path / "faces", 140)
    for name in ("decode_all", "digest_all"):
        monkeypatch.setattr(f"ganzoo.data.cache.{name}", lambda *_: pytest.fail("an image was read"))
    assert "140 images" in plan(*TRAIN)


def test_archives_and_arrays(plan: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tarfile.open(tmp_path / "faces.tar", "w") as archive:
        for index in range(140):
            header = tarfile.TarInfo(f"{index:04d}.png")
            data = png(index)
            header.size = len(data)
            archive.addfile(header, io.BytesIO(data))
    monkeypatch.setattr("ganzoo_tar.index.RACY_SECONDS", -10)  # its index may be kept
    assert "/faces.tar, 140 images, unlabelled" in plan("train", "dcgan", "--dataset", "tar:faces.tar", *TRAIN[4:])
    levels = np.random.default_rng(0).integers(0, 256, (140, 30, 30), np.uint8)
    np.savez(tmp_path / "faces.npz", images=levels, labels=np.arange(140) % 7)
    said = plan("train", "cdcgan", "--dataset", "npz:faces.npz", "--size", "32")
    assert "/faces.npz, 140 images, 7 classes" in said
    with pytest.raises(FitError, match="cannot make 30x30 images"):
        plan("train", "cdcgan", "--dataset", "npz:faces.npz")


def test_notes_are_told_once(plan: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("optuna", reason="the extra 'optuna' is not installed")
    (tmp_path / "mine.py").write_text("GANZOO_API = 9")
    words = ("bench", "--variants", "gan", "--plugin", "mine.py", *SEARCH)
    assert plan(*words).count("is left out") == 1
    told = []
    for gate in ((), ("--fail-on", "fid>3")):  # which the plan alone looks at
        with pytest.raises(UserError, match="nowhere does not exist"):
            cli.main([*words, "--dataset", "folder:nowhere", *gate], standalone_mode=False)
        said = capsys.readouterr().err
        told.append(said.count("is left out"))
        assert "would be run before" not in said
    assert told[0] == told[1]


def test_fewer_steps_than_snapshots(plan: Callable[..., str]) -> None:
    said = plan("train", "gan", "--kimg", "0.256", "--set", "train.batch_size=64", "--set", "train.snapshots=8")
    assert "0.256 kimg, 4 steps; 5 snapshots, 3 scored with 2,000 images each" in said
    assert "1 step; 2 snapshots" in plan("train", "gan", "--kimg", "0.001")
