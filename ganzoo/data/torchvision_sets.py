"""CIFAR-10, CIFAR-100, SVHN and STL-10, read by torchvision, which verifies checksums; downloaded on first use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from ganzoo.data.fetch import load_or_fetch
from ganzoo.data.images import Images
from ganzoo.data.pixels import make_images


def load_cifar10(root: Path, split: str, download: bool) -> Images:
    """CIFAR-10 (Krizhevsky, 2009): 50,000 + 10,000 photographs, uint8 `[N,3,32,32]`, 10 classes."""
    return _load_cifar("cifar10", "CIFAR10", "cifar-10-python.tar.gz", root, split, download)


def load_cifar100(root: Path, split: str, download: bool) -> Images:
    """CIFAR-100 (Krizhevsky, 2009): 50,000 + 10,000 photographs, uint8 `[N,3,32,32]`, the 100 fine classes."""
    return _load_cifar("cifar100", "CIFAR100", "cifar-100-python.tar.gz", root, split, download)


def load_svhn(root: Path, split: str, download: bool) -> Images:
    """SVHN (Netzer et al., 2011), cropped digits: 73,257 + 26,032, uint8 `[N,3,32,32]`, class = digit 0..9."""
    import torchvision

    data = load_or_fetch(
        "svhn",
        lambda: torchvision.datasets.SVHN(root / "svhn", split=split),
        root=root,
        download=download,
        files=f"{split}_32x32.mat into {root / 'svhn'}",
    )
    return _images(data.data, data.labels, [str(digit) for digit in range(10)])


def load_stl10(root: Path, split: str, download: bool) -> Images:
    """STL-10 (Coates et al., 2011), labelled images: 5,000 + 8,000, uint8 `[N,3,96,96]`, 10 classes."""
    import torchvision

    data = load_or_fetch(
        "stl10",
        lambda: torchvision.datasets.STL10(root, split=split),
        root=root,
        download=download,
        files=f"the folder stl10_binary, unpacked from stl10_binary.tar.gz, into {root}",
    )
    assert data.labels is not None  # both splits are labelled
    return _images(data.data, data.labels, getattr(data, "classes", [str(i) for i in range(10)]))


def _load_cifar(name: str, class_name: str, archive: str, root: Path, split: str, download: bool) -> Images:
    import torchvision

    dataset: Any = getattr(torchvision.datasets, class_name)
    data = load_or_fetch(
        name,
        lambda: dataset(root, train=split == "train"),
        root=root,
        download=download,
        files=f"the folder {dataset.base_folder}, unpacked from {archive}, into {root}",
    )
    return _images(data.data.transpose(0, 3, 1, 2), data.targets, data.classes)


def _images(pixels: np.ndarray, labels: Any, class_names: list[str]) -> Images:
    """uint8 `[N,C,H,W]`, any strides, and N labels of any integer type -> Images."""
    return make_images(
        torch.from_numpy(np.ascontiguousarray(pixels)),
        torch.from_numpy(np.asarray(labels, dtype=np.int64)),
        class_names=class_names,
    )
