"""Runs that shared a device are ranked by quality; of speed, time and memory their rows say nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ganzoo.leaderboard.render import documents, to_markdown
from ganzoo.leaderboard.rows import Table
from ganzoo.leaderboard.table import read_tables
from ganzoo.leaderboard.words import notes

Write = Callable[..., dict[str, Any]]
NOTE = "speed, time and memory are left out where runs of a row shared their device with other runs"


@pytest.fixture
def write(write_run: Write, tmp_path: Path) -> Callable[..., None]:
    """`write("gan", [8, 8, 1])`: a run for each seed, with so many on its device."""

    def write(variant: str, concurrent: list[int | None], **changes: Any) -> None:
        environment = write_run(tmp_path / f"like-{variant}", variant, protocol="other")["environment"]
        for seed, runs in enumerate(concurrent):
            told = environment if runs is None else environment | {"concurrent": runs}
            options = {"environment": told, "joules": 5000.0, **changes}
            write_run(tmp_path / f"{variant}-{seed}", variant, seed=seed, fid=10.0 + seed, changes=options)

    return write


def table(path: Path, sort: str = "fid") -> Table:
    return next(table for table in read_tables([path], sort) if table.protocol == "digits-a")


@pytest.mark.parametrize("concurrent", [[8, 8, 8], [1, 1, 8]])
def test_rows_of_a_shared_device_have_ranks_and_no_speed(
    write: Callable[..., None], tmp_path: Path, concurrent: list[int | None]
) -> None:
    write("gan", concurrent)
    found = table(tmp_path)
    (row,) = found.rows
    assert row.rank == 1
    speed = {column.key for column in found.columns if column.group == "speed"}
    assert {"train_img_per_s", "sample_img_per_s", "seconds", "joules", "peak_memory", "time_to"} <= speed
    assert all(row.numbers[key] is None for key in speed)
    assert row.numbers["kimg"] is not None
    assert row.numbers["parameters"] is not None
    assert NOTE in notes(found)
    assert "img/s" not in to_markdown([found])


@pytest.mark.parametrize("concurrent", [[1, 1, 1], [None, None, None]])
def test_rows_of_runs_alone_or_of_older_results_keep_theirs(
    write: Callable[..., None], tmp_path: Path, concurrent: list[int | None]
) -> None:
    write("gan", concurrent)
    found = table(tmp_path, "train_img_per_s")
    (row,) = found.rows
    assert row.rank == 1
    assert row.numbers["train_img_per_s"] is not None
    assert row.numbers["seconds"] is not None
    assert NOTE not in notes(found)


def test_runs_on_processors_of_their_own_keep_their_speed_and_say_so(
    write: Callable[..., None], write_run: Write, tmp_path: Path
) -> None:
    write("gan", [1, 1, 1])
    environment = write_run(tmp_path / "like", "gan", protocol="other")["environment"] | {"beside": 3}
    write("dcgan", [1, 1, 1], environment=environment)
    found = table(tmp_path, "train_img_per_s")
    assert all(row.rank is not None and row.numbers["train_img_per_s"] is not None for row in found.rows)
    said = "up to 4 runs at a time, on a core each: `ganzoo bench --speed-only` measures one alone"
    assert said in notes(found)
    assert {row["variant"]: row["beside"] for row in documents([found])[0]["rows"]} == {"gan": 0, "dcgan": 3}


def test_a_shared_device_ranks_nobody_by_speed_and_harms_no_other_row(
    write: Callable[..., None], tmp_path: Path
) -> None:
    write("gan", [8, 8, 8], train_img_per_s=9000.0)
    write("dcgan", [1, 1, 1])
    found = table(tmp_path, "train_img_per_s")
    assert [(row.variant, row.rank) for row in found.rows] == [("dcgan", 1), ("gan", None)]
    assert [row.unranked for row in found.rows] == ["", "speed of a device shared with other runs"]
    assert "no rank: speed of a device shared with other runs" in notes(found)
    assert {row.rank for row in table(tmp_path).rows} == {1}
