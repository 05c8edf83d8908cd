"""Small line charts as inline SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

Point = tuple[float, float]

WIDTH, HEIGHT = 460, 260  # of the whole drawing, in SVG units; the page scales it
LEFT, RIGHT, TOP, BOTTOM = 62, 12, 26, 44  # margins around the plot
STYLES = (  # (colour, dash): told apart in grey print and by the colour blind, too (Okabe and Ito's palette)
    ("#0072b2", ""),
    ("#d55e00", "6 3"),
    ("#009e73", "2 3"),
    ("#cc79a7", "8 3 2 3"),
    ("#000000", "1 2"),
)
LOG_RATIO = 20.0
"""Positive values that reach over more than this ratio are drawn on a logarithmic axis."""


def line_chart(series: Mapping[str, Sequence[Point]], *, title: str, x_label: str, y_label: str) -> str:
    """An `<svg>` element, or "" when there is no finite point.

    Args:
        series: name -> (x, y) points in order; points that are not finite are left out.
        title: read out by screen readers.
        x_label: of the axis, with its unit.
        y_label: of the axis, with its unit; "(log)" is added where the axis is logarithmic.
    """
    lines = {
        name: [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)] for name, points in series.items()
    }
    lines = {name: points for name, points in lines.items() if points}
    if not lines:
        return ""
    xs = [x for points in lines.values() for x, _ in points]
    ys = [y for points in lines.values() for _, y in points]
    log = min(ys) > 0 and max(ys) > LOG_RATIO * min(ys)
    x_low, x_high = _range(min(*xs, 0.0), max(xs))
    if log:
        y_low, y_high = min(ys) / 1.1, max(ys) * 1.1
        y_marks = log_ticks(y_low, y_high)
    else:
        y_low, y_high = _range(min(ys), max(ys))
        y_marks = ticks(y_low, y_high)

    def across(x: float) -> float:
        return LEFT + (x - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT)

    def down(y: float) -> float:
        share = math.log(y / y_low) / math.log(y_high / y_low) if log else (y - y_low) / (y_high - y_low)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<svg class="chart" role="img" viewBox="0 0 {WIDTH} {HEIGHT}" xmlns="http://www.w3.org/2000/svg">',
        f"<title>{escape(title)}</title>",
    ]
    bottom = HEIGHT - BOTTOM
    for y in y_marks:
        at = down(y)
        parts.append(f'<path class="grid" d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{_number(y)}</text>')
    for x in ticks(x_low, x_high):
        at = across(x)
        parts.append(f'<path class="axis" d="M{at:.1f} {bottom}v4"/>')
        parts.append(f'<text x="{at:.1f}" y="{bottom + 17}" text-anchor="middle">{_number(x)}</text>')
    parts.append(f'<path class="axis" d="M{LEFT} {TOP}V{bottom}H{WIDTH - RIGHT}"/>')
    parts.append(f'<text x="{(LEFT + WIDTH) / 2}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x_label)}</text>')
    middle = (TOP + bottom) / 2
    y_label = f"{y_label} (log)" if log else y_label
    parts.append(
        f'<text x="13" y="{middle}" text-anchor="middle" transform="rotate(-90 13 {middle})">{escape(y_label)}</text>'
    )
    for index, (name, points) in enumerate(lines.items()):
        colour, dash = STYLES[index % len(STYLES)]
        look = f'stroke="{colour}" stroke-width="1.8" fill="none" stroke-dasharray="{dash or "none"}"'
        path = "L".join(f"{across(x):.1f} {down(y):.1f}" for x, y in points)
        parts.append(f'<path {look} d="M{path}"/>')
        if len(points) <= 20:  # few enough to be seen one by one
            parts += [f'<circle cx="{across(x):.1f}" cy="{down(y):.1f}" r="2.4" fill="{colour}"/>' for x, y in points]
        at = LEFT + 6 + index * (WIDTH - LEFT) / max(len(lines), 3)
        parts.append(f'<path {look} d="M{at:.1f} 13h18"/>')
        parts.append(f'<text x="{at + 23:.1f}" y="17">{escape(name)}</text>')
    return "".join([*parts, "</svg>"])


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers from `low` to `high`, at most `most`, at steps of 1, 2 or 5 times a power of ten."""
    step = 10.0 ** math.floor(math.log10((high - low) / most))
    step *= next((factor for factor in (1, 2, 5) if (high - low) / (step * factor) <= most - 1), 10)
    first = math.ceil(low / step - 1e-9)
    return [k * step for k in range(first, math.floor(high / step + 1e-9) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten from `low` to `high`; powers of ten alone where these would be many."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1, 2, 5) if len(powers) <= 4 else (1,)
    marks = [factor * 10.0**power for power in powers for factor in factors]
    return [mark for mark in marks if low <= mark <= high]


def _range(low: float, high: float) -> tuple[float, float]:
    """The same, or a range around a single value."""
    return (low, high) if high > low else (low - (abs(low) or 1.0) / 2, high + (abs(high) or 1.0) / 2)


def _number(value: float) -> str:
    return f"{0.0 if abs(value) < 1e-12 else value:.4g}"
