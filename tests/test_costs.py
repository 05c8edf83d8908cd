"""The benchmarks run: the cheapest of each kind once, so that one that no longer fits the engine is noticed."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from ganzoo.zoo.registry import Registry

ROOT = Path(__file__).parents[1]

CHEAPEST = {
    "test_training_step": "test_training_step[gan-non-saturating-fp32-32]",
    "test_sampling": "test_sampling[gan]",
    "test_feature_extraction": "test_feature_extraction[digits]",
    "test_fid": "test_fid[64]",
    "test_kid": "test_kid[2000]",
    "test_prdc": "test_prdc",
    "test_batches": "test_batches[streaming]",
    "test_folder": "test_folder[decode]",
    "test_startup": "test_startup[help]",
}


def pytest_run(*arguments: str) -> str:
    command = [sys.executable, "-m", "pytest", "-q", "-o", "addopts=", "-p", "no:cacheprovider", *arguments]
    alone = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST")}
    done = subprocess.run(command, cwd=ROOT, env=alone, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_each_kind_of_benchmark_runs() -> None:
    cases = (f"benchmarks/test_speed.py::{case}" for case in CHEAPEST.values())
    assert f"{len(CHEAPEST)} passed" in pytest_run("--benchmark-disable", *cases)


def test_no_kind_and_no_variant_is_left_out(registry: Registry) -> None:
    cases = re.findall(r"::(test_\w+)(?:\[(.+)\])?", pytest_run("--collect-only", "benchmarks/test_speed.py"))
    assert {name for name, _ in cases} == set(CHEAPEST)
    sampled = {case for name, case in cases if name == "test_sampling"}
    trained = [case for name, case in cases if name == "test_training_step"]
    for variant in (spec.name for spec in registry.variants()):
        assert variant in sampled
        for objective in (spec.name for spec in registry.all("objectives")):
            assert f"{variant}-{objective}-fp32-32" in trained


@pytest.fixture
def costs() -> ModuleType:
    spec = importlib.util.spec_from_file_location("costs", ROOT / "benchmarks" / "costs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_costs_are_measured(costs: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("SIZES", (200, 300)), ("FETCHES", 2), ("STEPS", 1)):
        monkeypatch.setattr(costs, name, value)
    rows = costs.scaling(1)
    assert len(rows) == 4
    assert all(row["met"] is not None and "x: " in row["measured"] for row in rows)


def test_what_is_not_met_is_an_error(
    costs: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def part(met: bool | None) -> tuple[object, int]:
        return (lambda rounds: [costs.row("what", "asked", "measured", met)]), 1

    parts = {"good": part(True), "told": part(None), "bad": part(False)}
    monkeypatch.setattr(costs, "PARTS", parts)
    assert costs.main(["--only", "good,told"]) == 0
    assert costs.main(["--only", "good,bad"]) == 1
    assert "NO" in capsys.readouterr().out
