"""`hdf5:FILE`, arrays of images in an HDF5 file, of any size: read in blocks, once, into the cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from ganzoo.data.cache import MODES, cached_images
from ganzoo.data.contents import numbers
from ganzoo.data.decode import Decoded, Decoding, to_square
from ganzoo.data.errors import NoTestSplit
from ganzoo.data.facts import Facts
from ganzoo.data.images import Images
from ganzoo.data.members import Members, Read
from ganzoo.data.paths import absolute
from ganzoo.data.pixels import check_size_and_color
from ganzoo.data.scan import Listing
from ganzoo.errors import DataError, UserError
from ganzoo.files.progress import OnProgress
from ganzoo.files.text import clean

T = TypeVar("T")

_BLOCK = 64 * 2**20  # bytes of pixels that are read at once, unless one chunk of the file is larger


def load_hdf5(
    root: Path,
    split: str,
    download: bool,
    *,
    path: Path | str,
    size: int | None = None,
    color: str | None = None,
    fit: str = "crop",
    labels: bool = True,
    images: str = "images",
    image_labels: str = "labels",
    test_images: str = "test_images",
    test_labels: str = "test_labels",
    on_progress: OnProgress | None = None,
) -> Images:
    """Images of arrays in an HDF5 file, uint8 `[N,H,W]`, `[N,H,W,C]` or `[N,C,H,W]` with C = 1 or 3 (C last is tried
    first), and their labels, whole numbers `[N]` from 0.

    `size`, `color`, `fit`: as of `load_folder`; `color` None: the array's own. The other names are those of arrays in
    the file, in groups with /. What is squared and resized is so as files are, and the digest is that of a folder of
    the same images.

    Raises:
        UserError: h5py is not installed.
        DataError: there is no such file or array, or it is of another form, damaged, or in another file.
        NoTestSplit: there are no test images.
    """
    check_size_and_color(size, color, fit)
    file = absolute(path)
    shown = clean(str(file))
    h5py = _h5py()
    if not file.is_file():
        what = "is a folder" if file.is_dir() else "is no regular file" if file.exists() else "does not exist"
        raise DataError(f"{shown} {what}", "give the path of an HDF5 file")
    opened = _opened(h5py, file)
    with opened:
        tested = _found(opened, test_images, shown) is not None
        if split == "test" and not tested:
            raise NoTestSplit(f"{shown} has no array {clean(test_images)}", "add it, or do without a test split")
        array = _array(opened, images if split == "train" else test_images, file, h5py)
        order = _order(array, shown)
        trained = _labels(opened, image_labels, image_labels != "labels", shown) if labels else None
        count = 0 if trained is None else int(trained.max(initial=0)) + 1
        found = trained
        if trained is not None and split == "test" and count > 1:
            found = _labels(opened, test_labels, True, shown)
        if count > 1 and found is not None:
            if len(found) != len(array):
                cause = f"{shown} has {len(found):,} labels for {len(array):,} images"
                raise DataError(cause, "write one for each, or ignore them: --set dataset.labels=false")
            if trained is not None and count > len(trained):
                cause = f"{shown} has labels up to {count - 1} for {len(trained)} images"
                raise DataError(cause, "number the classes 0 to K-1, or ignore them: --set dataset.labels=false")
            if found.max(initial=0) >= count:
                cause = f"{shown} has the test label {found.max()}, which is no training label"
                raise DataError(cause, "use labels 0 to K-1 in both splits, or --set dataset.labels=false")
        channels = array.shape["NHWC".index("C")] if order == "NHWC" else array.shape[1] if order == "NCHW" else 1
        listing = Listing(
            folder=file,
            names=[f"{array.name.strip('/')}/{row}" for row in range(len(array))],
            stats=np.array([numbers(file.stat())], dtype=np.uint64),
            labels=found if count > 1 else None,
            num_classes=count if count > 1 else 0,
            facts=Facts(images=len(array), test_split=tested),
            members=Rows(file, array.name, order, array.shape, array.chunks),
        )
    mode = MODES[color or ("gray" if channels == 1 else "rgb")]
    how = Decoding(size, mode, fit)
    return cached_images(listing, how, split=split, root=root, on_progress=on_progress)


class Rows(Members):
    """Rows of an array."""

    def __init__(
        self, file: Path, name: str, order: str, shape: tuple[int, ...], chunks: tuple[int, ...] | None
    ) -> None:
        """`order`: "NHW", "NHWC" or "NCHW". `chunks`: in which the file has it; None: in one piece."""
        self.file, self.name, self.order, self.shape = file, name, order, shape
        each = int(np.prod(shape[1:]))
        whole = chunks[0] if chunks else 1  # images of a chunk, which is decompressed as a whole
        self.block = max(whole, _BLOCK // each // whole * whole, 1)

    def batches(self, size: int) -> Iterator[Sequence[Read]]:
        with _opened(_h5py(), self.file) as opened:
            shown = clean(str(self.file))
            array = _found(opened, self.name, shown)
            for start in range(0, self.shape[0], self.block):
                rows = slice(start, start + self.block)
                where = f"{shown} is damaged at images {start:,} to {start + self.block:,}"
                block: np.ndarray = _reading(where, partial(_rows, array, rows))
                for first in range(0, len(block), size):
                    yield [partial(_bytes, image) for image in block[first : first + size]]

    def decode(self, content: bytes, how: Decoding) -> Decoded:
        pixels = np.frombuffer(content, dtype=np.uint8).reshape(self.shape[1:])
        if self.order == "NCHW":
            pixels = pixels.transpose(1, 2, 0)
        pixels = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else np.ascontiguousarray(pixels)
        image = Image.fromarray(pixels)
        gray = image.mode == "L"
        image = image if image.mode == how.mode else image.convert(how.mode)
        square = np.array(to_square(image, how.size, how.fit, how.background))
        width, height = pixels.shape[1], pixels.shape[0]
        return Decoded(square[..., None] if square.ndim == 2 else square, (width, height), gray, False, 1, None, False)


def _bytes(image: np.ndarray) -> bytes:
    return image.tobytes()


def _h5py() -> Any:
    try:
        import h5py
    except ImportError:
        raise UserError("h5py, which reads HDF5, is not installed", "pip install 'ganzoo[hdf5]'") from None
    return h5py


def _opened(h5py: Any, file: Path) -> Any:
    try:
        return h5py.File(file, "r")
    except OSError as error:
        reason = clean(str(error).partition("\n")[0], 200)
        raise DataError(
            f"{clean(str(file))} is no readable HDF5 file: {reason}",
            "copy or download it again; where another program is writing to it, wait for its end",
        ) from error


def _rows(array: Any, rows: slice) -> np.ndarray:
    return np.asarray(array[rows])


def _reading(where: str, work: Callable[[], T]) -> T:
    """What h5py raises of a damaged file, for it knows no error of its own, as DataError: "`where` (reason)"."""
    try:
        return work()
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        reason = clean(str(error).strip("'\"").partition("\n")[0], 150)
        raise DataError(f"{where} ({reason})", "copy or download it again") from error


def _found(opened: Any, name: str, shown: str) -> Any:
    """The array or group of that name, or None. Raises DataError: there is one that cannot be opened."""
    where = f"{shown}: {clean(name)} cannot be opened"
    there = bool(name) and "\0" not in name and _reading(where, lambda: name in opened)
    return _reading(where, lambda: opened[name]) if there else None


def _array(opened: Any, name: str, file: Path, h5py: Any) -> Any:
    """Raises DataError: there is none of that name, or what it holds lies in another file."""
    shown = clean(str(file))
    found = _found(opened, name, shown)
    if isinstance(found, h5py.Dataset):
        where = f"{shown}: {clean(name)}"
        if _reading(f"{where} is damaged", lambda: found.is_virtual or found.external or found.file != opened):
            cause = f"{where} only refers to other files, whose changes and absence would not be noticed"
            raise DataError(cause, "give the file that holds the images, or copy them into one")
        return found
    names: list[str] = []
    visit = partial(opened.visititems, lambda path, one: names.append(path) if isinstance(one, h5py.Dataset) else None)
    _reading(f"{shown} is damaged", visit)
    listed = clean(", ".join(sorted(names)[:20]) or "nothing", 200)
    raise DataError(f"{shown} has no array named {clean(name)} (found: {listed})", "name it: --set dataset.images=NAME")


def _order(array: Any, shown: str) -> str:
    """How its axes lie. Raises DataError: they are none of images, or the levels are no uint8."""
    where = f"{shown}: {clean(array.name.strip('/'))}"
    found: tuple[Any, tuple[int, ...]] = _reading(f"{where} is damaged", lambda: (array.dtype, array.shape or (0,)))
    dtype, shape = found
    if dtype != np.uint8:
        raise DataError(f"{where} is {dtype} instead of uint8 0 to 255", "save pixels as uint8")
    if 0 not in shape:
        if len(shape) == 3:
            return "NHW"
        if len(shape) == 4 and shape[3] in (1, 3):
            return "NHWC"
        if len(shape) == 4 and shape[1] in (1, 3):
            return "NCHW"
    cure = "save images as [N,H,W], [N,H,W,C] or [N,C,H,W] with C = 1 or 3 and N of at least 1"
    raise DataError(f"{where} has shape {list(shape)}", cure)


def _labels(opened: Any, name: str, asked: bool, shown: str) -> np.ndarray | None:
    """int64 `[N]`; None: there are none. `asked`: there have to be.

    Raises:
        DataError: they are no whole numbers from 0 in one dimension.
    """
    found = _found(opened, name, shown)
    if found is None:
        if asked:
            raise DataError(
                f"{shown} has no array {clean(name)}", "add it, or ignore labels: --set dataset.labels=false"
            )
        return None
    where = f"{shown}: {clean(name)} is damaged"
    shape, dtype = _reading(where, lambda: (getattr(found, "shape", None), getattr(found, "dtype", None)))
    if shape is not None and len(shape) == 2 and shape[1] == 1:
        found, shape = _reading(where, lambda: found[:, 0]), shape[:1]
    if shape is None or dtype is None or len(shape) != 1 or not np.issubdtype(dtype, np.integer):
        what = "a group" if dtype is None else f"{dtype} {'without values' if shape is None else list(shape)}"
        raise DataError(f"{shown}: {clean(name)} is {what}", "save labels as integers, one per image, in one dimension")
    labels = _reading(where, partial(_rows, found, slice(None))).astype(np.int64)
    if labels.min(initial=0) < 0:
        raise DataError(f"{shown}: {clean(name)} has the negative label {labels.min()}", "number the classes from 0")
    return labels
