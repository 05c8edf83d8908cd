"""Named bundles of settings: how long and how large, for what kind of machine and data.

They stand below what a variant's or an objective's paper states. What authors chose for a preset is in their specs, see
`Variant.presets`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ganzoo.zoo.specs import Value


@dataclass(frozen=True, kw_only=True)
class Preset:
    summary: str
    values: Mapping[str, Value]  # setting -> value, as `--set` takes them


PRESETS: dict[str, Preset] = {
    "standard": Preset(summary="each paper's own widths and learning rates; 500 kimg; a GPU, or patience", values={}),
    "laptop": Preset(
        summary="narrow networks, small batches and higher learning rates: the whole zoo in minutes on two CPU cores",
        values={
            "train.kimg": 32.0,
            "train.batch_size": 32,
            "train.g_lr": 5e-4,
            "train.d_lr": 5e-4,
            "eval.num_images": 2000,
        },
    ),
}
