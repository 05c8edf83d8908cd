"""benchmarks/gpu.py in miniature on the CPU: every part runs, what fails is recorded, and the rest goes on."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import pytest
import torch
from pretended import Pretended, pretended_graphs
from torch import nn

from ganzoo.data import make_images, make_sampler
from ganzoo.objectives import gradient_penalty

SCRIPT = Path(__file__).parent.parent / "benchmarks" / "gpu.py"
VARIANTS = {"eager": ("wgan-gp",), "graphs": ("gan",)}
"""By how iterations are executed."""


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


@pytest.fixture(scope="module", params=list(VARIANTS))
def case(request: pytest.FixtureRequest, gpu: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """All of it in miniature: how iterations are executed, of which variants, and the document."""
    execution = request.param
    out = tmp_path_factory.mktemp("gpu") / "gpu.json"
    arguments = ["--device", "cpu", "--quick", "--variants", ",".join(VARIANTS[execution]), "--out", str(out)]
    eager = mock.patch("ganzoo.engine.step.Step._recordings", return_value=None)
    backend: Any = pretended_graphs(lambda: Pretended(reading=False)) if execution == "graphs" else eager
    with backend:
        code = gpu.main(arguments)
    torch.set_flush_denormal(False)
    found: dict[str, Any] = json.loads(out.read_text())
    assert code == 0, [part for part in found["parts"].values() if "error" in part]
    return execution, VARIANTS[execution], found


def as_eager(different: list[str], execution: str) -> bool:
    """The average's decay is a float where there is no backend on the CPU, and a float32 tensor where there is one."""
    return all(name.startswith("EMA.") for name in different) if execution == "graphs" else not different


def test_every_part_is_measured(gpu: ModuleType, case: tuple[str, tuple[str, ...], dict[str, Any]]) -> None:
    execution, variants, document = case
    parts = {name: part["value"] for name, part in document["parts"].items()}
    once = {"profile", "plugins"}
    assert list(dict.fromkeys(name.split()[0] for name in parts)) == [
        kind for kind in gpu.KINDS if kind != "layouts" or "wgan-gp" in variants
    ]
    assert all(f"{kind} {variants[0]}" in parts for kind in once)
    for kind in set(gpu.KINDS) - once - {"layers", "seeds", "peaks", "layouts"}:
        assert all(f"{kind} {variant}" in parts for variant in variants)
    profile = parts[f"profile {variants[0]}"]
    assert profile["execution"] == execution
    assert profile["iterations"] == (4 if execution == "graphs" else 5)
    assert sum(kernel["share"] for kernel in profile["kernels"]) <= 1 + 1e-9
    for name in variants:
        value = parts[f"speed {name}"]
        assert value["execution"] == execution
        assert value["ratio"] == pytest.approx(value["engine_img_per_s"] / value["plain_img_per_s"])
        assert value["met_img_per_s"] is False
        same = parts[f"identity {name}"]
        assert same["execution"] == ["eager", "eager", execution, execution]
        assert same["eager_repeats_itself"] is True
        assert same["graphs_equal_eager"] is not any(same["different"]["1 per replay"])
        assert as_eager(same["different"]["1 per replay"] + same["different"]["4 per replay"], execution)
        assert parts[f"losses {name}"]["bf16"]["d_loss"] != 0
        row = parts[f"roofline {name}"]
        assert row["flop_per_s"] == pytest.approx(row["flop_per_image"] * value["engine_img_per_s"])
        assert 0 < row["share_of_peak_flop"] <= row["share_of_roofline"]
        assert {row["per_replay"] for row in parts[f"replays {name}"]} == ({1, 4, 16} if execution == "graphs" else {1})
        assert {row["execution"] for row in parts[f"train {name}"]} == {execution}
        assert all(row["wall_img_per_s"] > 0 for row in parts[f"train {name}"])
        assert parts[f"passes {name}"][0]["chosen"] is True
        assert parts[f"passes {name}"][-1]["passes"] == "two"
    reads, draws = parts[f"plugins {variants[0]}"]
    assert as_eager(reads["different"], execution)
    assert reads["eager_and_said"] is (execution == "graphs")
    assert draws["network"] == "draws on the host"
    assert parts["seeds"]["weights_as_alone"] is True
    assert document["environment"]["packages"]["torch"]
    assert document["quick"] is True


