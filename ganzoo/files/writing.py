"""Writes that either happen or do not: a temporary name, then a rename."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ganzoo.errors import SettingError, UserError

_HELD_OPEN = os.name == "nt"
"""Whether a file that somebody has open cannot be replaced."""

_PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Seconds between attempts to replace one: a virus scanner or an indexer lets go of it soon."""


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an operating-system refusal to write `path` into a `UserError`: full disk, no permission, read-only."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(
                f"the disk is full: cannot write {path}", "free some space; the same command continues"
            ) from error
        if _HELD_OPEN and isinstance(error, PermissionError) and path.exists():
            raise UserError(
                f"cannot write {path}: {error.strerror or error}",
                "close it in the program that has it open, a spreadsheet perhaps; the same command continues",
            ) from error
        raise UserError(
            f"cannot write {path}: {error.strerror or error}", "choose another place for it, such as another --out"
        ) from error


def check_file(path: Path, name: str | None = None) -> None:
    """Refuse a place that cannot be a file's, before minutes of work for it. `name`: of a file that could be meant.

    Raises:
        SettingError: a folder is there; or a device, a pipe or a socket, in whose stead a file would be.
    """
    name = name or f"out{path.suffix}"
    if os.path.isdir(path):
        raise SettingError(f"one file is written, and {path} is a folder", f"say --out {path / name}")
    if os.path.exists(path) and not os.path.isfile(path):
        raise SettingError(f"{path} is no plain file", f"name a new file, such as --out {name}")


def check_folder(path: Path, option: str = "--out") -> None:
    """Refuse a place that cannot be a folder's. `option`: that named it.

    Raises:
        SettingError: something else is there.
    """
    if os.path.lexists(path) and not os.path.isdir(path):
        raise SettingError(f"a folder is written, and {path} is none", f"name a new one: {option} DIR")


def write_atomic(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary neighbour of `path`, then rename it into place; a failure leaves `path` as it was.

    Raises:
        UserError: the disk is full or the folder cannot be written; there is something else than a file, see
            `check_file`.
    """
    check_file(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)  # a link of that name, planted in a folder from elsewhere, would be followed
        try:
            write(temporary)
            _replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def _replace(temporary: Path, path: Path) -> None:
    for pause in _PAUSES if _HELD_OPEN else ():
        with contextlib.suppress(PermissionError):
            os.replace(temporary, path)
            return
        time.sleep(pause)
    os.replace(temporary, path)


def write_json(path: Path, document: Any) -> None:
    """Atomically, readable, with NaN and infinity as null."""
    write_text(path, json.dumps(finite(document), indent=1, ensure_ascii=False, allow_nan=False) + "\n")


_SEAL = b"\nganzoo sha256 "
_SEAL_SIZE = len(_SEAL) + 64 + 1


def sealed(data: bytes | memoryview) -> bytes:
    """`data`, and behind it a line with its SHA-256, which readers of zip archives, torch's among them, pass over."""
    return b"".join((data, _SEAL, hashlib.sha256(data).hexdigest().encode(), b"\n"))


def seal_holds(data: bytes) -> bool | None:
    """Whether what lies before the line of `sealed` is what was sealed; None where there is no such line."""
    body, line = memoryview(data)[:-_SEAL_SIZE], data[-_SEAL_SIZE:]
    if not line.startswith(_SEAL):
        return None
    return line[len(_SEAL) : -1] == hashlib.sha256(body).hexdigest().encode() and line.endswith(b"\n")


def write_text(path: Path, text: str) -> None:
    """Atomically, UTF-8."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Atomically. Libraries that write files themselves report a full disk each in its own way; bytes do not."""
    write_atomic(path, lambda temporary: temporary.write_bytes(data))


def append_jsonl(path: Path, document: Any) -> None:
    """One more line. A line cut short by a kill is left out when it is read."""
    line = json.dumps(finite(document), ensure_ascii=False, allow_nan=False) + "\n"
    with writing(path), path.open("a", encoding="utf-8") as file:
        file.write(line)


def finite(document: Any) -> Any:
    """The same document with NaN and infinities as None, which JSON can say."""
    if isinstance(document, dict):
        return {key: finite(value) for key, value in document.items()}
    if isinstance(document, (list, tuple)):
        return [finite(value) for value in document]
    if isinstance(document, float) and not math.isfinite(document):
        return None
    return document
