"""`ganzoo train` in two processes: one run directory, scores of one process, and what ends a run."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from several import End, Process, ended, start

from ganzoo.runs.snapshots import read_snapshot

SETS = (
    *("variant.width=16", "train.batch_size=12", "train.optimizer=sgd", "train.g_lr=1e-3", "train.d_lr=1e-3"),
    *("train.tick_kimg=0.064", "train.tick_seconds=0", "train.snapshots=4", "eval.metrics=fid,conditional"),
)
SOON = 20.0
"""Seconds within which all processes have ended, on a busy machine: a few on an idle one."""


def command(out: Path, root: Path, kimg: float, *more: str) -> list[str]:
    options = ["--kimg", str(kimg), "--num-images", "600", "--out", str(out), "--data-root", str(root), *more]
    return ["-m", "ganzoo", "train", "cgan", *options, *(part for text in SETS for part in ("--set", text))]


def until(happens: Callable[[], bool], processes: list[Process], seconds: float = 240.0) -> None:
    limit = time.monotonic() + seconds
    while not happens():
        if time.monotonic() > limit or any(process.poll() is not None for process in processes):
            raise AssertionError([end.errors for end in ended(*processes, seconds=5)])
        time.sleep(0.02)


def ticks(out: Path) -> list[dict[str, float]]:
    file = out / "stats.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def weights(out: Path) -> dict[str, torch.Tensor]:
    return read_snapshot(max((out / "snapshots").iterdir()))[1]


def files(out: Path) -> list[str]:
    return sorted(str(file.relative_to(out)) for file in out.rglob("*"))


def close(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> None:
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value, rtol=1e-5, atol=1e-5, msg=name)


def test_a_run_is_stopped_in_two_processes_and_continued_in_three(tmp_path: Path, data_root: Path) -> None:
    """A signal to either reaches both. What comes of it is what one process makes, scores and statistics too."""
    [alone] = ended(*start(*command(tmp_path / "one", data_root, 1.2), size=1), seconds=300)
    assert alone.code == 0, alone.errors
    out = tmp_path / "two"
    processes = start(*command(out, data_root, 1.2))
    until(lambda: len(ticks(out)) >= 3, processes)
    os.kill(processes[1].pid, signal.SIGTERM)
    leader, follower = ended(*processes, seconds=SOON)
    assert leader.code == 128 + signal.SIGTERM, leader.errors
    assert leader.errors.splitlines()[-1].startswith("stopped by SIGTERM at ")
    assert follower.errors == follower.out == ""
    seen = ticks(out)[-1]["images"]
    assert 0 < seen < 1200
    continued, *others = ended(*start(*command(out, data_root, 1.2), size=3), seconds=300)
    assert continued.code == 0, continued.errors
    assert [(end.code, end.out, end.errors) for end in others] == [(0, "", "")] * 2
    assert files(out) == files(tmp_path / "one")
    close(weights(out), weights(tmp_path / "one"))
    ours, theirs = (json.loads((folder / "result.json").read_text()) for folder in (out, tmp_path / "one"))
    for which in ("untrained", "last"):
        tolerance = 1e-6 if which == "untrained" else 1e-4  # trained weights differ by what rounding makes of them
        assert ours[which]["values"] == pytest.approx(theirs[which]["values"], rel=tolerance)
    assert ours["environment"]["ranks"] == 3
    assert "ranks" not in theirs["environment"]
    losses = [[(line["images"], line["d_loss"]) for line in ticks(folder)] for folder in (out, tmp_path / "one")]
    assert losses[0] == [(images, pytest.approx(loss, rel=1e-4)) for images, loss in losses[1]]


def cause_and_cure(ends: list[End]) -> tuple[int, list[str]]:
    """The one rank that has told an error, and its lines."""
    told = [(rank, lines) for rank, end in enumerate(ends) if "error:" in (lines := end.errors)]
    assert len(told) == 1, ends
    rank, text = told[0]
    assert "Traceback" not in "".join(end.errors for end in ends)
    return rank, text.splitlines()[-2:]


@pytest.mark.parametrize("dead", [pytest.param(0, marks=pytest.mark.slow), 1])
def test_a_process_that_dies_ends_the_run(dead: int, tmp_path: Path, data_root: Path) -> None:
    out = tmp_path / "run"
    processes = start(*command(out, data_root, 50, "--quiet", "--set", "train.scores=none"))
    until(lambda: len(ticks(out)) >= 2, processes)
    os.kill(processes[dead].pid, signal.SIGKILL)
    ends = ended(*processes, seconds=SOON)
    rank, lines = cause_and_cure(ends)
    assert rank == 1 - dead
    assert ends[rank].code == 2
    assert lines[0] == "error: another of the 2 processes of this run has ended"
    assert lines[1].startswith("  try: the same command goes on from the last saved state")


@pytest.mark.slow
def test_a_process_that_hangs_ends_the_run(tmp_path: Path, data_root: Path) -> None:
    out = tmp_path / "run"
    more = ["--quiet", "--set", "train.scores=none", "--set", "train.rank_timeout=3"]
    processes = start(*command(out, data_root, 50, *more))
    until(lambda: len(ticks(out)) >= 2, processes)
    os.kill(processes[1].pid, signal.SIGSTOP)
    [leader] = ended(processes[0], seconds=SOON)
    os.kill(processes[1].pid, signal.SIGCONT)
    [follower] = ended(processes[1], seconds=SOON)
    rank, lines = cause_and_cure([leader, follower])
    assert (rank, leader.code) == (0, 2)
    assert lines[0].endswith("has not answered for 3 seconds (train.rank_timeout)")
    assert follower.code != 0
