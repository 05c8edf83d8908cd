"""Which code a variant is made of, so that an edited plugin is not taken for the one that was measured."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
from pathlib import Path

from ganzoo.specs import Spec


def source_sha256(spec: Spec) -> str:
    """Hex digest over the Python files beside the spec's target (its package), or over its one file. Torch-free for
    targets given as strings. "" when the source cannot be found, as for code typed into an interpreter.
    """
    if isinstance(spec.target, str):
        module = spec.target.partition(":")[0]
        found = importlib.util.find_spec(module)
        origin = found.origin if found else None
        is_package = "." in module
    else:
        try:
            origin = inspect.getsourcefile(spec.target)
        except TypeError:
            origin = None
        is_package = "." in getattr(spec.target, "__module__", "")
    if origin is None or not Path(origin).is_file():
        return ""
    files = sorted(Path(origin).parent.glob("*.py")) if is_package else [Path(origin)]
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()
