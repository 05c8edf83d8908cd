"""A grid of settings: every value of one with every value of the others. Torch-free."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ganzoo.config.options import texts_of
from ganzoo.errors import SettingError

_OPTIONS = ("objective", "regularize", "augment")
"""What a grid may name beside settings."""
_SECTIONS = ("variant", "objective", "train", "regularizer", "augmentation")
"""Whose settings a grid may have: images and how they are scored are the same for all that is compared."""

Grid = str | Sequence[str] | Mapping[str, Any] | None


@dataclass(frozen=True, kw_only=True)
class Point:
    """One of the grid: options, and settings as `--set` takes them."""

    options: Mapping[str, str]
    sets: tuple[str, ...]

    @property
    def label(self) -> str:
        """ "objective=hinge train.g_lr=0.0001"; "" where there is no grid."""
        return " ".join([*(f"{name}={value}" for name, value in self.options.items()), *self.sets])


def points_of(grid: Grid) -> list[Point]:
    """["train.g_lr=1e-4,2e-4", "objective=hinge,wasserstein"], or a mapping of keys to lists, as its points; one that
    says nothing where there is no grid.

    Raises:
        SettingError: not of this form, a key twice, or a key that all runs must share.
    """
    axes: dict[str, list[str]] = {}
    for text in texts_of(grid):
        key, equals, values = (part.strip() for part in text.partition("="))
        found = list(dict.fromkeys(value.strip() for value in values.split(",") if value.strip()))
        if not equals or not found:
            raise SettingError(f"--grid {text}: there are no values", "write --grid train.g_lr=1e-4,2e-4")
        if key in axes:
            raise SettingError(f"--grid has {key} twice", f"give all of its values at once: {key}=A,B")
        section, _, name = key.partition(".")
        if key not in _OPTIONS and not (section in _SECTIONS and name):
            raise SettingError(
                f"--grid cannot have {key}: runs are compared on the same images by the same scores",
                f"give settings of {', '.join(_SECTIONS)}, or {', '.join(_OPTIONS)}; seeds by --seeds",
            )
        axes[key] = found
    points = []
    for chosen in itertools.product(*axes.values()):
        named = dict(zip(axes, chosen, strict=True))
        points.append(
            Point(
                options={key: value for key, value in named.items() if key in _OPTIONS},
                sets=tuple(f"{key}={value}" for key, value in named.items() if key not in _OPTIONS),
            )
        )
    return points
