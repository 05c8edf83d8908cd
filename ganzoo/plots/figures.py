"""The charts of a leaderboard as figures: see `ganzoo.leaderboard.charts` for what they show."""

from __future__ import annotations

import io
import itertools
import re
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ganzoo.errors import SettingError
from ganzoo.files.text import clean
from ganzoo.files.writing import write_bytes
from ganzoo.leaderboard.charts import Axis, Curve, Curves, Pareto, curves, pareto, training, training_keys
from ganzoo.leaderboard.columns import Number
from ganzoo.leaderboard.histories import histories
from ganzoo.leaderboard.rows import RANKED_SEEDS, Table
from ganzoo.plots.style import COLUMN_WIDTH, RC, look, matplotlib_here

FORMATS = ("pdf", "png", "svg")

LOG_RATIO = 20.0
"""Numbers that reach over more than this ratio are drawn on a logarithmic axis."""

CROWD = 12
"""Rows of which bands can be told apart, and names written large."""

FEW_SIZE, CROWD_SIZE = 6.5, 5.0
"""Points of the letters of a legend."""

LEGEND_MARK, LEGEND_GAP, LEGEND_LETTER, LEGEND_LINE = 0.2, 0.02, 0.0084, 0.021
"""Inches of a legend: what stands before a name; and, times the points of its letters, what is between columns, one
letter, the height of a line.
"""

NARROWEST = 16
"""Letters of a name in a line of that legend, at least."""

LONGEST = 120
"""Letters of a name: what tells points of a grid apart stands at its end."""

LABEL = 32
"""Letters of a line of an axis's name."""

NAME_ROOM = 0.06
"""Of the height of the axes, that a name beside a line takes."""


def write_figures(
    table: Table,
    folder: Path,
    *,
    form: str = "pdf",
    cost: str = "seconds",
    quality: str = "fid",
    width: float = COLUMN_WIDTH,
) -> list[Path]:
    """Write the charts of a table: quality against cost, `quality` over kimg and over seconds, each loss over kimg.
    Those that would be empty are left out.

    Args:
        table: one protocol's.
        folder: made where it is not there.
        form: of FORMATS.
        cost: key of the column on the other axis.
        quality: key of a column.
        width: inches.

    Returns:
        The files, in order.

    Raises:
        SettingError: another form.
        UnknownName: there is no such column.
        UserError: matplotlib is not installed, or the folder cannot be written.
    """
    if form not in FORMATS:
        raise SettingError(f"figures cannot be written as {form}", f"say one of {', '.join(FORMATS)}")
    matplotlib = matplotlib_here()
    found = histories(table)
    over = curves(table, quality, found)
    wanted: list[tuple[str, Any]] = []
    against = pareto(table, cost, quality)
    if against.points:
        wanted.append((f"{quality}-by-{cost}", lambda axes: draw_pareto(axes, against)))
    if over.curves:
        wanted.append((f"{quality}-over-kimg", lambda axes: draw_curves(axes, over, "kimg")))
    if any(moment.seconds is not None for curve in over.curves for moment in curve.moments):
        wanted.append((f"{quality}-over-seconds", lambda axes: draw_curves(axes, over, "seconds")))
    for key in training_keys(found):
        if key.endswith("loss") or key in ("d_accuracy", "diversity"):
            chart = training(table, key, found)
            if chart.curves:
                wanted.append((f"{key}-over-kimg", lambda axes, chart=chart: draw_curves(axes, chart, "kimg")))
    files = []
    for name, draw in wanted:
        file = folder / f"{re.sub(r'[^A-Za-z0-9_.-]', '-', name)}.{form}"
        with matplotlib.rc_context(RC):
            write_bytes(file, _rendered(draw, width, form))
        files.append(file)
    return files


