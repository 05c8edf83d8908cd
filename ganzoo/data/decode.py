"""One image file -> one square uint8 array. Imports no torch, so that it is cheap to use anywhere."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import Image, features

RESAMPLING = Image.Resampling.BICUBIC  # antialiased in Pillow, in fixed-point arithmetic: the same on every machine

SUFFIXES = frozenset({".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
"""File name endings (lower case) that are taken to be images, whatever this Pillow was built with."""

FITS = ("crop", "pad", "stretch")
BACKGROUNDS = {"black": 0, "white": 255}  # their level

WHITES = (255, 1023, 4095, 16383, 65535)
"""Highest levels of 8, 10, 12, 14 and 16 bits."""

_SAMPLED = 64  # rows and columns of a 16-bit image whose levels are counted, at most
_MANY_FRAMES = frozenset({"GIF", "TIFF", "WEBP", "PNG", "AVIF"})  # not MPO, whose further images are previews
_GRAY_MODES = frozenset({"1", "L", "LA", "La"})
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


@dataclass(frozen=True)
class Decoding:
    """How files become pixels: everything they depend on besides the file. Its repr is part of the cache's key."""

    size: int | None = None  # pixels of the square; None: see `to_square`
    mode: str = "RGB"  # or "L"
    fit: str = "crop"  # one of FITS
    background: str = "black"  # one of BACKGROUNDS: under transparent images, and around padded ones
    white: int | None = None  # level of 16-bit gray that becomes 255; None: 65535


class Decoded(NamedTuple):
    """The pixels of a file, and what is worth telling of it."""

    pixels: np.ndarray  # uint8 [S,S,C]
    original: tuple[int, int]  # width and height, upright
    gray: bool  # whether the original has no colour
    transparent: bool  # whether any of its pixels is
    frames: int  # pages or frames; the first was read
    above: np.ndarray | None  # of a sample of 16-bit gray levels: int64 [6], how many lie above each of WHITES but the
    # last and above `Decoding.white`, and how many there are; None for other images
    deep_color: bool  # 16 bits in each of several channels, of which Pillow gives the upper eight bits


@functools.cache
def suffixes() -> frozenset[str]:
    """`SUFFIXES` and those which depend on how Pillow was built."""
    avif = "avif" in features.modules and features.check("avif")  # older ones warn of a name they do not know
    return SUFFIXES | {".avif"} if avif else SUFFIXES


def square_box(width: int, height: int) -> tuple[int, int, int, int]:
    """The largest centred square as (left, top, right, bottom) in whole pixels; a spare pixel goes right or below."""
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    return (left, top, left + side, top + side)


def natural_side(width: int, height: int, fit: str) -> int:
    """Pixels of the square that an image becomes without a size: the longer side padded, else the shorter."""
    return max(width, height) if fit == "pad" else min(width, height)


