"""From a finished run to a model: its generator in half precision, scored anew, and what is known of it in an index."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ganzoo.config.layers import from_dict
from ganzoo.config.run_config import RunConfig, dataset_label
from ganzoo.engine.device import resolve_device
from ganzoo.errors import RunError, SettingError
from ganzoo.files.reading import SNAPSHOT_BYTES, read_named
from ganzoo.files.writing import write_json
from ganzoo.runs.command import command_of
from ganzoo.runs.environment import device_name
from ganzoo.runs.evaluation import evaluate_source
from ganzoo.runs.find import find_run
from ganzoo.runs.question import Question
from ganzoo.runs.snapshots import load_snapshot, read_snapshot, write_snapshot
from ganzoo.runs.sources import snapshot_of
from ganzoo.zoo.model_card import write_card
from ganzoo.zoo.models import INDEX, INDEX_SCHEMA, read_index
from ganzoo.zoo.registry import Registry
from ganzoo.zoo.validation import MODEL_NAME

DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}


def export_model(
    registry: Registry,
    source: str,
    folder: Path,
    *,
    root: Path,
    name: str | None = None,
    dtype: str = "fp16",
    device: str = "auto",
) -> tuple[str, dict[str, Any]]:
    """Write the last snapshot of a finished run into `folder`, with its entry in the index and the folder's
    README.md, a model card (never over one of the user's own); (its name, the entry).

    The last snapshot, and not the best: which one is best is known only by the scores that are shown beside it, and the
    smallest of several FIDs is smaller than what such training gives. It is also what a leaderboard ranks.

    Args:
        registry: the zoo.
        source: the run directory, or the name of a variant: its newest run.
        folder: of models; it may hold some already, one of the same name is replaced.
        root: folder of datasets and caches.
        name: VARIANT@DATASET; None: those of the run.
        dtype: of DTYPES, in which weights are stored; they are float32 again when they are loaded.
        device: on which the weights are scored.

    Raises:
        UserError: the run is not finished, or diverged; a name or weights that cannot be; scores that cannot be made.
    """
    run = find_run(source)
    result = run.read_result()
    if result is None or result["diverged"]:
        what = "has no result yet" if result is None else "has diverged"
        raise RunError(f"{run.path} {what}", "export a run that is finished: the same command continues it")
    snapshot = snapshot_of(run, None)
    document, tensors = read_snapshot(snapshot)
    config = from_dict(registry, document["config"])
    name = _checked_name(name or f"{config.variant.name}@{dataset_label(config.dataset.name, config.dataset.settings)}",
                         config.variant.name)  # fmt: skip
    path, fresh = folder / f"{name}.safetensors", folder / f".{name}.new.safetensors"
    entries = read_index(folder) if (folder / INDEX).exists() else {}
    stored = {**document, "config": _without_places(document["config"])}
    where, weights = resolve_device(device), config.features.settings.get("weights")
    question = Question(
        source=str(fresh),
        dataset=_dataset_of(config),
        sets=[f"features.weights={weights}"] if weights else [],
        device=device,
    )
    halved = {key: _stored(key, tensor, dtype) for key, tensor in tensors.items()}
    try:
        write_snapshot(fresh, stored, halved)
        parameters = sum(weight.numel() for weight in load_snapshot(fresh, registry, where).generator.parameters())
        score = evaluate_source(registry, question, root=root)
        data = read_named(fresh, SNAPSHOT_BYTES)
        os.replace(fresh, path)  # a model of that name stays until the new one has its scores
    finally:
        fresh.unlink(missing_ok=True)
    environment = run.read_environment()
    trained = (result["last"] or {}).get("values") or {}
    entries[name] = {
        "file": path.name,
        "sha256": hashlib.sha256(data).hexdigest(),
        "bytes": len(data),
        "dtype": dtype,
        "parameters": parameters,
        "shape": document["shape"],
        "conditional": registry.variant(config.variant.name).conditional,
        "num_classes": document["num_classes"],
        "kimg": document["images"] / 1000,
        "snapshot": "last",
        "seed": config.seed,
        "command": command_of(registry, config),
        "init": result.get("init"),
        "values": score["values"],
        "left_out": score["left_out"],
        "values_before": {key: trained[key] for key in score["values"] if key in trained},  # of the run's own weights
        "protocol": {"id": score["protocol"], **score["ingredients"]},
        "scored": {"device": device_name(where), "torch": torch.__version__},
        "trained": {
            "device": environment.get("device_name"),
            "precision": environment.get("precision"),
            "python": environment.get("python"),
            "packages": environment.get("packages"),
            "git": environment.get("git"),
            "seconds": (result.get("seconds") or {}).get("train"),
        },
        "config": stored["config"],
    }
    entries = dict(sorted(entries.items(), key=_by_dataset))
    write_json(folder / INDEX, {"schema": INDEX_SCHEMA, "models": entries})
    write_card(registry, folder, entries)
    return name, entries[name]


def _by_dataset(entry: tuple[str, Any]) -> tuple[str, str]:
    variant, _, dataset = entry[0].partition("@")
    return dataset, variant


def _checked_name(name: str, variant: str) -> str:
    if not MODEL_NAME.fullmatch(name) or name.partition("@")[0] != variant:
        raise SettingError(
            f"a model cannot be called {name!r}: it is VARIANT@DATASET, in lower case letters, digits and hyphens",
            f"say --name {variant}@LABEL",
        )
    return name


def _stored(name: str, tensor: Tensor, dtype: str) -> Tensor:
    """A weight as it is stored; whole numbers, such as batch norm's count of batches, as they are.

    Raises:
        SettingError: it is too large for `dtype`.
    """
    if not tensor.is_floating_point():
        return tensor
    stored = tensor.to(DTYPES[dtype])
    if bool((stored.isfinite() != tensor.isfinite()).any()):
        raise SettingError(f"{name} has weights that are too large for {dtype}", "say --dtype bf16, or fp32")
    return stored


def _without_places(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config less what is only of the machine that it was trained on: of paths their last name stays."""
    kept = {
        key: dict(value) if isinstance(value, Mapping) else value
        for key, value in config.items()
        if key not in ("init", "name")
    }
    for section, key in (("dataset", "path"), ("features", "weights")):
        if kept[section].get(key):
            kept[section][key] = Path(str(kept[section][key])).name
    return kept | {"device": "auto", "callbacks": []}


def _dataset_of(config: RunConfig) -> str | None:
    """Said again where it is at a path, which the file does not have; None: it is known by its name."""
    path = config.dataset.settings.get("path")
    return None if path is None else f"{config.dataset.name}:{path}"
