"""folder:PATH and CelebA: the memory-mapped cache of decoded images."""

import logging
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ganzoo.cli.progress import showing
from ganzoo.data import Images, cache, decode_all, load_dataset, make_images, prepare
from ganzoo.data.folder import load_celeba, load_folder
from ganzoo.data.pixels import digest
from ganzoo.errors import DataError, SettingError

RNG = np.random.default_rng(0)


def picture(path: Path, height: int = 8, width: int = 8) -> np.ndarray:
    """Write a random RGB png; give its pixels uint8 [H,W,3]."""
    pixels = RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return pixels


@pytest.fixture
def pets(tmp_path: Path) -> tuple[Path, torch.Tensor]:
    """Forty images in two classes, and their pixels in order of name."""
    names = [f"{kind}/{i:02}.png" for kind in ("cat", "dog") for i in range(20)]
    pixels = np.stack([picture(tmp_path / "pets" / name) for name in names])
    return tmp_path / "pets", torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy())


def load(path: Path, split: str = "train", **options) -> Images:
    return load_folder(path.parent / "root", split, False, path=path, **options)


def entries(path: Path) -> list[str]:
    """What lies in the folder of caches, hidden files aside."""
    folder = path.parent / "root" / "folder-cache"
    return [p.name for p in folder.iterdir() if not p.name.startswith(".")]


def test_pixels_labels_and_digest(pets: tuple[Path, torch.Tensor]) -> None:
    path, pixels = pets
    images = load(path)
    assert torch.equal(images.pixels, pixels)
    assert images.labels is not None
    assert images.labels.tolist() == [0] * 20 + [1] * 20
    assert (images.num_classes, images.class_names, images.mapped) == (2, ("cat", "dog"), True)
    assert images.sha256 == digest(pixels, images.labels)
    unlabelled = load(path, labels=False)
    assert unlabelled.labels is None
    assert unlabelled.sha256 == digest(pixels, None)


def test_files_and_arrays_are_resized_and_turned_gray_alike(pets: tuple[Path, torch.Tensor]) -> None:
    path, pixels = pets
    expected = prepare(make_images(pixels), 5, "gray")
    assert torch.equal(load(path, size=5, color="gray").pixels, expected.pixels)


def test_settings_reach_the_decoder_through_load_dataset(pets: tuple[Path, torch.Tensor]) -> None:
    path, _ = pets
    images = load_dataset(load_folder, root=path.parent / "root", split="train", size=4, color="gray", path=path)
    assert images.shape == (1, 4, 4)
    assert images.mapped  # not resized afterwards in memory
    with pytest.raises(SettingError):
        load(path, color="blue")


def test_the_cache_is_used_again_and_follows_changes(pets: tuple[Path, torch.Tensor], monkeypatch) -> None:
    path, _ = pets
    first = load(path)
    decode = decode_all.decode_image
    monkeypatch.setattr(decode_all, "decode_image", lambda *a: pytest.fail("decoded again"))
    again = load(path)
    assert again.sha256 == first.sha256
    assert torch.equal(again.pixels, first.pixels)
    moved = path.with_name("moved")
    shutil.copytree(path, moved)  # keeps the times
    assert load(moved).sha256 == first.sha256
    monkeypatch.setattr(decode_all, "decode_image", decode)
    changed = picture(path / "cat" / "00.png")
    assert torch.equal(load(path).pixels[0], torch.from_numpy(changed).permute(2, 0, 1))
    (path / "dog" / "19.png").unlink()
    assert len(load(path)) == 39


def test_writing_to_the_tensor_does_not_reach_the_file(pets: tuple[Path, torch.Tensor]) -> None:
    path, pixels = pets
    load(path).pixels.zero_()
    assert torch.equal(load(path).pixels, pixels)


