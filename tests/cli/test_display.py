"""What a person is told while a run trains: lines that may be left out, and lines that may not."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from ganzoo.cli.display import TrainingDisplay
from ganzoo.config.layers import build_config
from ganzoo.engine.host import Host
from ganzoo.engine.loop import Status
from ganzoo.runs.job import run_job
from ganzoo.zoo.registry import Registry

STATUS = Status(
    images=1000, seconds=1.0, img_per_s=1000.0, progress=0.5, seconds_left=1.0, values={"d_loss": 1.0}, peak_memory=0
)


def test_a_report_is_shown_right_after_another_line(capsys: pytest.CaptureFixture[str]) -> None:
    display = TrainingDisplay("gan", live=False)
    display.announce("loading digits")
    display.announce("scoring: 1/2 images")  # too soon
    display.report("no CUDA graphs [in this run]")
    display.report("and more")
    assert capsys.readouterr().err.splitlines() == [
        "gan: loading digits", "gan: no CUDA graphs [in this run]", "gan: and more",
    ]  # fmt: skip


def test_a_report_stays_above_the_bar() -> None:
    out = io.StringIO()
    display = TrainingDisplay("gan")
    display._console = Console(file=out, force_terminal=True, width=120, highlight=False)
    with display:
        display.on_status(STATUS)
        display.report("no CUDA graphs [in this run]")
        display.on_status(STATUS)
    assert "gan: no CUDA graphs [in this run]" in out.getvalue()


def test_why_there_are_no_graphs_is_reported_not_announced(
    registry: Registry, data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sets = ["train.batch_size=16", "train.kimg=0.064", "train.snapshots=1", "eval.num_images=100", "eval.metrics=kid"]
    config = build_config(registry, variant="gan", dataset="digits", sets=sets)
    announced, reported = list[str](), list[str]()

    def train(step: Any, *, host: Host, **options: Any) -> None:
        host.report("no CUDA graphs in this run")
        raise ZeroDivisionError

    monkeypatch.setattr("ganzoo.runs.job.train", train)
    told = {"announce": announced.append, "report": reported.append}
    with pytest.raises(ZeroDivisionError):
        run_job(registry, config, tmp_path / "one", root=data_root, **told)
    assert reported == ["no CUDA graphs in this run"]
    assert reported[0] not in announced
    with pytest.raises(ZeroDivisionError):
        run_job(registry, config, tmp_path / "two", root=data_root, announce=announced.append)
    assert reported[0] in announced
