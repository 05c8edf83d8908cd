"""Configs as files: printed, read back, in other words and in another language."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from ganzoo.config.changed import changed_settings
from ganzoo.config.documents import read_document
from ganzoo.config.layers import build_config, from_dict
from ganzoo.config.options import config_of
from ganzoo.config.printed import to_toml
from ganzoo.errors import SettingError, UnknownName, UserError
from ganzoo.zoo.registry import Registry


def variants(registry: Registry) -> list[str]:
    return [spec.name for spec in registry.variants()]


def test_every_variant_is_read_back_as_it_was_printed(registry: Registry, tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    options = {"sets": ["train.scores=none", "train.minutes=none", "dataset.color=rgb"], "dataset": "mnist"}
    for name in variants(registry):
        for more in (
            {},
            {"regularize": "none", "augment": "none"},
            {"preset": "laptop", "seed": 3, "init": "some run"},
        ):
            config = config_of(registry, name, {**options, **more})
            file.write_text(to_toml(config), encoding="utf-8")
            assert config_of(registry, None, {"config": file}) == config


def test_paths_and_lists_are_printed(registry: Registry, tmp_path: Path) -> None:
    options = {"dataset": f"folder:{tmp_path}", "log": "tensorboard", "augment": "diffaug,flip"}
    config = config_of(registry, "dcgan", options)
    document = tomllib.loads(to_toml(config))
    assert document["dataset"]["path"] == str(tmp_path)
    assert document["callbacks"] == ["tensorboard"]
    assert document["train"]["minutes"] == "none"
    assert config_of(registry, None, {"config": document}) == config


@pytest.mark.parametrize("name", ["r3gan", "stylegan2-ada", "biggan"])
def test_a_job_trains_without_what_it_was_told_to_leave_out(registry: Registry, name: str) -> None:
    config = build_config(registry, variant=name, dataset="mnist", regularize="none", augment="none")
    assert registry.variant(name).regularizers
    assert from_dict(registry, config.to_dict()) == config
    older = {key: value for key, value in config.to_dict().items() if key not in ("regularizers", "augmentations")}
    assert from_dict(registry, older) == config  # what earlier versions wrote


@pytest.mark.parametrize(
    ("said", "key", "value"),
    [
        ({"kimg": 5}, "train.kimg", 5.0),
        ({"kimg": 5, "train": {"batch_size": 8}}, "train.kimg", 5.0),
        ({"size": 16, "dataset": "mnist"}, "dataset.size", 16),
        ({"num_images": 77}, "eval.num_images", 77),
        ({"seed": 4}, "seed", 4),
        ({"log": "tensorboard"}, "callbacks", ["tensorboard"]),
    ],
)
def test_options_may_stand_at_the_top_of_a_file(registry: Registry, said: dict[str, Any], key: str, value: Any) -> None:
    document = config_of(registry, "gan", {"config": said}).to_dict()
    section, _, name = key.partition(".")
    assert (document[section][name] if name else document[section]) == value


def test_regularizers_by_the_options_name(registry: Registry) -> None:
    said = {"regularize": "r1", "augment": ["flip"]}
    config = config_of(registry, "dcgan", {"config": said})
    assert [choice.name for choice in (*config.regularizers, *config.augmentations)] == ["r1", "flip"]


def test_a_setting_that_is_said_twice(registry: Registry) -> None:
    with pytest.raises(SettingError, match=r"kimg and train\.kimg are the same setting"):
        config_of(registry, "gan", {"config": {"kimg": 5, "train": {"kimg": 6}}})


@pytest.mark.parametrize(
    ("name", "text"), [("a.yaml", ""), ("a.yml", "x"), ("a.toml", "variant: gan\ntrain:\n  kimg: 5\n")]
)
def test_yaml_is_named(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match="is YAML, which is not read here") as caught:
        read_document(tmp_path / name)
    assert "--print-config" in caught.value.cure


def test_toml_that_is_damaged_is_not_called_yaml(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("[train\nkimg = 5")
    with pytest.raises(UserError, match="is no TOML"):
        read_document(tmp_path / "a.toml")


def test_many_known_names_do_not_hide_the_one_that_was_meant(registry: Registry) -> None:
    with pytest.raises(UnknownName) as caught:
        build_config(registry, variant="gan", sets=["train.kmg=5"])
    assert caught.value.cure.startswith("did you mean train.kimg")
    assert "known:" not in caught.value.cure


def test_only_what_is_not_the_default_is_told(registry: Registry) -> None:
    config = build_config(registry, variant="gan", preset="standard", dataset="mnist", sets=["train.kimg=7", "seed=2"])
    found = {key: (default, value) for key, default, value in changed_settings(registry, config)}
    assert found["train.kimg"] == (500.0, 7.0)
    assert found["seed"] == (0, 2)
    assert "eval.num_images" not in found
    assert not any(default == value for default, value in found.values())
