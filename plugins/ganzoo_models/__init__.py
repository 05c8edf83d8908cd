"""Trained generators, so that there is something to see before anything is trained. `index.json` says how each was made
and what it scores; benchmarks/make_models.py makes all of them.
"""

from __future__ import annotations

from pathlib import Path

from ganzoo import Model, hookimpl, models_in

GANZOO_API = 2


@hookimpl
def register_models() -> list[Model]:
    return models_in(Path(__file__).parent)
