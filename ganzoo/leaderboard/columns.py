"""The columns of a leaderboard: where a number is in a result, how it is shown, and how it is averaged over seeds."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ganzoo.leaderboard.formats import Format, bytes_text, clock, count, digits, energy, short_time, significant
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
    show: Format
    higher_is_better: bool
    about: str = ""  # what it is, in a line
    unit: str = ""  # of the number in JSON and CSV; "": it has none, or the title says it
    group: str = "quality"  # "cost"; "speed": a cost that depends on the machine
    interval: bool = True  # False where an interval over seeds means nothing: shares of a few seeds, standard errors
    shown: bool = True  # False for what only JSON and CSV hold, unless it is asked for

    @property
    def better(self) -> str:
        """ "higher", "lower", or "" where neither is: of what a row is, rather than how good it is."""
        if self.group == "cost":
            return ""
        return "higher" if self.higher_is_better else "lower"

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


def _kimg(result: dict[str, Any]) -> float | None:
    """The budget where training came to its end: a step more than that is what whole batches give."""
    kimg: float | None = result.get("kimg")
    train = (result.get("config") or {}).get("train") or {}
    asked, batch = train.get("kimg"), train.get("batch_size")
    if kimg is None or not isinstance(asked, (int, float)) or not isinstance(batch, int) or result.get("diverged"):
        return kimg
    return asked if asked <= kimg < asked + batch / 1000 else kimg


def _quality(
    key: str,
    title: str,
    show: Format,
    better: str,
    about: str,
    *,
    unit: str = "",
    interval: bool = True,
    shown: bool = True,
) -> Column:
    """A column of the last snapshot's values. `better`: "higher" or "lower"."""
    return Column(
        key=key,
        title=title,
        about=about,
        unit=unit,
        value=_metric(key),
        show=show,
        higher_is_better=better == "higher",
        interval=interval,
        shown=shown,
    )


COLUMNS: tuple[Column, ...] = (
    _quality("fid", "FID", digits(2), "lower", "Frechet distance between the features of generated and real images"),
    _quality("fid_inf", "FID∞", digits(2), "lower", "FID extrapolated to infinitely many images; may be below 0"),
    Column(
        key="best_fid",
        title="best FID",
        about="of the best snapshot scored; FID is the last's. Best of several, so flattered by luck",
        value=_metric("fid", "best"),
        show=digits(2),
        higher_is_better=False,
    ),
    _quality("is", "IS", digits(2), "higher", "Inception score, by the feature network's own classes"),
    _quality("kid", "KID", significant(3), "lower", "kernel distance, unbiased, so it may be below 0 for real data"),
    _quality(
        "kid_se",
        "KID s.e.",
        significant(2),
        "lower",
        "standard error of the KID of one generator (mean over seeds)",
        interval=False,
    ),
    _quality("precision", "prec.", digits(2), "higher", "share of generated images near real ones"),
    _quality("recall", "recall", digits(2), "higher", "share of real images near generated ones"),
    _quality("density", "dens.", digits(2), "higher", "density: precision with less weight on outliers"),
    _quality("coverage", "cover.", digits(2), "higher", "coverage: recall with less weight on outliers"),
    _quality("class_fid", "class FID", digits(2), "lower", "mean over classes of the FID of the images of one class"),
    _quality("class_recall", "class recall", digits(2), "higher", "mean over classes of the recall of one class"),
    _quality(
        "cond_acc",
        "acc. %",
        digits(1),
        "higher",
        "share of images in which the frozen classifier finds the class that was asked for",
        unit="%",
    ),
    _quality(
        "cas",
        "CAS %",
        digits(1),
        "higher",
        "accuracy on real test images of a classifier trained on generated ones",
        unit="%",
    ),
    _quality("modes", "modes", digits(0), "higher", "classes that the classifier finds in the generated images"),
    _quality(
        "class_kl",
        "class KL",
        significant(2),
        "lower",
        "KL divergence of the histogram of classes found from the real one",
        unit="nats",
    ),
    _quality(
        "memorised",
        "memor. %",
        digits(1),
        "lower",
        "share of generated images as near to a training image as the nearest 1 % of real test images; about 1 where "
        "nothing is copied",
        unit="%",
    ),
    _quality(
        "nn_closer",
        "nearer %",
        digits(1),
        "lower",
        "pairs of a generated and a real test image in which the generated one is nearer to a training image",
        unit="%",
        shown=False,
    ),
    Column(
        key="diverged",
        title="diverged %",
        about="share of the seeds with a result that diverged",
        unit="%",
        value=_diverged,
        show=digits(0),
        higher_is_better=False,
        interval=False,
    ),
    Column(
        key="time_to",
        title="s to target",
        about="seconds of training until `--until` was reached",
        unit="s",
        value=_time_to,
        show=digits(1),
        higher_is_better=False,
        group="speed",
    ),
    Column(
        key="kimg",
        title="kimg",
        about="thousands of real images shown to D in training: the budget, or where training stopped before it",
        value=_kimg,
        show=significant(4),
        higher_is_better=False,
        group="cost",
    ),
    Column(
        key="train_img_per_s",
        title="train img/s",
        about="real images per second in steps; start, ticks (statistics, rows, observers, saving), snapshots and "
        "scoring are not counted",
        unit="images/s",
        value=lambda result: result.get("train_img_per_s"),
        show=digits(0),
        higher_is_better=True,
        group="speed",
    ),
    Column(
        key="wall_seconds_per_image",
        title="wall/img",
        about="time of the whole job, those included, per real image shown in training",
        unit="s",
        value=_wall_per_image,
        show=short_time,
        higher_is_better=False,
        group="speed",
    ),
    Column(
        key="sample_img_per_s",
        title="sample img/s",
        about="generated images per second, left on the device",
        unit="images/s",
        value=lambda result: result.get("sample_img_per_s"),
        show=digits(0),
        higher_is_better=True,
        group="speed",
    ),
    Column(
        key="parameters",
        title="params",
        about="parameters of G and D together",
        value=_parameters,
        show=count,
        higher_is_better=False,
        group="cost",
    ),
    Column(
        key="peak_memory",
        title="peak mem.",
        about="while training: of tensors on a CUDA device, else of the job's process, libraries included; what "
        "scoring takes, and leaves in memory for the next score, is not counted",
        unit="bytes",
        value=_memory("peak_memory"),
        show=bytes_text,
        higher_is_better=False,
        group="speed",
    ),
    Column(
        key="score_peak_memory",
        title="score mem.",
        about="the most memory while scoring, with everything that is there meanwhile, the networks that train too",
        unit="bytes",
        value=_memory("score_peak_memory"),
        show=bytes_text,
        higher_is_better=False,
        group="speed",
        shown=False,
    ),
    Column(
        key="joules",
        title="energy",
        about="of training, where the device counts it: the whole GPU board or processor package, so of runs alone",
        unit="J",
        value=lambda result: result.get("joules"),
        show=energy,
        higher_is_better=False,
        group="speed",
    ),
    Column(
        key="seconds",
        title="time",
        about="the whole job, from the start of its process: imports, loading, training, scoring",
        unit="s",
        value=lambda result: (result.get("seconds") or {}).get("wall"),
        show=clock,
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
        Column(
            key=key,
            title=key,
            value=_metric(key),
            show=significant(3),
            higher_is_better=better[key],
            about="of a plugin's metric",
        )
        for key in sorted(chosen)
    ]
