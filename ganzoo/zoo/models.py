"""Models: trained generators that come with plugins. Torch-free.

A folder of models holds a .safetensors file for each, and an `index.json`, which says how each was made and what it
scores; `ganzoo export` writes both.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ganzoo.errors import RunError, SettingError, UnknownName, UserError
from ganzoo.files.reading import MIB, SNAPSHOT_BYTES, Unreadable, decode_json, read_inside, read_named
from ganzoo.zoo.registry import Registry
from ganzoo.zoo.specs import Model

INDEX = "index.json"
INDEX_SCHEMA = 1
INDEX_BYTES = 16 * MIB
DEFAULT_DATASET = "digits"
"""The models of a variant on this one are meant where nothing else is said."""


def models_in(folder: str | Path) -> list[Model]:
    """The models that `ganzoo export` has put into a folder: what a plugin's `register_models` returns.

    Raises:
        UserError: there is no index that can be read.
    """
    folder = Path(folder)
    return [
        Model(
            name=name,
            target=str(folder / entry["file"]),
            summary=summary(entry),
            sha256=entry["sha256"],
            size=entry["bytes"],
            kimg=entry["kimg"],
            parameters=entry["parameters"],
            values={key: value for key, value in entry["values"].items() if "." not in key},  # none of one class
            protocol=entry["protocol"]["id"],
            command=entry["command"],
        )
        for name, entry in read_index(folder).items()
    ]


def read_index(folder: Path) -> dict[str, dict[str, Any]]:
    """Name of each model -> what is known of it.

    Raises:
        UserError: the index is not there, or is none.
    """
    path, cure = folder / INDEX, "make it by `ganzoo export`, or reinstall the package that it is of"
    try:
        document = decode_json(read_inside(folder, INDEX, INDEX_BYTES), exact=True)
    except (FileNotFoundError, Unreadable) as error:
        said = "does not exist" if isinstance(error, FileNotFoundError) else str(error)
        raise UserError(f"{path} {said}", cure) from None
    entries = document.get("models") if isinstance(document, dict) and document.get("schema") == INDEX_SCHEMA else None
    if not isinstance(entries, dict):
        raise UserError(f"{path} is no index of models of this version", cure)
    for name, entry in entries.items():
        wrong = _wrong_field(entry)
        if wrong:
            raise UserError(f"{path}: {name}: {wrong} is not what it should be", cure)
    return entries


_FIELDS: dict[str, type | tuple[type, ...]] = {
    "file": str,
    "sha256": str,
    "bytes": int,
    "kimg": (int, float),
    "parameters": int,
    "values": dict,
    "protocol": dict,
    "command": str,
}


def _wrong_field(entry: Any) -> str:
    """What of an entry is of another type, "" where nothing is."""
    if not isinstance(entry, dict):
        return "it"
    wrong = next((name for name, kind in _FIELDS.items() if not isinstance(entry.get(name), kind)), "")
    if not wrong and os.path.basename(entry["file"]) != entry["file"]:
        return "file"
    return wrong or ("" if isinstance(entry["protocol"].get("id"), str) else "protocol")


def summary(entry: Mapping[str, Any]) -> str:
    """A line for `ganzoo list`."""
    fid = entry["values"].get("fid")
    score = "not scored by FID" if fid is None else f"FID {fid:<6.2f}"
    size, parameters = f"{entry['bytes'] / 1e6:.2f} MB", f"{entry['parameters'] / 1e3:,.0f}k parameters"
    return f"{score} {entry['kimg']:g} kimg, {parameters}, {size}, {entry['protocol']['id']}"


def markdown(entries: Mapping[str, Mapping[str, Any]]) -> str:
    """The models as a table, for pages."""
    lines = [
        "| model | FID | IS | prec. | recall | kimg | parameters | file | protocol |",
        "|---|" + "---:|" * 7 + "---|",
    ]
    for name, entry in entries.items():
        values = [(entry["values"].get(key), form) for key, form in
                  (("fid", ".2f"), ("is", ".2f"), ("precision", ".2f"), ("recall", ".2f"))]  # fmt: skip
        scores = ["-" if value is None else format(value, form) for value, form in values]
        sizes = [f"{entry['kimg']:g}", f"{entry['parameters']:,}", f"{entry['bytes'] / 1e6:.2f} MB"]
        lines.append(f"| {' | '.join([f'`{name}`', *scores, *sizes, entry['protocol']['id']])} |")
    return "\n".join(lines)


def is_model_name(text: str) -> bool:
    """Whether `text` has the form of a model's name, and no file or folder is called so."""
    return (
        "@" in text and os.sep not in text and not text.endswith((".safetensors", ".npz")) and not os.path.exists(text)
    )


def find_model(registry: Registry, name: str) -> Model:
    """The model NAME.

    Raises:
        UserError: nobody brings it; the cure says which there are.
    """
    if registry.has("model", name):
        return registry.model(name)
    variant, _, dataset = name.partition("@")
    there = [model.name for model in registry.models() if model.variant == variant]
    if registry.has("variant", variant):
        train = f"ganzoo train {variant}" + (f" --dataset {dataset}" if registry.has("dataset", dataset) else "")
        raise RunError(f"there is no model {name}", f"models of {variant}: {listed(there)}; or train one: {train}")
    raise UnknownName("model", name, [model.name for model in registry.models()])


def model_of(registry: Registry, variant: str, dataset: str | None = None) -> Model | None:
    """The model of a variant on a dataset; None: on digits, else the only one. None where there is none.

    Raises:
        SettingError: it has several, on other datasets, and none was named.
    """
    ours = {model.dataset: model for model in registry.models() if model.variant == variant}
    if dataset is not None or DEFAULT_DATASET in ours or len(ours) < 2:
        return next(iter(ours.values())) if dataset is None and len(ours) == 1 else ours.get(dataset or DEFAULT_DATASET)
    raise SettingError(f"{variant} has several models", f"name one: {listed(model.name for model in ours.values())}")


def checked_file(registry: Registry, model: Model) -> Path:
    """The model's file.

    Raises:
        RunError: it is not there, or not what it was when the model was made.
    """
    path, cure = Path(model.target), f"reinstall {registry.owner('models', model.name).origin}"
    try:
        found = hashlib.sha256(read_named(path, SNAPSHOT_BYTES)).hexdigest()
    except (FileNotFoundError, Unreadable) as error:
        said = "does not exist" if isinstance(error, FileNotFoundError) else str(error)
        raise RunError(f"the model {model.name} cannot be read: {path} {said}", cure) from None
    if found != model.sha256:
        raise RunError(
            f"the model {model.name} is damaged: the SHA-256 of {path} is {found[:12]}..., recorded is "
            f"{model.sha256[:12]}...",
            cure,
        )
    return path


def listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
