"""CIFAR, SVHN, STL-10: what torchvision reads reaches us unchanged. The files are small stand-ins."""

import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest
import requests
import torch
import torchvision

from ganzoo.data import fetch
from ganzoo.data import torchvision_sets as sets
from ganzoo.errors import DataError

RNG = np.random.default_rng(0)


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def write_cifar(root: Path, monkeypatch: pytest.MonkeyPatch, class_name: str, label_key: str) -> np.ndarray:
    """Files as CIFAR's own, with the checksums torchvision expects set to theirs; gives the training pixels."""
    dataset = getattr(torchvision.datasets, class_name)
    folder = root / dataset.base_folder
    folder.mkdir(parents=True)
    pixels = RNG.integers(0, 256, (6, 3, 32, 32), dtype=np.uint8)
    names = {"train": [row[0] for row in dataset.train_list], "test": [row[0] for row in dataset.test_list]}
    sums: dict[str, list[list[str]]] = {}
    for split, files in names.items():
        for file in files:
            content = {"data": pixels.reshape(6, -1), label_key: [3, 1, 4, 1, 5, 9]}
            (folder / file).write_bytes(pickle.dumps(content))
        sums[split] = [[file, md5(folder / file)] for file in files]
    meta = dict(dataset.meta)
    (folder / meta["filename"]).write_bytes(pickle.dumps({meta["key"]: [f"c{i}" for i in range(10)]}))
    meta["md5"] = md5(folder / meta["filename"])
    monkeypatch.setattr(dataset, "train_list", sums["train"])
    monkeypatch.setattr(dataset, "test_list", sums["test"])
    monkeypatch.setattr(dataset, "meta", meta)
    return pixels


@pytest.mark.parametrize(
    ("load", "class_name", "label_key", "files"),
    [(sets.load_cifar10, "CIFAR10", "labels", 5), (sets.load_cifar100, "CIFAR100", "fine_labels", 1)],
)
def test_cifar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, load, class_name, label_key, files) -> None:
    pixels = write_cifar(tmp_path, monkeypatch, class_name, label_key)
    train, test = load(tmp_path, "train", False), load(tmp_path, "test", False)
    assert torch.equal(train.pixels, torch.from_numpy(np.tile(pixels, (files, 1, 1, 1))))
    assert train.labels.tolist() == [3, 1, 4, 1, 5, 9] * files
    assert train.class_names == tuple(f"c{i}" for i in range(10))
    assert len(test) == 6


def test_a_changed_file_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cifar(tmp_path, monkeypatch, "CIFAR10", "labels")
    with (tmp_path / "cifar-10-batches-py" / "data_batch_3").open("ab") as file:
        file.write(b"x")
    with pytest.raises(DataError, match="missing or damaged") as caught:
        sets.load_cifar10(tmp_path, "train", False)
    assert "cifar-10-batches-py" in caught.value.cure


def test_svhn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from scipy.io import savemat

    pixels = RNG.integers(0, 256, (4, 3, 32, 32), dtype=np.uint8)
    path = tmp_path / "svhn" / "train_32x32.mat"
    path.parent.mkdir()
    savemat(path, {"X": pixels.transpose(2, 3, 1, 0), "y": np.array([[10], [1], [9], [2]], dtype=np.uint8)})
    monkeypatch.setattr(torchvision.datasets.SVHN, "split_list", {"train": ["", path.name, md5(path)]})
    images = sets.load_svhn(tmp_path, "train", False)
    assert torch.equal(images.pixels, torch.from_numpy(pixels))
    assert images.labels.tolist() == [0, 1, 9, 2]
    assert images.class_names is not None
    assert images.class_names[9] == "9"


def test_stl10(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = RNG.integers(0, 256, (3, 3, 96, 96), dtype=np.uint8)
    folder = tmp_path / "stl10_binary"
    folder.mkdir()
    (folder / "test_X.bin").write_bytes(pixels.transpose(0, 1, 3, 2).tobytes())  # stored column by column
    (folder / "test_y.bin").write_bytes(bytes([1, 10, 4]))
    (folder / "class_names.txt").write_text("\n".join(f"c{i}" for i in range(10)) + "\n")
    sums = [[name, md5(folder / name)] for name in ("test_X.bin", "test_y.bin")]
    monkeypatch.setattr(torchvision.datasets.STL10, "train_list", [])
    monkeypatch.setattr(torchvision.datasets.STL10, "test_list", sums)
    images = sets.load_stl10(tmp_path, "test", False)
    assert torch.equal(images.pixels, torch.from_numpy(pixels))
    assert images.labels.tolist() == [0, 9, 3]
    assert images.class_names == tuple(f"c{i}" for i in range(10))


@pytest.mark.parametrize("load", [sets.load_cifar10, sets.load_cifar100, sets.load_svhn, sets.load_stl10])
def test_absent_and_downloads_off(tmp_path: Path, load) -> None:
    with pytest.raises(DataError, match="downloads are off") as caught:
        load(tmp_path, "train", False)
    assert str(tmp_path) in caught.value.cure
    assert "download=True" not in str(caught.value)


@pytest.mark.parametrize("load", [sets.load_cifar10, sets.load_svhn, sets.load_stl10])
def test_a_failed_download_is_the_users_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, load) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise requests.ConnectionError("reset by peer")

    monkeypatch.setattr("requests.get", fail)
    monkeypatch.setattr(fetch, "RETRIES", 0)
    with pytest.raises(DataError, match=r"cannot download .*reset by peer") as caught:
        load(tmp_path, "train", True)
    assert "digits or folder:PATH" in caught.value.cure
