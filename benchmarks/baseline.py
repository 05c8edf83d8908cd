"""The engine beside the loop that tutorials write: same networks, same batch, same machine, one run.

`python benchmarks/baseline.py` prints Markdown tables (`--json`: the rows as JSON). Of each variant these loops are
timed, all in fp32 unless `--precision` says otherwise for the engine:

- `workers`: the tutorial's, eager, its images through torchvision transforms in a DataLoader of two workers, its losses
  read and logged at each step;
- `in-process`: as most scripts have it, with a DataLoader without workers;
- `tensors`: the same step on images that lie in memory as floats, the strongest thing that a careful user would write;
- `compiled`: that with `torch.compile`, where a C++ compiler is found and the step can be differentiated;
- `plain`: the engine without its fast paths (`--set engine=plain`);
- `engine`: the engine;
- `limit`: the products of the step and the bytes it has to move, and nothing else: see `limit.py`.

`popular-gan` and `popular-dcgan` are the networks of scripts that people run (`popular.py`). Each loop has a process of
its own, because what the engine tells the allocator would help the others; they are timed in turn, `--rounds` times for
`--seconds` each, and a ratio is the median of the rounds' ratios, so that a change of the machine's load meets both.
`--wait passive` makes threads sleep while they wait, as `ganzoo` does unless told otherwise, in all; `--wait default`
leaves it to torch, and `--wait active` makes them spin, which the engine is told, too.
"""

from __future__ import annotations

import argparse
import functools
import json
import multiprocessing
import os
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from limit import Least
from popular import SIDES
from tutorial import IMAGES, Work, loaded, resident, side_of

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

POPULAR = Path(__file__).with_name("popular.py")

WAITS = {
    "default": {},
    "passive": {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "0"},
    "active": {"OMP_WAIT_POLICY": "active", "GOMP_SPINCOUNT": "300000"},  # libgomp's own: else they would never sleep,
}  # and those of a loop that waits for its turn would take the processor from the one that is timed
"""What the environment says of threads."""


def config_of(registry: Registry, variant: str, sets: Sequence[str], overrides: dict[str, Any]) -> RunConfig:
    """With images of the size that the variant is compared at."""
    sized = {"dataset.size": SIDES[variant]} if variant in SIDES else {}
    return build_config(registry, variant=variant, preset="standard", sets=sets, overrides=sized | overrides)


def made_step(registry: Registry, config: RunConfig, device: torch.device, *, plain: bool = False) -> Step:
    """Ours, with all that belongs to a step: data, phases, statistics, EMA. `plain`: no fast paths."""
    side = side_of(config)
    torch.manual_seed(0)
    gan = build_gan(registry, config, (1, side, side), 0)
    random = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (IMAGES, 1, side, side), dtype=torch.uint8, generator=random)
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
    return step


def engine(registry: Registry, config: RunConfig, device: torch.device, *, plain: bool = False) -> Work:
    return functools.partial(advance, made_step(registry, config, device, plain=plain))


def least(registry: Registry, config: RunConfig, device: torch.device) -> Work:
    return Least(made_step(registry, config, device, plain=True), config.train.d_steps, device)


def speed(work: Work, batch: int, seconds: float, device: torch.device, period: int = 5) -> float:
    """Real images per second, by whole rounds of `period` steps."""
    chunk = 20 if device.type == "cuda" else period  # whole replays; multiples of wgan-gp's five critic steps
    started, steps = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        work(chunk)
        steps += chunk
        if device.type == "cuda" and steps % 500 == 0:
            synchronize(device)
    synchronize(device)
    return steps * batch / (time.perf_counter() - started)


LOOPS: dict[str, Callable[..., Work]] = {
    "workers": loaded,
    "in-process": functools.partial(loaded, workers=0),
    "tensors": resident,
    "compiled": functools.partial(resident, compiled=True),
    "plain": functools.partial(engine, plain=True),
    "engine": engine,
    "limit": least,
}


def can_compile(config: RunConfig) -> bool:
    """Whether there is a C++ compiler, and no gradient of a gradient, which `torch.compile` refuses."""
    found = shutil.which(os.environ.get("CXX", "g++")) or shutil.which("clang++")
    return found is not None and config.objective.name != "wgan-gp"


