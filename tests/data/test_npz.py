"""npz:PATH."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ganzoo.data import NoTestSplit
from ganzoo.data.npz import load_npz
from ganzoo.errors import DataError

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 4, 6, 3), dtype=np.uint8)


def load(path: Path, split: str = "train"):
    return load_npz(path.parent, split, False, path=path)


def save(folder: Path, **arrays: np.ndarray) -> Path:
    np.savez(folder / "x.npz", **arrays)
    return folder / "x.npz"


@pytest.mark.parametrize("key", ["images", "arr_0"])
@pytest.mark.parametrize("channels_first", [True, False])
def test_layouts_and_keys(tmp_path: Path, key: str, channels_first: bool) -> None:
    array = PIXELS.transpose(0, 3, 1, 2) if channels_first else PIXELS
    images = load(save(tmp_path, **{key: array}))
    assert torch.equal(images.pixels, torch.from_numpy(PIXELS.transpose(0, 3, 1, 2).copy()))
    assert images.labels is None
    assert images.num_classes == 0


def test_gray_without_a_channel_dimension(tmp_path: Path) -> None:
    images = load(save(tmp_path, images=PIXELS[..., 0]))
    assert images.shape == (1, 4, 6)
    assert np.array_equal(images.pixels[:, 0].numpy(), PIXELS[..., 0])


def test_labels_and_a_test_split(tmp_path: Path) -> None:
    arrays = {"images": PIXELS, "labels": np.array([0, 2, 1, 2, 0], dtype=np.uint8)}
    path = save(tmp_path, **arrays, test_images=PIXELS[:2], test_labels=np.array([1, 0]))
    train, test = load(path), load(path, "test")
    assert train.labels is not None
    assert train.labels.dtype == torch.int64
    assert train.labels.tolist() == [0, 2, 1, 2, 0]
    assert test.labels is not None
    assert test.labels.tolist() == [1, 0]
    assert train.num_classes == test.num_classes == 3


def test_one_class_counts_as_unlabelled(tmp_path: Path) -> None:
    assert load(save(tmp_path, images=PIXELS, labels=np.zeros(5, dtype=int))).labels is None


def test_no_test_images_is_an_error_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(NoTestSplit, match="test_images"):
        load(save(tmp_path, images=PIXELS), "test")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": PIXELS / 255}, "float64 from 0 to 1 instead of uint8"),
        ({"images": PIXELS[..., :2]}, "has shape"),
        ({"images": PIXELS[:0]}, "has shape"),
        ({"pictures": PIXELS}, "pictures"),
        ({"images": PIXELS, "labels": np.array([0, 1])}, "one per image"),
        ({"images": PIXELS, "labels": np.array([0, 1, 0, -1, 0])}, "negative"),
        ({"images": PIXELS, "labels": np.eye(5)}, "float64"),
        ({"images": PIXELS, "labels": np.array([0, 1, 10**9, 1, 0])}, "labels up to 1000000000 for 5 images"),
        ({"images": PIXELS, "labels": np.array([0, 1, {}, 1, 0], dtype=object)}, "pickle"),
    ],
)
def test_wrong_contents_are_the_users_error(tmp_path: Path, arrays: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        load(save(tmp_path, **arrays))
    assert "\n" not in caught.value.cause


@pytest.mark.parametrize(
    ("test_labels", "message"), [(None, "no test_labels"), (np.array([0, 7]), "no training label")]
)
def test_test_labels_must_fit(tmp_path: Path, test_labels: np.ndarray | None, message: str) -> None:
    arrays = {"images": PIXELS, "labels": np.array([0, 2, 1, 2, 0]), "test_images": PIXELS[:2]}
    if test_labels is not None:
        arrays["test_labels"] = test_labels
    with pytest.raises(DataError, match=message):
        load(save(tmp_path, **arrays), "test")


def test_damaged_or_absent_files(tmp_path: Path) -> None:
    path = save(tmp_path, images=PIXELS)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match="no readable"):
        load(path)
    damaged = bytearray(save(tmp_path, images=PIXELS).read_bytes())
    damaged[damaged.index(b"PK\x01\x02") + 10] = 99  # a compression there is not: NotImplementedError in zipfile
    path.write_bytes(damaged)
    with pytest.raises(DataError, match="no readable"):
        load(path)
    path.write_bytes(b"no archive")
    with pytest.raises(DataError, match="no readable"):
        load(path)
    np.save(tmp_path / "single.npy", PIXELS)
    with pytest.raises(DataError, match="single array"):
        load(tmp_path / "single.npy")
    with pytest.raises(DataError, match="does not exist"):
        load(tmp_path / "absent.npz")
    with pytest.raises(DataError, match="folder:PATH"):
        load(tmp_path)