def test_images_of_one_size_need_no_size(tmp_path: Path) -> None:
    for name, width in (("a", 8), ("b", 11)):
        picture(tmp_path / "x" / f"{name}.png", 8, width)
    assert load(tmp_path / "x").shape == (3, 8, 8)  # 8 x 11 has a centre of 8 x 8
    picture(tmp_path / "x" / "c.png", 9, 9)
    with pytest.raises(DataError, match=r"a\.png is 8 .* c\.png is 9") as caught:
        load(tmp_path / "x")
    assert "--size" in caught.value.cure
    assert load(tmp_path / "x", size=4).shape == (3, 4, 4)
    assert len(entries(tmp_path / "x")) == 2


def test_broken_images_are_named_and_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for i in range(100):
        picture(tmp_path / "x" / f"{'ab'[i % 2]}/{i:03}.png", 2, 2)
    (tmp_path / "x" / "a" / "004.png").write_bytes(b"not a png")
    with caplog.at_level(logging.WARNING, "ganzoo"):
        images = load(tmp_path / "x")
    assert "a/004.png" in caplog.text
    assert len(images) == 99
    assert images.labels is not None
    assert images.labels.tolist() == [0] * 49 + [1] * 50
    assert images.sha256 == digest(images.pixels, images.labels)


def test_too_many_broken_images_are_an_error(tmp_path: Path) -> None:
    for i in range(150):
        picture(tmp_path / "x" / f"{i:03}.png", 2, 2)
    for name in ("003.png", "077.png"):
        (tmp_path / "x" / name).write_bytes(b"not a png")
    with pytest.raises(DataError, match=r"2 .*of 150 .*003\.png.*077\.png"):
        load(tmp_path / "x")
    assert entries(tmp_path / "x") == []


