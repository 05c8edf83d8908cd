"""The columns of a leaderboard: where a number is in a result, how it is shown, and how it is averaged over seeds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

# Two-sided 95 % quantile of Student's t, by degrees of freedom.
# fmt: off
_T95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
        2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042)
# fmt: on


@dataclass(frozen=True, kw_only=True)
class Number:
    """A mean over seeds; `half` is half the width of its 95 % Student t interval, None for a single seed."""

    mean: float
    half: float | None
    n: int


def summarize(values: Iterable[float | None]) -> Number | None:
    """Mean and interval of the values that are there; None when there is none."""
    present = [value for value in values if value is not None and math.isfinite(value)]
    if not present:
        return None
    n = len(present)
    if n == 1:
        return Number(mean=present[0], half=None, n=1)
    # Beyond the table: z + (z^3 + z) / (4 df), z = 1.960 (Abramowitz and Stegun 26.7.5), right to 0.2 %.
    t = _T95[n - 2] if n - 2 < len(_T95) else 1.960 + 2.372 / (n - 1)
    return Number(mean=statistics.fmean(present), half=t * statistics.stdev(present) / math.sqrt(n), n=n)


@dataclass(frozen=True, kw_only=True)
class Column:
    key: str
    title: str
    value: Callable[[dict[str, Any]], float | None]  # from a result
    show: Callable[[float], str]
    higher_is_better: bool
    group: str = "quality"  # or "cost"


def _metric(key: str, snapshot: str = "last") -> Callable[[dict[str, Any]], float | None]:
    def value(result: dict[str, Any]) -> float | None:
        number = ((result.get(snapshot) or {}).get("values") or {}).get(key)
        return float(number) if number is not None else None

    return value


def _memory(result: dict[str, Any]) -> float | None:
    return result.get("peak_memory") or None


def _parameters(result: dict[str, Any]) -> float | None:
    counts = result.get("parameters")
    return sum(counts.values()) if counts else None


def _count(value: float) -> str:
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.2f}{unit}"
    return f"{value:.0f}"


def _digits(places: int) -> Callable[[float], str]:
    return lambda value: f"{value:,.{places}f}"


def _bytes(value: float) -> str:
    return f"{value / 2**30:.2f} GiB" if value >= 2**30 else f"{value / 2**20:.0f} MiB"


COLUMNS: tuple[Column, ...] = (
    Column(key="fid", title="FID", value=_metric("fid"), show=_digits(2), higher_is_better=False),
    Column(key="best_fid", title="best FID", value=_metric("fid", "best"), show=_digits(2), higher_is_better=False),
    Column(key="is", title="IS", value=_metric("is"), show=_digits(2), higher_is_better=True),
    Column(key="kid", title="KID", value=_metric("kid"), show=lambda value: f"{value:.3g}", higher_is_better=False),
    Column(key="precision", title="prec.", value=_metric("precision"), show=_digits(2), higher_is_better=True),
    Column(key="recall", title="recall", value=_metric("recall"), show=_digits(2), higher_is_better=True),
    Column(key="density", title="dens.", value=_metric("density"), show=_digits(2), higher_is_better=True),
    Column(key="coverage", title="cover.", value=_metric("coverage"), show=_digits(2), higher_is_better=True),
    Column(key="cond_acc", title="cond. acc. %", value=_metric("cond_acc"), show=_digits(1), higher_is_better=True),
    Column(key="modes", title="modes", value=_metric("modes"), show=_digits(0), higher_is_better=True),
    Column(
        key="class_kl",
        title="class KL",
        value=_metric("class_kl"),
        show=lambda value: f"{value:.2g}",
        higher_is_better=False,
    ),
    Column(
        key="kimg",
        title="kimg",
        value=lambda result: result.get("kimg"),
        show=lambda value: f"{value:,.4g}",
        higher_is_better=False,
        group="cost",
    ),
    Column(
        key="train_img_per_s",
        title="train img/s",
        value=lambda result: result.get("train_img_per_s"),
        show=_digits(0),
        higher_is_better=True,
        group="cost",
    ),
    Column(
        key="sample_img_per_s",
        title="sample img/s",
        value=lambda result: result.get("sample_img_per_s"),
        show=_digits(0),
        higher_is_better=True,
        group="cost",
    ),
    Column(key="parameters", title="params", value=_parameters, show=_count, higher_is_better=False, group="cost"),
    Column(key="peak_memory", title="peak mem.", value=_memory, show=_bytes, higher_is_better=False, group="cost"),
    Column(
        key="seconds",
        title="seconds",
        value=lambda result: (result.get("seconds") or {}).get("wall"),
        show=_digits(0),
        higher_is_better=False,
        group="cost",
    ),
)


def extra_columns(results: Iterable[dict[str, Any]]) -> list[Column]:
    """Columns for what plugins' metrics computed, by name. A number of which nobody said what is better has none."""
    known = {column.key for column in COLUMNS}
    better: dict[str, bool] = {}
    for result in results:
        better |= {key: value for key, value in (result.get("higher_is_better") or {}).items() if key not in known}
    return [
        Column(key=key, title=key, value=_metric(key), show=lambda value: f"{value:.3g}", higher_is_better=better[key])
        for key in sorted(better)
    ]
