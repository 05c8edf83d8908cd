"""Tables of the commands on a terminal and in a pipe."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from ganzoo.cli.main import cli
from ganzoo.cli.tables import own_objectives, print_rows
from ganzoo.cli.training import columns_asked
from ganzoo.config.layers import build_config, from_dict
from ganzoo.errors import SettingError, UnknownName
from ganzoo.leaderboard.columns import COLUMNS
from ganzoo.leaderboard.layout import WORDS
from ganzoo.runs.names import folder_of
from ganzoo.zoo.registry import Registry

REPOSITORY = Path(__file__).parents[2]


def call(capsys: pytest.CaptureFixture[str], *arguments: Any) -> str:
    cli.main([str(argument) for argument in arguments], standalone_mode=False)
    return capsys.readouterr().out


def test_rows_are_folded_on_a_terminal_and_lines_in_a_pipe() -> None:
    rows = [("gan", "one hidden layer on each side, and words that take a second line"), ("[x]", "y")]
    for terminal, lines in ((True, 3), (False, 2)):
        out = io.StringIO()
        console = Console(file=out, width=50, force_terminal=terminal, color_system=None)
        print_rows((), rows, left=2, indent=2, console=console)
        printed = out.getvalue().splitlines()
        assert len(printed) == lines
        assert printed[0].startswith("  gan  one hidden")
        assert not terminal or max(map(len, printed)) <= 50
        assert "[x]" in printed[-1]


def test_numbers_stand_on_the_right() -> None:
    out = io.StringIO()
    print_rows(("", "generated", "test"), [("fid", "1.5", "0.25"), ("kid", "100", "-")], console=Console(file=out))
    assert out.getvalue().splitlines() == ["     generated  test", "fid        1.5  0.25", "kid        100     -"]


def test_show_columns_explains_each(capsys: pytest.CaptureFixture[str]) -> None:
    text = call(capsys, "show", "columns")
    lines = text.splitlines()
    for column in COLUMNS:
        (line,) = (line for line in lines if line.split()[0] == column.key)
        assert column.about
        assert column.about in line
        assert (f"{column.better} is better" in line) == bool(column.better)
    found = json.loads(call(capsys, "show", "columns", "--json"))
    assert [one["key"] for one in found] == [*WORDS, *(column.key for column in COLUMNS)]
    assert next(one for one in found if one["key"] == "peak_memory")["unit"] == "bytes"


def test_the_page_says_the_same_of_columns() -> None:
    page = (REPOSITORY / "docs" / "leaderboard.md").read_text()
    for column in COLUMNS:
        assert f"| {column.title} | `{column.key}` | {column.about} | {column.better} |\n" in page


def test_columns_are_looked_at_before_anything_is_trained(tmp_path: Path) -> None:
    assert columns_asked("kid,fid", ()) == ["kid", "fid"]
    assert columns_asked(None, (), True) is None
    with pytest.raises(SettingError, match="leave --columns out"):
        columns_asked("fid", (), True)
    for command in (["train", "gan", "--out", str(tmp_path / "x")], ["bench", "--out", str(tmp_path / "x")]):
        with pytest.raises(UnknownName, match="did you mean fid"):
            cli.main([*command, "--columns", "fidd"], standalone_mode=False)
    assert not (tmp_path / "x").exists()


def test_scores_of_plugins_are_columns(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from ganzoo import Metric, hookimpl\nGANZOO_API = 2\n"
        "def sharpness(features, reference, settings):\n    return {'sharpness': 1.0}\n"
        "@hookimpl\ndef register_metrics():\n"
        "    return [Metric(name='sharp', target=sharpness, higher_is_better={'sharpness': True})]\n"
    )
    assert columns_asked("sharpness", [tmp_path / "mine.py"]) == ["sharpness"]


def test_own_objectives(registry: Registry) -> None:
    own = own_objectives({"gan", "wgan-gp", "stylegan2", "of-some-plugin"})
    assert own == {
        "gan": "non-saturating", "wgan-gp": "wgan-gp", "stylegan2": "non-saturating + path-length + r1",
    }  # fmt: skip


def test_a_name_is_part_of_which_run_it_is(registry: Registry) -> None:
    """Not of its weights; and a run without a name is what it was before there were names."""
    plain = build_config(registry, variant="gan")
    anna, bert = (build_config(registry, variant="gan", overrides={"name": name}) for name in (" Anna K. ", "bert"))
    assert anna.name == "Anna K."
    assert "name" not in plain.to_dict()
    assert from_dict(registry, anna.to_dict()) == anna
    assert anna.training_identity() == plain.training_identity()
    folders = [folder_of(registry, config, Path("runs"), "data").name for config in (plain, anna, bert)]
    assert [folder.rpartition("-")[0] for folder in folders] == ["gan-s0", "gan-anna-k-s0", "gan-bert-s0"]
    assert len({folder.rpartition("-")[2] for folder in folders}) == 3
    for name in ("", "   ", "x" * 61, "a\x1b[2Jb", "a\nb"):
        with pytest.raises(SettingError, match="is no name"):
            build_config(registry, variant="gan", overrides={"name": name})


def test_a_class_is_told_by_name(
    tmp_path: Path, write_run: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    for name, fid in (("anna", 3.0), ("bert", 4.0)):
        write_run(tmp_path / name, fid=fid, sets=(f"name={name}",))
    text = call(capsys, "leaderboard", tmp_path)
    assert "gan (anna)" in text
    assert "gan (bert)" in text
    assert "left out" not in text
    rows = json.loads(call(capsys, "leaderboard", tmp_path, "--json"))[0]["rows"]
    assert [row["name"] for row in rows] == ["anna", "bert"]
    assert "anna" in call(capsys, "leaderboard", tmp_path, "--format", "csv")
