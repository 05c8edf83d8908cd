"""Recipes of families of images."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from ganzoo import Dataset, Objective, Setting, Variant
from ganzoo.config.families import FAMILIES, family_of
from ganzoo.config.layers import build_config, from_dict
from ganzoo.config.options import better_said, config_of
from ganzoo.config.recipes import known_settings
from ganzoo.errors import SettingError
from ganzoo.runs.command import command_of
from ganzoo.zoo.plugins import Plugin
from ganzoo.zoo.registry import Registry
from ganzoo.zoo.validation import BrokenSpec, check_spec

RECIPES = {
    "laptop": {"train.batch_size": 8},
    "laptop@digits": {"train.batch_size": 9},
    "laptop@gray-32": {"train.batch_size": 10, "variant.width": 3},
    "laptop@rgb-64": {"train.batch_size": 11},
    "standard@rgb-64": {"train.batch_size": 12},
}
WIDTH = Setting(name="width", default=16, minimum=1, doc="Units.")


@pytest.fixture
def zoo(registry: Registry) -> Registry:
    lab = Variant(name="lab", target="lab:build", settings=(WIDTH,), presets=RECIPES)
    return Registry([*registry.plugins, Plugin(name="lab", origin="lab 1", module="lab", specs={"variants": [lab]})])


def batch(zoo: Registry, dataset: str, *sets: str, preset: str = "laptop", **more: Any) -> int:
    config = build_config(zoo, variant="lab", dataset=dataset, preset=preset, sets=sets, **more)
    return config.train.batch_size


def test_the_family_is_that_of_the_images_as_they_will_be(zoo: Registry, tmp_path: Path) -> None:
    assert batch(zoo, "digits") == 9
    assert batch(zoo, "mnist") == 10
    assert batch(zoo, "cifar10") == 8  # its family has no recipe: the preset's own
    assert batch(zoo, "celeba") == 11
    assert batch(zoo, "celeba", preset="standard") == 12
    assert batch(zoo, "mnist", "dataset.size=64", "dataset.color=rgb") == 11
    assert batch(zoo, "cifar10", overrides={"dataset.size": 64}) == 11
    assert batch(zoo, "celeba", "dataset.size=28", "dataset.celeba.color=gray") == 10
    assert batch(zoo, "digits", "dataset.size=28") == 10  # no longer the digits that were meant
    folder = f"folder:{tmp_path}"
    assert batch(zoo, folder) == 8
    assert batch(zoo, folder, "dataset.size=64") == 11  # in colour, unless told otherwise
    assert batch(zoo, folder, "dataset.size=28", "dataset.color=gray") == 10
    assert batch(zoo, "mnist", "train.batch_size=5") == 5
    assert batch(zoo, "mnist", "dataset.size=NONE", "dataset.color=null") == 10


def test_it_does_not_matter_how_a_size_is_said(zoo: Registry) -> None:
    assert batch(zoo, "digits", "dataset.size=32", "dataset.color=gray") == 9  # as they are
    assert batch(zoo, "digits", overrides={"dataset.size": 32}) == 9
    assert batch(zoo, "digits", document={"dataset": {"name": "digits", "size": 32.0}}) == 9
    assert batch(zoo, "mnist", "dataset.size=64.0", "dataset.color=rgb") == 11
    with pytest.raises(SettingError, match="size"):
        batch(zoo, "mnist", "dataset.size=wide")


def test_an_objective_has_the_last_word(registry: Registry) -> None:
    """Its recipe for a preset wins over the variant's for a family, which does not know of the objective."""
    lab = Variant(name="lab", target="lab:build", presets={"laptop@digits": {"train.d_steps": 3, "train.g_lr": 0.01}})
    loss = Objective(name="loss", target="lab:loss", presets={"laptop": {"train.d_steps": 2}})
    specs = {"variants": [lab], "objectives": [loss]}
    zoo = Registry([*registry.plugins, Plugin(name="lab", origin="lab 1", module="lab", specs=specs)])
    train = build_config(zoo, variant="lab", objective="loss").train
    assert (train.d_steps, train.g_lr) == (2, 0.01)
    assert build_config(zoo, variant="lab").train.d_steps == 3


def test_a_record_and_its_command_say_the_same_again(zoo: Registry) -> None:
    config = build_config(zoo, variant="lab", dataset="cifar10", preset="laptop", sets=["dataset.size=64"])
    assert from_dict(zoo, config.to_dict()) == config
    command = command_of(zoo, config)
    assert "--size 64" in command
    assert "batch_size" not in command  # the recipe's
    assert asked(zoo, command) == config


def test_a_value_that_only_another_size_would_have_is_said(zoo: Registry) -> None:
    sets = ["dataset.size=64", "train.batch_size=32"]  # 32: of the preset
    config = build_config(zoo, variant="lab", dataset="cifar10", preset="laptop", sets=sets)
    command = command_of(zoo, config)
    assert "--set train.batch_size=32" in command
    assert asked(zoo, command) == config


