"""Layouts that folders of images come in: splits under any name, wrappers, numbered and empty classes."""

from pathlib import Path

import pytest

from ganzoo.data import NoTestSplit
from ganzoo.data.scan import scan_split
from ganzoo.errors import DataError


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return root


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("Training", "Testing"),
        ("TRAIN", "TEST"),
        ("train_set", "test_set"),
        ("trainset", "testset"),
        ("train-images", "test-images"),
        ("training_data", "validation_data"),
        ("seg_train", "seg_test"),
        ("asl_alphabet_train", "asl_alphabet_test"),
        ("train2017", "val2017"),
        ("Train", "eval"),
        ("train", "dev"),
    ],
)
def test_split_names_in_their_usual_forms(tmp_path: Path, train: str, test: str) -> None:
    touch(tmp_path, f"{train}/a/1.png", f"{train}/b/2.png", f"{test}/b/3.png", f"{test}/a/4.png", "extra/5.png")
    listing = scan_split(tmp_path, "train")
    assert (list(listing.names), listing.class_names) == (["a/1.png", "b/2.png"], ("a", "b"))
    assert listing.facts.splits == (f"{train}/", f"{test}/")
    assert listing.facts.folders_passed_over == ("extra/",)
    assert list(scan_split(tmp_path, "test").names) == ["a/4.png", "b/3.png"]


def test_test_is_preferred_to_val(tmp_path: Path) -> None:
    touch(tmp_path, "train/1.png", "val/2.png", "test/3.png")
    assert scan_split(tmp_path, "test").folder.name == "test"
    assert scan_split(tmp_path, "train").facts.folders_passed_over == ("val/",)


def test_two_folders_that_both_mean_train(tmp_path: Path) -> None:
    touch(tmp_path, "train/1.png", "Training/2.png", "test/3.png")
    with pytest.raises(DataError, match=r"Training/ and train/") as caught:
        scan_split(tmp_path, "train")
    assert "rename" in caught.value.cure


@pytest.mark.parametrize("other", ["bus", "train_station", "testimony"])
def test_a_class_with_the_name_of_a_split_stays_one(tmp_path: Path, other: str) -> None:
    touch(tmp_path, "train/1.png", f"{other}/2.png")
    assert scan_split(tmp_path, "train").class_names == tuple(sorted(("train", other)))
    with pytest.raises(NoTestSplit):
        scan_split(tmp_path, "test")


def test_numbers_are_sorted_as_numbers(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{label}/0.png" for label in (1, 2, 10, 12, "007", "b", "a10", "a2")))
    listing = scan_split(tmp_path, "train")
    assert listing.class_names == ("1", "2", "007", "10", "12", "a10", "a2", "b")
    assert listing.labels is not None
    by_name = {name.partition("/")[0]: label for name, label in zip(listing.names, listing.labels, strict=True)}
    assert [by_name[name] for name in listing.class_names] == list(range(8))


def test_test_labels_follow_the_order_of_the_training_classes(tmp_path: Path) -> None:
    touch(tmp_path, *(f"train/{label}/0.png" for label in (1, 2, 10)), "test/10/0.png", "test/2/0.png")
    listing = scan_split(tmp_path, "test")
    assert listing.labels is not None
    assert dict(zip(listing.names, listing.labels.tolist(), strict=True)) == {"10/0.png": 2, "2/0.png": 1}


def test_lone_wrappers_are_entered_and_said(tmp_path: Path) -> None:
    touch(tmp_path, "archive/dataset/cat/1.png", "archive/dataset/dog/2.png", "archive/readme.txt")
    listing = scan_split(tmp_path, "train")
    assert listing.class_names == ("cat", "dog")
    assert listing.facts.descended == "archive/dataset/"
    assert "archive/dataset/" in listing.facts.line("folder:x")
    assert listing.facts.passed_over == ((".txt", 1),)


def test_splits_within_wrappers_and_wrappers_within_splits(tmp_path: Path) -> None:
    touch(
        tmp_path,
        *("seg/seg_train/seg_train/cat/1.png", "seg/seg_train/seg_train/dog/2.png"),
        *("seg/seg_test/seg_test/dog/3.png", "seg/seg_pred/4.png"),
    )
    train, test = scan_split(tmp_path, "train"), scan_split(tmp_path, "test")
    assert train.class_names == test.class_names == ("cat", "dog")
    assert (list(train.names), list(test.names)) == (["cat/1.png", "dog/2.png"], ["dog/3.png"])
    assert test.labels is not None
    assert test.labels.tolist() == [1]
    assert any("seg_pred/" in name for name in train.facts.folders_passed_over)


def test_a_test_split_of_one_class_is_not_a_wrapper(tmp_path: Path) -> None:
    touch(tmp_path, "train/a/1.png", "train/b/2.png", "test/b/3.png")
    listing = scan_split(tmp_path, "test")
    assert listing.labels is not None
    assert (list(listing.names), listing.labels.tolist()) == (["b/3.png"], [1])


@pytest.mark.parametrize("inside", [None, "1.heic", "notes.txt"])
def test_a_class_without_an_image_is_refused_by_name(tmp_path: Path, inside: str | None) -> None:
    touch(tmp_path, "cat/1.png", "dog/2.png")
    (tmp_path / "owl").mkdir()
    if inside:
        touch(tmp_path, f"owl/{inside}")
    with pytest.raises(DataError, match="owl") as caught:
        scan_split(tmp_path, "train")
    assert "--set dataset.labels=false" in caught.value.cure
    assert len(scan_split(tmp_path, "train", labelled=False).names) == 2


def test_one_class_beside_an_empty_one_is_not_taken_for_all(tmp_path: Path) -> None:
    touch(tmp_path, "cat/1.png", "dog/2.heic")
    with pytest.raises(DataError, match="dog"):
        scan_split(tmp_path, "train")


def test_what_is_passed_over_is_counted(tmp_path: Path) -> None:
    touch(tmp_path, "1.png", "2.HEIC", "3.heic", "a/4.svg", "list.csv", "README", ".hidden", "Thumbs.db")
    facts = scan_split(tmp_path, "train").facts
    assert dict(facts.passed_over) == {".heic": 2, ".svg": 1, ".csv": 1, "other": 1}
    [warning] = facts.warnings
    assert "2 .heic" in warning
    assert "convert" in warning
    assert "passed over: 2 .heic" in facts.line("folder:x")


def test_a_folder_of_heic_alone_says_convert(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no images") as caught:
        scan_split(touch(tmp_path, "1.heic"), "train")
    assert "convert .heic" in caught.value.cure


def test_names_are_fit_for_a_terminal_and_stay_distinct(tmp_path: Path) -> None:
    try:
        touch(tmp_path, "a\x1b[2J/1.png", "a\x9b[2J/2.png", "b\u202e/3.png", "4.\x07h")
    except OSError:
        pytest.skip("no such names here")
    listing = scan_split(tmp_path, "train")
    assert listing.class_names is not None
    assert len(set(listing.class_names)) == 3
    text = "".join(listing.class_names) + listing.facts.line("folder:\x1bx") + str(listing.facts.to_dict())
    assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or c == "\u202e" for c in text)


def test_names_that_are_no_unicode(tmp_path: Path) -> None:
    try:
        touch(tmp_path, "a\udcff/1.png", "a\udcfe/2.png")
    except (OSError, UnicodeError):
        pytest.skip("no such names here")
    names = scan_split(tmp_path, "train").class_names
    assert names is not None
    assert len(set(names)) == 2
    assert "".join(names).encode()
