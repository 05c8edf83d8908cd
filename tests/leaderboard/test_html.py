"""What a notebook shows of a leaderboard."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ganzoo
from ganzoo.leaderboard.api import Leaderboard

Write = Callable[..., dict[str, Any]]
FLOOR = {"name": "test split", "what": "test", "images": 9, "reference": 9, "values": {"fid": 0.5}, "left_out": []}
SCRIPT = "<script>alert(1)</script>"


@pytest.fixture
def board(tmp_path: Path, write_run: Write) -> Leaderboard:
    """Three seeds of gan, which is ahead, and of dcgan; real images."""
    for variant, fids in (("gan", (10.0, 11.0, 12.0)), ("dcgan", (50.0, 51.0, 52.0))):
        for seed, fid in enumerate(fids):
            write_run(tmp_path / f"{variant}{seed}", variant, seed=seed, fid=fid, changes={"floors": [FLOOR]})
    return ganzoo.leaderboard(tmp_path)


def rows_of(text: str) -> list[list[str]]:
    """Cells of the first table."""
    table = text.split("</table>")[0]
    return [re.findall(r"<t[dh]>(.*?)</t[dh]>", row) for row in re.findall(r"<tr>(.*?)</tr>", table)]


def test_few_columns_with_intervals_and_the_best_in_bold(board: Leaderboard) -> None:
    text = board._repr_html_()
    head, first, second, real = rows_of(text)
    assert head == ["rank", "variant", "objective", "FID ↓", "IS ↑", "train img/s ↑", "time ↓", "seeds"]
    assert first[:3] == ["1", "gan", "non-saturating"]
    assert first[3] == "<b>11.0 ± 2.5</b>"
    assert second[:2] == ["2", "dcgan"]
    assert "<b>" not in second[3]
    assert second[-1] == "3"
    assert real[1] == "<small>real: test split</small>"  # below: nothing competes with it
    assert real[3] == "<small>0.50</small>"
    assert "<caption>digits, ranked by FID</caption>" in text


def test_the_rest_is_behind_folds(board: Leaderboard) -> None:
    text = board._repr_html_()
    every, conditions = re.findall(r"<details><summary>(.*?)</summary>", text)
    assert (every, conditions) == ("all columns", "conditions")
    behind = text.split("<summary>all columns</summary>")[1]
    assert "KID" in behind
    assert "protocol: digits-a" in behind
    assert "KID" not in text.split("<details>")[0]


def test_the_column_that_ranks_is_seen(tmp_path: Path, board: Leaderboard) -> None:
    head = rows_of(ganzoo.leaderboard(tmp_path, sort="kid")._repr_html_())[0]
    assert "KID ↓" in head


def test_text_of_others_is_only_text(tmp_path: Path, write_run: Write) -> None:
    result = write_run(tmp_path / "a", changes={"diverged": SCRIPT, "protocol": {"id": f"p{SCRIPT}"}, "last": None})
    write_run(tmp_path / "b", changes={"objective": SCRIPT, "config": named(result["config"]), "seed": 1})
    text = ganzoo.leaderboard(tmp_path)._repr_html_()
    assert "<script" not in text
    assert text.count("&lt;script&gt;") >= 4
    allowed = {"div", "table", "caption", "thead", "tbody", "tr", "th", "td", "b", "small", "br", "details", "summary"}
    assert set(re.findall(r"<(\w+)", text)) <= allowed | {"ul", "li"}


def named(config: dict[str, Any]) -> dict[str, Any]:
    return {**config, "objective": {**config["objective"], "name": SCRIPT}, "seed": 1}


def test_a_row_says_what_is_amiss_with_it(tmp_path: Path, write_run: Write) -> None:
    write_run(tmp_path / "a", changes={"diverged": "NaN & more"})
    assert "<br><small>1/1 diverged: NaN &amp; more</small>" in ganzoo.leaderboard(tmp_path)._repr_html_()


def test_runs_without_a_result_are_called_so(tmp_path: Path, write_run: Write) -> None:
    write_run(tmp_path / "run")
    (tmp_path / "run" / "result.json").unlink()
    assert "<caption>runs without a result</caption>" in ganzoo.leaderboard(tmp_path)._repr_html_()


def test_nothing_has_begun() -> None:
    assert Leaderboard(compared=[], runs=[])._repr_html_() == "<p>no run has begun</p>"
