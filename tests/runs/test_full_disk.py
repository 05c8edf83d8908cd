"""A disk that is full, at each kind of file that a run writes: nothing is lost, and the same call goes on."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from ganzoo.config.layers import build_config
from ganzoo.config.run_config import RunConfig
from ganzoo.errors import UserError
from ganzoo.runs.directory import RunDirectory
from ganzoo.runs.job import run_job
from ganzoo.zoo.registry import Registry

SETS = (
    *("variant.width=16", "train.kimg=0.064", "train.batch_size=16", "train.tick_kimg=0.032", "train.tick_seconds=0"),
    *("train.snapshots=2", "train.keep=all", "eval.num_images=60", "eval.metrics=kid", "eval.every=1"),
)


@pytest.fixture(scope="module")
def config(registry: Registry) -> RunConfig:
    return build_config(registry, variant="gan", dataset="digits", sets=SETS)


@pytest.fixture(scope="module")
def whole(
    registry: Registry, config: RunConfig, data_root: Path, tmp_path_factory: pytest.TempPathFactory
) -> RunDirectory:
    out = tmp_path_factory.mktemp("whole") / "run"
    run_job(registry, config, out, root=data_root)
    return RunDirectory(out)


WRITTEN = (
    *("config.json", "run.json", "env.json", "real.png", "stats.jsonl", "metrics.jsonl", "result.json"),
    *("state/latest.pt", "snapshots/000000.000.safetensors", "snapshots/000000.064.safetensors"),
    *("samples/000000.032.png", "pictures/000000.032.png"),
)


@pytest.mark.parametrize("name", WRITTEN)
def test_a_full_disk(
    name: str,
    registry: Registry,
    config: RunConfig,
    whole: RunDirectory,
    data_root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "run"
    replace, opened = os.replace, Path.open
    refusals = 0

    def refuse(target: Any) -> None:
        nonlocal refusals
        if Path(target) == out / name:
            refusals += 1
            raise OSError(errno.ENOSPC, "No space left on device")

    def replacing(source: Any, target: Any) -> None:
        refuse(target)
        replace(source, target)

    def opening(self: Path, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        if mode == "a":
            refuse(self)
        return opened(self, mode, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr("ganzoo.files.writing.os.replace", replacing)
        patch.setattr(Path, "open", opening)
        with pytest.raises(UserError, match="the disk is full: cannot write") as caught:
            run_job(registry, config, out, root=data_root)
    assert str(out / name) in caught.value.cause
    assert "the same command continues" in caught.value.cure
    assert refusals == 1
    assert not list(out.rglob("*.tmp"))
    assert RunDirectory(out).read_result() is None
    run_job(registry, config, out, root=data_root)
    ours = RunDirectory(out)
    files = [[(file.name, file.read_bytes()) for file in (*run.snapshots(), *run.samples())] for run in (ours, whole)]
    assert files[0] == files[1]
    scores = [[(line["images"], line["values"]) for line in run.metrics()] for run in (ours, whole)]
    assert scores[0] == scores[1]
    ticks = [[(line["images"], line["d_loss"]) for line in run.stats()] for run in (ours, whole)]
    assert ticks[0] == ticks[1]
