"""What was read is said in one line and kept."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ganzoo.data import Images, load_dataset, make_images
from ganzoo.data.decode import suffixes
from ganzoo.data.digits import load_digits
from ganzoo.data.facts import Facts
from ganzoo.data.folder import load_folder
from ganzoo.data.npz import load_npz

RNG = np.random.default_rng(0)


def picture(file: Path, height: int = 8, width: int = 8, **options: object) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(file, **options)


def facts_of(images: Images) -> Facts:
    assert images.facts is not None
    return images.facts


def load(folder: Path, split: str = "train", **options: object) -> Facts:
    return facts_of(load_dataset(load_folder, root=folder.parent / "root", split=split, path=folder, **options))


def test_a_folder_in_one_line(tmp_path: Path) -> None:
    for number in range(3):
        picture(tmp_path / "faces" / f"{number}.png", 21, 17)
    for name in ("a.heic", "b.heic", "c.txt"):
        (tmp_path / "faces" / name).write_bytes(b"x")
    assert load(tmp_path / "faces", size=8).line("folder:faces") == (
        "folder:faces: 3 images, 17x21 rgb, cropped to squares, shrunk to 8; unlabelled; no test split; "
        "passed over: 2 .heic, 1 .txt"
    )


def test_sizes_colours_and_classes_are_counted(tmp_path: Path) -> None:
    picture(tmp_path / "x" / "train" / "cat" / "1.png", 4, 4)
    picture(tmp_path / "x" / "train" / "cat" / "2.png", 8, 8)
    picture(tmp_path / "x" / "train" / "dog" / "3.png", 40, 30)
    Image.fromarray(RNG.integers(0, 256, (8, 8), dtype=np.uint8)).save(tmp_path / "x" / "train" / "dog" / "4.png")
    picture(tmp_path / "x" / "val" / "dog" / "5.png")
    found = load(tmp_path / "x", size=8)
    assert (found.smallest, found.largest, found.size) == ((4, 4), (30, 40), (8, 8))
    assert (found.fitted, found.enlarged, found.shrunk) == (1, 1, 1)
    assert (found.color, found.original_color) == ("rgb", "gray and rgb")
    assert found.classes == (("cat", 2), ("dog", 2))
    assert found.splits == ("train/", "val/")
    line = found.line("x")
    assert "4x4 to 30x40 gray and rgb, 1 cropped to squares, 1 shrunk to 8, 1 enlarged to 8" in line
    assert "2 classes: cat (2), dog (2)" in line
    assert "train/ and val/" in line
    assert load(tmp_path / "x", "test", size=8).classes == (("cat", 0), ("dog", 1))


def test_facts_of_a_cache_are_those_of_the_first_time(tmp_path: Path) -> None:
    picture(tmp_path / "x" / "1.png", 20, 10)
    first = load(tmp_path / "x", size=8)
    assert load(tmp_path / "x", size=8) == first
    (tmp_path / "x" / "new.csv").write_text("x")  # is no image, so that nothing is decoded again
    assert load(tmp_path / "x", size=8) == replace(first, passed_over=((".csv", 1),))


def test_further_pages_and_frames_are_said(tmp_path: Path) -> None:
    pages = [Image.fromarray(RNG.integers(0, 256, (8, 8, 3), dtype=np.uint8)) for _ in range(3)]
    (tmp_path / "x").mkdir()
    for ending in ("tiff", "gif", "webp", "png"):
        pages[0].save(tmp_path / "x" / f"a.{ending}", save_all=True, append_images=pages[1:])
    picture(tmp_path / "x" / "b.png")
    over = dict(load(tmp_path / "x").passed_over)
    assert set(over) == {f"further frames of .{ending}" for ending in ("tiff", "gif", "webp", "png")}
    assert "further frames of .tiff" in load(tmp_path / "x").line("x")


def test_broken_images_are_named_and_counted(tmp_path: Path) -> None:
    for number in range(3000):
        (tmp_path / "x").mkdir(exist_ok=True)
        file = tmp_path / "x" / f"{number:04}.pgm"
        file.write_bytes(b"P5 2 2 255\n" + bytes((number % 256, 0, 255, 7)) if number % 100 else b"broken")
    found = load(tmp_path / "x", color="gray")
    assert (found.images, found.broken_count) == (2970, 30)
    kept = found.to_dict()["broken"]
    assert isinstance(kept, list)
    assert len(kept) == 20
    assert "0000.pgm" in kept[0]
    assert "30 broken" in found.line("x")


@pytest.mark.skipif(".avif" not in suffixes(), reason="this Pillow has no AVIF")
def test_avif_is_read_where_pillow_can(tmp_path: Path) -> None:
    picture(tmp_path / "x" / "1.avif", 16, 16)
    picture(tmp_path / "x" / "2.png", 16, 16)
    assert load(tmp_path / "x").images == 2


def test_avif_is_passed_over_where_pillow_cannot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("PIL.features.check", lambda name: False)
    suffixes.cache_clear()
    try:
        picture(tmp_path / "x" / "2.png", 16, 16)
        (tmp_path / "x" / "1.avif").write_bytes(b"x")
        found = load(tmp_path / "x")
    finally:
        suffixes.cache_clear()
    assert found.passed_over == ((".avif", 1),)
    assert any("1 .avif" in warning and "convert" in warning for warning in found.warnings)


def test_datasets_that_are_no_folders_have_facts(tmp_path: Path) -> None:
    digits = facts_of(load_dataset(load_digits, root=tmp_path, split="train", size=16))
    assert digits.line("digits").startswith(
        "digits: 1,437 images, 32x32 gray, shrunk to 16; 10 classes: 0 (142), 1 (146), 2 (141), "
    )
    assert digits.levels == (0, 255)
    np.savez(tmp_path / "a.npz", images=RNG.integers(0, 256, (4, 6, 9), dtype=np.uint8), extra=np.zeros(3))
    found = facts_of(load_dataset(load_npz, root=tmp_path, split="train", path=tmp_path / "a.npz"))
    assert found.line("npz:a.npz") == (
        "npz:a.npz: 4 images, 9x6 gray, cropped to squares; unlabelled; no test split; passed over: 1 array extra"
    )


def test_names_of_classes_are_cleaned_whatever_the_dataset(tmp_path: Path) -> None:
    pixels = torch.from_numpy(RNG.integers(0, 256, (3, 1, 8, 8), dtype=np.uint8))
    made = make_images(pixels, torch.tensor([0, 1, 2]), class_names=["a\n", "a\t", "\ud800"])
    images = load_dataset(lambda root, split, download: made, root=tmp_path, split="train")
    assert images.class_names == ("a\ufffd", "a\ufffd (2)", "\ufffd")
    assert facts_of(images).classes == (("a\ufffd", 1), ("a\ufffd (2)", 1), ("\ufffd", 1))


def test_what_is_kept_is_json_and_short() -> None:
    many = Facts(
        images=9,
        classes=tuple((f"class {n}", n) for n in range(1000)),
        passed_over=tuple((f".x{n}", 1) for n in range(1000)),
        folders_passed_over=tuple(f"f{n}/" for n in range(1000)),
        broken_count=1000,
        broken=tuple(f"{n}.png" for n in range(20)),
        warnings=("w",),
    )
    kept = many.to_dict()
    assert len(json.dumps(kept)) < 10_000
    assert len(kept["classes"]) == 50  # type: ignore[arg-type]
    assert kept["more_classes"] == 950
    line = many.line("x\ny")
    assert "\n" not in line
    assert "and 994 more" in line
    assert len(line) < 1000
