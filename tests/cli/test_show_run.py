"""`ganzoo show RUN`: what it is, how it goes, what is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ganzoo.cli.main import cli
from ganzoo.errors import RunError
from ganzoo.runs.directory import RunDirectory

FOUND = {"images": 2000, "kimg": 2.0, "rule": "d-wins", "text": "D wins", "cure": "try less", "link": "page#d-wins"}


@pytest.fixture
def run(tmp_path: Path, write_run: Callable[..., dict[str, Any]]) -> RunDirectory:
    write_run(tmp_path / "run")
    directory = RunDirectory(tmp_path / "run")
    result = json.loads(directory.result_file.read_text())
    directory.config_file.write_text(json.dumps(result["config"]))
    return directory


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    cli.main(["show", *arguments], standalone_mode=False)
    return capsys.readouterr().out


def test_a_finished_run(run: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    run.result_file.write_text(json.dumps({**json.loads(run.result_file.read_text()), "diagnostics": [FOUND]}))
    run.add_diagnosis(FOUND)
    run.add_metrics({"images": 2000, "kimg": 2.0, "values": {"fid": 31.25, "class_fid.3": 1.0}, "protocol": "p",
                     "seconds": 1.0, "sample_img_per_s": 1.0, "left_out": {}})  # fmt: skip
    text = shown(capsys, str(run.path))
    assert "done:" in text
    assert "scores at 2 kimg: fid 31.25\n" in text
    assert "at 2 kimg: D wins\n    try less\n    page#d-wins\n" in text
    document = json.loads(shown(capsys, str(run.path), "--json"))
    assert document["diagnostics"] == [FOUND]
    assert document["last"]["values"]["fid"] == 31.25


def test_a_run_at_work_and_one_that_failed(run: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    run.result_file.unlink()
    for kimg in (1.0, 2.0):
        run.add_stats({"images": int(1000 * kimg), "kimg": kimg, "d_accuracy": 0.7})
    text = shown(capsys, str(run.path))
    assert "not finished: 2" in text
    assert text.endswith("found: nothing that is wrong\n")
    run.write_failure("ValueError: a bug\x1b[2J")
    assert "  ValueError: a bug\ufffd[2J\n" in shown(capsys, str(run.path))


def test_what_an_earlier_version_trained_is_diagnosed_now(
    run: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    for kimg in range(1, 6):
        run.add_stats({"images": 1000 * kimg, "kimg": float(kimg), "d_accuracy": 1.0, "g_loss": 1.0})
    result = json.loads(run.result_file.read_text())
    del result["diagnostics"]
    run.result_file.write_text(json.dumps(result))
    assert "D wins: accuracy 100 % for 3" in shown(capsys, str(run.path))


def test_names_of_the_zoo_are_no_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dcgan").mkdir()
    assert shown(capsys, "dcgan").startswith("dcgan: variant")
    with pytest.raises(RunError, match="does not exist"):
        shown(capsys, "runs/nothing")
