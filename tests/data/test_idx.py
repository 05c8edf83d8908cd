"""MNIST and its kin from idx files."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import requests
import torch

from ganzoo.data import Images, downloads, fetch
from ganzoo.data.idx import load_fashion_mnist, load_kmnist, load_mnist, read_idx
from ganzoo.errors import DataError

PIXELS = np.random.default_rng(0).integers(0, 256, (7, 28, 28), dtype=np.uint8)
LABELS = np.array([5, 0, 4, 1, 9, 2, 1], dtype=np.uint8)


def idx_bytes(array: np.ndarray) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def write(folder: Path, *, gz: bool = True, prefix: str = "train", labels: np.ndarray = LABELS) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for stem, array in ((f"{prefix}-images-idx3-ubyte", PIXELS), (f"{prefix}-labels-idx1-ubyte", labels)):
        content = idx_bytes(array)
        (folder / (f"{stem}.gz" if gz else stem)).write_bytes(gzip.compress(content) if gz else content)
    return folder


def check(images: Images) -> None:
    assert torch.equal(images.pixels, torch.from_numpy(PIXELS[:, None]))
    assert images.labels is not None
    assert images.labels.tolist() == LABELS.tolist()
    assert images.num_classes == 10
    assert images.class_names is not None
    assert len(images.class_names) == 10


@pytest.mark.parametrize("gz", [True, False])
@pytest.mark.parametrize(
    ("place", "load"),
    [
        ("mnist", load_mnist),
        ("MNIST/raw", load_mnist),
        ("fashion-mnist", load_fashion_mnist),
        ("FashionMNIST/raw", load_fashion_mnist),
        ("kmnist", load_kmnist),
    ],
)
def test_local_files_are_found(tmp_path: Path, place: str, load, gz: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "DEBIAN_FASHION_MNIST", tmp_path / "absent")
    write(tmp_path / place, gz=gz)
    check(load(tmp_path, "train", False))


def test_debians_package_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "DEBIAN_FASHION_MNIST", write(tmp_path / "debian", prefix="t10k"))
    check(load_fashion_mnist(tmp_path / "root", "test", False))


def test_the_test_split_has_its_own_files(tmp_path: Path) -> None:
    write(tmp_path / "mnist")
    write(tmp_path / "mnist", prefix="t10k", labels=LABELS[::-1])
    assert load_mnist(tmp_path, "test", False).labels.tolist() == LABELS[::-1].tolist()


@pytest.mark.parametrize("gz", [True, False])
@pytest.mark.parametrize("damage", [lambda b: b[:-9], lambda b: b[:5], lambda b: b"x" + b[1:], lambda b: b + b"\0"])
def test_a_damaged_file_is_named(tmp_path: Path, gz: bool, damage) -> None:
    path = tmp_path / ("x.gz" if gz else "x")
    content = damage(idx_bytes(PIXELS))
    path.write_bytes(gzip.compress(content) if gz else content)
    with pytest.raises(DataError, match=str(path)):
        read_idx(path, 3)


def test_a_truncated_archive_is_named(tmp_path: Path) -> None:
    images = write(tmp_path / "mnist") / "train-images-idx3-ubyte.gz"
    images.write_bytes(images.read_bytes()[:-20])
    with pytest.raises(DataError, match=str(images)) as caught:
        load_mnist(tmp_path, "train", True)  # never replaced silently by a download
    assert "delete" in caught.value.cure


def test_labels_that_do_not_fit(tmp_path: Path) -> None:
    write(tmp_path / "mnist", labels=LABELS[:3])
    with pytest.raises(DataError, match=r"7 images.*3 labels"):
        load_mnist(tmp_path, "train", False)
    write(tmp_path / "mnist", labels=LABELS + 5)
    with pytest.raises(DataError, match="label 14"):
        load_mnist(tmp_path, "train", False)


def test_absent_and_downloads_off(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="mnist is not under") as caught:
        load_mnist(tmp_path, "train", False)
    assert "idx files" in caught.value.cure
    assert str(tmp_path / "mnist") in caught.value.cure
    assert list(tmp_path.iterdir()) == []


def test_no_network_says_which_files_to_put_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise requests.ConnectionError("name resolution failed")

    monkeypatch.setattr("requests.get", fail)
    monkeypatch.setattr(fetch, "RETRIES", 0)
    with pytest.raises(DataError, match="cannot download kmnist") as caught:
        load_kmnist(tmp_path, "train", True)
    assert "name resolution failed" in caught.value.cause
    assert "\n" not in caught.value.cause + caught.value.cure
    assert str(tmp_path / "kmnist") in caught.value.cure
    assert "GANZOO_MIRROR" in caught.value.cure
