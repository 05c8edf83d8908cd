"""The wrapper around every dataset's target."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from ganzoo.data import Images, load_dataset, make_images
from ganzoo.errors import DataError, SettingError

PIXELS = torch.randint(0, 256, (6, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
GOOD = make_images(PIXELS, torch.tensor([0, 1, 2, 0, 1, 2]), class_names=["a", "b", "c"])


def plain(root: Path, split: str, download: bool) -> Images:
    return GOOD


def test_size_and_color_are_applied_for_a_target_that_does_not_know_them(tmp_path: Path) -> None:
    images = load_dataset(plain, root=tmp_path, split="train", size=4, color="gray")
    assert images.shape == (1, 4, 4)
    assert images.sha256 != GOOD.sha256
    assert load_dataset(plain, root=tmp_path, split="train").pixels is GOOD.pixels


def test_declared_parameters_and_settings_are_passed_on(tmp_path: Path) -> None:
    seen: dict[str, Any] = {}

    def target(root: Path, split: str, download: bool, *, size: int = 5, color: str = "rgb", path: str) -> Images:
        seen.update(locals())
        return GOOD

    images = load_dataset(target, root=str(tmp_path), split="test", download=False, size=4, path="p")
    assert images.pixels is GOOD.pixels  # the target's answer stands
    assert {k: seen[k] for k in ("root", "split", "download", "size", "color", "path")} == {
        "root": tmp_path,
        "split": "test",
        "download": False,
        "size": 4,
        "color": "rgb",  # not asked for: the target's own default
        "path": "p",
    }


def test_only_what_is_not_declared_is_applied(tmp_path: Path) -> None:
    def sized(root: Path, split: str, download: bool, size: int) -> Images:
        return GOOD

    assert load_dataset(sized, root=tmp_path, split="train", size=4, color="gray").shape == (1, 8, 8)


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (PIXELS, "Tensor instead of"),
        (replace(GOOD, pixels=PIXELS.float()), "float32"),
        (replace(GOOD, pixels=PIXELS[0]), r"\[3, 8, 8\]"),
        (replace(GOOD, pixels=PIXELS[:0]), "no pixels"),
        (replace(GOOD, pixels=PIXELS[:, :2]), "2 channels"),
        (replace(GOOD, sha256=""), "SHA-256"),
        (replace(GOOD, labels=None), "no labels but 3 classes"),
        (replace(GOOD, labels=torch.tensor([0, 1])), "labels of"),
        (replace(GOOD, labels=torch.zeros(6, dtype=torch.int32)), "int32"),
        (replace(GOOD, labels=torch.tensor([0, 1, 2, 0, 1, 3])), "labels 0 to 3 for 3 classes"),
        (replace(GOOD, labels=torch.tensor([0, 1, 2, 0, 1, -1])), "labels -1"),
        (replace(GOOD, class_names=("a", "b")), "2 class names"),
    ],
)
def test_a_target_that_breaks_the_contract_is_named(tmp_path: Path, result: Any, message: str) -> None:
    def broken_target(root: Path, split: str, download: bool) -> Any:
        return result

    with pytest.raises(DataError, match=message) as caught:
        load_dataset(broken_target, root=tmp_path, split="train")
    assert "broken_target" in caught.value.cause


@pytest.mark.parametrize("wrong", [{"split": "validation"}, {"size": 0}, {"color": "blue"}])
def test_wrong_requests_never_reach_the_target(tmp_path: Path, wrong: dict[str, Any]) -> None:
    def target(root: Path, split: str, download: bool) -> Images:
        raise AssertionError

    with pytest.raises(SettingError):
        load_dataset(target, root=tmp_path, **({"split": "train"} | wrong))
