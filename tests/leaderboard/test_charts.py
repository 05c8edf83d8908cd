"""What the charts show: fronts of undominated rows, means and intervals over seeds, ticks weighed by their length."""

from __future__ import annotations

import dataclasses
import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ganzoo.errors import UnknownName
from ganzoo.leaderboard.charts import Curve, curves, pareto, training, training_keys
from ganzoo.leaderboard.columns import summarize
from ganzoo.leaderboard.histories import binned_means, histories, span_width, spans
from ganzoo.leaderboard.rows import Table
from ganzoo.leaderboard.table import read_tables

Write = Callable[..., dict[str, Any]]
PROTOCOL = "digits-8x8x1-train1437-gen500-abc"


def only_table(path: Path) -> Table:
    (table,) = read_tables([path])
    return table


def record(
    folder: Path, scores: list[tuple[int, float]], ticks: list[tuple[int, float, float]] = (), **line: Any
) -> None:
    """Write metrics.jsonl of (images, FID), and stats.jsonl of (images, seconds, d_loss)."""
    protocol = json.loads((folder / "result.json").read_text())["protocol"]["id"]
    about = {"seconds": 1.0, "sample_img_per_s": 100.0, "left_out": {}, "protocol": protocol, **line}
    with (folder / "metrics.jsonl").open("a") as file:
        for images, fid in scores:
            file.write(json.dumps({"images": images, "kimg": images / 1000, "values": {"fid": fid}, **about}) + "\n")
    with (folder / "stats.jsonl").open("a") as file:
        for images, seconds, loss in ticks:
            file.write(json.dumps({"images": images, "kimg": images / 1000, "seconds": seconds, "d_loss": loss}) + "\n")


def by_name(found: tuple[Curve, ...]) -> dict[str, Curve]:
    return {curve.name: curve for curve in found}


def test_settings_of_names_are_without_their_sections_where_that_says_as_much(tmp_path: Path, write_run: Write) -> None:
    """Charts have little room, and cut names off at the end, where points of a grid differ."""
    for rate in (0.1, 0.2):
        write_run(tmp_path / str(rate), sets=(f"train.g_lr={rate}",))
    assert {point.name for point in pareto(only_table(tmp_path)).points} == {"gan [g_lr=0.1]", "gan [g_lr=0.2]"}


def test_the_front_is_what_no_other_row_beats_in_both(tmp_path: Path, write_run: Write) -> None:
    for name, fid, speed in (("gan", 9.0, 400.0), ("dcgan", 5.0, 100.0), ("cgan", 6.0, 90.0), ("cdcgan", 4.0, 50.0)):
        write_run(tmp_path / name, name, fid=fid, changes={"train_img_per_s": speed})
    chart = pareto(only_table(tmp_path), cost="train_img_per_s")
    assert {point.name for point in chart.points} == {"gan", "dcgan", "cgan", "cdcgan"}
    assert [point.name for point in chart.front] == ["gan", "dcgan", "cdcgan"]  # from the fastest to the best
    assert not chart.no_front
    assert {point.name: point.place for point in chart.points} == {"cdcgan": 0, "dcgan": 1, "cgan": 2, "gan": 3}


def test_equal_rows_are_both_on_the_front(tmp_path: Path, write_run: Write) -> None:
    for name in ("gan", "dcgan"):
        write_run(tmp_path / name, name, fid=5.0, changes={"train_img_per_s": 10.0})
    assert len(pareto(only_table(tmp_path), "train_img_per_s").front) == 2


def test_a_point_has_the_intervals_of_the_table(tmp_path: Path, write_run: Write) -> None:
    for seed, fid in enumerate((4.0, 5.0, 6.0)):
        write_run(tmp_path / f"s{seed}", "gan", seed=seed, fid=fid, changes={"train_img_per_s": 10.0 + seed})
    table = only_table(tmp_path)
    (point,) = pareto(table, "train_img_per_s").points
    assert point.quality == summarize([4.0, 5.0, 6.0])
    assert point.quality.half == pytest.approx(4.303 / math.sqrt(3), abs=1e-3)  # t of 2 degrees of freedom, s = 1
    assert point.cost == summarize([10.0, 11.0, 12.0])


def test_rows_without_a_number_are_named_with_the_reason(tmp_path: Path, write_run: Write) -> None:
    write_run(tmp_path / "a", "gan", fid=5.0, changes={"joules": 8.0})
    write_run(tmp_path / "b", "dcgan", fid=4.0)
    chart = pareto(only_table(tmp_path), "joules")
    assert [point.name for point in chart.points] == ["gan"]
    assert chart.left_out == (("dcgan", "no energy"),)


