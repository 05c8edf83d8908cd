"""The document that gpu.py writes, as Markdown tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gpu_bench import SIZE
from gpu_layers import LAYOUTS, NUMBERS, summary


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


VARIANT = {"variant": "variant"}
RATE = {"img/s": "img_per_s", "execution": "execution"}
PROFILE = {
    "execution": "execution",
    "iterations": "iterations",
    "events/iteration": "events_per_iteration",
    "busy, us": "busy_us_per_iteration",
    "wall, us": "wall_us_per_iteration",
    "busy share": "busy_share",
}
KERNELS = {
    "kernel": "kernel",
    "per iteration": "per_iteration",
    "us/iteration": "us_per_iteration",
    "share": "share",
}
LAYERS = {
    "layer": "layer",
    "pass": "pass",
    **{f"{kind} {layout}": f"{kind} {layout}" for kind in NUMBERS for layout in LAYOUTS},
    "own way, bf16": "own",
    "fastest": "best",
    "with": "best_how",
}
TRAIN = {
    "tick kimg": "tick_kimg",
    "tick seconds": "tick_seconds",
    "wall img/s": "wall_img_per_s",
    "train img/s": "train_img_per_s",
    "bare engine": "bare_img_per_s",
    "share": "share",
    "execution": "execution",
}
PLUGINS = {
    "network": "network",
    "execution": "execution",
    "eager and said": "eager_and_said",
    "equal to eager": "equal_eager",
}
SPEED_ONLY = {
    "--speed-only img/s": "speed_only_img_per_s",
    "spread": "spread",
    "bare engine": "bare_img_per_s",
    "ratio": "ratio",
    "sampling img/s": "sample_img_per_s",
}
TUTORIAL = {"workers": "workers", "img/s": "img_per_s"}
SPEED = {
    "engine img/s": "engine_img_per_s",
    "target": "target_img_per_s",
    "met": "met_img_per_s",
    "plain engine": "plain_img_per_s",
    "ratio": "ratio",
    "target ratio": "target_ratio",
    "ratio met": "met_ratio",
    "tutorial, resident": "resident_tutorial_img_per_s",
    "ratio to it": "ratio_to_resident_tutorial",
    "execution": "execution",
}
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
    "execution": "executions",
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
    """What has been measured of it, and what has not."""
    parts = document["parts"]

    def rows(kind: str) -> list[Mapping[str, Any]]:
        found: list[Mapping[str, Any]] = []
        for name, part in parts.items():
            if name.split()[0] == kind and "value" in part:
                found += part["value"] if isinstance(part["value"], list) else [part["value"]]
        return found

    kernels = [kernel for row in rows("profile") for kernel in row["kernels"]]
    compared = [
        {"variant": row["variant"], "precision": name, **row[name]}
        for row in rows("losses")
        for name in ("plain fp32", "fp32", "bf16")
    ]
    identical = [{**row, "executions": "; ".join(dict.fromkeys(row["execution"]))} for row in rows("identity")]
    tables: list[tuple[str, Sequence[Mapping[str, Any]], Mapping[str, str]]] = [
        ("1. One replay", rows("profile"), VARIANT | PROFILE),
        ("1. Its kernels", kernels, KERNELS),
        ("2. Layers, us of a pass; deterministic, no search unless said", summary(rows("layers")), LAYERS),
        ("3. ganzoo train by the wall clock", rows("train"), VARIANT | TRAIN),
        ("4. D's passes", rows("passes"), VARIANT | {"passes": "passes", "chosen": "chosen"} | RATE),
        ("5. Under a penalty", rows("layouts"), VARIANT | {"layout": "layout", "float32 products": "products"} | RATE),
        ("6. Replays against eager iterations", identical, VARIANT | IDENTITY),
        ("6. Networks that no graph holds", rows("plugins"), VARIANT | PLUGINS),
        ("7. Seeds at once", rows("seeds"), SEEDS),
        ("8. Replays", rows("replays"), VARIANT | {"batch": "batch", "per replay": "per_replay"} | RATE),
        ("9. ganzoo bench --speed-only", rows("speed-only"), VARIANT | SPEED_ONLY),
        ("10. The tutorial's DataLoader", rows("tutorial"), VARIANT | TUTORIAL),
        ("Speed", rows("speed"), VARIANT | SPEED),
        ("Peaks, measured", rows("peaks"), PEAKS),
        ("Roofline", rows("roofline"), VARIANT | ROOFLINE),
        ("Losses over the last fifth", compared, VARIANT | LOSSES),
        ("One thing after the other", rows("ablation"), VARIANT | {"what": "what"} | RATE),
    ]
    missing = [f"- {name}: {part['error'].splitlines()[0]}" for name, part in parts.items() if "error" in part]
    environment = document["environment"]
    conditions = (
        f"\n{environment['device_name']}, torch {environment['packages']['torch']}, CUDA {environment['cuda']}, "
        f"batch {document['batch']}, {SIZE}x{SIZE}, 1 channel, {environment['precision']}; medians of "
        f"{document['rounds']} rounds of {document['seconds']:g} s where there is a target, else of "
        f"{document['short_rounds']} of {document['short_seconds']:g} s; {document['wall_seconds']:.0f} s in all"
    )
    found = [table(title, shown, columns) for title, shown, columns in tables if shown]
    if document["quick"]:
        conditions += "\n\n--quick: whether it runs. The figures mean nothing, nor does whether a target is met."
    return "\n".join([conditions, *found, *(["\n### Not measured\n", *missing] if missing else [])])
