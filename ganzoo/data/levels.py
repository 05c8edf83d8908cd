"""Whether images use the range of levels: what decodes to nearly nothing is trained on and scored without complaint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ganzoo.data.decode import WHITES
from ganzoo.errors import DataError

DARK = 64  # the highest level of 14-bit values in 16-bit files: 16383 / 257, rounded
LIGHT = 255 - DARK
NARROW = 32  # levels between the darkest and the lightest hundredth that a set must have

_IMAGES, _PIXELS = 512, 1024  # sampled: of the set, and of each image
OUTLIERS = 0.01  # share of an image's pixels, and 10 % of the images, that do not count: hot pixels, a few odd files
_ODD_IMAGES = 0.1
_CUT_OFF = 0.01  # share of 16-bit levels above white that is worth a word
_CHUNK = 4096  # images looked at in one go


class Levels(NamedTuple):
    """Levels of a set of images, 0 to 255."""

    lowest: int
    highest: int
    low: int  # all but a few images go down to this or further, with all but a few of their pixels
    high: int  # and up to this
    flat: float  # share of images of one level, but for a few pixels

    @property
    def single(self) -> bool:
        return self.lowest == self.highest


class Source(NamedTuple):
    """What is known of where levels come from, for a cure that cures."""

    has_settings: bool = False  # the dataset has the settings `white` and `background`
    images: int = 0
    transparent: int = 0  # images with transparent pixels
    background: str = "black"
    white: int | None = None
    sixteen_bit: int = 0  # files of 16-bit gray
    within: Sequence[int] = ()  # how many of these keep within each of `ganzoo.data.decode.WHITES` but the last
    cut_off: float = 0.0  # share of their levels that lies above `white`
    deep_color: int = 0  # files of 16-bit colour


def measure(pixels: Tensor, extremes: tuple[int, int] | None = None) -> Levels:
    """Levels of uint8 `[N,C,H,W]`, by a sample that is the same each time; takes milliseconds.

    `extremes`: the lowest and highest level where they are known; None: found here, in all pixels where the sample has
    one level or the pixels are few, else in the sample.
    """
    n = len(pixels)
    flat = pixels.reshape(n, -1)  # a view: pixels are contiguous
    rows = torch.linspace(0, n - 1, min(n, _IMAGES), dtype=torch.float64).long()
    width = flat.shape[1]
    if width > _PIXELS:  # drawn, as even steps may fall in with a pattern in the images
        columns = torch.from_numpy(np.sort(np.random.default_rng(0).choice(width, _PIXELS, replace=False)))
    else:
        columns = torch.arange(width)
    sample = np.sort(flat[rows[:, None], columns].numpy(), axis=1)  # uint8 [at most 512, at most 1024]
    skipped = int(sample.shape[1] * OUTLIERS)
    low, high = sample[:, skipped], sample[:, -1 - skipped]
    lowest, highest = extremes or (int(sample[:, 0].min()), int(sample[:, -1].max()))
    if extremes is None and (lowest == highest or pixels.nbytes <= 2**28):
        lowest, highest = _extremes(pixels)
    odd = int(len(sample) * _ODD_IMAGES)
    return Levels(
        lowest=lowest,
        highest=highest,
        low=int(np.sort(low)[odd]),
        high=int(np.sort(high)[-1 - odd]),
        flat=float(np.mean(high.astype(np.int16) - low <= 2)),
    )


def _extremes(pixels: Tensor) -> tuple[int, int]:
    found = [torch.aminmax(chunk) for chunk in pixels.split(_CHUNK)]
    return min(int(low) for low, _ in found), max(int(high) for _, high in found)


def refuse_single(levels: Levels, what: str, source: Source) -> None:
    """Raise DataError if all pixels have one level."""
    if levels.single:
        cause = f"every pixel of {what} has the level {levels.lowest} of 255"
        raise DataError(cause, _setting(levels, source) or "give images that show something")


def warnings_of(levels: Levels, source: Source) -> list[str]:
    """What is probably not meant, each as one line with the setting that mends it, where there is one."""
    found = []
    cure = _setting(levels, source) or "bring the images to levels from 0 to 255, unless they are meant to be so"
    if levels.high <= DARK:
        found.append(f"the images are nearly black: almost no pixel is above level {levels.high} of 255; {cure}")
    elif levels.low >= LIGHT:
        found.append(f"the images are nearly white: almost no pixel is below level {levels.low} of 255; {cure}")
    elif levels.high - levels.low < NARROW:
        found.append(f"the images use levels from {levels.low} to {levels.high} of 255 only; {cure}")
    elif levels.flat > 0.5:
        cure = _setting(levels, source) or "look at them, and leave out those that show nothing"
        found.append(f"{round(100 * levels.flat)} % of the images are of one level each; {cure}")
    if source.white is not None and source.cut_off > _CUT_OFF:
        found.append(
            f"{round(100 * source.cut_off)} % of the levels in 16-bit files are above dataset.white={source.white} and "
            "become 255; give a higher one"
        )
    return found


def _setting(levels: Levels, source: Source) -> str:
    """The setting of the dataset that is likely to mend it, as advice; empty where there is none."""
    if not source.has_settings:
        return ""
    if source.sixteen_bit and levels.high <= DARK:
        enough = source.sixteen_bit * (1 - _ODD_IMAGES)
        white = next((w for w, count in zip(WHITES, source.within, strict=False) if count >= enough), WHITES[-1])
        if white < (source.white or WHITES[-1]):
            return f"their 16-bit files use levels up to {white}: say --set dataset.white={white}"
    wrong = levels.low >= LIGHT if source.background == "black" else levels.high <= DARK  # not this background's doing
    if source.transparent > source.images // 2 and not wrong:
        other = "white" if source.background == "black" else "black"
        return (
            f"{source.transparent:,} images are transparent and were laid over {source.background}: say --set "
            f"dataset.background={other}"
        )
    if source.deep_color and levels.high <= DARK:
        return "of 16-bit colour the upper eight bits are read: scale the files so that their white is 65535"
    return ""
