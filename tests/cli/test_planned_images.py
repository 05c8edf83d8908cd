"""`--dry-run` of images at a path: refused as training refuses them, though none is decoded."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganzoo.cli.main import cli
from ganzoo.errors import FitError, UserError


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """A dry run in a folder of its own, in which it leaves nothing behind; what it said."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GANZOO_DATA", str(tmp_path / "root"))

    def call(*words: str) -> str:
        before = sorted(tmp_path.rglob("*"))
        try:
            cli.main([*words, "--dry-run", "--features", "digits"], standalone_mode=False)
        finally:
            assert sorted(tmp_path.rglob("*")) == before
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


def test_a_folder_that_is_not_there(plan: Callable[..., str]) -> None:
    for command in (TRAIN, BENCH):
        with pytest.raises(UserError, match="faces does not exist"):
            plan(*command)


def test_too_few_images_for_the_metrics(plan: Callable[..., str], tmp_path: Path) -> None:
    pictures(tmp_path / "faces", 20)
    for command in (TRAIN, BENCH):
        with pytest.raises(UserError, match="there are 20 real ones"):
            plan(*command)
        assert "20 images, unlabelled" in plan(*command, "--set", "train.scores=none")
    assert "20 images" in plan(*BENCH, "--speed-only")
    with pytest.raises(UserError, match="there are 15 real ones"):
        plan("train", "gan", "--set", "eval.num_reference=15")


def test_labels_that_a_variant_needs(plan: Callable[..., str], tmp_path: Path) -> None:
    pictures(tmp_path / "faces", 140)
    with pytest.raises(FitError, match="'cdcgan' is conditional, but dataset 'folder:faces' has no labels"):
        plan("train", "cdcgan", *TRAIN[2:])
    some = plan("bench", "--variants", "all", *BENCH[3:])
    assert "cdcgan is left out: variant 'cdcgan' is conditional" in some
    assert "would train dcgan on folder:faces" in some
    assert "would train cdcgan" not in some
    with pytest.raises(FitError, match="'cdcgan' is conditional"):
        plan("bench", "--variants", "cdcgan,gan", *BENCH[3:])
    for name in ("a", "b"):
        pictures(tmp_path / "labelled" / name, 70)
    said = plan("train", "cdcgan", "--dataset", "folder:labelled", "--size", "32")
    assert "/labelled, 140 images, 2 classes" in said


def test_no_image_is_decoded(plan: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures(tmp_path / "faces", 140)
    for name in ("decode_all", "digest_all"):
        monkeypatch.setattr(f"ganzoo.data.cache.{name}", lambda *_: pytest.fail("an image was read"))
    assert "140 images" in plan(*TRAIN)


def test_archives_and_arrays(plan: Callable[..., str], tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "faces.tar", "w") as archive:
        for index in range(140):
            header = tarfile.TarInfo(f"{index:04d}.png")
            data = png(index)
            header.size = len(data)
            archive.addfile(header, io.BytesIO(data))
    assert "/faces.tar, 140 images, unlabelled" in plan("train", "dcgan", "--dataset", "tar:faces.tar", *TRAIN[4:])
    levels = np.random.default_rng(0).integers(0, 256, (140, 30, 30), np.uint8)
    np.savez(tmp_path / "faces.npz", images=levels, labels=np.arange(140) % 7)
    said = plan("train", "cdcgan", "--dataset", "npz:faces.npz", "--size", "32")
    assert "/faces.npz, 140 images, 7 classes" in said
    with pytest.raises(FitError, match="cannot make 30x30 images"):
        plan("train", "cdcgan", "--dataset", "npz:faces.npz")


def test_fewer_steps_than_snapshots(plan: Callable[..., str]) -> None:
    said = plan("train", "gan", "--kimg", "0.256", "--set", "train.batch_size=64", "--set", "train.snapshots=8")
    assert "0.256 kimg, 4 steps; 5 snapshots, 3 scored with 2,000 images each" in said
    assert "1 step; 2 snapshots" in plan("train", "gan", "--kimg", "0.001")
