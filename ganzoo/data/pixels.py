"""What every dataset goes through: its digest, and its size and colour when asked for others than it has."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ganzoo.data.decode import BACKGROUNDS, FITS, natural_side, square_box, to_square
from ganzoo.data.facts import Facts, resized
from ganzoo.data.images import Images
from ganzoo.errors import SettingError

COLORS = ("gray", "rgb")

_CHUNK = 4096  # images hashed or converted at a time, so that memory-mapped pixels are never held at once


def check_size_and_color(size: int | None, color: str | None, fit: str = "crop", background: str = "black") -> None:
    """Raise SettingError unless `size` is None or at least 1 pixel, `color` is "gray", "rgb" or None, and `fit` and
    `background` are one of `ganzoo.data.decode.FITS` and `BACKGROUNDS`.
    """
    if size is not None and (isinstance(size, bool) or not isinstance(size, int) or size < 1):
        raise SettingError(f"size is {size!r}", "give a whole number of pixels, for example 64")
    if color is not None and color not in COLORS:
        raise SettingError(f"color is {color!r}", f"choose one of {', '.join(COLORS)}")
    if fit not in FITS:
        raise SettingError(f"fit is {fit!r}", f"choose one of {', '.join(FITS)}")
    if background not in BACKGROUNDS:
        raise SettingError(f"background is {background!r}", f"choose one of {', '.join(BACKGROUNDS)}")


def digest_trailer(shape: Sequence[int], labels: Tensor | None) -> bytes:
    """The bytes that follow the pixels in `digest`: labels as little-endian int64, then shape and label count."""
    label_bytes = b"" if labels is None else labels.numpy().astype("<i8").tobytes()
    count = -1 if labels is None else len(labels)
    return label_bytes + f"ganzoo images {tuple(shape)} labels {count}".encode()


def digest(pixels: Tensor, labels: Tensor | None) -> str:
    """SHA-256 as 64 hex digits over pixels (uint8 `[N,C,H,W]`, row-major), labels (int64 `[N]` or None) and shape.

    The same on every machine and for memory-mapped and resident pixels alike.
    """
    sha = hashlib.sha256()
    for chunk in pixels.split(_CHUNK):
        sha.update(chunk.contiguous().numpy().data)
    sha.update(digest_trailer(pixels.shape, labels))
    return sha.hexdigest()


def make_images(
    pixels: Tensor,
    labels: Tensor | None = None,
    *,
    num_classes: int | None = None,
    class_names: Sequence[str] | None = None,
) -> Images:
    """Build `Images` from pixels (uint8 `[N,C,H,W]`) and labels (int64 `[N]` or None), and compute the digest.

    `num_classes` None: the number of class names, else the largest label + 1. Without labels it is 0.
    """
    pixels = pixels.contiguous()
    if labels is None:
        return Images(pixels=pixels, labels=None, num_classes=0, sha256=digest(pixels, None))
    if num_classes is None:
        num_classes = len(class_names) if class_names is not None else int(labels.max()) + 1
    return Images(
        pixels=pixels,
        labels=labels,
        num_classes=num_classes,
        sha256=digest(pixels, labels),
        class_names=None if class_names is None else tuple(class_names),
    )


def luma(pixels: Tensor) -> Tensor:
    """ITU-R BT.601 luma, 0.299 R + 0.587 G + 0.114 B, rounded: uint8 `[N,3,H,W]` -> uint8 `[N,1,H,W]`.

    In 16-bit fixed point, as Pillow's conversion to "L", so that files and arrays turn grey alike.
    """
    weights = torch.tensor([19595, 38470, 7471], dtype=torch.int32)
    out = torch.empty((len(pixels), 1, *pixels.shape[2:]), dtype=torch.uint8)
    for source, target in zip(pixels.split(_CHUNK), out.split(_CHUNK), strict=True):
        red, green, blue = (source[:, c].to(torch.int32) * weights[c] for c in range(3))
        target[:, 0] = (red + green + blue + 0x8000) >> 16
    return out


def resize(pixels: Tensor, size: int, fit: str = "crop") -> Tensor:
    """Make squares by `fit` and resize with antialiasing (bicubic): uint8 `[N,C,H,W]` -> uint8 `[N,C,size,size]`.

    `fit`: see `ganzoo.data.decode.to_square`; padding is black. One image after another in Pillow, whose fixed-point
    arithmetic gives the same bytes on every machine; the digest of a dataset depends on that.
    """
    n, channels = pixels.shape[:2]
    out = np.empty((n, channels, size, size), dtype=np.uint8)
    for i, image in enumerate(pixels.numpy()):  # image: uint8 [C,H,W]
        if channels == 1:
            out[i, 0] = np.asarray(to_square(Image.fromarray(image[0]), size, fit))
        else:
            square = to_square(Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0))), size, fit)
            out[i] = np.asarray(square).transpose(2, 0, 1)
    return torch.from_numpy(out)


def prepare(images: Images, size: int | None, color: str | None, fit: str = "crop") -> Images:
    """Bring images to a square of `size` pixels (None: see below) and to a colour.

    Images that are not square become so by `fit`: "crop" takes the central square, "pad" adds black, "stretch" ignores
    the aspect; then they are resized with antialiasing (bicubic). Without `size` the square is as large as the shorter
    side, padded as the longer one. `color` "gray": ITU-R 601 luma, one channel; "rgb": three channels; None: as they
    are. Returns the very same object when nothing changes, otherwise new `Images` in memory with their own digest, and
    with facts that say what was done. Raises SettingError for a size, colour or fit that is none.
    """
    check_size_and_color(size, color, fit)
    channels, height, width = images.shape
    pixels = images.pixels
    if color == "gray" and channels == 3:
        pixels = luma(pixels)
    side = size or natural_side(width, height, fit)
    if fit == "crop" and side == min(width, height):
        if height != width:
            left, top, right, bottom = square_box(width, height)
            pixels = pixels[:, :, top:bottom, left:right]
    elif (height, width) != (side, side):
        pixels = resize(pixels, side, fit)
    if color == "rgb" and channels == 1:
        pixels = pixels.expand(-1, 3, -1, -1)
    if pixels is images.pixels:
        return images
    pixels = pixels.contiguous()
    facts = None if images.facts is None else _prepared(images.facts, len(images), (width, height), side, fit, pixels)
    return replace(images, pixels=pixels, sha256=digest(pixels, images.labels), mapped=False, facts=facts)


def _prepared(facts: Facts, count: int, size: tuple[int, int], side: int, fit: str, pixels: Tensor) -> Facts:
    """`facts` of `count` images of `size`, width and height, that have become squares of `side` pixels."""
    fitted, enlarged, shrunk = resized(size, fit, side)
    return replace(
        facts,
        size=(side, side),
        color="gray" if pixels.shape[1] == 1 else "rgb",
        fit=fit if fitted else facts.fit,
        fitted=count if fitted else facts.fitted,
        enlarged=count if enlarged else facts.enlarged,
        shrunk=count if shrunk else facts.shrunk,
        levels=None,  # they are others now, and `load_dataset` measures them
    )
