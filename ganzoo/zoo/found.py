"""Recipes that a search has found, in a file beside the plugin whose variants they are for.

They are no code: what a run was trained with is in its record, so that a recipe for faces, found later, does not make
another variant of what was measured on digits (see `ganzoo.zoo.source`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from ganzoo.zoo.specs import Value

FILE = "recipes.json"


def found_recipes(plugin: str | Path, variant: str) -> Mapping[str, Mapping[str, Value]]:
    """The part of `Variant.presets` that `recipes.json` beside the file `plugin` has for `variant`; {}: nothing yet.

    `found_recipes(__file__, "gan")` gives {"laptop@digits": {"train.d_lr": 0.002}}. The file is of
    {VARIANT: {PRESET@FAMILY: {KEY: VALUE}}}; `benchmarks/search.py --adopt` writes it. Raises ValueError
    for a file that is no JSON.
    """
    file = Path(plugin).with_name(FILE)
    if not file.is_file():
        return {}
    try:
        found: Mapping[str, Mapping[str, Mapping[str, Value]]] = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file} is no JSON: {error}") from error
    return found.get(variant, {})
