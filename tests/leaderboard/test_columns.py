"""Wall seconds per image stand beside the engine's images per second, wherever a leaderboard is written."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ganzoo.leaderboard.columns import COLUMNS
from ganzoo.leaderboard.render import to_csv, to_json, to_markdown
from ganzoo.leaderboard.table import read_tables

Write = Callable[..., dict[str, Any]]
(WALL,) = (column for column in COLUMNS if column.key == "wall_seconds_per_image")


def test_wall_seconds_per_image_are_published(write_run: Write, tmp_path: Path) -> None:
    """From old results, too: 3 seconds for 1000 images."""
    write_run(tmp_path / "a")
    parts = {"start": 1.0, "train": 1.0, "ticks": 0.5, "score": 1.0, "rest": 0.5, "wall": 4.0}
    write_run(tmp_path / "b", "dcgan", changes={"seconds": parts})
    tables = read_tables([tmp_path], "wall_seconds_per_image")
    assert {row.variant: row.numbers[WALL.key].mean for row in tables[0].rows} == {"gan": 0.003, "dcgan": 0.004}  # type: ignore[union-attr]
    head, _, *lines = to_markdown(tables).splitlines()
    titles = [cell.strip() for cell in head.split("|")]
    assert titles.index("wall/img") == titles.index("train img/s") + 1
    assert "3.00 ms" in lines[0]
    record = next(csv.DictReader(io.StringIO(to_csv(tables))))
    assert float(record["wall_seconds_per_image"]) == 0.003
    (document,) = json.loads(to_json(tables))
    assert '"wall_seconds_per_image": {"mean": 0.003' in json.dumps(document)


@pytest.mark.parametrize("changes", [{"seconds": None}, {"seconds": {"train": 1.0}}, {"kimg": None}, {"kimg": 0.0}])
def test_results_that_do_not_say_have_none(write_run: Write, tmp_path: Path, changes: dict[str, Any]) -> None:
    write_run(tmp_path / "a", changes=changes)
    (table,) = read_tables([tmp_path])
    assert table.rows[0].numbers[WALL.key] is None
    assert "wall/img" not in to_markdown([table])


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(2e-6, "2.00 µs"), (9.9e-5, "99.00 µs"), (4.1e-4, "0.41 ms"), (0.25, "250.00 ms"), (3, "3.00 s")],
)
def test_short_times(seconds: float, text: str) -> None:
    assert WALL.show(seconds) == text
