"""Datasets: uint8 images in memory or memory-mapped, and the samplers that feed them to the engine.

What needs torch comes when it is asked for: which files there are (`ganzoo.data.downloads`) is said without it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ganzoo.data.errors import NoTestSplit
    from ganzoo.data.images import Images, to_float, to_uint8
    from ganzoo.data.load import load_dataset
    from ganzoo.data.pixels import make_images, prepare
    from ganzoo.data.sampler import Sampler, label_law, make_sampler

_MODULES = {
    "errors": ("NoTestSplit",),
    "images": ("Images", "to_float", "to_uint8"),
    "load": ("load_dataset",),
    "pixels": ("make_images", "prepare"),
    "sampler": ("Sampler", "label_law", "make_sampler"),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "Images",
    "NoTestSplit",
    "Sampler",
    "label_law",
    "load_dataset",
    "make_images",
    "make_sampler",
    "prepare",
    "to_float",
    "to_uint8",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = found
    return found
