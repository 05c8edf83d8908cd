"""The whole measurement of the engine on a GPU: `python benchmarks/gpu.py --out gpu.json`, 8 minutes by estimate.

First, and numbered, what is to be looked at before anything else: where the time of an iteration goes, what the
engine's own choices cost, whether replays are right, what the commands make of it. Then speed against targets, and the
rest.

Writes JSON after each part and prints Markdown tables. Needs ganzoo installed and the repository's root as the working
folder. A part that fails, or for which no time is left, is recorded as such, and the others go on; `--parts
profile,layers` chooses, so that the whole can be spread over several calls. `--device cpu --quick` does everything in
miniature where there is no GPU, graphs excepted: its figures mean nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))
from gpu_bench import Bench
from gpu_first import ablation, compare_layouts, compare_passes, compare_replays, profile
from gpu_identity import identity, losses, plugins, seeds
from gpu_layers import measure_layers
from gpu_roofline import peaks, roofline
from gpu_speed import TARGETS, speed, speed_only, trained, tutorials
from gpu_tables import report

from ganzoo.engine.device import resolve_device
from ganzoo.runs.environment import describe_environment

SCHEMA = 2

Parts = dict[str, dict[str, Any]]


def parts_of(bench: Bench, variants: Sequence[str], done: Parts) -> dict[str, Callable[[], Any]]:
    """Every part, in order: its kind, and the variant where there is one for each. `done`: the parts measured so far,
    filled while they are.
    """

    def value(name: str) -> Any:
        return done.get(name, {}).get("value")

    def share(variant: str) -> Any:
        fast = value(f"speed {variant}")
        return roofline(bench, variant, value("peaks"), None if fast is None else fast["engine_img_per_s"])

    def each(kind: str, work: Callable[[Bench, str], Any], names: Sequence[str] = variants) -> dict[str, Any]:
        return {f"{kind} {variant}": partial(work, bench, variant) for variant in names}

    penalised = [name for name in variants if bench.config(name).objective.name == "wgan-gp"]
    return {
        **each("profile", profile, variants[:1]),
        "layers": partial(measure_layers, bench, variants),
        **each("train", trained),
        **each("passes", compare_passes),
        **each("layouts", compare_layouts, penalised),
        **each("identity", identity),
        **each("plugins", plugins, variants[:1]),
        "seeds": partial(seeds, bench),
        **each("replays", compare_replays),
        **each("speed-only", speed_only),
        **each("tutorial", tutorials),
        **each("speed", speed),
        "peaks": partial(peaks, bench),
        **{f"roofline {variant}": partial(share, variant) for variant in variants},
        **each("losses", losses),
        **each("ablation", ablation),
    }


KINDS = (
    "profile", "layers", "train", "passes", "layouts", "identity", "plugins", "seeds", "replays", "speed-only",
    "tutorial", "speed", "peaks", "roofline", "losses", "ablation",
)  # fmt: skip


def measure(
    bench: Bench, variants: Sequence[str], minutes: float, out: Path | None, kinds: Sequence[str] = KINDS
) -> dict[str, Any]:
    """The parts of these kinds; the document is written after each of them."""
    began = time.perf_counter()
    done: Parts = {}
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "quick": bench.quick,
        "batch": bench.batch,
        "rounds": bench.rounds,
        "seconds": bench.seconds,
        "short_rounds": bench.short_rounds,
        "short_seconds": bench.short_seconds,
        "environment": describe_environment(bench.device, bench.precision.name, bench.registry.plugins),
        "parts": done,
    }
    for name, work in parts_of(bench, variants, done).items():
        if name.split()[0] not in kinds:
            continue
        started = time.perf_counter()
        if started - began > minutes * 60:
            done[name] = {"error": "no time was left"}
        else:
            print(f"{name} ...", file=sys.stderr, flush=True)
            try:
                done[name] = {"value": work()}
            except Exception as error:
                done[name] = {"error": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()}
            done[name]["seconds"] = round(time.perf_counter() - started, 1)
        gc.collect()
        if bench.device.type == "cuda":
            with contextlib.suppress(RuntimeError):
                torch.cuda.empty_cache()
        document["wall_seconds"] = round(time.perf_counter() - began, 1)
        if out is not None:
            out.write_text(json.dumps(document, indent=1), encoding="utf-8")
    return document


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, metavar="FILE", help="write JSON here, after each part")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--variants", default=",".join(TARGETS), metavar="A,B")
    parser.add_argument("--parts", default=",".join(KINDS), metavar="A,B", help=f"of {', '.join(KINDS)}")
    parser.add_argument("--minutes", type=float, default=8.5, metavar="M", help="begin no part after this")
    parser.add_argument("--quick", action="store_true", help="tiny networks and timings: whether it runs, not how fast")
    options = parser.parse_args(arguments)
    kinds = options.parts.split(",")
    if unknown := sorted(set(kinds) - set(KINDS)):
        parser.error(f"no parts: {', '.join(unknown)}; choose from {', '.join(KINDS)}")
    torch.set_flush_denormal(True)
    bench = Bench(resolve_device(options.device), options.quick)
    document = measure(bench, options.variants.split(","), options.minutes, options.out, kinds)
    print(report(document))
    return 1 if any("error" in part for part in document["parts"].values()) else 0


if __name__ == "__main__":
    sys.exit(main())
