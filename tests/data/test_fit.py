"""How images that are not square become so, in files and in arrays."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ganzoo.data import Images, load_dataset, make_images, prepare
from ganzoo.data.folder import load_folder
from ganzoo.errors import SettingError

RNG = np.random.default_rng(0)


def load(folder: Path, **options: object) -> Images:
    return load_dataset(load_folder, root=folder.parent / "root", split="train", path=folder, **options)


@pytest.fixture
def tall(tmp_path: Path) -> tuple[Path, np.ndarray]:
    """Ten pictures of 12x30 pixels as a folder, and their pixels uint8 [10,30,12,3]."""
    pixels = RNG.integers(60, 200, (10, 30, 12, 3), dtype=np.uint8)
    (tmp_path / "tall").mkdir()
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / "tall" / f"{number}.png")
    return tmp_path / "tall", pixels


def test_crop_pad_and_stretch(tall: tuple[Path, np.ndarray]) -> None:
    folder, pixels = tall
    nchw = torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy())
    assert torch.equal(load(folder).pixels, nchw[:, :, 9:21])
    padded = load(folder, fit="pad")
    assert padded.shape == (3, 30, 30)
    assert torch.equal(padded.pixels[..., 9:21], nchw)
    assert int(padded.pixels[..., :9].max()) == int(padded.pixels[..., 21:].max()) == 0
    white = load(folder, fit="pad", background="white")
    assert int(white.pixels[..., :9].min()) == 255
    stretched = load(folder, fit="stretch", size=12)
    expected = np.stack([np.asarray(Image.fromarray(p).resize((12, 12), Image.Resampling.BICUBIC)) for p in pixels])
    assert np.array_equal(stretched.pixels.numpy(), expected.transpose(0, 3, 1, 2))
    digests = {images.sha256 for images in (load(folder), padded, white, stretched, load(folder, fit="pad", size=16))}
    assert len(digests) == 5
    with pytest.raises(SettingError):
        load(folder, fit="squeeze")


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("size", [None, 7, 12, 40])
@pytest.mark.parametrize("color", [None, "gray"])
def test_files_and_arrays_alike(tall: tuple[Path, np.ndarray], fit: str, size: int | None, color: str | None) -> None:
    folder, pixels = tall
    made = make_images(torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy()))
    images = prepare(made, size, color, fit)
    assert torch.equal(images.pixels, load(folder, size=size, fit=fit, color=color or "rgb").pixels)
    generic = load_dataset(lambda root, split, download: made, root=".", split="train", size=size, color=color, fit=fit)
    assert generic.sha256 == images.sha256
    assert generic.facts is not None
    assert (generic.facts.fit, generic.facts.fitted) == (fit, 10)
    done = {"crop": "cropped to squares", "pad": "padded to squares", "stretch": "stretched to squares"}[fit]
    assert f"12x30 rgb, {done}" in generic.facts.line("x")
    if size == 40:
        assert "enlarged to 40" in generic.facts.line("x")
    if size == 7:
        assert "shrunk to 7" in generic.facts.line("x")


@pytest.mark.parametrize("shape", [(401, 203), (203, 401), (200, 400), (333, 1000), (8, 640)])
@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_jpegs_read_at_a_smaller_scale_lie_where_they_lie(tmp_path: Path, shape: tuple[int, int], fit: str) -> None:
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    smooth = (128 + 100 * np.sin(rows / 60) * np.cos(columns / 70)).astype(np.uint8)
    for name, options in (("png", {}), ("jpg", {"quality": 98})):
        (tmp_path / name).mkdir()
        Image.fromarray(smooth).save(tmp_path / name / f"a.{name}", **options)
    exact, drafted = (load(tmp_path / name, size=24, fit=fit, color="gray").pixels.int() for name in ("png", "jpg"))
    assert (exact - drafted).abs().max() <= 6
    if fit == "pad":
        assert torch.equal(exact == 0, drafted == 0)  # the same bands


def test_orientation_comes_before_the_fit(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.full((10, 20), 200, np.uint8)).save(tmp_path / "x" / "a.jpg", exif=exif)
    images = load(tmp_path / "x", fit="pad", color="gray")
    assert images.facts is not None
    assert images.facts.smallest == (10, 20)
    assert int(images.pixels[0, 0, :, :4].max()) < 9
    assert int(images.pixels[0, 0, 0, 10]) > 190


def test_a_target_that_fits_by_itself_is_asked_to(tmp_path: Path) -> None:
    made = make_images(torch.from_numpy(RNG.integers(0, 256, (3, 3, 6, 6), dtype=np.uint8)))
    seen = []

    def target(root: Path, split: str, download: bool, fit: str = "crop") -> Images:
        seen.append(fit)
        return made

    load_dataset(target, root=tmp_path, split="train", fit="pad")
    assert seen == ["pad"]
