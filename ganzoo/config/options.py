"""Options of the commands, which are the arguments of the library's functions, as one complete config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ganzoo.config.documents import read_document
from ganzoo.config.layers import build_config
from ganzoo.config.run_config import RunConfig
from ganzoo.zoo.registry import Registry

_KEYS = {
    "kimg": "train.kimg",
    "minutes": "train.minutes",
    "until": "train.until",
    "size": "dataset.size",
    "seed": "seed",
    "device": "device",
    "precision": "precision",
    "log": "callbacks",
    "num_images": "eval.num_images",
    "init": "init",
}
"""Option -> the setting that it is short for."""

_LAYERS = ("dataset", "objective", "features", "regularize", "augment", "preset")
"""Options that choose pieces."""


def config_of(
    registry: Registry,
    variant: str | None,
    *,
    sets: Sequence[str] = (),
    config: Path | str | Mapping[str, Any] | None = None,
    overrides: Mapping[str, Any] | None = None,
    **options: Any,
) -> RunConfig:
    """`options`: of _KEYS and _LAYERS; None: not said. `config`: a TOML or JSON file, or what it would hold.
    `overrides`: settings by their keys, below the options.

    Raises:
        UserError: as `build_config`.
        TypeError: an option that there is not.
    """
    unknown = next((name for name in options if name not in _KEYS and name not in _LAYERS), None)
    if unknown is not None:
        raise TypeError(f"there is no option {unknown!r}; there are {', '.join(sorted({*_KEYS, *_LAYERS}))}")
    values = dict(overrides or {})
    values |= {key: options[name] for name, key in _KEYS.items() if options.get(name) is not None}
    kimg_is_set = options.get("kimg") is not None or any(text.startswith("train.kimg=") for text in sets)
    if options.get("minutes") is not None and not kimg_is_set:
        values["train.kimg"] = None
    if options.get("until") is not None and not any(text.startswith("eval.every=") for text in sets):
        values["eval.every"] = 1
    document = config if isinstance(config, Mapping) or config is None else read_document(Path(config))
    return build_config(
        registry,
        variant=variant,
        document=document,
        sets=sets,
        overrides=values,
        **{name: options.get(name) for name in _LAYERS},
    )
