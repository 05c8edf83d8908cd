"""A grid of settings: every value of one with every value of the others, or what a search draws from. Torch-free."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

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

    @property
    def said(self) -> dict[str, str]:
        """Setting -> value, as in the grid."""
        return {**self.options, **dict(text.split("=", 1) for text in self.sets)}


@dataclass(frozen=True, kw_only=True)
class Range:
    """Any number between two, both in it; whole ones alone where both are whole."""

    low: float
    high: float
    whole: bool

    @property
    def log(self) -> bool:
        """Whether each factor is as likely as any other: where it is wide, and above 0."""
        return self.low > 0 and self.high >= 10 * self.low

    @property
    def said(self) -> str:
        return f"{self.text(self.low)}..{self.text(self.high)}"

    def text(self, value: float) -> str:
        """As `--set` takes it, to four digits."""
        return str(round(value)) if self.whole else f"{value:.4g}"


Axis = tuple[str, ...] | Range


def axes_of(grid: Grid, *, ranges: bool = False) -> dict[str, Axis]:
    """Setting -> its values, of ["train.g_lr=1e-4,2e-4", "objective=hinge,wasserstein"] or a mapping of keys to lists;
    with `ranges`, "train.g_lr=1e-5..1e-2" as well.

    Raises:
        SettingError: not of this form, a key twice, or a key that all runs must share.
    """
    axes: dict[str, Axis] = {}
    for text in texts_of(grid):
        key, equals, values = (part.strip() for part in text.partition("="))
        found = tuple(dict.fromkeys(value.strip() for value in values.split(",") if value.strip()))
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
        between = [value for value in found if ".." in value]
        if between and not ranges:
            raise SettingError(f"--grid {key}={between[0]} has no end of values", "say --search N to draw N of them")
        axes[key] = _range(key, found) if between else found
    return axes


def _range(key: str, found: Sequence[str]) -> Range:
    cure = "write two numbers, the lower one first, and nothing else: train.g_lr=1e-5..1e-2"
    low, _, high = found[0].partition("..")
    try:
        ends = float(low), float(high)
    except ValueError:
        raise SettingError(f"--grid {key}={','.join(found)} is no range of numbers", cure) from None
    if len(found) > 1 or not all(map(math.isfinite, ends)) or ends[0] >= ends[1]:
        raise SettingError(f"--grid {key}={','.join(found)} is no range of numbers", cure)
    return Range(low=ends[0], high=ends[1], whole=low.strip().isdecimal() and high.strip().isdecimal())


def point_of(named: Mapping[str, str]) -> Point:
    return Point(
        options={key: value for key, value in named.items() if key in _OPTIONS},
        sets=tuple(f"{key}={value}" for key, value in named.items() if key not in _OPTIONS),
    )


def points_of(grid: Grid) -> list[Point]:
    """Every combination of what `axes_of` finds; one that says nothing where there is no grid."""
    axes = cast(dict[str, tuple[str, ...]], axes_of(grid))
    return [point_of(dict(zip(axes, chosen, strict=True))) for chosen in itertools.product(*axes.values())]
