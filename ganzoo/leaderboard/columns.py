"""The columns of a leaderboard: where a number is in a result, how it is shown, and how it is averaged over seeds."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ganzoo.leaderboard.significance import student_t_half_width


@dataclass(frozen=True, kw_only=True)
class Number:
    """A mean over seeds; `half` is half the width of its 95 % Student t interval, None where there is none."""

    mean: float
    half: float | None
    n: int


@dataclass(frozen=True, kw_only=True)
class Column:
    key: str
    title: str
    value: Callable[[dict[str, Any]], float | None]  # from a result
    show: Callable[[float], str]
    higher_is_better: bool
    group: str = "quality"  # "cost"; "speed": a cost that depends on the machine
    interval: bool = True  # False where an interval over seeds means nothing: shares of a few seeds, standard errors
    shown: bool = True  # False for what only JSON and CSV hold

    def values(self, results: Iterable[dict[str, Any]]) -> list[float]:
        """The numbers that are there, one for each result that has a finite one."""
        numbers = (self.value(result) for result in results)
        return [number for number in numbers if number is not None and math.isfinite(number)]


def summarize(values: Sequence[float], interval: bool = True) -> Number | None:
    """Mean of finite values, with its interval where there are two or more; None when there is none."""
    if not values:
        return None
    half = student_t_half_width(values) if interval and len(values) > 1 else None
    return Number(mean=statistics.fmean(values), half=half, n=len(values))


def _metric(key: str, snapshot: str = "last") -> Callable[[dict[str, Any]], float | None]:
    def value(result: dict[str, Any]) -> float | None:
        number = ((result.get(snapshot) or {}).get("values") or {}).get(key)
        return float(number) if number is not None else None

    return value


def _memory(key: str) -> Callable[[dict[str, Any]], float | None]:
    return lambda result: result.get(key) or None  # 0: not known


def _parameters(result: dict[str, Any]) -> float | None:
    counts = result.get("parameters")
    return sum(counts.values()) if counts else None


def _diverged(result: dict[str, Any]) -> float | None:
    """Percent, of one seed; None for what is no result of training."""
    return (100.0 if result["diverged"] else 0.0) if "diverged" in result else None


def _time_to(result: dict[str, Any]) -> float | None:
    """Seconds of training until the target was reached."""
    until = result.get("until") or {}
    return until.get("seconds") if until.get("reached") else None


def _wall_per_image(result: dict[str, Any]) -> float | None:
    """Seconds of the whole job, per real image shown in training."""
    wall, kimg = (result.get("seconds") or {}).get("wall"), result.get("kimg")
    return wall / (kimg * 1000) if wall is not None and kimg else None


def _short_time(seconds: float) -> str:
    if seconds >= 1:
        return f"{seconds:,.2f} s"
    return f"{seconds * 1e3:.2f} ms" if seconds >= 1e-4 else f"{seconds * 1e6:.2f} µs"


def _count(value: float) -> str:
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.2f}{unit}"
    return f"{value:.0f}"


def _digits(places: int) -> Callable[[float], str]:
    return lambda value: f"{value:,.{places}f}"


def _significant(places: int) -> Callable[[float], str]:
    return lambda value: f"{value:,.{places}g}"


def bytes_text(value: float) -> str:
    """ "963 MiB", "3.24 GiB"."""
    return f"{value / 2**30:.2f} GiB" if value >= 2**30 else f"{value / 2**20:.0f} MiB"


def _quality(
    key: str, title: str, show: Callable[[float], str], *, better: str, interval: bool = True, shown: bool = True
) -> Column:
    """A column of the last snapshot's values. `better`: "higher" or "lower"."""
    higher = better == "higher"
    return Column(
        key=key, title=title, value=_metric(key), show=show, higher_is_better=higher, interval=interval, shown=shown
    )