def asked(zoo: Registry, command: str) -> Any:
    """The config that a command asks for."""
    words = shlex.split(command)[2:]
    variant, words = words[0], words[1:]
    given: dict[str, Any] = {"sets": [], "overrides": {}}
    for option, value in zip(words[::2], words[1::2], strict=True):
        if option == "--set":
            given["sets"].append(value)
        elif option in ("--kimg", "--seed", "--size"):
            given["overrides"][{"--kimg": "train.kimg", "--seed": "seed", "--size": "dataset.size"}[option]] = value
        else:
            given[option.removeprefix("--")] = value
    return build_config(zoo, variant=variant, **given)


def test_a_record_is_read_as_it_was_meant(registry: Registry) -> None:
    """A setting that is newer than a record has its default, though a recipe of today gives it another value."""
    config = build_config(registry, variant="cgan-pd", dataset="digits")
    document = config.to_dict()
    assert document["variant"].pop("doubling") is True
    del document["train"]["d_steps"]
    read = from_dict(registry, document)
    assert (read.variant.settings["doubling"], read.train.d_steps) == (None, 1)


def words(zoo: Registry, dataset: str, side: int, channels: int, *sets: str, **more: Any) -> str | None:
    """What is to be said of images that have turned out to be like that."""
    options = {"dataset": dataset, "preset": "laptop", "sets": list(sets), **more}
    config = config_of(zoo, "lab", options)
    said = better_said(zoo, config, options, channels, side)
    if said is not None:  # and if that is said, nothing is left to say
        told = {"size": side, "sets": [*sets, *(text for text in said.split() if "=" in text)]}
        other = config_of(zoo, "lab", options | told)
        assert (other.variant, other.train) != (config.variant, config.train)
        assert better_said(zoo, other, options | told, channels, side) is None
    return said


def test_what_has_to_be_said_of_images_at_a_path(zoo: Registry, tmp_path: Path) -> None:
    folder, file = f"folder:{tmp_path}", f"npz:{tmp_path / 'x.npz'}"
    assert words(zoo, folder, 64, 3) == "--size 64"
    assert words(zoo, folder, 64, 3, size=64) is None
    assert words(zoo, folder, 28, 1, "dataset.color=gray") == "--size 28"
    assert words(zoo, folder, 32, 3) is None  # of which the author said nothing
    assert words(zoo, folder, 64, 3, "train.batch_size=11") is None  # it is what the recipe says
    assert words(zoo, folder, 64, 3, "train.batch_size=64") is None  # the last word is the user's
    assert words(zoo, folder, 28, 1, "dataset.color=gray", "train.batch_size=64") == "--size 28"  # the width is not
    assert words(zoo, folder, 64, 3, preset="standard") == "--size 64"
    assert words(zoo, file, 28, 1) == "--size 28 --set dataset.color=gray"
    assert words(zoo, file, 28, 1, size=28) == "--set dataset.color=gray"
    assert words(zoo, "cifar10", 32, 3) is None  # known by its name
    assert words(zoo, "digits", 32, 1) is None


def test_what_a_dataset_declares_need_not_be_said(zoo: Registry) -> None:
    half = [Dataset(name="half", target="m:f", size=64), Dataset(name="other", target="m:f", channels=3)]
    zoo = Registry([*zoo.plugins, Plugin(name="half", origin="half 1", module="half", specs={"datasets": half})])
    assert words(zoo, "half", 64, 3) == "--set dataset.color=rgb"
    assert words(zoo, "other", 64, 3) == "--size 64"


@pytest.mark.parametrize(
    ("size", "channels", "family"),
    [(28, 1, "gray-32"), (32, 3, "rgb-32"), (33, 3, "rgb-64"), (64, 1, "gray-64"), (None, 3, None), (32, None, None)],
)
def test_families_by_size_and_channels(size: int | None, channels: int | None, family: str | None) -> None:
    dataset = Dataset(name="d", target="m:f", size=size, channels=channels)
    assert family_of(dataset) == family
    assert family in (None, *FAMILIES)


def test_misspelt_families_are_refused() -> None:
    known = known_settings()
    with pytest.raises(BrokenSpec, match="presets names 'laptop@rgb-46'") as error:
        check_spec(Variant(name="v", target="m:f", presets={"laptop@rgb-46": {"train.kimg": 4}}), known)
    assert "laptop@rgb-64" in error.value.cure
    with pytest.raises(BrokenSpec, match="family is 'digit'"):
        check_spec(Dataset(name="d", target="m:f", family="digit"), known)
    with pytest.raises(BrokenSpec, match="preset is 'laptop@digits'"):
        check_spec(Dataset(name="d", target="m:f", preset="laptop@digits"), known)
