"""Named bundles of settings, between the papers' recipes and the user's file.

A key whose setting the chosen variant does not have is passed over, so one preset fits the whole zoo.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ganzoo.zoo.specs import Value


@dataclass(frozen=True, kw_only=True)
class Preset:
    summary: str
    values: Mapping[str, Value]  # setting -> value, as `--set` takes them
    by_variant: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)  # win over `values`
    by_objective: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)  # win over `by_variant`

    def layer(self, variant: str, objective: str) -> dict[str, Value]:
        """What the preset sets for a run of this variant with this objective."""
        return {**self.values, **self.by_variant.get(variant, {}), **self.by_objective.get(objective, {})}


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
        by_variant={
            "gan": {"variant.width": 128},
            "cgan": {"variant.width": 128},
            "dcgan": {"variant.channels": 16},
            "cdcgan": {"variant.channels": 16},
            "upsample-dcgan": {"variant.channels": 32, "train.g_lr": 1e-3, "train.d_lr": 1e-3},
            "wgan-gp": {"variant.channels": 16},
        },
        # Five critic steps leave the generator too few of its own in so short a run.
        by_objective={"wgan-gp": {"train.d_steps": 2, "train.g_lr": 1e-3, "train.d_lr": 1e-3}},
    ),
}