COLUMNS: tuple[Column, ...] = (
    _quality("fid", "FID", _digits(2), better="lower"),
    _quality("fid_inf", "FID∞", _digits(2), better="lower"),
    Column(key="best_fid", title="best FID", value=_metric("fid", "best"), show=_digits(2), higher_is_better=False),
    _quality("is", "IS", _digits(2), better="higher"),
    _quality("kid", "KID", _significant(3), better="lower"),
    _quality("kid_se", "KID s.e.", _significant(2), better="lower", interval=False),
    _quality("precision", "prec.", _digits(2), better="higher"),
    _quality("recall", "recall", _digits(2), better="higher"),
    _quality("density", "dens.", _digits(2), better="higher"),
    _quality("coverage", "cover.", _digits(2), better="higher"),
    _quality("class_fid", "class FID", _digits(2), better="lower"),
    _quality("class_recall", "class recall", _digits(2), better="higher"),
    _quality("cond_acc", "cond. acc. %", _digits(1), better="higher"),
    _quality("cas", "CAS %", _digits(1), better="higher"),
    _quality("modes", "modes", _digits(0), better="higher"),
    _quality("class_kl", "class KL", _significant(2), better="lower"),
    _quality("memorised", "memor. %", _digits(1), better="lower"),
    _quality("nn_closer", "nearer %", _digits(1), better="lower", shown=False),
    Column(
        key="diverged",
        title="diverged %",
        value=_diverged,
        show=_digits(0),
        higher_is_better=False,
        interval=False,
    ),
    Column(
        key="time_to",
        title="s to target",
        value=_time_to,
        show=_digits(1),
        higher_is_better=False,
        group="speed",
    ),
    Column(
        key="kimg",
        title="kimg",
        value=lambda result: result.get("kimg"),
        show=_significant(4),
        higher_is_better=False,
        group="cost",
    ),
    Column(
        key="train_img_per_s",
        title="train img/s",
        value=lambda result: result.get("train_img_per_s"),
        show=_digits(0),
        higher_is_better=True,
        group="speed",
    ),
    Column(
        key="wall_seconds_per_image",
        title="wall/img",
        value=_wall_per_image,
        show=_short_time,
        higher_is_better=False,
        group="speed",
    ),
    Column(
        key="sample_img_per_s",
        title="sample img/s",
        value=lambda result: result.get("sample_img_per_s"),
        show=_digits(0),
        higher_is_better=True,
        group="speed",
    ),
    Column(key="parameters", title="params", value=_parameters, show=_count, higher_is_better=False, group="cost"),
    Column(
        key="peak_memory",
        title="peak mem.",
        value=_memory("peak_memory"),
        show=bytes_text,
        higher_is_better=False,
        group="speed",
    ),
    Column(
        key="score_peak_memory",
        title="score mem.",
        value=_memory("score_peak_memory"),
        show=bytes_text,
        higher_is_better=False,
        group="speed",
        shown=False,
    ),
    Column(
        key="joules",
        title="energy",
        value=lambda result: result.get("joules"),
        show=lambda value: f"{value / 1000:,.3g} kJ",
        higher_is_better=False,
        group="speed",
    ),
    Column(
        key="seconds",
        title="seconds",
        value=lambda result: (result.get("seconds") or {}).get("wall"),
        show=_digits(0),
        higher_is_better=False,
        group="speed",
    ),
)


MOST_EXTRA = 100
"""Columns of plugins' metrics; of more, those that most results have."""


def extra_columns(results: Iterable[dict[str, Any]]) -> list[Column]:
    """Columns for what plugins' metrics computed, by name. A number of which nobody said what is better has none."""
    known = {column.key for column in COLUMNS}
    better: dict[str, bool] = {}
    found: Counter[str] = Counter()
    for result in results:
        extra = {key: value for key, value in (result.get("higher_is_better") or {}).items() if key not in known}
        better |= extra
        found.update(extra.keys())
    chosen = sorted(better, key=lambda key: (-found[key], key))[:MOST_EXTRA]
    return [
        Column(key=key, title=key, value=_metric(key), show=_significant(3), higher_is_better=better[key])
        for key in sorted(chosen)
    ]