def _rendered(draw: Any, width: float, form: str) -> bytes:
    """A figure of its own, without pyplot: no window, no global list of figures, no display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, width * 0.72))
    FigureCanvasAgg(figure)
    draw(figure.add_subplot())
    buffer = io.BytesIO()
    dates = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": None}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # of a name: boxes are seen in the figure
        figure.savefig(buffer, format=form, metadata=dates[form])
    return buffer.getvalue()


def draw_pareto(axes: Any, chart: Pareto) -> None:
    """Points with their intervals as bars, and the front as a staircase; what is not on it is hollow."""
    for point in chart.points:
        colour, marker, _ = look(point.place)
        axes.errorbar(
            point.cost.mean,
            point.quality.mean,
            xerr=_error(chart.cost, point.cost),
            yerr=_error(chart.quality, point.quality),
            color=colour,
            marker=marker,
            markerfacecolor=colour if point.on_front or chart.no_front else "white",
            linestyle="none",
            elinewidth=0.7,
            capsize=1.5,
            label=_text(point.name),
        )
    front = chart.front
    if len(front) > 1:
        axes.plot(
            [point.cost.mean for point in front],
            [point.quality.mean for point in front],
            drawstyle="steps-post",
            color="#888888",
            linewidth=0.8,
            zorder=1,
        )
    x, y = [point.cost.mean for point in chart.points], [point.quality.mean for point in chart.points]
    _scale(axes, "x", x)
    _scale(axes, "y", y)
    axes.set_xlabel(_label(chart.cost.title, chart.cost.higher_is_better))
    axes.set_ylabel(_label(chart.quality.title, chart.quality.higher_is_better))
    _floors(axes, chart.floors, y)
    _legend(axes, [point.name for point in chart.points])


def draw_curves(axes: Any, chart: Curves, over: str) -> None:
    """A line for each row, and around it the interval over its seeds. `over`: "kimg" or "seconds"."""
    values: list[float] = []
    drawn: list[str] = []
    for curve in chart.curves:
        colour, marker, dash = look(curve.place)
        xs, moments = _along(curve, over)
        if not xs:
            continue
        means = [moment.number.mean for moment in moments]
        values += means
        few, crowd = len(xs) <= 12, len(chart.curves) > CROWD
        drawn.append(curve.name + (f" ({curve.seeds} seeds)" if curve.seeds > 1 else ""))
        axes.plot(  # colours and dashes alone do not tell a crowd apart
            xs, means, color=colour, linestyle=dash, marker=marker if few or crowd else None, label=_text(drawn[-1]),
            markevery=None if few else max(1, len(xs) // 6),
        )  # fmt: skip
        band = [(x, m.number) for x, m in zip(xs, moments, strict=True) if _shows(m.number)]
        if band and not crowd:  # whose bands would be one grey cloud
            ends = [chart.axis.band(number) for _, number in band]
            low, high = [low for low, _ in ends], [high for _, high in ends]
            axes.fill_between([x for x, _ in band], low, high, color=colour, alpha=0.18, linewidth=0)
    _scale(axes, "y", values)
    axes.set_xlabel("real images shown to D (kimg)" if over == "kimg" else "seconds of training")
    axes.set_ylabel(_label(chart.axis.title, chart.axis.higher_is_better))
    _floors(axes, chart.floors, values)
    _legend(axes, drawn)


def _shows(number: Number) -> bool:
    """Whether an interval is drawn: one of two seeds hides all else, and says nothing."""
    return number.half is not None and number.n >= RANKED_SEEDS


def _error(axis: Axis, number: Number) -> list[list[float]] | None:
    """Below and above the mean, as matplotlib takes it."""
    if not _shows(number):
        return None
    low, high = axis.band(number)
    return [[max(0.0, number.mean - low)], [max(0.0, high - number.mean)]]


def _along(curve: Curve, over: str) -> tuple[list[float], list[Any]]:
    if over == "kimg":
        return [moment.kimg for moment in curve.moments], list(curve.moments)
    timed = sorted(
        ((moment.seconds, moment) for moment in curve.moments if moment.seconds is not None), key=lambda pair: pair[0]
    )
    return [seconds for seconds, _ in timed], [moment for _, moment in timed]


def _scale(axes: Any, axis: str, values: Sequence[float]) -> None:
    """Logarithmic where the numbers reach far; limits by the numbers, not by bars that may reach below 0."""
    if not values:
        return
    low, high = min(values), max(values)
    if low > 0 and high > LOG_RATIO * low:
        getattr(axes, f"set_{axis}scale")("log")
        getattr(axes, f"set_{axis}lim")(low / 1.6, high * 1.6)
    elif low >= 0 and getattr(axes, f"get_{axis}lim")()[0] < 0:
        getattr(axes, f"set_{axis}lim")(0, None)


def _floors(axes: Any, floors: Sequence[tuple[str, float]], values: Sequence[float]) -> None:
    """What real images score, where it is near enough to what is drawn to be seen beside it. Lines that lie so near
    each other that their names would cover one another have one name.
    """
    if not values:
        return
    log = axes.get_yscale() == "log"
    lowest = min(values) / 10 if log else min(0.0, min(values))
    seen = sorted(((value, name) for name, value in floors if lowest <= value <= max(values) * 1.5))
    if seen and log:
        axes.set_ylim(bottom=min(seen[0][0] / 1.3, axes.get_ylim()[0]))
    for value, _ in seen:
        axes.axhline(value, color="#888888", linewidth=0.6, linestyle=(0, (1, 2)), zorder=0)
    at = {value: axes.transAxes.inverted().transform(axes.transData.transform((0, value)))[1] for value, _ in seen}
    groups: list[list[tuple[float, str]]] = []  # each of names that are written as one
    for value, name in seen:
        if groups and at[value] - at[groups[-1][-1][0]] < NAME_ROOM:
            groups[-1].append((value, name))
        else:
            groups.append([(value, name)])
    for group in groups:
        first, *others = [name for _, name in group]
        shared = "real: " if all(name.startswith("real: ") for name in (first, *others)) else ""
        axes.annotate(
            _text(", ".join([first, *(name.removeprefix(shared) for name in others)])),
            (1, group[-1][0]), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=5.5,
            color="#666666",
        )  # fmt: skip


def _legend(axes: Any, names: Sequence[str]) -> None:
    """Below the axes, where it hides nothing, in columns, and the figure as much higher as they are. `names`: of what
    has been drawn, in order.
    """
    if not names:
        return
    handles, _ = axes.get_legend_handles_labels()
    figure, size = axes.figure, FEW_SIZE if len(names) <= CROWD else CROWD_SIZE
    lines, columns, folded = min(_folded(names, figure.get_figwidth(), size), key=lambda found: found[0])
    figure.set_figheight(figure.get_figheight() + LEGEND_LINE * size * lines)
    labels = ["\n".join(map(_text, label)) for label in folded]
    figure.legend(
        handles, labels, loc="outside lower left", ncols=columns, fontsize=size, handlelength=2.2, columnspacing=1.0
    )


def _folded(names: Sequence[str], width: float, size: float) -> Iterator[tuple[int, int, list[list[str]]]]:
    """Legends that fit into `width` inches: (lines that the highest column takes, columns, lines of each name)."""
    for columns in range(1, len(names) + 1):
        letters = int((width / columns - LEGEND_MARK - LEGEND_GAP * size) / (LEGEND_LETTER * size))
        if columns > 1 and letters < NARROWEST:
            return
        folded = [textwrap.wrap(clean(name, LONGEST), max(1, letters)) for name in names]
        most, left = divmod(len(names), columns)  # as matplotlib fills them
        starts = [column * most + min(column, left) for column in range(columns + 1)]
        heights = [sum(map(len, folded[at:end])) for at, end in itertools.pairwise(starts)]
        yield max(heights), columns, folded


def _label(title: str, higher_is_better: bool | None) -> str:
    better = {True: ", higher is better", False: ", lower is better", None: ""}[higher_is_better]
    return "\n".join(textwrap.wrap(f"{_text(title)}{better}", LABEL))


def _text(text: str) -> str:
    """As it is: a dollar would begin a formula, which a name from elsewhere may hold."""
    return clean(text, LONGEST).replace("$", r"\$")
