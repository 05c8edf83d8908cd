"""MNIST, Fashion-MNIST and Kuzushiji-MNIST, from local idx files or downloaded ones."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
import torch

from ganzoo.data import downloads
from ganzoo.data.fetch import load_or_fetch
from ganzoo.data.images import Images
from ganzoo.data.pixels import make_images
from ganzoo.errors import DataError

_UINT8 = 0x08  # the idx type code of all these files


def read_idx(path: Path, dims: int) -> np.ndarray:
    """Read an idx file of unsigned bytes, plain or gzipped (`.gz`) -> uint8 array of `dims` dimensions.

    Format: two zero bytes, a type code, the number of dimensions, each dimension as a big-endian uint32, then the
    values. Raises DataError naming the file if it is truncated, corrupt or something else.
    """
    cure = "delete the file and fetch it again"
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"cannot read {path}: {error}", cure) from error
    header = 4 + 4 * dims
    if len(content) < header or content[:4] != bytes((0, 0, _UINT8, dims)):
        raise DataError(f"{path} is not an idx file of bytes in {dims} dimensions", cure)
    shape = tuple(int(d) for d in np.frombuffer(content, dtype=">u4", count=dims, offset=4))
    if len(content) - header != math.prod(shape):
        found, expected = len(content) - header, math.prod(shape)
        raise DataError(f"{path} is damaged: {found} bytes of values instead of {expected}", cure)
    return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(shape).copy()


def find_idx(folders: list[Path], split: str) -> tuple[Path, Path] | None:
    """Paths of the image and label files of a split, plain or .gz, in the first folder that has both; else None."""
    prefix = "train" if split == "train" else "t10k"
    for folder in folders:
        pair = []
        for stem in (f"{prefix}-images-idx3-ubyte", f"{prefix}-labels-idx1-ubyte"):
            pair += [path for path in (folder / stem, folder / f"{stem}.gz") if path.is_file()][:1]
        if len(pair) == 2:
            return (pair[0], pair[1])
    return None


def load_mnist(root: Path, split: str, download: bool) -> Images:
    """MNIST (LeCun et al., 1998): 60,000 + 10,000 digits, uint8 `[N,1,28,28]`, 10 classes."""
    return _load("mnist", "MNIST", "0 1 2 3 4 5 6 7 8 9", root, split, download)


def load_fashion_mnist(root: Path, split: str, download: bool) -> Images:
    """Fashion-MNIST (Xiao et al., 2017, arXiv 1708.07747): uint8 `[N,1,28,28]`, 60,000 + 10,000, 10 garments."""
    names = "T-shirt/top Trouser Pullover Dress Coat Sandal Shirt Sneaker Bag Ankle-boot"
    return _load("fashion-mnist", "FashionMNIST", names, root, split, download, downloads.DEBIAN_FASHION_MNIST)


def load_kmnist(root: Path, split: str, download: bool) -> Images:
    """Kuzushiji-MNIST (Clanuwat et al., 2018, arXiv 1812.01718): uint8 `[N,1,28,28]`, 60,000 + 10,000, 10 kana."""
    return _load("kmnist", "KMNIST", "o ki su tsu na ha ma ya re wo", root, split, download)


def _load(name: str, class_name: str, classes: str, root: Path, split: str, download: bool, *elsewhere: Path) -> Images:
    """Read the split from ROOT/name, ROOT/class_name/raw (torchvision's) or `elsewhere`, or download it."""
    class_names = classes.split()
    raw = root / class_name / "raw"
    folders = [root / name, raw, *elsewhere]
    found = find_idx(folders, split)
    if found is None:
        files = f"the four idx files (train-images-idx3-ubyte.gz and so on) into {root / name}"

        def build() -> tuple[Path, Path]:
            pair = find_idx(folders, split)
            if pair is None:
                raise FileNotFoundError(f"no idx files in {', '.join(map(str, folders))}")
            return pair

        found = load_or_fetch(name, build, root=root, download=download, files=files)
    images, labels = read_idx(found[0], 3), read_idx(found[1], 1)
    if len(images) != len(labels) or len(images) == 0:
        raise DataError(
            f"{found[0]} has {len(images)} images, {found[1].name} has {len(labels)} labels",
            "use files of the same split and dataset",
        )
    if labels.max() >= len(class_names):
        raise DataError(f"{found[1]} has a label {labels.max()}", f"labels of {name} are 0 to {len(class_names) - 1}")
    return make_images(
        torch.from_numpy(images[:, None]),
        torch.from_numpy(labels.astype(np.int64)),
        class_names=class_names,
    )
