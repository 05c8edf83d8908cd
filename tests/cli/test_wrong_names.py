"""Names of no run, of folders of other things, of runs that have hardly begun: what commands say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ganzoo.cli.main import cli
from ganzoo.errors import UserError

Refused = Callable[..., tuple[str, str]]
OF_A_RUN = ("film", "sample", "compare", "show", "eval")
OF_FOLDERS = ("plot", "report", "leaderboard")


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Refused:
    """What a command says: cause and cure, a line each. It is told the name twice where it takes two."""
    monkeypatch.chdir(tmp_path)

    def ask(command: str, name: str) -> tuple[str, str]:
        words = [command, name, *([name] if command == "compare" else [])]
        with pytest.raises(UserError) as caught:
            cli.main(words, standalone_mode=False)
        assert len(caught.value.cause.splitlines()) == len(caught.value.cure.splitlines()) == 1
        assert not [file for file in tmp_path.rglob("*") if file.suffix in (".png", ".webp", ".html")]
        return caught.value.cause, caught.value.cure

    return ask


@pytest.fixture
def runs(tmp_path: Path, write_run: Callable[..., dict[str, Any]]) -> Path:
    """One run."""
    folder = tmp_path / "runs" / "digits" / "mine-s0-abcd1234"
    write_run(folder)
    return folder


@pytest.mark.parametrize("command", OF_A_RUN)
def test_names_that_nearly_are_a_runs(command: str, refused: Refused, runs: Path) -> None:
    for name in ("mine-s0", "mine-s1-abcd1234"):
        cause, cure = refused(command, name)
        assert f"'{name}'" in cause
        assert cure == "did you mean runs/digits/mine-s0-abcd1234?"
    cause, cure = refused(command, "runs/digits/mine-s0")
    assert cause == "runs/digits/mine-s0 does not exist"
    assert cure == "did you mean runs/digits/mine-s0-abcd1234?"


@pytest.mark.parametrize("command", OF_A_RUN)
def test_a_folder_that_holds_runs(command: str, refused: Refused, runs: Path) -> None:
    for name in ("runs", "runs/digits"):
        cause, cure = refused(command, name)
        assert cause.startswith(f"{name} holds runs, ")
        assert cure == "give one of them, such as runs/digits/mine-s0-abcd1234"


def test_no_cure_names_what_there_is_not(refused: Refused, tmp_path: Path, write_run: Callable[..., Any]) -> None:
    assert refused("film", "nowhere")[1] == "train one: ganzoo train dcgan"
    assert refused("film", "lsgann")[1] == "train one: ganzoo train lsgan"
    assert refused("film", "lsgan")[1] == "train one: ganzoo train lsgan"
    write_run(tmp_path / "runs" / "one", "gan")
    (tmp_path / "runs" / "one" / "snapshots").mkdir()
    (tmp_path / "runs" / "one" / "snapshots" / "000001.000.safetensors").touch()
    assert refused("film", "nowhere")[1] == "train one: ganzoo train dcgan; there are runs of gan"
    assert refused("film", "gun")[1] == "did you mean gan?"


@pytest.mark.parametrize("command", OF_A_RUN[:-1])  # eval takes folders of images
@pytest.mark.parametrize("name", ["empty", "other", "other/a.txt"])
def test_what_is_no_run(command: str, name: str, refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.txt").touch()
    cause, cure = refused(command, name)
    assert cause == f"{name} is no run directory (it has no config.json)"
    assert "ganzoo train" in cure


@pytest.mark.parametrize("command", OF_FOLDERS)
def test_what_is_no_folder_of_runs(command: str, refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.txt").touch()
    assert refused(command, "empty")[0] == "there are no runs under empty"
    assert refused(command, "a.txt")[0] == "a.txt is no folder"
    assert refused(command, "nowhere")[0] == "nowhere does not exist"
    assert "ganzoo bench" in refused(command, "nowhere")[1]
    assert refused(command, "emty") == ("emty does not exist", "did you mean empty?")


@pytest.mark.parametrize("command", ["film", "sample", "compare", "eval", "plot"])
def test_a_run_that_has_hardly_begun(command: str, refused: Refused, runs: Path) -> None:
    (runs / "result.json").unlink()
    cause, cure = refused(command, "runs/digits/mine-s0-abcd1234" if command != "plot" else "runs")
    if command == "plot":
        assert cause == "there is nothing to draw under runs: no run has a score or a loss yet"
    else:
        assert cause.endswith(("has no snapshot yet", "has no pictures yet"))
        place = "runs/digits/mine-s0-abcd1234"
        assert cure == f"train it further: ganzoo train --config {place}/config.json --out {place}"


@pytest.mark.parametrize("command", ["film", "sample", "compare", "eval"])
def test_a_finished_run_is_not_trained_again_in_its_place(command: str, refused: Refused, runs: Path) -> None:
    place = "runs/digits/mine-s0-abcd1234"
    cause, cure = refused(command, place)
    assert cause.startswith(place)
    assert cause.endswith(("has no snapshot, and is finished", "has no pictures, and is finished"))
    assert cure == f"train another like it: ganzoo train --config {place}/config.json --out {place}-again"
    (runs / "runs" / "x").mkdir(parents=True)
    (Path(f"{place}-again")).mkdir()
    assert refused(command, place)[1].endswith(f"--out {place}-again1")
