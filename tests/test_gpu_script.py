"""benchmarks/gpu.py in miniature on the CPU: every part runs, what fails is recorded, and the rest goes on."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

from ganzoo.objectives import gradient_penalty

SCRIPT = Path(__file__).parent.parent / "benchmarks" / "gpu.py"
VARIANTS = ("gan", "wgan-gp")


@pytest.fixture(scope="module")
def gpu() -> ModuleType:
    path = list(sys.path)
    specification = importlib.util.spec_from_file_location("gpu_script", SCRIPT)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    sys.path[:] = path
    return module


@pytest.fixture(scope="module")
def document(gpu: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("gpu") / "gpu.json"
    code = gpu.main(["--device", "cpu", "--quick", "--variants", ",".join(VARIANTS), "--out", str(out)])
    torch.set_flush_denormal(False)
    found: dict[str, Any] = json.loads(out.read_text())
    assert code == 0, [part for part in found["parts"].values() if "error" in part]
    return found


def test_every_part_is_measured(document: dict[str, Any]) -> None:
    kinds = ("speed", "identity", "roofline", "losses", "ablation")
    assert set(document["parts"]) == {"peaks", "seeds", *(f"{kind} {name}" for kind in kinds for name in VARIANTS)}
    for name in VARIANTS:
        value = document["parts"][f"speed {name}"]["value"]
        assert value["ratio"] == pytest.approx(value["engine_img_per_s"] / value["baseline_img_per_s"])
        assert value["met"] is False
        assert document["parts"][f"identity {name}"]["value"]["graphs_equal_eager"] is True
        assert document["parts"][f"losses {name}"]["value"]["bf16"]["d_loss"] != 0
        row = document["parts"][f"roofline {name}"]["value"]
        assert row["flop_per_s"] == pytest.approx(row["flop_per_image"] * value["engine_img_per_s"])
        assert 0 < row["share_of_peak_flop"] <= row["share_of_roofline"]
    assert document["parts"]["seeds"]["value"]["weights_as_alone"] is True
    assert document["environment"]["packages"]["torch"]
    assert document["quick"] is True


def test_the_report_shows_every_part_and_what_is_missing(gpu: ModuleType, document: dict[str, Any]) -> None:
    text = gpu.report(document)
    for heading in ("Speed", "One thing", "Peaks", "Roofline", "Replays", "Losses", "Seeds"):
        assert f"### {heading}" in text
    assert "Not measured" not in text
    broken = {**document, "parts": {**document["parts"], "speed gan": {"error": "RuntimeError: no kernel\nmore"}}}
    assert "- speed gan: RuntimeError: no kernel\n" in gpu.report(broken)


def test_a_part_that_fails_or_comes_too_late_does_not_stop_the_others(
    gpu: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*arguments: Any) -> Any:
        raise RuntimeError("no kernel")

    for name in ("speed", "identity", "ablation", "seeds"):
        monkeypatch.setattr(gpu, name, fail)
    bench = gpu.Bench(torch.device("cpu"), True)
    parts = gpu.measure(bench, ["gan"], 1.0, tmp_path / "out.json")["parts"]
    assert parts["speed gan"]["error"] == "RuntimeError: no kernel"
    assert "value" in parts["peaks"]
    assert "value" in parts["losses gan"]
    assert "roofline gan" not in parts  # there is no speed to hold against it
    assert json.loads((tmp_path / "out.json").read_text())["parts"].keys() == parts.keys()
    late = gpu.measure(bench, ["gan"], -1.0, None)["parts"]
    assert {part["error"] for part in late.values()} == {"no time was left"}


def test_work_is_counted_by_hand(gpu: ModuleType) -> None:
    """A layer of 4 -> 3 on 2 samples, forward, backward and twice backward through a penalty."""
    layer = nn.Linear(4, 3, bias=False)
    x = torch.randn(2, 4)
    work = sys.modules[gpu.roofline.__module__].Work
    with work() as forward:
        layer(x)
    assert forward.flop == 2 * 2 * 4 * 3
    # x, the weight and its transposed view are read, the output is written
    assert forward.bytes == 4 * (2 * 4 + 4 * 3 + 2 * 3)
    images = torch.randn(2, 1, 2, 2)
    critic = nn.Sequential(nn.Flatten(), layer, nn.Tanh())
    with work() as penalised:
        gradient_penalty(lambda batch: critic(batch).sum(1), images, -images).mean().backward()
    products = penalised.flop // forward.flop
    assert products >= 4  # forward, gradient in x, and both of their gradients in the weight
