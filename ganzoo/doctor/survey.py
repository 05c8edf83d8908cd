"""What is there: versions, devices, memory, disk, datasets, plugins, and what `auto` makes of it."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import Any

import torch

from ganzoo.data.downloads import DOWNLOADS, place_of
from ganzoo.engine.device import available_devices, has_bf16, resolve_device, resolve_precision
from ganzoo.files.machine import available_memory, cpu_name, total_memory, usable_cores
from ganzoo.runs.environment import describe_environment
from ganzoo.zoo.registry import Registry

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT")


def survey(registry: Registry, device: torch.device, root: Path) -> dict[str, Any]:
    """JSON-ready description of this machine; what env.json has, and more. Sizes are in bytes, times in seconds."""
    described = describe_environment(device, resolve_precision("auto", device).name, registry.plugins)
    document = {key: value for key, value in described.items() if key not in ("plugins", "doctor", "precision")}
    automatic = resolve_device("auto")
    return document | {
        "auto": {"device": str(automatic), "precision": resolve_precision("auto", automatic).name},
        "devices": [_device(name) for name in available_devices()],
        "cpus": usable_cores(),
        "thread_variables": {name: os.environ.get(name) for name in THREAD_VARIABLES},
        "memory_available": available_memory(),
        "data_root": str(root),
        "disk_free": disk_free(root),
        "datasets": datasets_at(root),
        "plugins": [
            {
                "name": plugin.name,
                "origin": plugin.origin,
                "status": plugin.status,
                "seconds": round(plugin.seconds, 6),
                "error": plugin.error,
            }
            for plugin in registry.plugins
        ],
    }


def datasets_at(root: Path) -> dict[str, str]:
    """What needs no download: dataset or feature network -> where its files are. Presence is looked at, not content."""
    found = {"digits": "in scikit-learn"}
    for name, downloads in DOWNLOADS.items():
        places = [place_of(name, download, root) for download in downloads]
        if places[0] is not None and None not in places:
            found[name] = str(places[0] if len(places) == 1 else places[0].parent)
    if (root / "celeba" / "list_eval_partition.txt").exists():
        found["celeba"] = str(root / "celeba")
    return found


def disk_free(root: Path) -> int | None:
    """Free bytes where `root` is, or will be made; None where the system does not say."""
    with contextlib.suppress(OSError, StopIteration):
        return shutil.disk_usage(next(path for path in (root, *root.parents) if path.exists())).free
    return None


def _device(name: str) -> dict[str, Any]:
    """Name, model, memory in bytes (None: unknown) and whether it computes bfloat16 itself (None: unknown)."""
    if name.startswith("cuda"):
        free, total = torch.cuda.mem_get_info(name)
        bf16 = has_bf16(torch.device(name))
        model = torch.cuda.get_device_name(name)
        return {"name": name, "model": model, "memory": total, "memory_free": free, "bf16": bf16}
    if name == "cpu":
        return {"name": name, "model": cpu_name(), "memory": total_memory(), "bf16": _cpu_bf16()}
    return {"name": name, "model": name, "memory": None, "bf16": None}


def _cpu_bf16() -> bool | None:
    """Whether the processor has bfloat16 instructions, from Linux's list of its features; None elsewhere."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            key, _, flags = line.partition(":")
            if key.strip() in ("flags", "Features"):  # x86 and Arm
                return not {"avx512_bf16", "amx_bf16", "avx_ne_convert", "bf16"}.isdisjoint(flags.split())
    return None


def survey_lines(document: dict[str, Any]) -> list[str]:
    """The survey for a person: one "name  value" per line."""
    auto, variables = document["auto"], document["thread_variables"]
    rows = [
        ("ganzoo", f"{document['packages']['ganzoo']}, Python {document['python']}, {document['platform']}"),
        ("packages", ", ".join(f"{k} {v or 'missing'}" for k, v in document["packages"].items() if k != "ganzoo")),
        ("auto", f"device {auto['device']}, precision {auto['precision']}"),
        ("checked on", document["device_name"]),
    ]
    for device in document["devices"]:
        facts = [device["model"]]
        if device.get("memory_free") is not None:
            facts.append(f"{_gib(device['memory_free'])} of {_gib(device['memory'])} free")
        elif device["memory"] is not None:
            facts.append(f"{_gib(device['memory'])}, {_gib(document['memory_available'])} available")
        facts.append({True: "bf16", False: "no bf16", None: "bf16 unknown"}[device["bf16"]])
        rows.append((device["name"], ", ".join(facts)))
    rows += [
        (
            "threads",
            f"{document['threads']} of {document['cpus']} processors; "
            + ", ".join(f"{name} {'unset' if value is None else value}" for name, value in variables.items()),
        ),
        ("data root", f"{document['data_root']}, {_gib(document['disk_free'])} free"),
        *(("dataset", f"{name}: {place}") for name, place in document["datasets"].items()),
    ]
    for plugin in document["plugins"]:
        text = f"{plugin['name']} ({plugin['origin']}): {plugin['status']}, {plugin['seconds'] * 1000:.0f} ms"
        rows.append(("plugin", f"{text}: {plugin['error']}" if plugin["error"] else text))
    width = max(len(name) for name, _ in rows)
    return [f"{name:<{width}}  {text}" for name, text in rows]


def _gib(size: int | None) -> str:
    return "unknown" if size is None else f"{size / 2**30:.1f} GiB"
