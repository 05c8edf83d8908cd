"""The document that gpu.py writes, as Markdown tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gpu_bench import SIZE


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
