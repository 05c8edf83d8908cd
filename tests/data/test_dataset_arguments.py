"""What is given to `--dataset`, and what is said when it is none."""

from pathlib import Path

import numpy as np
import pytest

from ganzoo.config.fit import check_fit
from ganzoo.config.layers import build_config
from ganzoo.data.folder import load_folder
from ganzoo.data.npz import load_npz
from ganzoo.errors import DataError, FitError, UnknownName, UserError
from ganzoo.zoo.registry import Registry


def build(registry: Registry, dataset: str, *sets: str):
    return build_config(registry, variant="gan", dataset=dataset, sets=sets)


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("some/path", "--dataset folder:some/path"),
        ("./faces", "--dataset folder:./faces"),
        ("~/faces", "--dataset folder:~/faces"),
        ("a/b.npz", "--dataset npz:a/b.npz"),
        ("images.npz", "--dataset npz:images.npz"),
        ("here", "--dataset folder:here"),
    ],
)
def test_a_path_without_its_kind(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, advice: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    with pytest.raises(UserError) as caught:
        build(registry, text)
    assert advice in caught.value.cure


def test_an_unknown_name_is_still_one(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnknownName, match="digitz"):
        build(registry, "digitz")
    (tmp_path / "digits").mkdir()
    assert build(registry, "digits").dataset.name == "digits"  # a name that is known is that dataset


@pytest.mark.parametrize(
    "text", ["folder:a\udcff", "npz:\udc80.npz", "folder:a\0b", "a\0b", "\udcff/x", "folder:~nobody-x/y"]
)
def test_what_no_path_can_be(registry: Registry, text: str) -> None:
    with pytest.raises(UserError) as caught:
        build(registry, text)
    assert str(caught.value).encode()
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("path", ["a\0b", "~nobody-x/y"])
def test_the_library_says_so_too(tmp_path: Path, path: str) -> None:
    for load in (load_folder, load_npz):
        with pytest.raises(DataError):
            load(tmp_path, "train", False, path=path)


def test_settings_of_datasets(registry: Registry, tmp_path: Path) -> None:
    settings = build(registry, f"folder:{tmp_path}").dataset.settings
    assert (settings["fit"], settings["background"], settings["white"]) == ("crop", "black", None)
    assert build(registry, "digits", "dataset.fit=pad").dataset.settings["fit"] == "pad"
    for wrong in ("dataset.fit=squeeze", "dataset.white=0", "dataset.white=65536", "dataset.background=red"):
        with pytest.raises(UserError):
            build(registry, f"folder:{tmp_path}", wrong)


def test_the_defaults_are_what_earlier_versions_did(registry: Registry, tmp_path: Path) -> None:
    identity = build(registry, f"folder:{tmp_path}").identity()
    assert not {"dataset.fit", "dataset.background", "dataset.white"} & identity.keys()
    assert build(registry, f"folder:{tmp_path}", "dataset.fit=pad").identity()["dataset.fit"] == "pad"


def test_advice_to_a_conditional_variant_names_what_gives_labels(registry: Registry) -> None:
    conditional = next(spec for spec in registry.variants() if spec.conditional)
    objective = registry.objective(conditional.objective)
    for dataset, words in (
        ("folder:x", ("class folders", "dataset.labels")),
        ("npz:x.npz", ("array 'labels'",)),
        ("celeba", ("unconditional", "list datasets")),
    ):
        with pytest.raises(FitError) as caught:
            check_fit(conditional, objective, dataset, None, None, 0)
        assert all(word in caught.value.cure for word in words)
        assert ("class folders" in caught.value.cure) == dataset.startswith("folder")


def test_a_pickled_member_is_named(tmp_path: Path) -> None:
    file = tmp_path / "a.npz"
    np.savez(file, images=np.zeros((2, 4, 4), np.uint8), labels=np.array([{}, 1], dtype=object))
    with pytest.raises(DataError, match=r"labels holds Python objects as a pickle"):
        load_npz(tmp_path, "train", False, path=file)
