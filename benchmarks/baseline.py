"""The engine beside the loop that tutorials write: same networks, same batch, same machine, one run.

`python benchmarks/baseline.py` prints a Markdown table (`--json`: the rows as JSON). The baseline trains in fp32 and
eagerly, takes its images through torchvision transforms in a DataLoader with two workers, and reads and logs its losses
at each step. Each loop has a process of its own, because what the engine tells the allocator would help the other;
they are timed in turn, `--rounds` times for `--seconds` each, and a ratio is the median of the rounds' ratios, so that
a change of the machine's load meets both. `--wait passive` makes threads sleep while they wait, as `ganzoo` does unless
told otherwise, in all; `--wait default` leaves it to torch. "Plain" is the engine without its fast paths
(`--set engine=plain`); the ratio is of the engine to the baseline.
"""

from __future__ import annotations

import argparse
import functools
import json
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import torch
from tutorial import IMAGES, SIZE, Work, loaded

from ganzoo.bench.speed import advance, warm_up
from ganzoo.config.layers import build_config
from ganzoo.config.run_config import RunConfig
from ganzoo.data import make_images
from ganzoo.data.sampler import make_sampler
from ganzoo.engine.device import resolve_device, resolve_precision, synchronize
from ganzoo.engine.step import Step
from ganzoo.runs.environment import device_name
from ganzoo.runs.snapshots import build_gan
from ganzoo.zoo.registry import Registry


def engine(registry: Registry, config: RunConfig, device: torch.device, *, plain: bool = False) -> Work:
    """Ours, with all that belongs to a step: data, phases, statistics, EMA. `plain`: no fast paths."""
    torch.manual_seed(0)
    gan = build_gan(registry, config, (1, SIZE, SIZE), 0)
    random = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (IMAGES, 1, SIZE, SIZE), dtype=torch.uint8, generator=random)
    step = Step(
        gan=gan,
        losses=registry.objective(config.objective.name).load()(config.objective.settings),
        sampler=make_sampler(make_images(pixels, None), batch_size=config.train.batch_size, device=device, seed=0),
        config=config.train,
        num_classes=0,
        device=device,
        precision=resolve_precision(config.precision, device),
        plain=plain,
    )
    warm_up(step, config.train.d_steps)
    return functools.partial(advance, step)


def speed(work: Work, batch: int, seconds: float, device: torch.device) -> float:
    """Real images per second."""
    chunk = 20 if device.type == "cuda" else 5  # whole replays; multiples of wgan-gp's five critic steps
    started, steps = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        work(chunk)
        steps += chunk
        if device.type == "cuda" and steps % 500 == 0:
            synchronize(device)
    synchronize(device)
    return steps * batch / (time.perf_counter() - started)


LOOPS: dict[str, Callable[..., Work]] = {
    "baseline": loaded,
    "plain": functools.partial(engine, plain=True),
    "engine": engine,
}


def work(name: str, config: RunConfig, pipe: Connection) -> None:
    """In a process of its own: time the loop for as many seconds as the pipe says, and tell the pipe its speed."""
    device = resolve_device(config.device)
    torch.set_flush_denormal(True)  # in both; before torch starts its threads
    loop = LOOPS[name](Registry.load(), config, device)
    synchronize(device)
    pipe.send(device_name(device))
    while (seconds := pipe.recv()) > 0:
        pipe.send(speed(loop, config.train.batch_size, seconds, device))


class Loop:
    """A loop in a process of its own."""

    def __init__(self, name: str, config: RunConfig) -> None:
        context = multiprocessing.get_context("spawn")  # so that torch reads the variables that `main` has set
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=work, args=(name, config, theirs))
        self._process.start()
        theirs.close()
        self.device: str = self._pipe.recv()

    def time(self, seconds: float) -> float:
        """Images per second. Raises EOFError where the process has died; it has said why."""
        self._pipe.send(seconds)
        result: float = self._pipe.recv()
        return result

    def end(self) -> None:
        self._pipe.send(0.0)
        self._process.join()


def compare(variant: str, options: argparse.Namespace) -> dict[str, Any]:
    overrides: dict[str, Any] = {
        "train.batch_size": options.batch,
        "precision": options.precision,
        "device": options.device,
    }
    config = build_config(
        Registry.load(), variant=variant, preset="standard", sets=options.set or (), overrides=overrides
    )
    loops = {name: Loop(name, config) for name in LOOPS}
    taken: dict[str, list[float]] = {name: [] for name in loops}
    for _ in range(options.rounds):
        for name, loop in loops.items():
            taken[name].append(loop.time(options.seconds))
    for loop in loops.values():
        loop.end()
    medians = {name: statistics.median(values) for name, values in taken.items()}
    ratios = [ours / theirs for ours, theirs in zip(taken["engine"], taken["baseline"], strict=True)]
    device = loops["engine"].device
    return {"variant": variant, **medians, "ratio": statistics.median(ratios), "ratios": ratios, "device": device}


def main() -> int:
    parser = argparse.ArgumentParser(description="ganzoo's engine beside the loop that tutorials write.")
    parser.add_argument("--variants", default="gan,dcgan,wgan-gp", metavar="A,B")
    parser.add_argument("--batch", type=int, default=64, metavar="N", help="real images per step")
    parser.add_argument("--seconds", type=float, default=2.0, metavar="S", help="of each timing")
    parser.add_argument("--rounds", type=int, default=9, metavar="N", help="timings of each loop, in turn")
    parser.add_argument("--precision", default="auto", help="of the engine: auto, fp32 or bf16")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--set", action="append", metavar="KEY=VALUE", help="of both, e.g. variant.channels=16")
    parser.add_argument("--wait", choices=("default", "passive"), default="default", help="how threads wait (libgomp)")
    options = parser.parse_args()
    for variable, value in (("OMP_WAIT_POLICY", "passive"), ("GOMP_SPINCOUNT", "0")):
        os.environ.pop(variable, None)
        if options.wait == "passive":
            os.environ[variable] = value
    rows = [compare(variant, options) for variant in options.variants.split(",")]
    conditions = {
        "device": rows[0]["device"],
        "threads": torch.get_num_threads(),
        "wait": options.wait,
        "torch": torch.__version__,
        "batch": options.batch,
    }
    if options.json:
        print(json.dumps({**conditions, "seconds": options.seconds, "rows": rows}, indent=1))
        return 0
    print("| variant | baseline img/s | plain engine | engine | ratio | ratios of the rounds |")
    print("|---|---:|---:|---:|---:|---|")
    for row in rows:
        each = ", ".join(f"{ratio:.2f}" for ratio in row["ratios"])
        speeds = " | ".join(f"{row[name]:,.0f}" for name in LOOPS)
        print(f"| {row['variant']} | {speeds} | {row['ratio']:.2f} | {each} |")
    print(f"\n{conditions['device']}, torch {conditions['torch']}, batch {options.batch}, {SIZE}x{SIZE} grey, "
          f"waiting: {options.wait}, {options.rounds} rounds of {options.seconds:g} s")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
