"""Pages and tables of very many runs: bounded, said so, and the numbers are still those of all."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from rich.console import Console

from ganzoo.cli import tables as screen
from ganzoo.leaderboard.charts import undominated
from ganzoo.leaderboard.columns import COLUMNS
from ganzoo.leaderboard.rows import Row, Table
from ganzoo.report import bounds
from ganzoo.report.bounds import bounded


def table(*runs: int, protocol: str = "p") -> Table:
    """A row for each number of runs."""
    rows = [
        Row(variant=f"v{place}", objective="o", runs=[f"{protocol}/{place}-{run}" for run in range(count)])
        for place, count in enumerate(runs)
    ]
    real = Row(variant="real: test", objective="", kind="real")
    return Table(protocol=protocol, dataset="d", rows=[real, *rows], columns=[], sort=COLUMNS[0], environments=[])


def test_what_fits_is_left_as_it_is() -> None:
    tables = [table(3, 3), table(2, protocol="q")]
    assert bounded(tables) == (tables, [])


def test_each_row_keeps_its_first_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MOST_RUNS", 14)
    found, notes = bounded([table(10, 1, 10)])
    assert [len(row.runs) for row in found[0].rows] == [0, 7, 1, 6]
    assert found[0].rows[1].runs == [f"p/0-{run}" for run in range(7)]
    assert "curves, pictures and settings are of 14 of 21 runs" in notes[0]
    assert "rows" not in notes[0].partition(";")[0]


def test_the_best_rows_stay_and_the_room_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MOST_ROWS", 30)
    found, notes = bounded([table(*[1] * 40), table(*[1] * 20, protocol="q")])
    assert [sum(row.kind == "generated" for row in one.rows) for one in found] == [15, 15]
    assert [row.variant for row in found[0].rows[:3]] == ["real: test", "v0", "v1"]
    assert notes[0].startswith("the page shows 30 of 60 rows; curves, pictures and settings are of 30 of 60 runs")


def test_a_table_on_the_screen_has_a_thousand_rows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(screen, "MOST_ROWS", 5)
    screen.print_tables([table(*[1] * 9)], console=Console(width=100))
    said = capsys.readouterr().out
    assert "the first 5 of 9 rows; all of them: --format csv" in said
    assert "v4" in said
    assert "v5" not in said
    assert "real: test" in said


def test_the_front_is_what_no_other_point_is_better_than() -> None:
    chosen = random.Random(0)
    for size in (0, 1, 7, 60):
        pairs = [(float(chosen.randrange(8)), float(chosen.randrange(8))) for _ in range(size)]
        expected = {
            at for at, (x, y) in enumerate(pairs) if not any(a <= x and b <= y and (a < x or b < y) for a, b in pairs)
        }
        assert undominated(pairs) == expected


def test_a_page_says_what_it_leaves_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ganzoo.report import make_report

    published = Path(__file__).parents[2] / "docs" / "results" / "digits"
    for variant in ("dcgan", "gan", "wgan-gp"):
        for seed in ("0", "1", "2"):
            (tmp_path / variant / seed).mkdir(parents=True)
            content = (published / variant / seed / "result.json").read_bytes()
            (tmp_path / variant / seed / "result.json").write_bytes(content)
    whole = make_report([tmp_path])
    assert whole.notes == []
    monkeypatch.setattr(bounds, "MOST_RUNS", 4)
    monkeypatch.setattr(bounds, "LEAST", 1)
    few = make_report([tmp_path])
    assert "curves, pictures and settings are of 4 of 9 runs" in few.notes[0]
    assert few.notes[0] in few.html
    assert few.html.count('"seeds":3,') == whole.html.count('"seeds":3,') > 0  # numbers are those of all
