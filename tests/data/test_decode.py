"""From an image file to a square array."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganzoo.data.decode import Decoded, Decoding
from ganzoo.data.decode import decode_image as decode

RGB = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)


def decode_image(path: Path, size: int | None, mode: str, **options) -> np.ndarray:
    """The pixels alone."""
    return decode(path, Decoding(size, mode, **options)).pixels


def told(path: Path, **options) -> Decoded:
    return decode(path, Decoding(**options))


def saved(image: Image.Image, path: Path, **options) -> Path:
    image.save(path, **options)
    return path


def test_centre_square_as_it_is(tmp_path: Path) -> None:
    path = saved(Image.fromarray(RGB), tmp_path / "a.png")
    assert np.array_equal(decode_image(path, None, "RGB"), RGB[:, 1:7])
    tall = saved(Image.fromarray(RGB.transpose(1, 0, 2).copy()), tmp_path / "b.png")
    assert np.array_equal(decode_image(tall, None, "RGB"), RGB.transpose(1, 0, 2)[1:7])


def test_gray_and_rgb(tmp_path: Path) -> None:
    path = saved(Image.fromarray(RGB), tmp_path / "a.png")
    gray = decode_image(path, None, "L")
    assert gray.shape == (6, 6, 1)
    assert np.abs(gray[..., 0] - RGB[:, 1:7] @ [0.299, 0.587, 0.114]).max() <= 1
    lone = saved(Image.fromarray(RGB[:6, :6, 0].copy()), tmp_path / "b.png")
    assert np.array_equal(decode_image(lone, None, "RGB"), np.repeat(RGB[:6, :6, :1], 3, axis=2))


def test_pixels_outside_the_crop_do_not_leak_in(tmp_path: Path) -> None:
    wide = np.zeros((16, 32, 3), dtype=np.uint8)
    wide[:, 8:24] = 200
    assert (decode_image(saved(Image.fromarray(wide), tmp_path / "a.png"), 4, "RGB") == 200).all()


def test_resize_is_antialiased(tmp_path: Path) -> None:
    stripes = np.zeros((64, 64), dtype=np.uint8)
    stripes[:, ::2] = 255
    small = decode_image(saved(Image.fromarray(stripes), tmp_path / "a.png"), 16, "L")[:, 2:-2]
    assert np.abs(small.astype(float) - 127.5).max() < 8


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_honoured(tmp_path: Path, orientation: int) -> None:
    square = np.zeros((16, 16, 3), dtype=np.uint8)
    square[:8, :8] = 255, 0, 0
    square[:8, 8:] = 0, 255, 0
    upright = Image.fromarray(square)
    undo = {
        2: [Image.Transpose.FLIP_LEFT_RIGHT],
        3: [Image.Transpose.ROTATE_180],
        4: [Image.Transpose.FLIP_TOP_BOTTOM],
        5: [Image.Transpose.TRANSPOSE],
        6: [Image.Transpose.ROTATE_90],
        7: [Image.Transpose.TRANSVERSE],
        8: [Image.Transpose.ROTATE_270],
    }
    stored = upright
    for operation in undo.get(orientation, []):
        stored = stored.transpose(operation)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(stored, tmp_path / "a.png", exif=exif)
    assert np.array_equal(decode_image(path, None, "RGB"), square)


def test_transparent_pixels_become_black(tmp_path: Path) -> None:
    rgba = np.zeros((4, 4, 4), dtype=np.uint8)
    rgba[...] = 200, 100, 50, 255
    rgba[0] = 255, 255, 255, 0
    rgba[1] = 200, 100, 50, 128
    pixels = decode_image(saved(Image.fromarray(rgba), tmp_path / "a.png"), None, "RGB")
    assert (pixels[0] == 0).all()
    assert np.abs(pixels[1].astype(int) - [100, 50, 25]).max() <= 1
    assert (pixels[2:] == [200, 100, 50]).all()
    flat = Image.fromarray(rgba[..., 0]).convert("P")
    by_index = saved(flat, tmp_path / "b.png", transparency=int(np.asarray(flat)[0, 0]))
    assert (decode_image(by_index, None, "L")[0] == 0).all()


def test_palette_images_use_their_colors(tmp_path: Path) -> None:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    assert (decode_image(saved(image, tmp_path / "a.gif"), None, "RGB") == [10, 20, 30]).all()


def test_sixteen_bits_are_scaled_to_eight(tmp_path: Path) -> None:
    levels = np.array([[0, 65535], [257 * 100, 257 * 100 + 200]], dtype=np.uint16)
    path = saved(Image.fromarray(levels), tmp_path / "a.png")
    assert decode_image(path, None, "L")[..., 0].tolist() == [[0, 255], [100, 101]]


def test_a_large_jpeg_is_decoded_small_but_alike(tmp_path: Path) -> None:
    ramp = np.linspace(0, 255, 512)
    picture = np.stack([np.add.outer(ramp, ramp) / 2] * 3, axis=2).astype(np.uint8)
    jpeg = saved(Image.fromarray(picture), tmp_path / "a.jpg", quality=95)
    png = saved(Image.fromarray(picture), tmp_path / "a.png")
    small = decode_image(jpeg, 32, "RGB")
    assert small.shape == (32, 32, 3)
    assert np.abs(small.astype(int) - decode_image(png, 32, "RGB")).max() <= 3


@pytest.mark.parametrize("mode", ["1", "LA", "CMYK"])
def test_other_modes_can_be_read(tmp_path: Path, mode: str) -> None:
    white = Image.new("RGB", (4, 4), "white").convert(mode)
    assert decode_image(saved(white, tmp_path / "a.tif"), None, "RGB").min() >= 254


def test_what_cannot_be_read_raises(tmp_path: Path) -> None:
    floats = saved(Image.new("F", (4, 4)), tmp_path / "a.tif")
    with pytest.raises(ValueError, match="floating-point"):
        decode_image(floats, None, "L")
    whole = saved(Image.fromarray(RGB), tmp_path / "a.png").read_bytes()
    (tmp_path / "b.png").write_bytes(whole[:60])
    with pytest.raises((OSError, SyntaxError)):
        decode_image(tmp_path / "b.png", None, "L")


def test_a_damaged_exif_block_does_not_cost_the_image(tmp_path: Path) -> None:
    path = saved(Image.fromarray(RGB), tmp_path / "a.png", exif=b"Exif\0\0no TIFF header")
    assert np.array_equal(decode_image(path, None, "RGB"), RGB[:, 1:7])
