"""Named bundles of settings, between the defaults and the user's file.

A key whose setting the chosen variant does not have is passed over, so one preset fits the whole zoo.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ganzoo.specs import Value


@dataclass(frozen=True, kw_only=True)
class Preset:
    summary: str
    values: Mapping[str, Value]


PRESETS: dict[str, Preset] = {
    "standard": Preset(
        summary="each paper's own widths and learning rates; 500 kimg; a GPU, or patience",
        values={},
    ),
    "laptop": Preset(
        summary="narrow networks and small batches, for two CPU cores and a few minutes for the whole zoo",
        values={},
    ),
}
