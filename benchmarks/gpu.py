"""The whole measurement of the engine on a GPU: `python benchmarks/gpu.py --out gpu.json`, under 8 minutes on an H100.

Writes JSON after each part and prints Markdown tables. Needs ganzoo installed and the repository's root as the working
folder. A part that fails, or for which no time is left, is recorded as such, and the others go on. `--device cpu
--quick` does everything in miniature where there is no GPU, graphs excepted: its figures mean nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import statistics
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parent))
import baseline as tutorial
from gpu_bench import Bench, advance, weights
from gpu_roofline import peaks, roofline
from gpu_tables import report

from ganzoo.engine.concurrent import Turn, run_together
from ganzoo.engine.device import resolve_device, synchronize
from ganzoo.environment import describe_environment

SCHEMA = 1
TARGETS = {"dcgan": (100_000, 10), "gan": (500_000, 20), "wgan-gp": (30_000, 8)}
"""img/s of the engine, and its ratio to the tutorial's loop, on one H100 at batch 512, 32x32, 1 channel."""

SEEDS_BOUND = 3.0
"""8 seeds of `gan` at once may take this many times what one takes."""


def repeat(step: Callable[[], None]) -> Callable[[int], None]:
    def work(iterations: int) -> None:
        for _ in range(iterations):
            step()

    return work


def speed(bench: Bench, variant: str) -> dict[str, Any]:
    """The engine beside the tutorial's loop, timed one after the other."""
    step = bench.step(variant)
    ours = bench.img_per_s(partial(advance, step), bench.chunk)
    execution = step.execution
    loop = tutorial.baseline(bench.registry, bench.config(variant), bench.device)
    theirs = bench.img_per_s(repeat(loop), bench.tutorial_chunk)
    fast, slow = statistics.median(ours), statistics.median(theirs)
    least, ratio = TARGETS[variant]
    return {
        "variant": variant,
        "execution": execution,
        "precision": bench.precision.name,
        "engine_img_per_s": fast,
        "engine_rounds": ours,
        "baseline_img_per_s": slow,
        "baseline_rounds": theirs,
        "ratio": fast / slow,
        "target_img_per_s": least,
        "target_ratio": ratio,
        "met": fast >= least and fast / slow >= ratio,
    }


def ablation(bench: Bench, variant: str) -> list[dict[str, Any]]:
    """One thing after the other. On a device without graphs the last rows are left out."""
    best = bench.precision.name
    rows: list[tuple[str, dict[str, Any]]] = [
        ("eager fp32, as torch does it", {"precision": "fp32", "plain": True}),
        ("fused optimizers, one pass of D", {"precision": "fp32", "graphs": None, "channels_last": False}),
        ("+ channels_last", {"precision": "fp32", "graphs": None}),
        (f"+ {best}", {"graphs": None}),
    ]
    if bench.device.type == "cuda":
        rows += [(f"+ graphs, {n} per replay", {"per_replay": n}) for n in (1, 4, 16)]
        rows += [
            ("the same, 4 per replay, with torch's own settings of TF32 and cuDNN", {"per_replay": 4, "own": True})
        ]
    found: list[dict[str, Any]] = []
    for label, options in rows:
        channels_last, own = options.pop("channels_last", True), options.pop("own", False)
        with mock.patch("ganzoo.engine.step.numerics", torch_settings) if own else contextlib.nullcontext():
            step = bench.step(variant, **options)
            if not channels_last:
                step._layout = torch.contiguous_format
                for module in (step.state.gan.generator, step.state.gan.discriminator, step.state.ema):
                    module.to(memory_format=torch.contiguous_format)
            rounds = bench.img_per_s(partial(advance, step), bench.chunk)
        found.append(
            {"variant": variant, "what": label, "img_per_s": statistics.median(rounds), "execution": step.execution}
        )
    return found


@contextlib.contextmanager
def torch_settings(*arguments: Any, **options: Any) -> Iterator[None]:
    """In the place of the engine's: nothing is set."""
    yield


def same(a: Sequence[Tensor], b: Sequence[Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


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
    return {
        "variant": variant,
        "steps": bench.compared,
        "execution": [execution for execution, _ in found.values()],
        "eager_repeats_itself": same(eager, found["eager again"][1]),
        "graphs_equal_eager": same(eager, found["1 per replay"][1]),
        "long_replays_equal_eager": same(eager, found["4 per replay"][1]),
    }


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
    iterations = bench.chunk * (1 if bench.quick else 20)

    def run(numbers: Sequence[int]) -> tuple[float, list[list[Tensor]]]:
        ready = threading.Barrier(len(numbers))
        spans: list[tuple[float, float]] = []

        def job(seed: int) -> Callable[[Turn], list[Tensor]]:
            def train(turn: Turn) -> list[Tensor]:
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
        "weights_as_alone": same(alone[0], together[0]) and same(last[0], together[-1]),
    }


def measure(bench: Bench, variants: Sequence[str], minutes: float, out: Path | None) -> dict[str, Any]:
    """All parts, the important ones first; the document is written after each of them."""
    began = time.perf_counter()
    parts: dict[str, dict[str, Any]] = {}
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "quick": bench.quick,
        "batch": bench.batch,
        "rounds": bench.rounds,
        "seconds": bench.seconds,
        "environment": describe_environment(bench.device, bench.precision.name, bench.registry.plugins),
        "parts": parts,
    }

    def part(name: str, work: Callable[[], Any]) -> Any:
        started = time.perf_counter()
        if started - began > minutes * 60:
            parts[name] = {"error": "no time was left"}
        else:
            print(f"{name} ...", file=sys.stderr, flush=True)
            try:
                parts[name] = {"value": work()}
            except Exception as error:
                parts[name] = {"error": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()}
            parts[name]["seconds"] = round(time.perf_counter() - started, 1)
        gc.collect()
        if bench.device.type == "cuda":
            with contextlib.suppress(RuntimeError):
                torch.cuda.empty_cache()
        document["wall_seconds"] = round(time.perf_counter() - began, 1)
        if out is not None:
            out.write_text(json.dumps(document, indent=1), encoding="utf-8")
        return parts[name].get("value")

    speeds = {variant: part(f"speed {variant}", lambda v=variant: speed(bench, v)) for variant in variants}  # type: ignore[misc]
    peak = part("peaks", partial(peaks, bench))
    for variant in variants:
        part(f"identity {variant}", partial(identity, bench, variant))
    part("seeds", partial(seeds, bench))
    for variant in variants:
        if peak is not None and speeds[variant] is not None:
            fast = speeds[variant]["engine_img_per_s"]
            part(f"roofline {variant}", partial(roofline, bench, variant, peak, fast))
    for variant in variants:
        part(f"losses {variant}", partial(losses, bench, variant))
    for variant in variants:
        part(f"ablation {variant}", partial(ablation, bench, variant))
    return document


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, metavar="FILE", help="write JSON here, after each part")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--variants", default=",".join(TARGETS), metavar="A,B")
    parser.add_argument("--minutes", type=float, default=7.0, metavar="M", help="begin no part after this")
    parser.add_argument("--quick", action="store_true", help="tiny networks and timings: whether it runs, not how fast")
    options = parser.parse_args(arguments)
    torch.set_flush_denormal(True)
    bench = Bench(resolve_device(options.device), options.quick)
    document = measure(bench, options.variants.split(","), options.minutes, options.out)
    print(report(document))
    return 1 if any("error" in part for part in document["parts"].values()) else 0


if __name__ == "__main__":
    sys.exit(main())