def test_speeds_of_different_machines_have_no_front(tmp_path: Path, write_run: Write) -> None:
    for name, device in (("gan", "one"), ("dcgan", "another")):
        result = write_run(tmp_path / name, name, fid=5.0, changes={"train_img_per_s": 10.0})
        result["environment"]["device"] = device
        (tmp_path / name / "result.json").write_text(json.dumps(result))
    table = only_table(tmp_path)
    assert pareto(table, "train_img_per_s").front == ()
    assert "other machines" in pareto(table, "train_img_per_s").no_front
    for name in ("gan", "dcgan"):  # what does not go by the machine is compared
        result = json.loads((tmp_path / name / "result.json").read_text())
        result["parameters"] = {"generator": 5 if name == "gan" else 7}
        (tmp_path / name / "result.json").write_text(json.dumps(result))
    assert [point.name for point in pareto(only_table(tmp_path), "parameters").front] == ["gan"]


def test_an_unknown_column_lists_the_known_ones(tmp_path: Path, write_run: Write) -> None:
    write_run(tmp_path / "a")
    with pytest.raises(UnknownName, match="did you mean seconds"):
        pareto(only_table(tmp_path), "second")


def test_a_curve_is_the_mean_over_seeds_with_its_interval(tmp_path: Path, write_run: Write) -> None:
    for seed, fids in enumerate(((300.0, 9.0, 6.0), (310.0, 11.0, 4.0))):
        write_run(tmp_path / f"s{seed}", "gan", seed=seed, fid=fids[-1])
        scores = list(zip((0, 1000, 2000), fids, strict=True))
        record(tmp_path / f"s{seed}", scores, [(1000, 10.0 + seed, 1.0), (2000, 20.0 + seed, 1.0)])
    (curve,) = curves(only_table(tmp_path)).curves
    assert [(moment.kimg, moment.seconds) for moment in curve.moments] == [(1.0, 10.5), (2.0, 20.5)]
    assert [moment.number for moment in curve.moments] == [summarize([9.0, 11.0]), summarize([6.0, 4.0])]
    assert curve.untrained == summarize([300.0, 310.0])  # of no use on the axis of the trained ones


def test_a_seed_that_ended_early_is_not_made_longer(tmp_path: Path, write_run: Write) -> None:
    for seed, scores in enumerate(([(1000, 9.0), (3000, 5.0)], [(2000, 8.0)])):
        write_run(tmp_path / f"s{seed}", "gan", seed=seed, fid=5.0)
        record(tmp_path / f"s{seed}", scores)
    (curve,) = curves(only_table(tmp_path)).curves
    assert [(moment.kimg, moment.number.mean, moment.number.n) for moment in curve.moments] == [
        (1.0, 9.0, 1),
        (2.0, 7.5, 2),  # 7 between the first's neighbours, and 8
        (3.0, 5.0, 1),
    ]
    assert all(moment.seconds is None for moment in curve.moments)  # no tick says when that was


def test_scores_of_another_protocol_and_copies_of_a_seed_do_not_count(tmp_path: Path, write_run: Write) -> None:
    for name in ("a", "copy"):
        write_run(tmp_path / name, "gan", fid=5.0)
        record(tmp_path / name, [(1000, 5.0)])
        record(tmp_path / name, [(2000, 999.0)], protocol="other")
    (history,) = histories(only_table(tmp_path))
    assert len(history.seeds) == 1
    (curve,) = curves(only_table(tmp_path)).curves
    assert [moment.number for moment in curve.moments] == [summarize([5.0])]


def test_times_of_a_shared_device_are_no_times(tmp_path: Path, write_run: Write) -> None:
    result = write_run(tmp_path / "a", "gan", fid=5.0)
    result["environment"]["concurrent"] = 2
    (tmp_path / "a" / "result.json").write_text(json.dumps(result))
    record(tmp_path / "a", [(1000, 5.0)], [(1000, 10.0, 1.0)])
    (curve,) = curves(only_table(tmp_path)).curves
    assert [moment.seconds for moment in curve.moments] == [None]


def test_rows_are_told_apart_by_their_objective(tmp_path: Path, write_run: Write) -> None:
    for name, objective in (("a", "hinge"), ("b", "non-saturating")):
        result = write_run(tmp_path / name, "gan", fid=5.0)
        result["config"]["objective"] = {"name": objective}
        (tmp_path / name / "result.json").write_text(json.dumps(result))
        (tmp_path / name / "config.json").write_text(json.dumps(result["config"]))
        record(tmp_path / name, [(1000, 5.0)])
    write_run(tmp_path / "c", "dcgan", fid=6.0)
    record(tmp_path / "c", [(1000, 5.0)])
    found = by_name(curves(only_table(tmp_path)).curves)
    assert sorted(found) == ["dcgan", "gan + hinge", "gan + non-saturating"]


