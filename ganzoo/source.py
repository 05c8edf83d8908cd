"""Which code a variant is made of, so that an edited plugin is not taken for the one that was measured."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
from pathlib import Path

from ganzoo.specs import Spec


def source_sha256(*specs: Spec) -> str:
    """One digest for the sources of all `specs`; "" when none of them can be found."""
    digests = [_one(spec) for spec in specs]
    return hashlib.sha256(" ".join(digests).encode()).hexdigest() if any(digests) else ""


def _one(spec: Spec) -> str:
    """Hex digest over the Python files beside the spec's target (its package), or over its one file. Torch-free for
    targets given as strings. "" when the source cannot be found, as for code typed into an interpreter.
    """
    if isinstance(spec.target, str):
        try:
            found = importlib.util.find_spec(spec.target.partition(":")[0])
        except (ImportError, ValueError):  # a misspelt package: the job that loads it says so
            found = None
        origin = found.origin if found else None
    else:
        try:
            origin = inspect.getsourcefile(spec.target)
        except TypeError:
            origin = None
    if origin is None or not Path(origin).is_file():
        return ""
    folder = Path(origin).parent
    files = sorted(folder.glob("*.py")) if (folder / "__init__.py").is_file() else [Path(origin)]
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()
