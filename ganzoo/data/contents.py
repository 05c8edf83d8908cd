"""What the files of a folder hold, told by their contents at the cost of looking at their names.

As git does it: the SHA-256 of all contents is kept with the names, sizes, times and inode numbers that the files had,
and holds as long as these are the same. Sizes and times of modification alone would not do: archives and `cp -p` set
the times of other files. No program can set the time of the last change of an inode, ctime, short of turning the clock.
(Windows has another time in its place, that of creation, so there a file that is written over with equal size and time
goes unnoticed.)
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from ganzoo.data.progress import OnProgress

RACY_SECONDS = 2.0
"""So soon after a change a file may be changed again without another time: FAT's clock, the coarsest, ticks in 2 s."""

UNREADABLE = b"\0" * 32
"""In place of the digest of a file that cannot be read."""

_BATCH = 64  # files per task of a thread


class File(NamedTuple):
    """A file: its path below the folder, with /, and what tells whether it has changed."""

    name: str
    size: int  # bytes; -1: cannot be opened, for example a dangling link
    mtime_ns: int
    ctime_ns: int = 0
    inode: int = 0

    @classmethod
    def of(cls, name: str, found: os.stat_result) -> File:
        return cls(name, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)


def stamp(folder: Path, files: Sequence[File]) -> str:
    """64 hex digits that stay the same while nothing has been written to the folder's files."""
    sha = hashlib.sha256(f"{folder}\0{os.stat(folder).st_dev}\n".encode("utf-8", "surrogateescape"))
    sha.update("\n".join(map(repr, map(tuple, files))).encode("utf-8", "surrogateescape"))
    return sha.hexdigest()


def combine(files: Sequence[File], digests: Sequence[bytes]) -> str:
    """64 hex digits of a folder's contents: names and SHA-256 digests of its files, in order."""
    sha = hashlib.sha256()
    for file, digest in zip(files, digests, strict=True):
        sha.update(file.name.encode("utf-8", "surrogateescape") + b"\0" + digest)
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


def digest_files(folder: Path, files: Sequence[File], workers: int, show: OnProgress) -> str:
    """`combine` of what the files hold now. Reads all of them, in `workers` threads."""

    def batch(start: int) -> list[bytes]:
        return [_digest(f"{folder}/{file.name}") for file in files[start : start + _BATCH]]

    digests: list[bytes] = []
    with ThreadPoolExecutor(workers, thread_name_prefix="ganzoo-hash") as pool:
        for part in pool.map(batch, range(0, len(files), _BATCH)):
            digests += part
            show(len(digests), len(files))
    return combine(files, digests)


def _digest(path: str) -> bytes:
    try:
        return hashlib.sha256(read(path)).digest()
    except OSError:
        return UNREADABLE


def known_contents(record: Path, stamped: str) -> str | None:
    """The contents that `remember` wrote to `record` for this stamp; None where it wrote none."""
    try:
        document = json.loads(record.read_text(encoding="utf-8"))
        return str(document["contents"]) if document["stamp"] == stamped else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def remember(record: Path, stamped: str, contents: str, files: Sequence[File], began: float) -> None:
    """Keep that the folder with this stamp has these contents, unless a file may have changed since without a trace.

    Args:
        began: time.time() when reading began.
    """
    newest = max((max(file.mtime_ns, file.ctime_ns) for file in files), default=0) / 1e9
    if newest > began - RACY_SECONDS:
        return
    record.parent.mkdir(parents=True, exist_ok=True)
    temporary = record.with_name(f".{record.name}.{os.getpid()}.tmp")
    temporary.write_text(json.dumps({"stamp": stamped, "contents": contents, "when": time.time()}), encoding="utf-8")
    temporary.replace(record)
