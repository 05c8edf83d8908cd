"""Finding images, splits and classes in a folder."""

import os
from pathlib import Path

import pytest

from ganzoo.data import NoTestSplit
from ganzoo.data.contents import ABSENT
from ganzoo.data.scan import scan_split
from ganzoo.errors import DataError


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return root


def names(root: Path, split: str = "train", **options) -> list[str]:
    return list(scan_split(root, split, **options).names)


def test_flat_folder_is_sorted_and_unlabelled(tmp_path: Path) -> None:
    listing = scan_split(touch(tmp_path, "b.png", "a.JPG", "c.txt", ".hidden.png", "__MACOSX/d.png"), "train")
    assert listing.names == ["a.JPG", "b.png"]
    assert listing.class_names is None
    assert listing.labels is None


def test_class_folders_give_labels_by_sorted_name(tmp_path: Path) -> None:
    touch(tmp_path, "dog/2.png", "cat/sub/1.png", "cat/0.png", "zebra/3.png")
    listing = scan_split(tmp_path, "train")
    assert listing.class_names == ("cat", "dog", "zebra")
    assert listing.labels is not None
    assert listing.labels.tolist() == [0, 0, 1, 2]
    assert scan_split(tmp_path, "train", labelled=False).class_names is None


def test_a_single_class_folder_is_unlabelled(tmp_path: Path) -> None:
    assert scan_split(touch(tmp_path, "faces/1.png", "faces/2.png"), "train").class_names is None


@pytest.mark.parametrize("test", ["test", "val", "valid", "validation"])
def test_splits_share_the_training_classes(tmp_path: Path, test: str) -> None:
    touch(tmp_path, "train/a/1.png", "train/b/2.png", "train/c/3.png", f"{test}/c/4.png", f"{test}/a/5.png")
    assert names(tmp_path) == ["a/1.png", "b/2.png", "c/3.png"]
    listing = scan_split(tmp_path, "test")
    assert listing.class_names == ("a", "b", "c")
    assert listing.labels is not None
    assert listing.labels.tolist() == [0, 2]


def test_a_test_class_nobody_trains_on(tmp_path: Path) -> None:
    touch(tmp_path, "train/a/1.png", "train/b/2.png", "test/x/4.png")
    with pytest.raises(DataError, match="no training class"):
        scan_split(tmp_path, "test")
    assert names(tmp_path, "test", labelled=False) == ["4.png"]


def test_no_test_split(tmp_path: Path) -> None:
    with pytest.raises(NoTestSplit):
        scan_split(touch(tmp_path, "a/1.png", "b/2.png"), "test")


def test_a_lone_train_folder_is_the_training_set(tmp_path: Path) -> None:
    touch(tmp_path, "train/a/1.png", "train/b/2.png")
    assert scan_split(tmp_path, "train").class_names == ("a", "b")
    with pytest.raises(NoTestSplit):
        scan_split(tmp_path, "test")


def test_a_class_called_train_is_a_class(tmp_path: Path) -> None:
    assert scan_split(touch(tmp_path, "train/1.png", "bus/2.png"), "train").class_names == ("bus", "train")


def test_loose_images_beside_class_folders(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.png", "b/2.png", "3.png")
    with pytest.raises(DataError, match=r"3\.png") as caught:
        scan_split(tmp_path, "train")
    assert "labels=false" in caught.value.cure
    assert names(tmp_path, labelled=False) == ["3.png", "a/1.png", "b/2.png"]


def test_nothing_to_use(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        scan_split(tmp_path / "absent", "train")
    with pytest.raises(DataError, match="has no files"):
        scan_split(tmp_path, "train")
    with pytest.raises(DataError, match=r"no images, only other files such as notes\.txt") as caught:
        scan_split(touch(tmp_path, "notes.txt"), "train")
    assert ".png" in caught.value.cure
    with pytest.raises(DataError, match="not a folder"):
        scan_split(tmp_path / "notes.txt", "train")


@pytest.mark.skipif(os.name != "posix", reason="needs symbolic links")
def test_links_are_followed_once_and_dangling_ones_are_listed(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.png", "b/2.png")
    (tmp_path / "b" / "loop").symlink_to(tmp_path)
    (tmp_path / "b" / "3.png").symlink_to(tmp_path / "nowhere.png")
    listing = scan_split(tmp_path, "train")
    assert listing.names == ["a/1.png", "b/2.png", "b/3.png"]
    assert listing.stats[:, 0].tolist() == [1, 1, ABSENT[0]]
