"""Where a run ran: versions, devices, commit."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from ganzoo.files.machine import cpu_name
from ganzoo.files.reading import RECORD_BYTES, decode_json, read_named
from ganzoo.runs.provenance import commit, output_of
from ganzoo.zoo.plugins import Plugin

PACKAGES = (
    "ganzoo",
    "torch",
    "torchvision",
    "torch-fidelity",
    "pluggy",
    "numpy",
    "pillow",
    "scikit-learn",
    "scipy",
    "safetensors",
)


def describe_environment(
    device: torch.device, precision: str, plugins: list[Plugin], data_root: Path | None = None
) -> dict[str, Any]:
    """JSON-ready content of env.json. `data_root`: where `ganzoo doctor` keeps its record; None: not looked for."""
    document: dict[str, Any] = {
        **_versions(),
        "platform": platform.platform(),
        "plugins": {plugin.name: plugin.origin for plugin in plugins if not plugin.error and not plugin.disabled},
        "device": str(device),
        "device_name": device_name(device),
        "precision": precision,
        "cpu": cpu_name(),
        "threads": torch.get_num_threads(),
        "cuda": torch.version.cuda,
        "git": commit(),
        "doctor": None if data_root is None else doctor_summary(data_root),
    }
    if device.type == "cuda":
        document["driver"] = _driver()
        document["cudnn"] = torch.backends.cudnn.version()
    return document


def doctor_file(data_root: Path) -> Path:
    """Where the record of the last `ganzoo doctor` is."""
    return data_root / "doctor.json"


def doctor_summary(data_root: Path) -> dict[str, Any] | None:
    """How the last `ganzoo doctor` went: "when", "ok", "failed" (names of checks), "device", "python", "packages", and
    "stale", which is true when versions have changed since. None when there was none, or its record is unreadable.
    """
    try:
        document = decode_json(read_named(doctor_file(data_root), RECORD_BYTES))
        environment = document["environment"]
        versions = {"python": environment["python"], "packages": environment["packages"]}
        return {
            "when": document["when"],
            "ok": document["ok"],
            "failed": [check["name"] for check in document["checks"] if check["status"] == "FAILED"],
            "device": environment["device_name"],
            **versions,
            "stale": versions != _versions(),
        }
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _versions() -> dict[str, Any]:
    return {"python": platform.python_version(), "packages": {name: _version(name) for name in PACKAGES}}


def device_name(device: torch.device) -> str:
    """ "NVIDIA H100 80GB HBM3", or the processor's name and how many threads torch uses."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type != "cpu":
        return str(device)
    threads = torch.get_num_threads()
    return f"{cpu_name()}, {threads} thread{'s' if threads > 1 else ''}"


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _driver() -> str | None:
    try:
        return output_of("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader").splitlines()[0]
    except (OSError, subprocess.SubprocessError, IndexError):
        return None
