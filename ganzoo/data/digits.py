"""The default dataset: 1,797 handwritten digits that come with scikit-learn, so nothing is downloaded."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ganzoo.data.decode import RESAMPLING
from ganzoo.data.images import Images
from ganzoo.data.pixels import make_images

SIZE = 32  # pixels; 8x8 originals, enlarged once


def read_digits() -> tuple[np.ndarray, np.ndarray]:
    """The digits as scikit-learn stores them: levels uint8 `[1797,8,8]` in 0..16, and labels int64 `[1797]`."""
    # Importing sklearn.datasets takes seconds, so the table is read from the package's files where it is found there.
    spec = importlib.util.find_spec("sklearn")
    table = Path(spec.origin).parent / "datasets" / "data" / "digits.csv.gz" if spec and spec.origin else None
    if table is not None and table.is_file():
        rows = np.loadtxt(table, delimiter=",", dtype=np.int64)  # [1797, 64 levels + 1 label]
        return rows[:, :64].astype(np.uint8).reshape(-1, 8, 8), rows[:, 64]
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return bunch.images.astype(np.uint8), bunch.target.astype(np.int64)


def load_digits(root: Path, split: str, download: bool) -> Images:
    """Test set of the UCI optical digits (Alpaydin and Kaynak, 1998): uint8 `[N,1,32,32]`, 10 classes.

    The 17 levels become 0..255 and the 8x8 pixels 32x32 by one bicubic enlargement. scikit-learn has no split, so this
    one is fixed here: of the images sorted by class (and within a class in their own order), every fifth is a test
    image. That makes 1,437 for training and 360 for testing, with equal shares of each class within one image, and
    mixes the writers. `root` and `download` are not used.
    """
    levels, labels = read_digits()
    held_out = np.zeros(len(labels), dtype=bool)
    held_out[np.argsort(labels, kind="stable")[::5]] = True
    chosen = held_out if split == "test" else ~held_out
    grey = (levels[chosen].astype(np.int64) * 255 + 8) // 16  # 0..16 -> 0..255
    pixels = np.stack([np.asarray(Image.fromarray(g).resize((SIZE, SIZE), RESAMPLING)) for g in grey.astype(np.uint8)])
    return make_images(
        torch.from_numpy(pixels[:, None]),
        torch.from_numpy(labels[chosen]),
        class_names=[str(digit) for digit in range(10)],
    )
