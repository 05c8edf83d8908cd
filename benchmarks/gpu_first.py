"""Where the time of an iteration goes, and what the engine's own choices cost: what to look at before anything else."""

from __future__ import annotations

import contextlib
import statistics
from collections import Counter
from typing import Any
from unittest import mock

import torch
from gpu_bench import Bench, own_settings, products
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity

from ganzoo.bench.speed import advance, warm_up
from ganzoo.engine import step as engine_step
from ganzoo.engine.device import synchronize
from ganzoo.engine.step import Step

KERNELS = 40
"""Rows of the profile that are kept, the longest first."""


def profile(bench: Bench, variant: str) -> dict[str, Any]:
    """Kernels of one replay of the longest kind (where there are no graphs, operations of as many iterations), and how
    long the device is busy of the time that an iteration takes when nobody watches.
    """
    step = bench.step(variant)
    rates = bench.rate(step, variant)
    iterations = warm_up(step, bench.config(variant).train.d_steps)
    on_device = bench.device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_device else [])]
    for _ in range(2):  # the first only starts the profiler's tools
        with torch.profiler.profile(activities=activities, acc_events=True) as seen:
            advance(step, iterations)
            synchronize(bench.device)
    count: Counter[str] = Counter()
    microseconds: Counter[str] = Counter()
    for event in seen.events() or ():
        if event.device_type != (DeviceType.CUDA if on_device else DeviceType.CPU) or event.is_user_annotation:
            continue
        count[event.name] += 1
        microseconds[event.name] += event.time_range.elapsed_us() if on_device else event.self_cpu_time_total  # type: ignore[assignment]
    if not count:
        raise RuntimeError("the profiler has seen nothing on the device")
    busy = sum(microseconds.values()) / iterations
    wall = bench.batch / statistics.median(rates) * 1e6
    return {
        "variant": variant,
        "execution": step.execution,
        "iterations": iterations,
        "events_per_iteration": count.total() / iterations,
        "busy_us_per_iteration": busy,
        "wall_us_per_iteration": wall,
        "busy_share": busy / wall,
        "kernels": [
            {
                "kernel": name[:120],
                "per_iteration": count[name] / iterations,
                "us_per_iteration": taken / iterations,
                "share": taken / iterations / busy,
            }
            for name, taken in microseconds.most_common(KERNELS)
        ],
    }


def compare_passes(bench: Bench, variant: str) -> list[dict[str, Any]]:
    """D's passes as the engine chooses them, and real and fake images one after the other."""
    chosen: list[str] = []
    original = engine_step.passes_of

    def asked(*arguments: Any, **options: Any) -> Any:
        chosen.append(original(*arguments, **options))
        return chosen[-1]

    def two(*arguments: Any, **options: Any) -> Any:
        return "two"

    with mock.patch.object(engine_step, "passes_of", asked):
        rows = [_row(bench, variant, bench.step(variant), passes="", chosen=True)]
    rows[0]["passes"] = chosen[0]
    if chosen[0] != "two":
        with mock.patch.object(engine_step, "passes_of", two):
            rows.append(_row(bench, variant, bench.step(variant), passes="two", chosen=False))
    return rows


def compare_layouts(bench: Bench, variant: str) -> list[dict[str, Any]]:
    """Whole iterations in both layouts, with float32 products (under a penalty there are some) by TF32 and IEEE."""
    rows = []
    for layout, memory in (("contiguous", torch.contiguous_format), ("channels last", torch.channels_last)):
        for kind in ("ieee", "tf32", "torch's own settings"):
            with own_settings() if kind.startswith("torch") else products(kind):
                rows.append(_row(bench, variant, bench.step(variant, layout=memory), layout=layout, products=kind))
    return rows


def compare_replays(bench: Bench, variant: str) -> list[dict[str, Any]]:
    """Iterations per replay, at a small and a large batch."""
    rows = []
    for batch in bench.batches:
        for per_replay in (1, 4, 16) if bench.graphs else (1,):
            step = bench.step(variant, batch=batch, per_replay=per_replay)
            rows.append(_row(bench, variant, step, batch=batch, per_replay=per_replay))
    return rows


def ablation(bench: Bench, variant: str) -> list[dict[str, Any]]:
    """One thing after the other. On a device without graphs the last rows are left out."""
    best = bench.precision.name
    rows: list[tuple[str, dict[str, Any]]] = [
        ("plain engine, eager fp32", {"precision": "fp32", "plain": True}),
        (
            "fused optimizers, one pass of D",
            {"precision": "fp32", "graphs": None, "layout": torch.contiguous_format},
        ),
        ("+ channels last", {"precision": "fp32", "graphs": None, "layout": torch.channels_last}),
        (f"+ {best}", {"graphs": None, "layout": torch.channels_last}),
    ]
    if bench.graphs:
        rows += [(f"+ graphs, {n} per replay", {"per_replay": n, "layout": torch.channels_last}) for n in (1, 4, 16)]
        rows += [("as it is", {})]
        rows += [("as it is, with torch's own settings of TF32 and cuDNN", {"own": True})]
    found = []
    for label, options in rows:
        with own_settings() if options.pop("own", False) else contextlib.nullcontext():
            found.append(_row(bench, variant, bench.step(variant, **options), what=label))
    return found


def _row(bench: Bench, variant: str, step: Step, **conditions: Any) -> dict[str, Any]:
    rates = bench.rate(step, variant, batch=conditions.get("batch"))
    return {
        "variant": variant,
        **conditions,
        "img_per_s": statistics.median(rates),
        "rounds": rates,
        "execution": step.execution,
    }
