"""Downloads through torchvision, one process at a time, with errors that say which files to put where."""

from __future__ import annotations

import contextlib
import http.client
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from ganzoo.errors import DataError
from ganzoo.files.locks import locked

T = TypeVar("T")

# What torchvision raises for no network, wrong checksums, broken archives, full disks and missing helper packages.
_FAILURES = (
    RuntimeError,
    OSError,
    ImportError,
    EOFError,
    zlib.error,
    http.client.HTTPException,
    tarfile.TarError,
    zipfile.BadZipFile,
)


def fetch(name: str, build: Callable[[bool], T], *, root: Path, download: bool, files: str) -> T:
    """Return `build(False)`, or `build(True)` when the files are not there and `download` allows to get them.

    `build(download)` makes a torchvision dataset, which checks checksums and shows its progress bar on stderr. `files`
    says which files to put where by hand. Raises DataError, with the reason in one line, when there is no way.
    """
    cure = f"put {files}, or use another dataset, for example digits or folder:PATH"
    try:
        return build(False)
    except _FAILURES as error:
        if not download:
            # torchvision's own words for missing files advise an argument that its users have and ours have not
            absent = isinstance(error, (RuntimeError, FileNotFoundError))
            reason = "missing or damaged files" if absent else _one_line(error)
            raise DataError(f"{name} is not under {root}, and downloads are off: {reason}", cure) from error
    try:
        # torchvision may print; standard output belongs to the commands' results
        with locked(root / f".{name}.lock"), contextlib.redirect_stdout(sys.stderr):
            return build(True)
    except _FAILURES as error:
        raise DataError(f"cannot download {name}: {_one_line(error)}", cure) from error


def _one_line(error: BaseException) -> str:
    """The last line of an error's message (torchvision puts the reason there), or its type."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1].strip("<>") if lines else type(error).__name__
