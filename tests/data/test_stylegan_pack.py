"""Labels from the `dataset.json` of StyleGAN's packs."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ganzoo.data import Images, load_dataset
from ganzoo.data.folder import load_folder
from ganzoo.errors import DataError

NAMES = [f"{i // 2:05}/img{i:08}.png" for i in range(4)]
GOOD: dict[str, Any] = {"labels": [[name, label] for name, label in zip(NAMES, (1, 0, 1, 2), strict=True)]}


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    for i, name in enumerate(NAMES):
        file = tmp_path / "pack" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 4), 60 * i, np.uint8)).save(file)
    return tmp_path / "pack"


def load(pack: Path, document: object, split: str = "train", **options: Any) -> Images:
    text = document if isinstance(document, str) else json.dumps(document)
    (pack / "dataset.json").write_text(text)
    return load_dataset(load_folder, root=pack.parent / "root", split=split, path=pack, **options)


@pytest.mark.parametrize(
    "labels",
    [
        GOOD["labels"],
        dict(GOOD["labels"]),
        [[name, [int(k == label) for k in range(3)]] for name, label in GOOD["labels"]],
        [[name.replace("/", "\\"), label] for name, label in reversed(GOOD["labels"])],
    ],
)
def test_labels_are_those_of_the_file_not_of_the_folders(pack: Path, labels: Any) -> None:
    images = load(pack, {"labels": labels})
    assert images.labels is not None
    assert (images.labels.tolist(), images.num_classes) == ([1, 0, 1, 2], 3)
    assert images.facts is not None
    assert images.facts.labels_from == "dataset.json"
    assert "dataset.json" in images.facts.line("folder:pack")
    assert images.facts.passed_over == ()


def test_null_is_unlabelled_and_labels_can_be_ignored(pack: Path) -> None:
    assert load(pack, {"labels": None}).labels is None
    assert load(pack, "no json", labels=False).labels is None


def test_another_file_is_another_set(pack: Path) -> None:
    first = load(pack, GOOD)
    pairs = [[name, label] for name, label in zip(NAMES, (0, 1, 2, 1), strict=True)]
    second = load(pack, {"labels": pairs})
    assert second.labels is not None
    assert second.labels.tolist() == [0, 1, 2, 1]
    assert second.sha256 != first.sha256


def nested(depth: int) -> str:
    return '{"labels": ' + "[" * depth + "]" * depth + "}"


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"labels": GOOD["labels"][:3]}, "no label for 00001/img00000003.png"),
        ({"labels": [*GOOD["labels"], ["x\x1b.png", 0]]}, "names x\ufffd.png, which is not there"),
        ({"labels": [*GOOD["labels"], GOOD["labels"][0]]}, "two labels"),
        ({"labels": [[name, 1.5] for name in NAMES]}, "label 1.5"),
        ({"labels": [[name, True] for name in NAMES]}, "label True"),
        ({"labels": [[name, -1] for name in NAMES]}, "label -1"),
        ({"labels": [[name, [0.5, 0.5]] for name in NAMES]}, "label"),
        ({"labels": [[name, [1, 1]] for name in NAMES]}, "label"),
        ({"labels": [[name, []] for name in NAMES]}, "label"),
        ({"labels": [[name, 10**9] for name in NAMES]}, "classes for 4 images"),
        ({"labels": [[name, label + 1] for name, label in GOOD["labels"]]}, "class 0 of .* has no image"),
        ({"labels": [[NAMES[0]]]}, "no pair"),
        ({"labels": [None]}, "no pair"),
        ({"labels": 7}, "neither a list nor null"),
        ({}, "no .labels."),
        ([], "no .labels."),
        ("not json", "no readable JSON"),
        ('{"labels": ' + "1" * 5000 + "}", "no readable JSON"),
        (nested(100_000), "no readable JSON|no pair"),
        (nested(500), "no pair"),
        ("\ufeff{}", "no readable JSON|no .labels."),
    ],
)
def test_wrong_files_are_the_users_error(pack: Path, document: object, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        load(pack, document)
    assert "labels=false" in caught.value.cure or "number the classes" in caught.value.cure
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_pipe_or_a_folder_is_not_waited_for(pack: Path) -> None:
    os.mkfifo(pack / "dataset.json")
    with pytest.raises(DataError, match=r"dataset\.json"):
        load_folder(pack.parent, "train", False, path=pack)


def test_splits_have_a_file_each(tmp_path: Path) -> None:
    for split, labels in (("train", (0, 1, 2)), ("test", (2, 0, 2))):
        folder = tmp_path / "x" / split
        folder.mkdir(parents=True)
        for i in range(3):
            Image.fromarray(np.full((4, 4), 90 * i, np.uint8)).save(folder / f"{i}.png")
        pairs = [[f"{i}.png", label] for i, label in enumerate(labels)]
        (folder / "dataset.json").write_text(json.dumps({"labels": pairs}))
    images = load_folder(tmp_path, "test", False, path=tmp_path / "x")
    assert images.labels is not None
    assert (images.labels.tolist(), images.num_classes) == ([2, 0, 2], 3)
    (tmp_path / "x" / "test" / "dataset.json").unlink()
    with pytest.raises(DataError, match=r"dataset\.json"):
        load_folder(tmp_path, "test", False, path=tmp_path / "x")
