"""Results without what a machine, a clock or a load decides about: the same wherever a run was."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_OF_THE_MACHINE = re.compile(r"seconds|per_s$|memory|provenance|joules|^(concurrent|beside|train_threads)$")


def rows(folder: Path) -> dict[str, str]:
    """Name of the run directory -> its result.json, for each below `folder`."""
    found = {path.parent.name: json.loads(path.read_text()) for path in folder.rglob("result.json")}
    return {name: json.dumps(_numbers(result)) for name, result in found.items()}


def _numbers(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _numbers(one) for name, one in sorted(value.items()) if not _OF_THE_MACHINE.search(name)}
    return [_numbers(one) for one in value] if isinstance(value, list) else value
