"""One image file -> one square uint8 array. Imports no torch, so that it is cheap to use anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

RESAMPLING = Image.Resampling.BICUBIC  # antialiased in Pillow, in fixed-point arithmetic: the same on every machine

SUFFIXES = frozenset({".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
"""File name endings (lower case) that are taken to be images."""

_ORIENTATION = 0x0112  # the EXIF tag
_TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def square_box(width: int, height: int) -> tuple[int, int, int, int]:
    """The largest centred square as (left, top, right, bottom) in whole pixels; a spare pixel goes right or below."""
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    return (left, top, left + side, top + side)


def resize_square(image: Image.Image, size: int | None) -> Image.Image:
    """Centre crop to a square, then bicubic antialiased resize to `size` pixels (None: keep the square's size)."""
    if image.width != image.height:
        # not by the `box` of `resize`, which lets pixels outside the box weigh on the border
        image = image.crop(square_box(*image.size))
    return image if size is None or size == image.width else image.resize((size, size), RESAMPLING)


def to_mode(image: Image.Image, mode: str) -> Image.Image:
    """Convert to `mode`, "L" (ITU-R 601 luma) or "RGB".

    Transparent images are laid over black. 16-bit grey is scaled to 8 bits (65535 -> 255). Raises ValueError for
    floating-point images, whose range is unknown.
    """
    if image.mode.startswith("I"):  # 16-bit grey: "I;16" and its byte orders; "I" from older Pillow
        levels = np.asarray(image).astype(np.int64)
        image = Image.fromarray(((levels.clip(0, 65535) + 128) // 257).astype(np.uint8))
    elif image.mode == "F":
        raise ValueError("floating-point pixels")
    elif image.has_transparency_data:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, (0, 0, 0, 255)), layer).convert("RGB")
    return image if image.mode == mode else image.convert(mode)


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1, upright, where there is none or the EXIF block is damaged."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # a damaged block can raise nearly anything, and the pixels may be sound all the same
        return 1


def decode_image(path: Path | str | BinaryIO, size: int | None, mode: str) -> np.ndarray:
    """Read an image file -> uint8 `[size, size, C]`: upright by its EXIF tag, centre-cropped, resized, converted.

    `size`: pixels, None for the centre square as it is. `mode`: "L" (C = 1) or "RGB" (C = 3). Of an animation, the
    first frame. Raises OSError, ValueError or SyntaxError (Pillow's) for files that are broken or no images.
    """
    with Image.open(path) as opened:
        if size is not None:
            # JPEGs at least twice as large as needed are decoded at 1/2, 1/4 or 1/8 scale, never below 2 * size.
            opened.draft(None, (2 * size, 2 * size))
        orientation = _orientation(opened)
        image = to_mode(opened, mode)
        if orientation in _TRANSPOSITIONS:
            image = image.transpose(_TRANSPOSITIONS[orientation])
        pixels = np.array(resize_square(image, size))
    return pixels[..., None] if pixels.ndim == 2 else pixels
