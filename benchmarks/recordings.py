"""Iterations that are replayed on the CPU (`ganzoo/engine/cpu/recording.py`) beside eager ones.

`python benchmarks/recordings.py --variants gan,dcgan,stylegan2` trains each variant, in the recipe that `ganzoo train`
would give it, both ways in turn, and prints images a second, the median of the rounds' ratios with its quartiles, and
whether both ways have come to the same weights after as many iterations.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import torch

from ganzoo.bench.chosen import chosen_names
from ganzoo.bench.speed import advance
from ganzoo.config.layers import build_config
from ganzoo.config.places import cache_root
from ganzoo.data.sampler import make_sampler
from ganzoo.engine.device import denormals_flushed, resolve_precision
from ganzoo.engine.step import Step
from ganzoo.runs.environment import device_name
from ganzoo.runs.snapshots import build_extras, build_gan
from ganzoo.scoring.images import load_images
from ganzoo.zoo.registry import Registry

CPU = torch.device("cpu")


def step_of(registry: Registry, variant: str, options: argparse.Namespace, *, replayed: bool) -> Step:
    config = build_config(
        registry, variant=variant, dataset=options.dataset, preset=options.preset, sets=["precision=fp32", *options.set]
    )
    images = load_images(registry, config, options.data_root, "train")
    conditional = registry.variant(variant).conditional
    torch.manual_seed(0)
    return Step(
        gan=build_gan(registry, config, images.shape, images.num_classes),
        losses=registry.objective(config.objective.name).load()(config.objective.settings),
        extras=build_extras(registry, config, images.shape),
        sampler=make_sampler(images, batch_size=config.train.batch_size, device=CPU, seed=0),
        config=config.train,
        num_classes=images.num_classes if conditional else 0,
        device=CPU,
        precision=resolve_precision(config.precision, CPU),
        graphs="auto" if replayed else None,
    )


def weights_of(step: Step) -> list[torch.Tensor]:
    networks = (step.state.gan.generator, step.state.gan.discriminator, step.state.ema)
    return [value.clone() for network in networks for value in network.state_dict().values()]


def compare(registry: Registry, variant: str, options: argparse.Namespace) -> dict[str, Any]:
    steps = [step_of(registry, variant, options, replayed=replayed) for replayed in (False, True)]
    together = steps[0].config.d_steps
    end = max(step.warm_up for step in steps) + 4 * together
    weights = []
    for step in steps:
        torch.manual_seed(1)
        advance(step, end)
        weights.append(weights_of(step))
    counts = [together] * 2
    for which, step in enumerate(steps):
        started = time.perf_counter()
        advance(step, together)
        counts[which] = together * max(1, round(options.seconds / (time.perf_counter() - started)))
    speeds: list[list[float]] = [[], []]
    for turn in range(options.rounds):
        for which in (0, 1) if turn % 2 else (1, 0):
            started = time.perf_counter()
            advance(steps[which], counts[which])
            taken = time.perf_counter() - started
            speeds[which].append(counts[which] * steps[which].config.batch_size / taken)
    ratios = sorted(fast / slow for slow, fast in zip(*speeds, strict=True))
    low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return {
        "variant": variant,
        "batch": steps[0].config.batch_size,
        "eager": statistics.median(speeds[0]),
        "replayed": statistics.median(speeds[1]),
        "ratio": middle,
        "quartiles": [low, high],
        "execution": steps[1].execution,
        "threads": steps[1].threads,
        "same_weights": all(map(torch.equal, *weights)),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="Replayed iterations on the CPU beside eager ones.")
    parser.add_argument("--variants", metavar="A,B", help="default: those that `ganzoo bench` compares")
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--preset")
    parser.add_argument("--data-root")
    parser.add_argument("--rounds", type=int, default=15, help="timings of each way, in turn")
    parser.add_argument("--seconds", type=float, default=0.5, metavar="S", help="of each timing")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="of both")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    options.data_root = cache_root(options.data_root)
    registry = Registry.load()
    names = chosen_names(registry) if options.variants is None else options.variants.split(",")
    before = os.getloadavg()[0]
    print(
        "| variant | batch | eager | replayed | ratio | quartiles | same weights |\n|---|---:|---:|---:|---:|---|---|"
    )
    rows = []
    with denormals_flushed():
        for name in names:
            row = compare(registry, name, options)
            rows.append(row)
            low, high = row["quartiles"]
            same = "yes" if row["same_weights"] else "no"
            print(f"| {name} | {row['batch']} | {row['eager']:,.0f} | {row['replayed']:,.0f} | {row['ratio']:.2f} "
                  f"| {low:.2f} to {high:.2f} | {same} |", flush=True)  # fmt: skip
    print(f"\n{device_name(CPU)}, torch {torch.__version__}, img/s, medians of {options.rounds} rounds of "
          f"{options.seconds:g} s in turn, load {before:.1f} before and {os.getloadavg()[0]:.1f} after")  # fmt: skip
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return 0 if all(row["same_weights"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
