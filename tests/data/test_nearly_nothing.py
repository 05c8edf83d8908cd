"""Images that decode to nearly nothing are refused, or warned of with the setting that mends it."""

import logging
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ganzoo.data import Images, load_dataset, make_images
from ganzoo.data.folder import load_folder
from ganzoo.data.npz import load_npz
from ganzoo.errors import DataError, SettingError

COUNT, SIDE = 40, 28


def discs() -> np.ndarray:
    """Bright discs on a noisy ground: uint8 [40,28,28], levels 0 to 239."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    out = rng.integers(0, 40, (COUNT, SIDE, SIDE))
    for image in out:
        x, y = rng.uniform(9, 19, 2)
        image[(columns - x) ** 2 + (rows - y) ** 2 < 49] = 230
    return out.astype(np.uint8)


def save(folder: Path, images: np.ndarray, ending: str = "png") -> Path:
    folder.mkdir()
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{number:03}.{ending}")
    return folder


def load(folder: Path, **options: object) -> Images:
    return load_dataset(load_folder, root=folder.parent / "root", split="train", path=folder, **options)


def warnings_of(images: Images) -> tuple[str, ...]:
    assert images.facts is not None
    return images.facts.warnings


@pytest.mark.parametrize("bits", [10, 12, 14])
@pytest.mark.parametrize("ending", ["png", "tif"])
def test_few_bits_in_16_bit_files(tmp_path: Path, bits: int, ending: str) -> None:
    deep = discs().astype(np.uint16) << (bits - 8)
    folder = save(tmp_path / "dark", deep, ending)
    white = 2**bits - 1
    [warning] = warnings_of(load(folder))
    assert "nearly black" in warning
    assert f"--set dataset.white={white}" in warning
    mended = load(folder, white=white, color="gray")
    assert warnings_of(mended) == ()
    assert np.abs(mended.pixels.numpy()[:, 0].astype(int) - discs()).max() <= 1


def test_hot_pixels_do_not_hide_it(tmp_path: Path) -> None:
    deep = discs().astype(np.uint16) << 4
    deep[:, 3, 5] = deep[:, 20, 11] = 65535
    deep[7] = 65535  # and a spoilt image
    folder = save(tmp_path / "dark", deep)
    assert any("dataset.white=4095" in warning for warning in warnings_of(load(folder)))


def test_levels_above_white_are_cut_off_and_many_are_warned_of(tmp_path: Path) -> None:
    deep = discs().astype(np.uint16) << 8
    folder = save(tmp_path / "deep", deep)
    images = load(folder, white=1023)
    assert int(images.pixels.max()) == 255
    assert any("above dataset.white=1023" in warning for warning in warnings_of(images))
    assert warnings_of(load(folder)) == ()
    assert int(load(folder).pixels.max()) == 229  # 230 * 256 of 65535
    with pytest.raises(SettingError):
        load(folder, white=0)


def test_16_bit_colour_says_what_can_be_done(tmp_path: Path) -> None:
    import zlib

    folder = tmp_path / "x"
    folder.mkdir()
    for number, image in enumerate(discs()[:5]):  # Pillow writes no 16-bit colour
        rows = (image.astype(np.uint16) << 4).astype(">u2")[..., None].repeat(3, axis=2).reshape(SIDE, -1)
        raw = b"".join(b"\0" + row.tobytes() for row in rows)
        chunks = b""
        header = SIDE.to_bytes(4, "big") * 2 + bytes((16, 2, 0, 0, 0))
        for kind, body in ((b"IHDR", header), (b"IDAT", zlib.compress(raw)), (b"IEND", b"")):
            chunks += len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")
        (folder / f"{number}.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
    [warning] = warnings_of(load(folder))
    assert "nearly black" in warning
    assert "scale the files" in warning


@pytest.mark.parametrize(("level", "background", "other"), [(0, "black", "white"), (255, "white", "black")])
def test_ink_of_the_colour_of_the_ground(tmp_path: Path, level: int, background: str, other: str) -> None:
    alpha = discs()
    ink = np.full_like(alpha, level)
    folder = save(tmp_path / "ink", np.stack([ink, ink, ink, alpha], axis=3))
    with pytest.raises(DataError, match=f"every pixel .* level {level} of 255") as caught:
        load(folder, background=background)
    assert f"--set dataset.background={other}" in caught.value.cure
    assert warnings_of(load(folder, background=other)) == ()
    assert list((tmp_path / "root" / "folder-cache").glob("*/meta.json")) != []


def test_a_single_transparent_file_is_not_blamed(tmp_path: Path) -> None:
    folder = save(tmp_path / "x", np.stack([discs() // 8] * 3, axis=3))
    Image.fromarray(np.full((SIDE, SIDE, 4), 30, np.uint8)).save(folder / "zz.png")
    assert not any("background" in warning for warning in warnings_of(load(folder)))


def test_nearly_white_and_flat_and_narrow(tmp_path: Path) -> None:
    white = save(tmp_path / "white", 255 - discs() // 8)
    assert any("nearly white" in warning for warning in warnings_of(load(white)))
    flat = save(tmp_path / "flat", np.repeat(np.arange(COUNT, dtype=np.uint8) * 6, SIDE**2).reshape(-1, SIDE, SIDE))
    assert any("one level each" in warning for warning in warnings_of(load(flat)))
    narrow = save(tmp_path / "narrow", 100 + discs() // 12)
    assert any("levels from 10" in warning for warning in warnings_of(load(narrow)))


def test_what_is_sound_is_not_warned_of(tmp_path: Path) -> None:
    sketch = np.full((COUNT, 64, 64), 255, np.uint8)
    sketch[:, 30:33, 10:50] = 0  # 3 % ink
    for name, images in (("discs", discs()), ("sketch", sketch), ("negative", 255 - sketch)):
        assert warnings_of(load(save(tmp_path / name, images))) == ()


def plain(pixels: np.ndarray, labels: list[int] | None = None, classes: int | None = None):
    def target(root: Path, split: str, download: bool) -> Images:
        given = None if labels is None else torch.tensor(labels)
        return make_images(torch.from_numpy(pixels)[:, None], given, num_classes=classes)

    return target


def test_every_dataset_is_looked_at(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(DataError, match="level 7 of 255"):
        load_dataset(plain(np.full((9, 8, 8), 7, np.uint8)), root=tmp_path, split="train")
    np.savez(tmp_path / "zero.npz", images=np.zeros((9, 8, 8), np.uint8))
    with pytest.raises(DataError, match="level 0 of 255"):
        load_dataset(load_npz, root=tmp_path, split="train", path=tmp_path / "zero.npz")
    np.savez(tmp_path / "dark.npz", images=discs() // 8)
    with caplog.at_level(logging.WARNING, "ganzoo"):
        for _ in range(2):
            images = load_dataset(load_npz, root=tmp_path, split="train", path=tmp_path / "dark.npz")
    [record] = caplog.records  # once
    assert "nearly black" in record.getMessage()
    assert images.facts is not None
    assert images.facts.levels == (0, 28)


def test_one_pixel_among_many_is_another_level(tmp_path: Path) -> None:
    pixels = np.zeros((3000, 40, 40), np.uint8)
    pixels[1234, 3, 3] = 9
    images = load_dataset(plain(pixels), root=tmp_path, split="train")
    assert any("nearly black" in warning for warning in warnings_of(images))


def test_every_training_class_has_an_image(tmp_path: Path) -> None:
    target = plain(discs()[:4], [0, 2, 2, 0], 3)
    with pytest.raises(DataError, match="none of class 1"):
        load_dataset(target, root=tmp_path, split="train")
    assert len(load_dataset(target, root=tmp_path, split="test")) == 4
    assert len(load_dataset(target, root=tmp_path, split="train", complete_classes=False)) == 4


def test_a_class_of_broken_images_is_refused_by_name(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / "x" / name).mkdir(parents=True)
    for number in range(120):
        Image.fromarray(discs()[number % COUNT]).save(tmp_path / "x" / "cat" / f"{number:03}.png")
    (tmp_path / "x" / "dog" / "1.png").write_bytes(b"no image")
    with pytest.raises(DataError, match="dog has no image that can be read") as caught:
        load(tmp_path / "x")
    assert "--set dataset.labels=false" in caught.value.cure
    assert len(load(tmp_path / "x", labels=False)) == 120


def test_looking_takes_no_time(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20_000, 32, 32), dtype=np.uint8)
    made = plain(pixels)(tmp_path, "train", False)
    began = time.perf_counter()
    load_dataset(lambda root, split, download: made, root=tmp_path, split="train")
    assert time.perf_counter() - began < 1
