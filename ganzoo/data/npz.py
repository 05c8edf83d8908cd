"""`npz:PATH`: images from a NumPy archive."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from ganzoo.data.errors import NoTestSplit
from ganzoo.data.facts import Facts
from ganzoo.data.images import Images
from ganzoo.data.paths import absolute
from ganzoo.data.pixels import make_images
from ganzoo.errors import DataError
from ganzoo.files.text import clean

# Keys by split, the first one present is used; arr_0 and arr_1 are what ADM's sample files use.
_KEYS = {
    "train": (("images", "arr_0"), ("labels", "arr_1")),
    "test": (("test_images",), ("test_labels",)),
}


def load_npz(root: Path, split: str, download: bool, *, path: Path | str) -> Images:
    """Images and labels from a .npz file, read into memory; nothing is unpickled.

    `images` (or `arr_0`): uint8 `[N,H,W]`, `[N,H,W,C]` or `[N,C,H,W]` with C = 1 or 3. `labels` (or `arr_1`), optional:
    integers `[N]` from 0. `test_images` and `test_labels`: the same for the test split; without them asking for it
    raises NoTestSplit. A file whose labels name a single class counts as unlabelled. `root` and `download` are not
    used. Raises DataError for files that are absent, damaged or of another form.
    """
    path = absolute(path)
    shown = clean(str(path))
    arrays = _read(path, shown)
    image_keys, label_keys = _KEYS[split]
    key = next((k for k in image_keys if k in arrays), None)
    if key is None:
        if split == "test":
            raise NoTestSplit(f"{shown} has no test_images", "add test_images to the file, or do without a test split")
        found = clean(", ".join(sorted(arrays)) or "nothing", 200)
        raise DataError(
            f"{shown} has no array named images (found: {found})", "save it with np.savez(PATH, images=...)"
        )
    pixels = _to_nchw(arrays[key], f"{shown}: {key}")
    used = {name for names in _KEYS.values() for keys in names for name in keys}
    facts = Facts(
        images=len(pixels),
        test_split="test_images" in arrays,
        passed_over=tuple((f"array {clean(name, 100)}", 1) for name in arrays if name not in used),
    )
    train_labels = _labels(arrays, _KEYS["train"][1], None, shown)
    if train_labels is None or train_labels.max(initial=0) == 0:
        return replace(make_images(torch.from_numpy(pixels)), facts=facts)
    num_classes = int(train_labels.max()) + 1
    if num_classes > len(train_labels):
        cause = f"{shown} has labels up to {num_classes - 1} for {len(train_labels)} images"
        raise DataError(cause, "number the classes 0 to K-1, each with an image, or leave the labels out")
    labels = _labels(arrays, label_keys, len(pixels), shown)
    if labels is None:
        raise DataError(f"{shown} has labels but no test_labels", "add test_labels to the file")
    if labels.max(initial=0) >= num_classes:
        raise DataError(
            f"{shown}: test label {labels.max()} is no training label", "use labels 0 to K-1 in both splits"
        )
    images = make_images(torch.from_numpy(pixels), torch.from_numpy(labels), num_classes=num_classes)
    return replace(images, facts=facts)


def _read(path: Path, shown: str) -> dict[str, np.ndarray]:
    """All arrays of the file by name; `shown`: the path, fit for messages."""
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "is no regular file" if path.exists() else "does not exist"
        raise DataError(f"{shown} {what}", "give the path of a .npz file, or use folder:PATH for a folder of images")
    try:
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise DataError(f"{shown} is a single array", "save it with np.savez(PATH, images=...)")
            with archive:
                arrays = {name: _member(archive, name, shown) for name in archive.files}
        strange = next((name for name, array in arrays.items() if not isinstance(array, np.ndarray)), None)
        if strange is not None:  # NumPy gives members that are no arrays as bytes
            raise DataError(f"{shown}: {clean(strange, 200)} is no array", "write the file again with np.savez")
        return arrays
    except DataError:
        raise
    except Exception as error:  # a damaged file can raise nearly anything in zipfile, its decompressors and NumPy
        raise DataError(
            f"{shown} is no readable .npz file of numeric arrays ({type(error).__name__})",
            "write it again with np.savez(PATH, images=...)",
        ) from error


def _member(archive: np.lib.npyio.NpzFile, name: str, shown: str) -> np.ndarray:
    try:
        array: np.ndarray = archive[name]
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise
        raise DataError(
            f"{shown}: {clean(name, 200)} holds Python objects as a pickle, which could run code and is not loaded",
            "save arrays of numbers only, with np.savez(PATH, images=...)",
        ) from error
    return array


def _to_nchw(array: np.ndarray, where: str) -> np.ndarray:
    """uint8 `[N,H,W]`, `[N,H,W,C]` or `[N,C,H,W]` -> contiguous uint8 `[N,C,H,W]`; C last is tried first."""
    if array.dtype != np.uint8:
        raise DataError(f"{where} is {array.dtype}{_range(array)} instead of uint8 0 to 255", _to_levels(array))
    if array.ndim == 3:
        array = array[:, None]
    elif array.ndim == 4 and array.shape[3] in (1, 3):
        array = array.transpose(0, 3, 1, 2)
    if array.ndim != 4 or array.shape[1] not in (1, 3) or 0 in array.shape:
        cure = "save images as [N,H,W], [N,H,W,C] or [N,C,H,W] with C = 1 or 3 and N of at least 1"
        raise DataError(f"{where} has shape {list(array.shape)}", cure)
    return np.ascontiguousarray(array)


def _range(array: np.ndarray) -> str:
    if array.size == 0 or array.dtype.kind not in "buif":
        return ""
    return f" from {array.min():g} to {array.max():g}"


def _to_levels(array: np.ndarray) -> str:
    """How to make levels of it, by its range; only where that is plain."""
    if array.size == 0 or array.dtype.kind not in "buif":
        return "save pixels as uint8"
    low, high = float(array.min()), float(array.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        return "it holds NaN or infinity: mend the images first"
    if low >= 0 and high <= 1:
        return "save them as (images * 255).round().astype(np.uint8)"
    if low >= -1 and high <= 1:
        return "save them as ((images + 1) * 127.5).round().astype(np.uint8)"
    if low >= 0 and high <= 255:
        return "save them as images.round().astype(np.uint8)"
    return "bring them to 0..255, and save them as uint8"


def _labels(arrays: dict[str, np.ndarray], keys: tuple[str, ...], n: int | None, shown: str) -> np.ndarray | None:
    """int64 `[n]` (n None: any) under the first of `keys` that is there, or None."""
    key = next((k for k in keys if k in arrays), None)
    if key is None:
        return None
    labels = arrays[key]
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer) or (n is not None and len(labels) != n):
        found = f"{labels.dtype} {list(labels.shape)}"
        raise DataError(f"{shown}: {key} is {found}", "save labels as integers, one per image, in one dimension")
    if labels.min(initial=0) < 0:
        raise DataError(f"{shown}: {key} has the negative label {labels.min()}", "number the classes from 0")
    return labels.astype(np.int64)
