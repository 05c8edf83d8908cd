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
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

sys.path.insert(0, str(Path(__file__).resolve().parent))
import baseline as tutorial

from ganzoo.config import RunConfig
from ganzoo.data import make_images
from ganzoo.data.sampler import make_sampler
from ganzoo.engine.concurrent import Turn, run_together
from ganzoo.engine.device import Precision, resolve_device, resolve_precision, synchronize
from ganzoo.engine.step import Step
from ganzoo.environment import describe_environment
from ganzoo.layers import build_config
from ganzoo.registry import Registry
from ganzoo.snapshots import build_gan

SCHEMA = 1
SIZE = 32
TARGETS = {"dcgan": (100_000, 10), "gan": (500_000, 20), "wgan-gp": (30_000, 8)}
"""img/s of the engine, and its ratio to the tutorial's loop, on one H100 at batch 512, 32x32, 1 channel."""

SEEDS_BOUND = 3.0
"""8 seeds of `gan` at once may take this many times what one takes."""


class Bench:
    """The conditions of a measurement."""

    def __init__(self, device: torch.device, quick: bool) -> None:
        self.device, self.quick = device, quick
        self.registry = Registry.load()
        self.batch = 8 if quick else 512
        self.seconds = 0.05 if quick else 3.0  # of one timing
        self.rounds = 1 if quick else 3
        # Iterations between two looks at the clock: whole replays of any length, whole rounds of wgan-gp's 5.
        self.chunk, self.tutorial_chunk = (5, 5) if quick else (160, 10)
        self.compared = 10 if quick else 50  # steps after which losses and weights are compared
        self.seeds = 3 if quick else 8
        self.precision = resolve_precision("auto", device)
        random = torch.Generator().manual_seed(0)
        images = 500 if quick else 60_000
        self.pixels = torch.randint(0, 256, (images, 1, SIZE, SIZE), dtype=torch.uint8, generator=random)
        tutorial.IMAGES = images

    def config(self, variant: str) -> RunConfig:
        overrides: dict[str, Any] = {"train.batch_size": self.batch}
        if self.quick:
            small = {"channels", "width"} & {setting.name for setting in self.registry.variant(variant).settings}
            overrides |= {f"variant.{name}": 4 for name in small}
        return build_config(self.registry, variant=variant, preset="standard", overrides=overrides)

    def step(self, variant: str, precision: str | None = None, seed: int = 0, **options: Any) -> Step:
        """The engine's, on random images; `precision` None: the device's best."""
        config = self.config(variant)
        torch.manual_seed(seed)
        return Step(
            gan=build_gan(self.registry, config, (1, SIZE, SIZE), 0),
            losses=self.registry.objective(config.objective.name).load()(config.objective.settings),
            sampler=make_sampler(make_images(self.pixels, None), batch_size=self.batch, device=self.device, seed=seed),
            config=config.train,
            num_classes=0,
            device=self.device,
            precision=self.precision if precision is None else Precision(name=precision, device_type=self.device.type),
            **options,
        )

    def img_per_s(self, work: Callable[[int], None], chunk: int) -> list[float]:
        """Real images per second in each round; `work` does a number of iterations, `chunk` at a time."""
        work(chunk)  # warm-up and capture
        synchronize(self.device)
        found = []
        for _ in range(self.rounds):
            started, done = time.perf_counter(), 0
            while time.perf_counter() - started < self.seconds:
                work(chunk)
                synchronize(self.device)
                done += chunk
            found.append(done * self.batch / (time.perf_counter() - started))
        return found


def advance(step: Step, iterations: int) -> None:
    """In the longest replays that fit."""
    end = step.state.step + iterations
    while step.state.step < end:
        step.advance(end - step.state.step)


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


class Work(TorchDispatchMode):
    """Adds up the FLOP of products and convolutions, by torch's own formulas, and the bytes that operations read and
    write, if each takes its inputs from memory and puts its outputs there. Caches and what libraries do inside an
    operation are not counted, views cost nothing. (torch's FlopCounterMode cannot follow a gradient penalty.)
    """

    def __init__(self) -> None:
        super().__init__()
        self.flop = 0
        self.bytes = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        options = dict(kwargs or {})
        out = func(*args, **options)
        if func._overloadpacket in flop_registry:
            self.flop += flop_registry[func._overloadpacket](*args, **options, out_val=out)
        if not func.is_view:
            tensors = [leaf for leaf in tree_leaves((args, options, out)) if isinstance(leaf, Tensor)]
            self.bytes += sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        return out


def work_per_image(bench: Bench, variant: str) -> tuple[float, float]:
    """FLOP and bytes per real image, of whole rounds of the phases."""
    step = bench.step(variant, graphs=None, plain=bench.device.type == "cpu")
    period = bench.config(variant).train.d_steps
    advance(step, 2 * period)
    with Work() as work:
        advance(step, period)
    return work.flop / (period * bench.batch), work.bytes / (period * bench.batch)


