"""benchmarks/baseline.py: the networks that it compares, and what it takes for the machine's limit."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from ganzoo.config.run_config import RunConfig
from ganzoo.engine.device import denormals_flushed
from ganzoo.runs.snapshots import build_gan
from ganzoo.zoo.registry import Registry

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def baseline() -> ModuleType:
    if str(BENCHMARKS) not in sys.path:
        sys.path.append(str(BENCHMARKS))  # whose files import each other
    import baseline

    return baseline


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.load([BENCHMARKS / "popular.py"], environ={})


def config_of(baseline: ModuleType, registry: Registry, variant: str, **overrides: Any) -> RunConfig:
    given = {key.replace("__", "."): value for key, value in overrides.items()}
    found: RunConfig = baseline.config_of(registry, variant, (), {"train.batch_size": 4} | given)
    return found


@pytest.mark.parametrize(
    ("variant", "side", "generator", "discriminator"),
    [("popular-gan", 28, 1_510_032, 533_505), ("popular-dcgan", 64, 3_574_656, 2_763_520)],
)
def test_the_popular_networks_are_those_of_the_scripts(
    baseline: ModuleType, registry: Registry, variant: str, side: int, generator: int, discriminator: int
) -> None:
    gan = build_gan(registry, config_of(baseline, registry, variant), (1, side, side), 0)
    counts = [sum(one.numel() for one in net.parameters()) for net in (gan.generator, gan.discriminator)]
    assert counts == [generator, discriminator]
    images = gan.generator(torch.randn(2, gan.z_dim), None)
    assert images.shape == (2, 1, side, side)
    assert gan.discriminator(images, None).shape == (2,)


@pytest.mark.parametrize("variant", ["popular-gan", "popular-dcgan", "wgan-gp"])
@pytest.mark.parametrize("loop", ["in-process", "tensors", "engine", "limit"])
def test_every_loop_trains(
    baseline: ModuleType, registry: Registry, monkeypatch: pytest.MonkeyPatch, variant: str, loop: str
) -> None:
    import tutorial

    for module in (tutorial, baseline):
        monkeypatch.setattr(module, "IMAGES", 20)
    small = {"variant__width": 4} if variant == "popular-gan" else {"variant__channels": 4}
    with denormals_flushed():
        work = baseline.LOOPS[loop](registry, config_of(baseline, registry, variant, **small), CPU)
        assert baseline.speed(work, 4, 0.01, CPU) > 0


def test_the_limit_counts_what_a_step_computes(
    baseline: ModuleType, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    import limit

    monkeypatch.setattr(baseline, "IMAGES", 20)
    with denormals_flushed():
        step = baseline.made_step(
            registry,
            config_of(baseline, registry, "popular-gan", variant__width=2, train__batch_size=3),
            CPU,
            plain=True,
        )
        found = limit.counted(step, 1)
    sides = {"g": [100, 2, 4, 8, 16, 784], "d": [784, 8, 4, 1]}
    layers = {name: list(itertools.pairwise(units)) for name, units in sides.items()}
    g, d = (2 * 3 * sum(a * b for a, b in layers[name]) for name in ("g", "d"))
    into_z, into_image = 2 * 3 * 100 * 2, 2 * 3 * 784 * 8
    # G forward and twice back, but not to z. Of real and of fake images D likewise, but not to the images. Of G's
    # images D forward and back to them, with no gradients of its own.
    assert found.flop == (3 * g - into_z) + 2 * (3 * d - into_image) + 2 * d
    moved = sum(phase_numbers(step, index) for index in (0, 1))
    activations = {name: 3 * sum(b for _, b in layers[name]) for name in layers}
    gradients = {name: 3 * sum(a for a, _ in layers[name]) for name in layers}
    forward = activations["g"] + 3 * activations["d"]
    backward = gradients["g"] - 3 * 100 + 2 * (gradients["d"] - 3 * 784) + gradients["d"]
    assert found.bytes == 28 * moved + 12 * phase_numbers(step, 1) + 8 * forward + 12 * backward


def phase_numbers(step: Any, index: int) -> int:
    return sum(one.numel() for one in step.state.phases[index].parameters)


def test_ratios_and_speeds_are_told_apart(baseline: ModuleType) -> None:
    row = {
        "variant": "gan",
        "side": 32,
        "img_per_s": {"workers": 1000.0, "engine": 2500.0},
        "ratio": {"workers": 2.5},
        "ratios": {"workers": [2.0, 2.5, 3.0]},
    }
    said = baseline.in_words([row], ["workers", "compiled", "engine"])
    assert "| gan, 32x32 | 1,000 |  | 2,500 |" in said
    assert "| gan | 2.50 (2.25 to 2.75) |  |" in said