@pytest.mark.skipif(os.name != "posix", reason="needs symbolic links")
def test_a_dangling_link_counts_as_broken(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "1.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(DataError, match=r"1\.png"):
        load(tmp_path / "x")


def test_progress_is_reported_while_decoding_only(pets: tuple[Path, torch.Tensor], capsys) -> None:
    path, _ = pets
    calls: list[tuple[int, int]] = []
    load(path, on_progress=lambda done, total: calls.append((done, total)))
    assert calls == [(i, 40) for i in range(1, 41)]
    calls.clear()
    load(path, on_progress=lambda done, total: calls.append((done, total)))
    assert calls == []
    load(path, size=4)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""  # no terminal, and done within ten seconds


def test_plain_lines_when_it_takes_long(pets: tuple[Path, torch.Tensor], capsys, monkeypatch) -> None:
    monkeypatch.setattr("ganzoo.cli.lines.COUNT_SECONDS", 0.0)
    with showing():
        load(pets[0])
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines()[-1].endswith("pets: 40/40 images  0:00 left")


def test_a_bar_on_a_terminal(pets: tuple[Path, torch.Tensor], capsys, monkeypatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm-256color")
    shown = []
    monkeypatch.setattr("ganzoo.cli.board.State.take", lambda self, event: shown.append(str(event)))
    with showing():
        load(pets[0])
    assert any(line.endswith("pets: 40/40 images") for line in shown)
    assert capsys.readouterr().out == ""


def test_an_interrupted_build_leaves_nothing(pets: tuple[Path, torch.Tensor]) -> None:
    path, pixels = pets

    def interrupt(done: int, total: int) -> None:
        if done == 25:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load(path, on_progress=interrupt)
    assert entries(path) == []
    assert torch.equal(load(path).pixels, pixels)


def test_remains_of_killed_builders_are_removed(pets: tuple[Path, torch.Tensor]) -> None:
    path, _ = pets
    load(path)
    [key] = entries(path)
    caches = path.parent / "root" / "folder-cache"
    shutil.rmtree(caches / key)
    for name, age in (("old", 7200), ("new", 0)):
        work = caches / f"{key}.{name}.tmp"
        work.mkdir()
        (work / "pixels.bin").write_bytes(b"x")
        for p in (work / "pixels.bin", work):
            os.utime(p, (time.time() - age,) * 2)
    load(path)
    assert sorted(entries(path)) == [key, f"{key}.new.tmp"]  # the new one may be another builder at work


@pytest.mark.parametrize("file", ["pixels.bin", "meta.json", "labels.npy"])
def test_a_damaged_cache_is_built_again(pets: tuple[Path, torch.Tensor], file: str) -> None:
    path, pixels = pets
    load(path)
    [key] = entries(path)
    damaged = path.parent / "root" / "folder-cache" / key / file
    damaged.write_bytes(damaged.read_bytes()[:-5])
    assert torch.equal(load(path).pixels, pixels)
    assert entries(path) == [key]


@pytest.mark.parametrize("locks", [True, False])
def test_builders_at_the_same_time_do_no_harm(pets: tuple[Path, torch.Tensor], monkeypatch, locks: bool) -> None:
    path, pixels = pets
    started: list[int] = []

    @contextmanager
    def no_lock(lock: Path):
        lock.parent.mkdir(parents=True, exist_ok=True)
        yield False

    if not locks:
        monkeypatch.setattr(cache, "locked", no_lock)

    def slow(done: int, total: int) -> None:
        if done == 1:
            started.append(done)
        time.sleep(0.002)

    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(lambda _: load(path, on_progress=slow), range(3)))
    assert all(torch.equal(images.pixels, pixels) for images in results)
    assert len(entries(path)) == 1
    assert len(started) == 1 if locks else len(started) > 1


def test_a_full_disk_is_seen_before_decoding(pets: tuple[Path, torch.Tensor], monkeypatch) -> None:
    path, _ = pets
    usage = shutil.disk_usage(path)
    monkeypatch.setattr("ganzoo.data.decode_all.shutil.disk_usage", lambda p: usage._replace(free=100))
    with pytest.raises(DataError, match="needs") as caught:
        load(path)
    assert "--data-root" in caught.value.cure
    assert entries(path) == []


def test_a_failing_write_removes_the_temporary_file(pets: tuple[Path, torch.Tensor]) -> None:
    resource = pytest.importorskip("resource")
    path, _ = pets
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, limits[1]))  # the pixels take 40 * 192 bytes
    try:
        with pytest.raises(DataError, match="cannot write the image cache"):
            load(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert entries(path) == []


def test_a_root_that_cannot_be_made(pets: tuple[Path, torch.Tensor]) -> None:
    path, _ = pets
    (path.parent / "root").write_text("a file in the way")
    with pytest.raises(DataError, match="cannot write the image cache"):
        load(path)


def test_test_images_have_the_labels_of_the_training_classes(tmp_path: Path) -> None:
    for name in ("train/a/1.png", "train/b/1.png", "train/c/1.png", "val/c/1.png"):
        picture(tmp_path / "x" / name)
    test = load(tmp_path / "x", "test")
    assert test.labels is not None
    assert test.labels.tolist() == [2]
    assert test.class_names == ("a", "b", "c")


def test_celeba_crops_to_178_and_follows_the_partition(tmp_path: Path) -> None:
    base = tmp_path / "celeba"
    pixels = {name: picture(base / "img_align_celeba" / f"{name}.png", 218, 178) for name in ("a", "b", "c", "d")}
    (base / "list_eval_partition.txt").write_text("a.png 0\nb.png 1\nc.png 2\nd.png 0\n")
    train = load_celeba(tmp_path, "train", False)
    assert (len(train), train.shape, train.labels) == (2, (3, 64, 64), None)
    whole = load_celeba(tmp_path, "test", False, size=None)
    assert torch.equal(whole.pixels[0], torch.from_numpy(pixels["c"][20:198]).permute(2, 0, 1))


def test_celeba_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="downloads are off") as caught:
        load_celeba(tmp_path, "train", False)
    assert "img_align_celeba.zip" in caught.value.cure

    def fail(*args: object) -> None:
        raise RuntimeError("gdown is required")

    monkeypatch.setattr("torchvision.datasets.celeba.download_file_from_google_drive", fail)
    with pytest.raises(DataError, match="cannot download celeba: gdown is required"):
        load_celeba(tmp_path, "train", True)