def peaks(bench: Bench) -> dict[str, float]:
    """FLOP/s of matrix products and bytes/s of copies, as measured here: the best of five."""
    side, length = (256, 2**20) if bench.quick else (8192, 2**28)

    def best(work: Callable[[], object], amount: float) -> float:
        times = []
        for _ in range(6):
            synchronize(bench.device)
            started = time.perf_counter()
            for _ in range(4):
                work()
            synchronize(bench.device)
            times.append((time.perf_counter() - started) / 4)
        return amount / min(times[1:])

    found: dict[str, float] = {}
    matmul = torch.backends.cuda.matmul
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        a = torch.randn(side, side, device=bench.device).to(dtype)
        before = matmul.fp32_precision
        matmul.fp32_precision = "ieee"
        try:
            found[f"{name}_flop_per_s"] = best(partial(torch.mm, a, a), 2 * side**3)
        finally:
            matmul.fp32_precision = before
    source = torch.zeros(length, dtype=torch.float32, device=bench.device)
    target = torch.empty_like(source)
    found["bytes_per_s"] = best(partial(target.copy_, source), 2 * source.nbytes)  # read and written
    return found


def roofline(bench: Bench, variant: str, peak: Mapping[str, float], img_per_s: float) -> dict[str, Any]:
    """The share of what the device could do at most at this ratio of FLOP to bytes."""
    flop, moved = work_per_image(bench, variant)
    roof = min(peak[f"{bench.precision.name}_flop_per_s"], flop / moved * peak["bytes_per_s"])
    return {
        "variant": variant,
        "flop_per_image": flop,
        "bytes_per_image": moved,
        "bytes_how": "sum of inputs and outputs of every operation of an eager iteration, views left out",
        "flop_per_s": flop * img_per_s,
        "bytes_per_s": moved * img_per_s,
        "share_of_peak_flop": flop * img_per_s / peak[f"{bench.precision.name}_flop_per_s"],
        "share_of_roofline": flop * img_per_s / roof,
    }


def weights(step: Step) -> list[Tensor]:
    networks = (step.state.gan.generator, step.state.gan.discriminator, step.state.ema)
    return [tensor.detach().clone() for network in networks for tensor in network.state_dict().values()]


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


def table(title: str, rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> str:
    """Markdown; `columns`: heading -> key."""

    def cell(value: Any) -> str:
        if isinstance(value, bool):
            return "yes" if value else "no"
        if not isinstance(value, int | float):
            return str(value)
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"

    lines = [f"\n### {title}\n", "| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(cell(row.get(key, "")) for key in columns.values()) + " |" for row in rows]
    return "\n".join(lines)


# Heading -> key, of each table.
SPEED = {
    "engine img/s": "engine_img_per_s",
    "tutorial img/s": "baseline_img_per_s",
    "ratio": "ratio",
    "target img/s": "target_img_per_s",
    "target ratio": "target_ratio",
    "met": "met",
    "execution": "execution",
}
ABLATION = {"what": "what", "img/s": "img_per_s", "execution": "execution"}
PEAKS = {"fp32 FLOP/s": "fp32_flop_per_s", "bf16 FLOP/s": "bf16_flop_per_s", "copy bytes/s": "bytes_per_s"}
ROOFLINE = {
    "FLOP per image": "flop_per_image",
    "bytes per image": "bytes_per_image",
    "FLOP/s": "flop_per_s",
    "bytes/s": "bytes_per_s",
    "of peak FLOP/s": "share_of_peak_flop",
    "of roofline": "share_of_roofline",
}
IDENTITY = {
    "steps": "steps",
    "eager repeats itself": "eager_repeats_itself",
    "graphs equal": "graphs_equal_eager",
    "long replays equal": "long_replays_equal_eager",
}
LOSSES = {"precision": "precision", "D": "d_loss", "G": "g_loss", "penalty": "penalty"}
SEEDS = {
    "seeds": "seeds",
    "one, s": "one_seconds",
    "all, s": "all_seconds",
    "cost": "cost",
    "bound": "bound",
    "met": "met",
    "weights as alone": "weights_as_alone",
}


def report(document: Mapping[str, Any]) -> str:
    parts = document["parts"]

    def rows(prefix: str) -> list[Mapping[str, Any]]:
        found: list[Mapping[str, Any]] = []
        for name, part in parts.items():
            if name.split()[0] == prefix and "value" in part:
                found += part["value"] if isinstance(part["value"], list) else [part["value"]]
        return found

    compared = [
        {"variant": row["variant"], "precision": name, **row[name]}
        for row in rows("losses")
        for name in ("plain fp32", "fp32", "bf16")
    ]
    variant = {"variant": "variant"}
    tables = [
        table("Speed", rows("speed"), variant | SPEED),
        table("One thing after the other", rows("ablation"), variant | ABLATION),
        table("Peaks, measured", rows("peaks"), PEAKS),
        table("Roofline", rows("roofline"), variant | ROOFLINE),
        table("Replays against eager iterations", rows("identity"), variant | IDENTITY),
        table("Losses over the last fifth", compared, variant | LOSSES),
        table("Seeds at once", rows("seeds"), SEEDS),
    ]
    missing = [f"- {name}: {part['error'].splitlines()[0]}" for name, part in parts.items() if "error" in part]
    environment = document["environment"]
    conditions = (
        f"\n{environment['device_name']}, torch {environment['packages']['torch']}, CUDA {environment['cuda']}, "
        f"batch {document['batch']}, {SIZE}x{SIZE}, 1 channel, {environment['precision']}; medians of "
        f"{document['rounds']} rounds of {document['seconds']:g} s; {document['wall_seconds']:.0f} s in all"
    )
    return "\n".join([*tables, *(["\n### Not measured\n", *missing] if missing else []), conditions])


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
