"""Which code a variant is made of, so that an edited plugin is not taken for the one that was measured."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import inspect
import re
from pathlib import Path
from typing import Any

from ganzoo.zoo.local import local_sources
from ganzoo.zoo.specs import Spec


def source_sha256(*specs: Spec) -> str:
    """One digest for the sources of all `specs`; "" when none of them can be found."""
    digests = [_one(spec) for spec in specs]
    return hashlib.sha256(" ".join(digests).encode()).hexdigest() if any(digests) else ""


def package_sha256(package: str) -> str:
    """One digest for the Python files of an importable package, such as "ganzoo.metrics"."""
    origin = _origin(package)
    files = _package_files(Path(origin)) if origin else []
    return hashlib.sha256(b"".join(file.name.encode() + b"\0" + file.read_bytes() for file in files)).hexdigest()


def _one(spec: Spec) -> str:
    """Hex digest over the Python files beside the spec's target (its package), or over its one file and, of a plugin
    given with --plugin, those that it imports from beside it; and over the packages `ganzoo_*` that these import. Of
    the core, whose modules have little to do with each other, only the target's own module counts. Torch-free for
    targets given as strings. "" when the source cannot be found, as for code typed into an interpreter.
    """
    if isinstance(spec.target, str):
        module = spec.target.partition(":")[0]
        origin = _origin(module)
    else:
        target = _function(spec.target)
        module = getattr(target, "__module__", "")
        try:
            origin = inspect.getsourcefile(target)
        except TypeError:
            origin = None
    if origin is None or not Path(origin).is_file():
        return ""
    files = [Path(origin)] if module.startswith("ganzoo.") else _package_files(Path(origin))
    local = local_sources(module)
    files = [*local, *(file for file in files if file not in local)]
    seen: set[str] = set()
    digest = hashlib.sha256()
    while files:
        file = files.pop(0)
        data = file.read_bytes()
        digest.update(file.name.encode() + b"\0" + data + b"\0")
        for name in _SIBLING.findall(data.decode(errors="replace")):
            other = None if name in seen else _origin(name)
            seen.add(name)
            if other is not None and Path(other).parent != file.parent:
                files += _package_files(Path(other))
    return digest.hexdigest()


def _function(target: Any) -> Any:
    """What a partial function is of; the class of an object that can be called."""
    while isinstance(target, functools.partial):
        target = target.func
    return target if inspect.isroutine(target) or inspect.isclass(target) else type(target)


_SIBLING = re.compile(r"^\s*(?:from|import)\s+(ganzoo_\w+)", re.MULTILINE)


def _origin(module: str) -> str | None:
    try:
        found = importlib.util.find_spec(module)
    except (ImportError, ValueError):  # a misspelt package: the job that loads it says so
        return None
    return found.origin if found else None


def _package_files(origin: Path) -> list[Path]:
    folder = origin.parent
    return sorted(folder.glob("*.py")) if (folder / "__init__.py").is_file() else [origin]
