"""The command that trains what a config says."""

from __future__ import annotations

import shlex
from typing import Any

from ganzoo.config.layers import build_config
from ganzoo.config.presets import PRESETS
from ganzoo.config.run_config import RunConfig, dataset_label, flatten
from ganzoo.errors import UserError
from ganzoo.zoo.registry import Registry

_ABSENT = object()
_OPTIONS = {"train.kimg": "--kimg", "seed": "--seed", "dataset.size": "--size"}
_ALWAYS = ("train.kimg", "seed")  # said even where they are the default
_NAMED = ("schema", "variant.name", "objective.name", "dataset.name", "features.name")
_PLACES = ("dataset.path", "device", "callbacks", "init", "name")
_SECTIONS = {"regularizers": "regularizer", "augmentations": "augmentation"}  # of a document -> as `--set` names them


Plain = dict[str, dict[str, Any] | None]
"""What a short command makes, flat, by what it says; None: it is refused. Of many configs most begin alike."""


def command_of(registry: Registry, config: RunConfig, plain: Plain | None = None) -> str:
    """A short `ganzoo train ...` that asks for the config, but for where its images lie, on which device, with
    which callbacks, from which weights and by whom. "": none is found. `plain`: what is kept from one call to the next.
    """
    known: Plain = {} if plain is None else plain
    found = [words for preset in PRESETS if (words := _words(registry, config, preset, known))]
    return shlex.join(sorted(found, key=len)[0]) if found else ""


def _words(registry: Registry, config: RunConfig, preset: str, known: Plain) -> list[str]:
    variant, dataset = registry.variant(config.variant.name), registry.dataset(config.dataset.name)
    path = config.dataset.settings.get("path")
    given: dict[str, Any] = {"preset": preset, "dataset": f"{dataset.name}:{path}" if path else dataset.name}
    words = ["ganzoo", "train", variant.name, "--dataset", dataset_label(dataset.name, config.dataset.settings)]
    brought = {
        f"dataset.{name}": config.dataset.settings[name]
        for name in ("size", "color")
        if config.dataset.settings.get(name) is not None
    }
    given["overrides"] = brought  # a recipe may depend on them
    words += [] if preset == dataset.preset else ["--preset", preset]
    for option, ours, default in (
        ("objective", config.objective.name, variant.objective),
        ("features", config.features.name, dataset.features),
        ("regularize", _names(config.regularizers), ",".join(sorted(variant.regularizers)) or "none"),
        ("augment", _names(config.augmentations), ",".join(sorted(variant.augmentations)) or "none"),
    ):
        if ours != default:
            given[option] = ours
            words += [f"--{option}", ours]
    asked = repr((variant.name, given))
    if asked not in known:
        try:
            known[asked] = _flat(build_config(registry, variant=variant.name, **given))
        except UserError:  # parts that fit together only with other settings
            known[asked] = None
    plain = known[asked]
    if plain is None:
        return []
    for key, value in _flat(config).items():
        if plain.get(key, _ABSENT) != value or key in _ALWAYS or key in brought:
            words += [_OPTIONS[key], _typed(value)] if key in _OPTIONS else ["--set", f"{key}={_typed(value)}"]
    return words


def _names(choices: Any) -> str:
    return ",".join(choice.name for choice in choices) or "none"


def _flat(config: RunConfig) -> dict[str, Any]:
    flat = {}
    for key, value in flatten(config.to_dict()).items():
        section, dot, rest = key.partition(".")
        if key not in _NAMED and key not in _PLACES:
            flat[_SECTIONS.get(section, section) + dot + rest] = value
    return flat


def _typed(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "none" if value is None else str(value).lower()
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)