def to_square(
    image: Image.Image,
    size: int | None,
    fit: str = "crop",
    background: str = "black",
    aspect: tuple[int, int] | None = None,
) -> Image.Image:
    """Make a square of `size` pixels (None: `natural_side`), resized bicubic with antialiasing.

    `fit`: "crop" takes the centred square, "pad" puts the whole image into the middle of `background`, "stretch"
    ignores the aspect. `aspect`: width and height that give the proportions, where the image's own have been rounded;
    None: the image's. Raises ValueError if padding would make an image too large to handle.
    """
    width, height = aspect or image.size
    if fit == "crop" and image.width != image.height:
        # not by the `box` of `resize`, which lets pixels outside the box weigh on the border
        image = image.crop(square_box(*image.size))
    side = size or (image.width if fit == "crop" else natural_side(width, height, fit))
    if fit == "pad" and width != height:
        if side * side > 2 * (Image.MAX_IMAGE_PIXELS or side * side):
            raise ValueError(f"{width}x{height} pixels padded to a square are too many")
        # resized before it is padded, so that its border stays sharp and a long thin image stays small
        long = max(width, height)
        inner = (max(1, round(width * side / long)), max(1, round(height * side / long)))
        small = image if image.size == inner else image.resize(inner, RESAMPLING)
        level = BACKGROUNDS[background]
        square = Image.new(image.mode, (side, side), (level,) * 3 if image.mode == "RGB" else level)
        square.paste(small, ((side - inner[0]) // 2, (side - inner[1]) // 2))
        return square
    return image if image.size == (side, side) else image.resize((side, side), RESAMPLING)


def decode_image(source: Path | str | BinaryIO, how: Decoding) -> Decoded:
    """Read an image file: upright by its EXIF tag, converted, made a square and resized, as `how` says.

    Of an animation or a document of many pages the first is read. 16-bit gray is scaled to 8 bits, `how.white` -> 255,
    and what lies above is cut off. Raises OSError, ValueError or SyntaxError (Pillow's) for files that are broken or no
    images.
    """
    with Image.open(source) as opened:
        width, height = opened.size  # before the draft, which changes them
        gray, deep_color = _is_gray(opened), _is_deep_color(opened)
        if how.size is not None:
            # JPEGs are decoded at 1/2, 1/4 or 1/8 scale while both sides stay at least twice as long as needed
            opened.draft(None, (2 * how.size, 2 * how.size))
        orientation = _orientation(opened)
        image, transparent, above = _to_mode(opened, how)
        if orientation in _TRANSPOSITIONS:
            image = image.transpose(_TRANSPOSITIONS[orientation])
        if orientation >= 5:
            width, height = height, width
        pixels = np.array(to_square(image, how.size, how.fit, how.background, (width, height)))
        frames = _frames(opened)
    return Decoded(
        pixels[..., None] if pixels.ndim == 2 else pixels,
        (width, height),
        gray,
        transparent,
        frames,
        above,
        deep_color,
    )


def _to_mode(image: Image.Image, how: Decoding) -> tuple[Image.Image, bool, np.ndarray | None]:
    """The image in `how.mode`, "L" (ITU-R 601 luma) or "RGB"; whether it was transparent; `Decoded.above`.

    Raises ValueError for floating-point images, whose range is unknown.
    """
    transparent, above = False, None
    if image.mode.startswith("I"):  # 16-bit gray: "I;16" and its byte orders; "I" from older Pillow
        levels = np.asarray(image).astype(np.int64).clip(0, 65535)
        white = how.white or 65535
        above = _count_above(levels, white)
        image = Image.fromarray(((levels.clip(0, white) * 255 + white // 2) // white).astype(np.uint8))
    elif image.mode == "F":
        raise ValueError("floating-point pixels")
    elif image.has_transparency_data:
        layer = image.convert("RGBA")
        transparent = layer.getchannel("A").getextrema()[0] != 255
        level = BACKGROUNDS[how.background]
        image = Image.alpha_composite(Image.new("RGBA", layer.size, (level, level, level, 255)), layer).convert("RGB")
    return image if image.mode == how.mode else image.convert(how.mode), transparent, above


def _count_above(levels: np.ndarray, white: int) -> np.ndarray:
    rows, columns = (np.linspace(0, n - 1, min(n, _SAMPLED)).astype(np.int64) for n in levels.shape)
    sample = levels[np.ix_(rows, columns)]
    return np.array([*(np.count_nonzero(sample > limit) for limit in (*WHITES[:-1], white)), sample.size])


def _is_gray(image: Image.Image) -> bool:
    return image.mode in _GRAY_MODES or image.mode.startswith("I")


def _is_deep_color(image: Image.Image) -> bool:
    """Whether the file has 16 bits for each of several channels, told by Pillow's raw mode, such as "RGB;16B"."""
    tile = getattr(image, "tile", None)
    if image.mode not in ("RGB", "RGBA", "LA") or not tile:
        return False
    arguments = tile[0][3]
    raw = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return isinstance(raw, str) and ";16" in raw


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1, upright, where there is none or the EXIF block is damaged."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # a damaged block can raise nearly anything, and the pixels may be sound all the same
        return 1


def _frames(image: Image.Image) -> int:
    if image.format not in _MANY_FRAMES:
        return 1
    try:
        return int(getattr(image, "n_frames", 1))
    except Exception:  # damaged beyond the first frame, which has been read
        return 1
