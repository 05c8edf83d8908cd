"""In which numbers a run on a processor trains, where that is left to ganzoo."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from ganzoo.config.layers import build_config
from ganzoo.config.run_config import RunConfig
from ganzoo.engine import device
from ganzoo.runs import job
from ganzoo.runs.job import run_job
from ganzoo.zoo.registry import Registry

SETS = ["variant.width=16", "train.batch_size=16", "eval.metrics=fid", "train.scores=none", "train.snapshots=1"]


def config_of(registry: Registry, kimg: float, **options: Any) -> RunConfig:
    sets = [*SETS, f"train.kimg={kimg}"]
    return build_config(registry, variant="gan", dataset="digits", sets=sets, overrides={"device": "cpu", **options})


@pytest.mark.parametrize("first", ["bf16", "fp32"])
def test_a_run_goes_on_in_what_it_began_in(
    first: str, registry: Registry, data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a processor that would have chosen otherwise, too."""
    trained: list[str] = []
    for kimg, tiles in ((0.064, first == "bf16"), (0.128, first != "bf16")):
        monkeypatch.setattr(device, "multiplies_tiles", lambda tiles=tiles: tiles)
        result = run_job(registry, config_of(registry, kimg), tmp_path / "run", root=data_root)
        trained.append(result["environment"]["precision"])
    assert trained == [first, first]


def test_a_run_that_has_trained_nothing_has_not_begun(
    registry: Registry, data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "env.json").write_text(json.dumps({"device": "cpu", "precision": "bf16"}))
    monkeypatch.setattr(device, "multiplies_tiles", lambda: False)
    result = run_job(registry, config_of(registry, 0.064), tmp_path / "run", root=data_root)
    assert result["environment"]["precision"] == "fp32"


@pytest.mark.parametrize("began", [{}, {"device": "cuda:0", "precision": "bf16"}, {"device": "cpu", "precision": 3}])
def test_what_is_not_known_of_a_processor_does_not_count(began: dict[str, Any], registry: Registry) -> None:
    assert job._precision_of(config_of(registry, 0.064), torch.device("cpu"), began) == "auto"


def test_the_other_processes_of_a_run_are_told(
    registry: Registry, data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their processors may be others."""
    told: list[str] = []
    monkeypatch.setattr(job, "set_off", lambda ranks, config, *more: told.append(config.precision))
    monkeypatch.setattr(device, "multiplies_tiles", lambda: True)
    run_job(registry, config_of(registry, 0.064), tmp_path / "run", root=data_root)
    assert told == ["bf16"]


def test_what_is_said_counts(registry: Registry) -> None:
    config = config_of(registry, 0.064, precision="fp32")
    assert job._precision_of(config, torch.device("cpu"), {"device": "cpu", "precision": "bf16"}) == "fp32"


def test_a_gpu_goes_by_itself(registry: Registry) -> None:
    began = {"device": "cpu", "precision": "fp32"}
    assert job._precision_of(config_of(registry, 0.064), torch.device("cuda"), began) == "auto"
