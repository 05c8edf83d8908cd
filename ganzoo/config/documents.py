"""Files and `--set` texts as pairs of keys and values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ganzoo.config.run_config import SCHEMA
from ganzoo.errors import SettingError, UserError
from ganzoo.files.reading import RECORD_BYTES, Unreadable, decode_json, decode_toml, read_named
from ganzoo.zoo.specs import Spec


def read_document(path: Path) -> dict[str, Any]:
    """A TOML or JSON configuration file.

    Raises:
        UserError: not there, not readable, or of another schema.
    """
    yaml = UserError(f"{path} is YAML, which is not read here", "write it as TOML: --print-config shows what it says")
    if path.suffix.lower() in (".yaml", ".yml"):
        raise yaml
    data = b""
    try:
        data = read_named(path, RECORD_BYTES)
        document = decode_json(data, exact=True) if path.suffix == ".json" else decode_toml(data)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist", "give the path of a TOML or JSON file") from None
    except Unreadable as error:
        if path.suffix != ".json" and _YAML.search(data):
            raise yaml from None
        raise UserError(f"{path} {error}", "give the path of a TOML or JSON file, and mend it") from None
    if not isinstance(document, dict):
        raise UserError(f"{path} holds no settings", "see `ganzoo show train` for what a file may say")
    if document.pop("schema", SCHEMA) != SCHEMA:
        raise UserError(f"{path} was written by another version of ganzoo", f"this one reads schema {SCHEMA}")
    return document


_YAML = re.compile(rb"^[A-Za-z_][\w.-]*:(\s|$)", re.MULTILINE)


def spelled_out(document: Mapping[str, Any], short: Mapping[str, str]) -> dict[str, Any]:
    """The document with options at its top, such as `kimg = 5`, as the settings that they are short for.

    Raises:
        SettingError: the setting stands there as well.
    """
    found = {key: value for key, value in document.items() if key not in short or short[key] == key}
    for key, value in document.items():
        if key in found:
            continue
        section, _, name = short[key].partition(".")
        place = found.setdefault(section, {}) if name else found
        if not isinstance(place, Mapping):  # `dataset = "mnist"`
            place = {"name": place}
        if (name or section) in place:
            raise SettingError(f"{key} and {short[key]} are the same setting, and both are given", "keep one of them")
        if name:
            found[section] = {**place, name: value}
        else:
            found[section] = value
    return found


def pair(text: str) -> tuple[str, str]:
    """ "train.kimg=5" -> ("train.kimg", "5")."""
    key, equals, value = text.partition("=")
    if not equals:
        raise SettingError(f"--set {text}: there is no '='", "write --set section.key=value, e.g. train.batch_size=32")
    return key.strip(), value.strip()


def document_pairs(document: Mapping[str, Any], specs: Mapping[str, Spec]) -> Iterable[tuple[str, Any]]:
    """A file as (key, value). A sub-table such as `[variant.dcgan]`, and a table that names another variant, dataset,
    ... than the one in use, become `section.NAME.key`, which counts only where NAME is in use.
    """
    for section, table in document.items():
        if section in ("regularizers", "augmentations"):
            yield section, table
            for name, settings in table.items() if isinstance(table, Mapping) else ():
                if not isinstance(settings, Mapping):
                    raise SettingError(f"{section}.{name} is {settings!r}, no table", f"write [{section}.{name}]")
                yield from ((f"{section[:-1]}.{name}.{key}", value) for key, value in settings.items())
            continue
        if not isinstance(table, Mapping):
            if section not in specs:
                yield section, table
            continue
        name = str(table.get("name", "")).partition(":")[0] if section in specs else ""
        prefix = section if name in ("", getattr(specs.get(section), "name", "")) else f"{section}.{name}"
        for key, value in table.items():
            if isinstance(value, Mapping):
                yield from ((f"{section}.{key}.{inner}", inner_value) for inner, inner_value in value.items())
            elif key != "name" or section not in specs:
                yield f"{prefix}.{key}", value


def name_in(document: Mapping[str, Any], key: str) -> str | None:
    value = document.get(key)
    name = value.get("name") if isinstance(value, Mapping) else value
    if name is not None and not isinstance(name, str):
        raise SettingError(f"{key} is {name!r}, not a name", f'write {key} = "NAME"')
    return name
