"""Machines whose clocks differ: a run that goes from one to the other is the run that stayed."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ganzoo.config.layers import build_config
from ganzoo.files.locks import AtWork, exclusive
from ganzoo.runs.cleaning import clean
from ganzoo.runs.directory import RunDirectory
from ganzoo.runs.job import run_job
from ganzoo.zoo.registry import Registry

DAYS = 3.0
SETS = (
    *("variant.width=16", "train.kimg=0.096", "train.batch_size=16", "train.tick_kimg=0.016", "train.tick_seconds=0"),
    *("train.snapshots=3", "eval.num_images=60", "eval.metrics=kid", "eval.every=1"),
)


@pytest.mark.parametrize("days", [DAYS, -DAYS])
def test_a_run_goes_on_where_it_is_another_day(
    days: float, registry: Registry, data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = build_config(registry, variant="gan", dataset="digits", sets=SETS)

    class Stopper:
        def on_status(self, status: Any) -> None: ...

        def on_snapshot(self, snapshot: Any) -> None:
            if snapshot.images == 32:
                raise KeyboardInterrupt

        def on_end(self, result: Any) -> None: ...

    result = run_job(registry, config, tmp_path / "whole", root=data_root)
    with pytest.raises(KeyboardInterrupt):
        run_job(registry, config, tmp_path / "moved", root=data_root, observers=[Stopper()])
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + 86400 * days)
    ours = run_job(registry, config, tmp_path / "moved", root=data_root)
    files = [[file.read_bytes() for file in RunDirectory(tmp_path / name).snapshots()] for name in ("whole", "moved")]
    assert files[0] == files[1]
    assert ours["last"]["values"] == result["last"]["values"]
    assert 0 <= ours["seconds"]["wall"] < 3600
    again = run_job(registry, config, tmp_path / "moved", root=data_root)
    assert again["provenance"] == ours["provenance"]  # it is finished there, too


@pytest.mark.parametrize("days", [DAYS, -DAYS])
def test_a_lock_does_not_age(
    days: float, tmp_path: Path, write_run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(tmp_path / "run")
    (tmp_path / "run" / "state").mkdir()
    (tmp_path / "run" / "state" / "latest.pt").write_bytes(b"x")
    now = time.time
    with exclusive(tmp_path / "run" / ".lock"):
        monkeypatch.setattr(time, "time", lambda: now() + 86400 * days)
        with pytest.raises(AtWork), exclusive(tmp_path / "run" / ".lock"):
            pass
        (found,) = clean([tmp_path], states=True)
        assert "at work" in found.why_not
    assert (tmp_path / "run" / "state" / "latest.pt").exists()
