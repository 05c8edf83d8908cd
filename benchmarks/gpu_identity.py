"""Whether replays, precisions and runs side by side compute what they should."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from gpu_bench import Bench, weights
from torch import Tensor, nn

from ganzoo.bench.speed import advance
from ganzoo.engine.cuda.concurrent import Turn, run_together
from ganzoo.engine.device import synchronize

SEEDS_BOUND = 3.0
"""8 seeds of `gan` at once may take this many times what one takes."""


def different(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> list[str]:
    """Names of what is not the same to the last bit."""
    return [name for name, value in a.items() if not torch.equal(value, b[name])]


def identity(bench: Bench, variant: str) -> dict[str, Any]:
    """Weights, EMA and batch-norm statistics after 50 steps: replays against eager iterations, and these again."""
    found = {}
    for name, options in (
        ("eager", {"graphs": None}),
        ("eager again", {"graphs": None}),
        ("1 per replay", {"per_replay": 1}),
        ("4 per replay", {"per_replay": 4}),
    ):
        step = bench.step(variant, **options)
        torch.manual_seed(1)
        advance(step, bench.compared)
        found[name] = (step.execution, weights(step))
    eager = found["eager"][1]
    others = {name: different(eager, values) for name, (_, values) in found.items() if name != "eager"}
    return {
        "variant": variant,
        "steps": bench.compared,
        "execution": [execution for execution, _ in found.values()],
        "eager_repeats_itself": not others["eager again"],
        "graphs_equal_eager": not others["1 per replay"],
        "long_replays_equal_eager": not others["4 per replay"],
        "different": others,
    }


class Reads(nn.Module):
    """A plugin's discriminator that lets the host wait for a number."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, images: Tensor, labels: Tensor | None) -> Tensor:
        scale = 1.0 if images.detach().abs().mean().item() < 1e9 else 0.0
        logits: Tensor = self.inner(images, labels)["logits"]
        return logits * scale


class Draws(nn.Module):
    """A plugin's discriminator that draws on the host, from torch's CPU generator."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, images: Tensor, labels: Tensor | None) -> Tensor:
        flipped = images.flip(3) if float(torch.rand(()).numpy()) < 0.5 else images
        logits: Tensor = self.inner(flipped, labels)["logits"]
        return logits


PLUGINS: dict[str, type[nn.Module]] = {"reads a number": Reads, "draws on the host": Draws}


def plugins(bench: Bench, variant: str) -> list[dict[str, Any]]:
    """Networks that a graph cannot hold: how they are executed, what is told, and whether weights are those of eager
    iterations all the same.
    """
    rows = []
    for name, wrap in PLUGINS.items():
        told: list[str] = []
        found = []
        for options in ({"graphs": None}, {"report": told.append}):
            step = bench.step(variant, wrap=wrap, **options)
            torch.manual_seed(1)
            advance(step, bench.compared)
            found.append(weights(step))
        rows.append(
            {
                "network": name,
                "variant": variant,
                "execution": step.execution,
                "told": told,
                "different": different(*found),
                "equal_eager": not different(*found),
                "eager_and_said": step.execution.startswith("eager") and len(told) == 1,
            }
        )
    return rows


def losses(bench: Bench, variant: str) -> dict[str, Any]:
    """Mean losses over the last fifth of 50 steps, in each precision and as torch does it."""
    found: dict[str, Any] = {"variant": variant, "steps": bench.compared}
    for name, options in (
        ("plain fp32", {"precision": "fp32", "plain": True}),
        ("fp32", {"precision": "fp32"}),
        ("bf16", {"precision": "bf16"}),
    ):
        step = bench.step(variant, **options)
        torch.manual_seed(1)
        advance(step, bench.compared * 4 // 5)
        step.statistics.read()
        advance(step, bench.compared - step.state.step)
        found[name] = step.statistics.read()
    return found


def seeds(bench: Bench) -> dict[str, Any]:
    """8 seeds of `gan` at once against one, from the first step after capture; weights as when alone."""
    iterations = 20 if bench.quick else 3200

    def run(numbers: Sequence[int]) -> tuple[float, list[dict[str, Tensor]]]:
        ready = threading.Barrier(len(numbers))
        spans: list[tuple[float, float]] = []

        def job(seed: int) -> Callable[[Turn], dict[str, Tensor]]:
            def train(turn: Turn) -> dict[str, Tensor]:
                step = bench.step("gan", seed=seed)
                advance(step, 20)
                with turn.away():
                    synchronize(bench.device)
                    ready.wait(120)
                started, end = time.perf_counter(), step.state.step + iterations
                while step.state.step < end:
                    step.advance(end - step.state.step)
                    turn.pass_on()
                with turn.away():
                    synchronize(bench.device)
                spans.append((started, time.perf_counter()))
                return weights(step)

            return train

        outcomes = run_together([job(seed) for seed in numbers], device=bench.device, at_once=len(numbers))
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        taken = max(end for _, end in spans) - min(start for start, _ in spans)
        return taken, [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]

    one, alone = run([0])
    many, together = run(range(bench.seeds))
    last = run([bench.seeds - 1])[1]
    return {
        "seeds": bench.seeds,
        "iterations": iterations,
        "one_seconds": one,
        "all_seconds": many,
        "cost": many / one,
        "bound": SEEDS_BOUND,
        "met": many / one <= SEEDS_BOUND,
        "weights_as_alone": not different(alone[0], together[0]) and not different(last[0], together[-1]),
    }
