"""Figures: files that a paper takes, with what the charts hold."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zlib
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from ganzoo.cli.main import cli
from ganzoo.errors import SettingError, UnknownName, UserError
from ganzoo.leaderboard.axes import in_words, limits
from ganzoo.leaderboard.charts import curves, pareto, training
from ganzoo.leaderboard.columns import COLUMNS, Number
from ganzoo.leaderboard.table import read_tables
from ganzoo.plots.figures import draw_curves, draw_pareto, write_figures
from ganzoo.plots.style import RC, look

Write = Callable[..., dict[str, Any]]
needs_matplotlib = pytest.mark.skipif(find_spec("matplotlib") is None, reason="needs the extra `plots`")


@pytest.fixture
def runs(tmp_path: Path, write_run: Write) -> Path:
    """Two variants of two seeds, with scores at 1 and 2 kimg."""
    folder = tmp_path / "runs"
    for variant, fids in (("gan", (30.0, 20.0)), ("dc$gan", (9.0, 4.0))):
        for seed in range(2):
            run = folder / f"{variant}-{seed}"
            write_run(run, variant.replace("$", ""), seed=seed, fid=fids[1] + seed)
            scores = [
                {"images": 1000 * k, "kimg": k, "values": {"fid": fid + seed}, "seconds": 1.0, "sample_img_per_s": 1.0,
                 "left_out": {}, "protocol": "digits-a"}
                for k, fid in enumerate((300.0, *fids))
            ]  # fmt: skip
            ticks = [
                {"images": 100 * k, "kimg": k / 10, "seconds": float(k), "d_loss": 1.0 + seed, "d_accuracy": 0.5}
                for k in range(1, 21)
            ]
            for name, lines in (("metrics", scores), ("stats", ticks)):
                (run / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


@needs_matplotlib
@pytest.mark.parametrize("form", ["pdf", "png", "svg"])
def test_every_chart_is_a_file(form: str, runs: Path, tmp_path: Path) -> None:
    (table,) = read_tables([runs])
    files = write_figures(table, tmp_path / "out", form=form)
    assert [file.name for file in files] == [
        f"{name}.{form}"
        for name in ("fid-by-seconds", "fid-over-kimg", "fid-over-seconds", "d_loss-over-kimg", "d_accuracy-over-kimg")
    ]
    begins = {"pdf": b"%PDF", "png": b"\x89PNG", "svg": b"<?xml"}[form]
    before = [file.read_bytes() for file in files]
    assert all(data.startswith(begins) for data in before)
    assert [file.read_bytes() for file in write_figures(table, tmp_path / "out", form=form)] == before


@needs_matplotlib
def test_a_pdf_is_a_column_wide_with_its_fonts_in_it(runs: Path, tmp_path: Path) -> None:
    (table,) = read_tables([runs])
    data = write_figures(table, tmp_path, width=3.25)[0].read_bytes()
    box = re.search(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", data)
    assert box is not None
    assert float(box[1]) == pytest.approx(3.25 * 72)
    unpacked = data
    for stream in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", data, re.DOTALL):
        try:
            unpacked += zlib.decompress(stream)
        except zlib.error:
            continue
    assert b"/FontFile2" in unpacked  # TrueType, embedded
    assert b"/Type3" not in unpacked


@needs_matplotlib
def test_what_is_drawn_is_what_the_charts_hold(runs: Path) -> None:
    from dataclasses import replace

    from matplotlib.figure import Figure

    (table,) = read_tables([runs])
    axes = Figure().add_subplot()
    chart = curves(table)
    enough = [
        replace(curve, moments=tuple(replace(moment, number=replace(moment.number, n=3)) for moment in curve.moments))
        for curve in chart.curves
    ]
    draw_curves(axes, replace(chart, curves=tuple(enough)), "kimg")
    lines = {line.get_label(): line.get_xydata().tolist() for line in axes.get_lines()}
    assert lines == {"gan (2 seeds)": [[1.0, 30.5], [2.0, 20.5]], "dcgan (2 seeds)": [[1.0, 9.5], [2.0, 4.5]]}
    assert len(axes.collections) == 2  # a band for each
    chart = pareto(table)
    more = [
        replace(point, cost=replace(point.cost, n=3), quality=replace(point.quality, n=3)) for point in chart.points
    ]
    for points, bars in ((chart.points, False), (tuple(more), True)):  # of two seeds: none
        axes = Figure().add_subplot()
        draw_pareto(axes, replace(chart, points=points))
        assert {bar.get_label() for bar in axes.containers} == {"gan", "dcgan"}
        assert all((bar.has_xerr, bar.has_yerr) == (bars, bars) for bar in axes.containers)


@needs_matplotlib
@pytest.mark.parametrize(
    ("words", "why"),
    [
        (
            ["--quality", "class_fid"],
            "no chart of class_fid against seconds: no run has class_fid; draw another: --quality fid",
        ),
        (["--cost", "joules"], "no chart of fid against joules: no run has joules\n"),
    ],
)
def test_why_there_is_no_chart(
    words: list[str], why: str, runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from ganzoo.cli.main import cli

    cli.main(["plot", str(runs), *words, "--out", str(tmp_path / "figures")], standalone_mode=False)
    assert why in capsys.readouterr().err


@needs_matplotlib
def test_a_name_is_no_formula(runs: Path, tmp_path: Path) -> None:
    from dataclasses import replace

    from matplotlib.figure import Figure

    (table,) = read_tables([runs])
    chart = curves(table)
    broken = replace(chart, curves=tuple(replace(curve, name=r"a$\frac{$b") for curve in chart.curves))
    figure = Figure()
    draw_curves(figure.add_subplot(), broken, "kimg")
    figure.savefig(tmp_path / "x.png")  # mathtext would raise


@needs_matplotlib
def test_a_crowd_is_told_apart_and_leaves_the_axes_their_room(runs: Path) -> None:
    from dataclasses import replace

    import matplotlib
    from matplotlib.figure import Figure

    (table,) = read_tables([runs])
    one = curves(table).curves[0]
    long = replace(one, moments=tuple(replace(one.moments[0], kimg=float(k)) for k in range(30)))
    many = tuple(replace(long, name=f"variant-{place}", place=place) for place in range(36))
    with matplotlib.rc_context(RC):
        figure = Figure(figsize=(3.25, 2.34))
        axes = figure.add_subplot()
        draw_curves(axes, replace(curves(table), curves=many), "kimg")
        figure.draw_without_rendering()  # a layout that does not fit warns, and warnings are errors
    box, (legend,) = axes.get_window_extent(), figure.legends
    assert box.height > 1.3 * figure.dpi
    assert box.width > 2.4 * figure.dpi
    names = legend.get_window_extent()
    assert names.y1 <= axes.xaxis.label.get_window_extent().y0
    assert figure.bbox.contains(names.x1 - 1, names.y0 + 1)
    looks = {(line.get_color(), line.get_linestyle(), line.get_marker()) for line in axes.get_lines()}
    assert len(looks) == 36
    assert not axes.collections  # bands


@needs_matplotlib
@pytest.mark.parametrize(
    ("floors", "names"),
    [
        ((("real: test split", 0.05), ("real: train resample", 0.04)), ["real: train resample, test split"]),
        ((("real: test split", 5.0), ("real: train resample", 0.04)), ["real: train resample", "real: test split"]),
        ((("real: test split", 5.0), ("real: far", 900.0)), ["real: test split"]),
    ],
)
def test_names_of_floors_do_not_cover_each_other(
    floors: tuple[tuple[str, float], ...], names: list[str], runs: Path
) -> None:
    from dataclasses import replace

    from matplotlib.figure import Figure

    (table,) = read_tables([runs])
    axes = Figure().add_subplot()
    draw_curves(axes, replace(curves(table), floors=floors), "kimg")
    assert [text.get_text() for text in axes.texts] == names


@needs_matplotlib
def test_a_floor_that_is_named_is_on_a_logarithmic_picture(runs: Path) -> None:
    from dataclasses import replace

    from matplotlib.figure import Figure

    (table,) = read_tables([runs])
    chart = curves(table)
    wide = replace(chart.curves[0], moments=tuple(
        replace(moment, number=replace(moment.number, mean=mean))
        for moment, mean in zip(chart.curves[0].moments, (40.0, 0.4), strict=True)
    ))  # fmt: skip
    axes = Figure().add_subplot()
    draw_curves(axes, replace(chart, curves=(wide,), floors=(("real: test split", 0.05),)), "kimg")
    assert axes.get_yscale() == "log"
    assert axes.get_ylim()[0] < 0.05


def test_no_two_rows_look_alike() -> None:
    assert len({look(place) for place in range(70)}) == 70


@needs_matplotlib
def test_wrong_words_are_the_users(runs: Path, tmp_path: Path) -> None:
    (table,) = read_tables([runs])
    with pytest.raises(SettingError, match="written as jpg"):
        write_figures(table, tmp_path, form="jpg")
    with pytest.raises(UnknownName, match="did you mean seconds"):
        write_figures(table, tmp_path, cost="second")


def test_without_matplotlib_a_line_says_what_to_install(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UserError, match="matplotlib, which is not installed") as caught:
        cli.main(["plot", str(runs)], standalone_mode=False)
    assert "uv pip install matplotlib" in caught.value.cure


@needs_matplotlib
def test_the_command_needs_no_torch(runs: Path, tmp_path: Path) -> None:
    code = "import sys; from ganzoo.cli.main import cli; cli.main(sys.argv[1:], standalone_mode=False); "
    code += "assert not {'torch', 'matplotlib.pyplot'} & set(sys.modules)"
    command = [sys.executable, "-c", code, "plot", str(runs), "--out", str(tmp_path / "out"), "--format", "svg"]
    done = subprocess.run(command, check=True, timeout=60, capture_output=True, text=True)
    assert len(done.stdout.splitlines()) == 5


@needs_matplotlib
def test_no_protocol_leads_out_of_the_folder(tmp_path: Path, write_run: Write) -> None:
    """Its id is what a result says that it is, and results come from others."""
    ids = ["digits-a", "../../up", str(tmp_path / "elsewhere"), "a/b", "a-b", "..", "L" * 400, "\u00e4"]
    for number, protocol in enumerate(ids):
        write_run(tmp_path / "runs" / str(number), protocol=protocol)
    out = tmp_path / "at" / "a" / "depth" / "out"
    cli.main(["plot", str(tmp_path / "runs"), "--out", str(out), "--format", "svg"], standalone_mode=False)
    folders = [path for path in out.iterdir() if path.is_dir()]
    assert len(folders) == len(ids)
    assert {"digits-a", "a-b"} <= {folder.name for folder in folders}
    assert sorted(tmp_path.rglob("*.svg")) == sorted(file for folder in folders for file in folder.glob("*.svg"))


@needs_matplotlib
@pytest.mark.parametrize("rows", [4, 16, 37])
def test_names_of_a_grid_are_in_the_figure_to_their_ends(rows: int, runs: Path) -> None:
    """What tells the points of a grid apart stands at the end of a long name."""
    from dataclasses import replace

    import matplotlib
    from matplotlib.figure import Figure

    (table,) = read_tables([runs])
    one = curves(table).curves[0]
    many = tuple(
        replace(one, name=f"gan [d_lr=0.0002 g_lr=0.0002 batch_size=32 channels={place}]", place=place, seeds=3)
        for place in range(rows)
    )
    with matplotlib.rc_context(RC):
        figure = Figure(figsize=(3.25, 2.34))
        axes = figure.add_subplot()
        draw_curves(axes, replace(curves(table), curves=many), "kimg")
        figure.draw_without_rendering()
    (legend,) = figure.legends
    names = [text.get_text().replace("\n", " ") for text in legend.get_texts()]
    assert [name.partition("channels=")[2] for name in names] == [f"{place}] (3 seeds)" for place in range(rows)]
    for text in legend.get_texts():
        box = text.get_window_extent()
        assert figure.bbox.contains(box.x1, box.y0), text
    assert axes.get_window_extent().height > 1.3 * figure.dpi


@needs_matplotlib
def test_a_name_without_letters_in_the_font_is_no_warning(tmp_path: Path, write_run: Write) -> None:
    for seed in range(2):
        write_run(tmp_path / str(seed), sets=("name=\U0001f984",), seed=seed)
    (table,) = read_tables([tmp_path])
    assert table.rows[0].name == "\U0001f984"  # warnings are errors
    assert write_figures(table, tmp_path / "out", form="png")


@needs_matplotlib
def test_bands_and_bars_end_where_there_are_no_more_values(runs: Path) -> None:
    from dataclasses import replace

    from matplotlib.figure import Figure

    (table,) = read_tables([runs])
    chart = replace(training(table, "d_accuracy"), floors=())
    axis = chart.axis
    assert (axis.low, axis.high, axis.title) == (0.0, 1.0, "accuracy of D")
    wide = Number(mean=0.9, half=0.3, n=3)
    curve = replace(chart.curves[0], seeds=3, moments=tuple(replace(m, number=wide) for m in chart.curves[0].moments))
    axes = Figure().add_subplot()
    draw_curves(axes, replace(chart, curves=(curve,)), "kimg")
    (band,) = axes.collections
    ends = [float(y) for path in band.get_paths() for y in path.vertices[:, 1]]
    assert (min(ends), max(ends)) == (pytest.approx(0.6), 1.0)
    few = replace(curve, moments=tuple(replace(m, number=replace(wide, n=2)) for m in curve.moments))
    axes = Figure().add_subplot()
    draw_curves(axes, replace(chart, curves=(few,)), "kimg")
    assert not axes.collections  # of two seeds, whose interval hides all else

    points = replace(pareto(table, "parameters", "fid"), quality=replace(axis, key="recall"))
    point = replace(points.points[0], quality=wide, cost=Number(mean=9.0, half=None, n=3))
    axes = Figure().add_subplot()
    draw_pareto(axes, replace(points, points=(point,), floors=()))
    (bars,) = axes.containers[0].lines[2]
    assert [float(y) for y in bars.get_segments()[0][:, 1]] == [pytest.approx(0.6), 1.0]


@needs_matplotlib
@pytest.mark.parametrize("rows", [1, 3, 12])
def test_no_legend_lies_over_lines(rows: int, runs: Path) -> None:
    from dataclasses import replace

    import matplotlib
    from matplotlib.figure import Figure

    (table,) = read_tables([runs])
    one = curves(table).curves[0]
    many = tuple(replace(one, name=f"variant-{place}", place=place) for place in range(rows))
    with matplotlib.rc_context(RC):
        figure = Figure(figsize=(3.25, 2.34))
        axes = figure.add_subplot()
        draw_curves(axes, replace(curves(table), axis=curves(table, "cond_acc").axis, curves=many), "kimg")
        figure.draw_without_rendering()
    (legend,) = figure.legends
    assert legend.get_window_extent().y1 <= axes.xaxis.label.get_window_extent().y0
    assert axes.get_legend() is None
    label = axes.yaxis.label
    assert label.get_text() == "images of the class asked for\n(%), higher is better"
    assert figure.bbox.y0 <= label.get_window_extent().y0 < label.get_window_extent().y1 <= figure.bbox.y1


def test_axes_say_in_words_what_they_are_of() -> None:
    for column in COLUMNS:
        words = in_words(column.key, column.title)
        assert "_" not in words
        assert words == column.title or len(words) > len(column.title)
        assert not words.endswith(".")
    assert in_words("theirs", "theirs") == "theirs"
    assert limits("cond_acc") == (0.0, 100.0)
    assert limits("kid") == limits("d_loss") == (None, None)
    assert limits("fid") == (0.0, None)
