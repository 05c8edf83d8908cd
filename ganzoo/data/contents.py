"""What the files of a folder hold, told by their contents at the cost of looking at their names.

As git does it: the SHA-256 of all contents is kept with the names, sizes, times and inode numbers that the files had,
and holds as long as these are the same. Sizes and times of modification alone would not do: archives and `cp -p` set
the times of other files. No program can set the time of the last change of an inode, ctime, short of turning the clock;
but a program that holds a file mapped into its memory may write to it a while before that time moves.
(Windows has another time in its place, that of creation, so there a file that is written over with equal size and time
goes unnoticed.)
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

RACY_SECONDS = 2.0
"""So soon after a change a file may be changed again without another time: FAT's clock, the coarsest, ticks in 2 s."""

UNREADABLE = b"\0" * 32
"""In place of the digest of a file that cannot be read."""

COLUMNS = 5
"""Numbers that tell whether a file has changed: size in bytes, mtime and ctime in ns, inode, device; uint64."""


def numbers(found: os.stat_result) -> tuple[int, int, int, int, int]:
    """The `COLUMNS` of a file, times before 1970 modulo 2**64."""
    every = 2**64 - 1
    return (
        found.st_size,
        found.st_mtime_ns & every,
        found.st_ctime_ns & every,
        found.st_ino & every,
        found.st_dev & every,
    )


ABSENT = (2**64 - 1, 0, 0, 0, 0)
"""In place of `numbers` of a file that cannot be opened, for example a dangling link."""


def stamp(folder: Path, names: Sequence[str], stats: np.ndarray) -> str:
    """64 hex digits that stay the same while nothing has been written to the folder's files.

    `names`: paths below the folder; `stats`: uint64 `[N,5]`, their `numbers`.
    """
    sha = hashlib.sha256(os.fsencode(folder))
    sha.update(b"\0" + "\0".join(names).encode("utf-8", "surrogateescape"))
    sha.update(np.ascontiguousarray(stats).data)
    return sha.hexdigest()


def combine(names: Sequence[str], digests: Sequence[bytes]) -> str:
    """64 hex digits of a folder's contents: names and SHA-256 digests of its files, in order."""
    sha = hashlib.sha256()
    for name, digest in zip(names, digests, strict=True):
        sha.update(name.encode("utf-8", "surrogateescape") + b"\0" + digest)
    return sha.hexdigest()


def read(path: str) -> bytes:
    """The content of a regular file; what is none, a pipe say, is not waited for.

    Raises:
        OSError: it cannot be read, or is no regular file.
    """
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with open(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError("no regular file")
        return file.read()


def digest_of(content: Callable[[], bytes]) -> bytes:
    """SHA-256 of what can be read, `UNREADABLE` of what cannot."""
    try:
        return hashlib.sha256(content()).digest()
    except (OSError, ValueError):
        return UNREADABLE


def known_contents(record: Path, stamped: str) -> str | None:
    """The contents that `remember` wrote to `record` for this stamp; None where it wrote none."""
    try:
        document = json.loads(record.read_text(encoding="utf-8"))
        return str(document["contents"]) if document["stamp"] == stamped else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def remember(record: Path, stamped: str, contents: str, stats: np.ndarray, began: float) -> None:
    """Keep that the folder with this stamp has these contents, unless a file may have changed since without a trace.

    Args:
        stats: uint64 `[N,5]`, the `numbers` that the stamp was made of.
        began: time.time() when reading began.
    """
    # a time of modification may lie in the future for good; where ctime is the time of creation, it has to serve
    times = stats[:, 1:3] if os.name == "nt" else stats[:, 2:3]
    newest = times.view(np.int64).max(initial=0) / 1e9
    if newest > began - RACY_SECONDS:
        return
    record.parent.mkdir(parents=True, exist_ok=True)
    temporary = record.with_name(f".{record.name}.{os.getpid()}.tmp")
    temporary.write_text(json.dumps({"stamp": stamped, "contents": contents, "when": time.time()}), encoding="utf-8")
    temporary.replace(record)