def test_the_report_shows_every_part_in_order_and_what_is_missing(
    gpu: ModuleType, case: tuple[str, tuple[str, ...], dict[str, Any]]
) -> None:
    _, variants, document = case
    text = gpu.report(document)
    headings = [line.removeprefix("### ") for line in text.splitlines() if line.startswith("### ")]
    numbers = [int(heading.split(".")[0]) for heading in headings if heading[0].isdigit()]
    assert sorted(set(numbers)) == [
        n for n in range(1, 11) if (n != 2 or "gan" not in variants) and (n != 5 or "wgan-gp" in variants)
    ]
    assert numbers == sorted(numbers)
    assert [heading.split()[0] for heading in headings[len(numbers) :]] == [
        "Speed", "Peaks,", "Roofline", "Losses", "One",
    ]  # fmt: skip
    assert "Not measured" not in text
    broken = {**document, "parts": {**document["parts"], "speed gan": {"error": "RuntimeError: no kernel\nmore"}}}
    assert gpu.report(broken).endswith("- speed gan: RuntimeError: no kernel")


def test_a_part_that_fails_or_comes_too_late_does_not_stop_the_others(
    gpu: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*arguments: Any) -> Any:
        raise RuntimeError("no kernel")

    monkeypatch.setattr(gpu, "speed", fail)
    bench = gpu.Bench(torch.device("cpu"), True)
    kinds = ("speed", "peaks", "roofline", "losses")
    parts = gpu.measure(bench, ["gan"], 1.0, tmp_path / "out.json", kinds)["parts"]
    assert list(parts) == ["speed gan", "peaks", "roofline gan", "losses gan"]
    assert parts["speed gan"]["error"] == "RuntimeError: no kernel"
    assert "value" in parts["losses gan"]
    assert parts["roofline gan"]["value"]["flop_per_image"] > 0
    assert "share_of_roofline" not in parts["roofline gan"]["value"]  # there is no speed to hold against it
    assert json.loads((tmp_path / "out.json").read_text())["parts"].keys() == parts.keys()
    late = gpu.measure(bench, ["gan"], -1.0, None)["parts"]
    assert {part["error"] for part in late.values()} == {"no time was left"}
    monkeypatch.setattr(gpu, "peaks", fail)
    assert gpu.main(["--device", "cpu", "--quick", "--parts", "peaks"]) == 1
    torch.set_flush_denormal(False)
    with pytest.raises(SystemExit):
        gpu.main(["--parts", "peak"])


def test_targets_do_not_contradict_each_other(gpu: ModuleType) -> None:
    """Images a second and ratio are both within what the engine is estimated at, as the table beside them has it."""
    best = {"dcgan": 2.0, "gan": 0.5, "wgan-gp": 8.0}  # milliseconds of an iteration of 512 images
    plain = {"dcgan": 5.0, "gan": 2.0, "wgan-gp": 13.0}
    for name, (img_per_s, ratio) in gpu.TARGETS.items():
        assert 512e3 / img_per_s >= 2 * best[name]
        assert plain[name] / ratio >= best[name]


def test_layers_are_taken_from_the_networks_with_the_engines_ways(gpu: ModuleType) -> None:
    bench = gpu.Bench(torch.device("cpu"), True)
    bench.quick, bench.batch = False, 512  # the widths that a GPU measures; nothing is computed at that batch
    module = sys.modules[gpu.measure_layers.__module__]
    layers = module.layers_of(bench, ["dcgan", "wgan-gp", "gan"])
    assert set(map(tuple, layers.values())) == {("dcgan", "wgan-gp")}
    ways = {layer.name: layer.own_way().__name__ for layer in layers if layer.own_way() is not None}
    assert len(layers) == 7
    assert ways == {
        "transposed 64->1 4x4/2 at 16x16": "transposed_by_columns",
        "conv 1->64 4x4/2 at 32x32": "by_columns",
        "conv 256->1 4x4/1 at 4x4": "by_inner_product",
    }
    by_name = {layer.name: layer for layer in layers}
    assert by_name["conv 1->64 4x4/2 at 32x32"].flop == 2 * 512 * 16 * 16 * 64 * 16
    assert by_name["transposed 64->1 4x4/2 at 16x16"].flop == 2 * 512 * 16 * 16 * 64 * 16