def test_a_tick_that_was_cut_short_counts_by_its_length() -> None:
    """Nine whole ticks of loss 1, a snapshot that cuts the tenth after 50 images with a loss of 21, and its rest."""
    ticks = [{"images": 1000 * (index + 1), "d_loss": 1.0} for index in range(9)]
    ticks += [{"images": 9050, "d_loss": 21.0}, {"images": 10_000, "d_loss": 1.0}]
    found = spans(ticks, "d_loss")
    assert found[-2:] == [(9000.0, 9050.0, 21.0), (9050.0, 10_000.0, 1.0)]
    means = binned_means(found, span_width(found))
    assert [middle for middle, _ in means] == [500.0 + 1000 * index for index in range(10)]
    assert [mean for _, mean in means] == pytest.approx([1.0] * 9 + [2.0])


def test_a_curve_of_many_ticks_is_a_mean_of_them() -> None:
    ticks = [{"images": 10 * (index + 1), "d_loss": float(index % 2)} for index in range(10_000)]
    means = binned_means(spans(ticks, "d_loss"), span_width(spans(ticks, "d_loss")))
    assert len(means) == 200
    assert {mean for _, mean in means} == {0.5}


def test_ticks_without_the_number_are_no_part_of_it() -> None:
    """G is not trained in every tick."""
    ticks: list[dict[str, Any]] = [{"images": 10, "g_loss": 4.0}, {"images": 20}, {"images": 30, "g_loss": None}]
    ticks.append({"images": 40, "g_loss": 8.0})
    assert spans(ticks, "g_loss") == [(0.0, 10.0, 4.0), (30.0, 40.0, 8.0)]
    assert spans(ticks, "none") == []
    assert span_width([]) == 0.0


def test_training_is_averaged_over_seeds_in_the_same_spans(tmp_path: Path, write_run: Write) -> None:
    for seed, loss in enumerate((1.0, 3.0)):
        write_run(tmp_path / f"s{seed}", "gan", seed=seed, fid=5.0)
        cuts = (1000, 2000, 3000, 4000) if seed else (1000, 1500, 2000, 3000, 4000)
        record(tmp_path / f"s{seed}", [], [(images, images / 100, loss) for images in cuts])
    table = only_table(tmp_path)
    (curve,) = training(table, "d_loss").curves
    assert [moment.kimg for moment in curve.moments] == [0.5, 1.5, 2.5, 3.5]
    assert {moment.number for moment in curve.moments} == {summarize([1.0, 3.0])}
    assert [moment.seconds for moment in curve.moments] == [5.0, 15.0, 25.0, 35.0]
    assert curve.untrained is None
    assert training_keys(histories(table)) == ["d_loss"]
    assert training(table, "g_loss").curves == ()


def test_a_run_that_goes_on_has_a_curve_without_a_result(tmp_path: Path, write_run: Write) -> None:
    write_run(tmp_path / "a", "gan", fid=5.0)
    record(tmp_path / "a", [(1000, 5.0)])
    write_run(tmp_path / "b", "gan", seed=1, fid=5.0)
    record(tmp_path / "b", [(1000, 7.0)])
    (tmp_path / "b" / "result.json").unlink()
    (curve,) = curves(only_table(tmp_path)).curves
    assert curve.seeds == 2
    assert curve.moments[0].number.mean == 6.0


def test_what_cannot_be_read_is_left_out(tmp_path: Path, write_run: Write) -> None:
    write_run(tmp_path / "a", "gan", fid=5.0)
    (tmp_path / "a" / "metrics.jsonl").mkdir()
    (tmp_path / "a" / "stats.jsonl").write_text('{"images": 10, "d_loss": NaN}\nrubbish\n')
    table = only_table(tmp_path)
    assert curves(table).curves == ()
    assert training(table, "d_loss").curves == ()


def test_charts_are_json(tmp_path: Path, write_run: Write) -> None:
    write_run(tmp_path / "a", "gan", fid=5.0)
    record(tmp_path / "a", [(1000, 5.0)], [(1000, 10.0, 1.0)])
    table = only_table(tmp_path)
    for chart in (pareto(table, "train_img_per_s"), curves(table), training(table, "d_loss")):
        json.dumps(dataclasses.asdict(chart), allow_nan=False)


def test_charts_need_no_torch() -> None:
    code = "import sys, ganzoo.leaderboard.charts; assert not {'torch', 'numpy', 'matplotlib'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