def work(name: str, config: RunConfig, pipe: Connection) -> None:
    """In a process of its own: time the loop for as many seconds as the pipe says, and tell the pipe its speed."""
    device = resolve_device(config.device)
    torch.set_flush_denormal(True)  # in both; before torch starts its threads
    loop = LOOPS[name](Registry.load([POPULAR]), config, device)
    synchronize(device)
    pipe.send(device_name(device))
    while (seconds := pipe.recv()) > 0:
        pipe.send(speed(loop, config.train.batch_size, seconds, device, config.train.d_steps))


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
    """A variant's row: "img_per_s" and "rounds" by loop, and "ratios": of the engine to each loop, in each round."""
    overrides: dict[str, Any] = {
        "train.batch_size": options.batch,
        "precision": options.precision,
        "device": options.device,
    }
    config = config_of(Registry.load([POPULAR]), variant, options.set or (), overrides)
    wanted = [name for name in options.loops.split(",") if name != "compiled" or can_compile(config)]
    loops = {name: Loop(name, config) for name in wanted}
    taken: dict[str, list[float]] = {name: [] for name in loops}
    for _ in range(options.rounds):
        for name, loop in loops.items():
            taken[name].append(loop.time(options.seconds))
    for loop in loops.values():
        loop.end()
    ratios = {
        name: [ours / theirs for ours, theirs in zip(taken["engine"], values, strict=True)]
        for name, values in taken.items()
        if "engine" in taken and name != "engine"
    }
    return {
        "variant": variant,
        "side": side_of(config),
        "img_per_s": {name: statistics.median(values) for name, values in taken.items()},
        "rounds": taken,
        "ratio": {name: statistics.median(values) for name, values in ratios.items()},
        "ratios": ratios,
        "device": next(iter(loops.values())).device,
    }


def table(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---"] + ["---:"] * (len(heads) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def in_words(rows: list[dict[str, Any]], names: list[str]) -> str:
    """Two tables: images per second by loop; and how much faster the engine is, with the quartiles of the rounds."""

    def ratio(row: dict[str, Any], name: str) -> str:
        values = row["ratios"].get(name)
        if not values:
            return ""
        low, _, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
        return f"{row['ratio'][name]:.2f} ({low:.2f} to {high:.2f})"

    def speed_of(row: dict[str, Any], name: str) -> str:
        return f"{row['img_per_s'][name]:,.0f}" if name in row["img_per_s"] else ""

    speeds = [
        [f"{row['variant']}, {row['side']}x{row['side']}", *(speed_of(row, name) for name in names)] for row in rows
    ]
    others = [name for name in names if name != "engine"]
    ratios = [[row["variant"], *(ratio(row, name) for name in others)] for row in rows]
    heads = [f"to the {name}" if name == "limit" else f"to {name}" for name in others]
    return (
        f"Images per second:\n\n{table(['variant', *names], speeds)}\n\n"
        f"The engine's speed, in relation:\n\n{table(['variant', *heads], ratios)}"
    )


def load() -> str:
    """The machine's load over the last minute, where it says."""
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="ganzoo's engine beside the loop that tutorials write.")
    parser.add_argument("--variants", default="gan,dcgan,wgan-gp,popular-gan,popular-dcgan", metavar="A,B")
    parser.add_argument("--loops", default=",".join(LOOPS), metavar="A,B", help="of " + ", ".join(LOOPS))
    parser.add_argument("--batch", type=int, default=64, metavar="N", help="real images per step")
    parser.add_argument("--seconds", type=float, default=2.0, metavar="S", help="of each timing")
    parser.add_argument("--rounds", type=int, default=9, metavar="N", help="timings of each loop, in turn")
    parser.add_argument("--precision", default="fp32", help="of the engine: auto, fp32 or bf16")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--set", action="append", metavar="KEY=VALUE", help="of all, e.g. train.d_lr=1e-4")
    parser.add_argument("--wait", choices=tuple(WAITS), default="default", help="how threads wait (libgomp), in all")
    options = parser.parse_args(arguments)
    names = options.loops.split(",")
    if unknown := [name for name in names if name not in LOOPS]:
        parser.error(f"there is no loop '{unknown[0]}': choose of {', '.join(LOOPS)}")
    for variable in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        os.environ.pop(variable, None)
    os.environ |= WAITS[options.wait]
    before = load()
    rows = [compare(variant, options) for variant in options.variants.split(",")]
    conditions = {
        "device": rows[0]["device"],
        "threads": torch.get_num_threads(),
        "wait": options.wait,
        "torch": torch.__version__,
        "batch": options.batch,
        "load": [before, load()],
    }
    if options.json:
        print(json.dumps({**conditions, "seconds": options.seconds, "rows": rows}, indent=1))
        return 0
    print(in_words(rows, names))
    loads = " and ".join(conditions["load"])
    print(f"\n{conditions['device']}, torch {conditions['torch']}, "
          f"batch {options.batch}, grey, waiting: {options.wait}, medians of {options.rounds} rounds of "
          f"{options.seconds:g} s, quartiles in brackets; load before and after: {loads}")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