def counted(gpu: ModuleType) -> Any:
    return sys.modules[gpu.roofline.__module__].Work()


def test_work_is_counted_by_hand(gpu: ModuleType) -> None:
    """A layer of 4 -> 3 on 2 samples, forward, backward and twice backward through a penalty."""
    layer = nn.Linear(4, 3, bias=False)
    x = torch.randn(2, 4)
    with counted(gpu) as forward:
        layer(x)
    assert forward.flop == 2 * 2 * 4 * 3
    # x, the weight and its transposed view are read, the output is written
    assert forward.bytes == 4 * (2 * 4 + 4 * 3 + 2 * 3)
    images = torch.randn(2, 1, 2, 2)
    critic = nn.Sequential(nn.Flatten(), layer, nn.Tanh())
    with counted(gpu) as penalised:
        gradient_penalty(lambda batch: critic(batch).sum(1), images, -images).mean().backward()
    products = penalised.flop // forward.flop
    assert products >= 4  # forward, gradient in x, and both of their gradients in the weight


TABLE = torch.zeros(1000, 8)  # 32 bytes a row
ROWS = torch.tensor([5, 1, 7])  # 24 bytes
ADDED = torch.zeros(3, 8)
OTHER = torch.zeros(1000, 8)
THREE = 3 * 32


@pytest.mark.parametrize(
    ("work", "moved"),
    [
        # of a table, the rows that are taken are read; they are written to the result
        (lambda: TABLE.index_select(0, ROWS), 24 + 2 * THREE),
        (lambda: torch.index_select(TABLE, 0, ROWS, out=ADDED), 24 + 2 * THREE),
        (lambda: TABLE[ROWS], 24 + 2 * THREE),
        (lambda: TABLE.gather(0, ROWS[:, None]), 24 + 2 * 12),
        (lambda: nn.functional.embedding(ROWS, TABLE), 24 + 2 * THREE),
        # and of one that rows are added to, these are read and written
        (lambda: TABLE.index_add_(0, ROWS, ADDED), 24 + 3 * THREE),
        (lambda: TABLE.__setitem__(ROWS, ADDED), 24 + 3 * THREE),
        # what is overwritten is not read; what is changed in place, is
        (lambda: TABLE.zero_(), 1000 * 32),
        (lambda: TABLE.copy_(OTHER), 2 * 1000 * 32),
        (lambda: TABLE.add_(1), 2 * 1000 * 32),
        (lambda: torch._foreach_add_([TABLE, TABLE], 1), 4 * 1000 * 32),
        # what is expanded lies in memory once, and a view costs nothing
        (lambda: OTHER[:1].expand(1000, 8) + TABLE, 32 + 2 * 1000 * 32),
        (lambda: TABLE[3:5].T, 0),
    ],
)
def test_bytes_are_those_that_are_moved(gpu: ModuleType, work: Callable[[], Any], moved: int) -> None:
    with counted(gpu) as found:
        work()
    assert found.bytes == moved


def test_a_batch_costs_its_own_images_and_not_the_data_set(gpu: ModuleType) -> None:
    pixels = torch.zeros(5000, 1, 8, 8, dtype=torch.uint8)
    sampler = make_sampler(make_images(pixels, None), batch_size=4, device="cpu", seed=0)
    sampler.batch(0)
    with counted(gpu) as found:
        sampler.batch(1)
    assert found.bytes == 4 * 8 + 2 * 4 * 64  # the order's numbers, the images read and written
