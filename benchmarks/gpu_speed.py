"""The engine's speed beside that of others: targets, tutorials, the commands that a user calls."""

from __future__ import annotations

import dataclasses
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import tutorial
from gpu_bench import Bench

from ganzoo.bench.speed import measure_speed
from ganzoo.config.run_config import Train
from ganzoo.data import make_images
from ganzoo.engine.loop import Snapshot, Status
from ganzoo.runs.job import run_job

TARGETS = {"dcgan": (100_000, 1.5), "gan": (500_000, 2.0), "wgan-gp": (30_000, 1.2)}
"""img/s of the engine, and its ratio to the plain engine (eager, fp32 by IEEE, images on the device), on one H100 at
batch 512, 32x32, 1 channel. Both can be met at once, going by these estimates of an iteration in milliseconds, from
FLOP, bytes and operations counted, 3 TB/s, 300 TFLOP/s in bf16 and 45 in fp32 products of these sizes, 8 us a launch
from Python:

    variant  engine: bf16, graphs              plain engine                             target  and by the ratio
    dcgan    0.65 products, 0.65 memory,       4.3 products, 1.3 memory; 335 launches    5.1     3.3 to 3.7
             0.6 launches: 2 to 4              beside that take 2.7: 5 to 5.6
    gan      0.5, launches of kernels          2, its 245 launches                       1.0     1.0
    wgan-gp  8 to 12, a third of it the        3 of products and 1.7 of memory more:     17      11 to 14
             penalty's IEEE products           13 to 17

A DataLoader's loop is no measure of an engine, because its workers bound it at some 10,000 img/s each: it is shown with
several numbers of them, as information. So is the tutorial's step on resident images, which leaves torch its TF32.
"""


def speed(bench: Bench, variant: str) -> dict[str, Any]:
    """The engine, its plain twin and the tutorial's step on resident images, timed one after the other."""
    step = bench.step(variant)
    ours = bench.rate(step, variant, long=True)
    plain = bench.rate(bench.step(variant, precision="fp32", plain=True), variant)
    theirs = bench.img_per_s(tutorial.resident(bench.registry, bench.config(variant), bench.device), 10)
    fast, slow, resident = (statistics.median(rates) for rates in (ours, plain, theirs))
    least, ratio = TARGETS[variant]
    return {
        "variant": variant,
        "execution": step.execution,
        "precision": bench.precision.name,
        "engine_img_per_s": fast,
        "engine_rounds": ours,
        "plain_img_per_s": slow,
        "plain_rounds": plain,
        "ratio": fast / slow,
        "resident_tutorial_img_per_s": resident,
        "resident_tutorial_rounds": theirs,
        "ratio_to_resident_tutorial": fast / resident,
        "target_img_per_s": least,
        "target_ratio": ratio,
        "met_img_per_s": fast >= least,
        "met_ratio": fast / slow >= ratio,
    }


def tutorials(bench: Bench, variant: str) -> list[dict[str, Any]]:
    """The tutorial's loop with its DataLoader, by its number of workers."""
    rows = []
    for workers in bench.workers:
        work = tutorial.loaded(bench.registry, bench.config(variant), bench.device, workers=workers)
        work(4 * workers)  # what the workers have made in advance is no measure of them
        rates = bench.img_per_s(work, 10, long=True)
        rows.append({"variant": variant, "workers": workers, "img_per_s": statistics.median(rates), "rounds": rates})
    return rows


class _Watch:
    """When a run came how far."""

    def __init__(self) -> None:
        self.seen: list[tuple[float, int]] = []  # perf_counter(), images

    def on_status(self, status: Status) -> None:
        self.seen.append((time.perf_counter(), status.images))

    def on_snapshot(self, snapshot: Snapshot) -> None:
        if snapshot.index == 0:
            self.seen.append((time.perf_counter(), 0))

    def on_end(self, result: dict[str, Any]) -> None: ...

    def img_per_s(self) -> float:
        """By the wall clock, ticks included, between the first tick after a fifth of the run and the last."""
        last, total = self.seen[-1]
        first, images = next(((at, n) for at, n in self.seen if total / 5 <= n < total), self.seen[0])
        return (total - images) / (last - first)


def trained(bench: Bench, variant: str) -> list[dict[str, Any]]:
    """What `ganzoo train` makes of the engine, by the wall clock, with ticks near and far."""
    bare = statistics.median(bench.rate(bench.step(variant), variant))
    few, many = bench.ticks
    cases: list[dict[str, Any]] = [{"tick_kimg": few}, {"tick_kimg": many}]
    if "tick_seconds" in {field.name for field in dataclasses.fields(Train)}:  # ticks by images alone, as well
        cases.insert(1, {"tick_kimg": few, "tick_seconds": 0.0})
    rows = []
    for case in cases:
        kimg = max(bare * bench.seconds / 1000, 4 * case["tick_kimg"])
        given = {f"train__{key}": value for key, value in case.items()}
        config = bench.config(
            variant, train__kimg=kimg, train__snapshots=1, train__scores="none", precision=bench.precision.name, **given
        )
        watch = _Watch()
        with tempfile.TemporaryDirectory() as folder:
            images, root = make_images(bench.pixels, None), Path(folder)
            result = run_job(bench.registry, config, root / "run", root=root / "data", images=images, observers=[watch])
        wall = watch.img_per_s()
        rows.append(
            {
                "variant": variant,
                **case,
                "wall_img_per_s": wall,
                "train_img_per_s": result["train_img_per_s"],
                "bare_img_per_s": bare,
                "share": wall / bare,
                "execution": result["environment"]["execution"],
            }
        )
    return rows


def speed_only(bench: Bench, variant: str) -> dict[str, Any]:
    """What `ganzoo bench --speed-only` says, beside the engine timed here."""
    config = bench.config(variant, precision=bench.precision.name)
    with tempfile.TemporaryDirectory() as folder:
        found = measure_speed(
            bench.registry, [config], root=Path(folder), rounds=2 * bench.rounds, seconds=bench.short_seconds
        )
    (row,) = found["rows"]
    bare = statistics.median(bench.rate(bench.step(variant), variant))
    return {
        "variant": variant,
        "speed_only_img_per_s": row["train_img_per_s"],
        "spread": row["spread"],
        "sample_img_per_s": row["sample_img_per_s"],
        "bare_img_per_s": bare,
        "ratio": row["train_img_per_s"] / bare,
    }
