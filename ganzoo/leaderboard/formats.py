"""How numbers are written for people: one style for each unit, and as many digits as an interval allows."""

from __future__ import annotations

import math
from collections.abc import Callable

Format = Callable[[float], str]

DIGITS = 2
"""Significant digits of an interval."""


def digits(places: int) -> Format:
    """ "1,234.50" for 2 places."""
    return lambda value: f"{value:,.{places}f}"


def significant(places: int) -> Format:
    """ "0.0153" for 3 places."""
    return lambda value: f"{value:,.{places}g}"


def count(value: float) -> str:
    """ "206.77k", "1.00M"."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.2f}{unit}"
    return f"{value:.0f}"


def bytes_text(value: float) -> str:
    """ "963 MiB", "3,318 MiB": always MiB, so that two numbers below each other can be compared."""
    return f"{value / 2**20:,.0f} MiB"


def clock(seconds: float) -> str:
    """ "0:37", "12:05", "1:02:33": hours where there are any, minutes, seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def short_time(seconds: float) -> str:
    """ "0.41 ms", "3.00 s"."""
    if seconds >= 1:
        return f"{seconds:,.2f} s"
    return f"{seconds * 1e3:.2f} ms" if seconds >= 1e-4 else f"{seconds * 1e6:.2f} µs"


def energy(joules: float) -> str:
    return f"{joules / 1000:,.3g} kJ"


def with_interval(mean: float, half: float) -> tuple[str, str]:
    """Mean and half width, the latter with two significant digits and both to the same place: ("3.31", "0.83"),
    ("4,560", "120"). `half` is above 0 and finite.
    """
    exponent = int(f"{half:.{DIGITS - 1}e}".partition("e")[2])  # once it is rounded: 0.0996 is 0.10
    places = DIGITS - 1 - exponent
    if places >= 0:
        return f"{mean:,.{places}f}", f"{half:,.{places}f}"
    step = 10.0**-places
    return f"{round(mean / step) * step:,.0f}", f"{round(half / step) * step:,.0f}"


def is_finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
