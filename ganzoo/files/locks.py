"""Locks between processes, which the system frees when a process dies: filelock's, on every system that it knows."""

from __future__ import annotations

import contextlib
import errno
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ganzoo.errors import UserError
from ganzoo.files.writing import writing

if TYPE_CHECKING:
    from filelock import FileLock


class AtWork(UserError):
    """Another process holds the lock: it does the work, or will have done it."""


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[bool]:
    """Hold the lock file `path`, at once or not at all. Gives False, and no lock, on a file system that has none.

    Raises:
        AtWork: another process holds it.
        UserError: `path` is no place for it.
    """
    from filelock import Timeout

    lock = _lock(path)
    with contextlib.ExitStack() as stack:
        with writing(path):
            _refuse_other(path)
            try:
                stack.enter_context(lock.acquire(blocking=False))
            except Timeout:
                raise AtWork(
                    f"another process is at work in {path.parent}", "wait for it, or use another --out"
                ) from None
            except OSError as error:
                if not _has_no_locks(error):
                    raise
                held = False
            else:
                held = True
        yield held


def is_held(path: Path) -> bool:
    """Whether another process holds the lock file `path` now."""
    if not path.exists():
        return False
    try:
        with exclusive(path):
            return False
    except AtWork:
        return True


@contextlib.contextmanager
def locked(path: Path) -> Iterator[bool]:
    """Hold the lock file `path`; other processes wait. Gives False on a file system that has no locks: callers must
    then be correct without one. Raises OSError if the file cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(_lock(path))
        except OSError as error:
            if not _has_no_locks(error):
                raise
            held = False
        else:
            held = True
        yield held


def _lock(path: Path) -> FileLock:
    """Where the file system has no locks (Lustre without `flock`) filelock would take the file's being there for the
    lock, if it may: that stays for ever after a process that was killed.
    """
    from filelock import FileLock  # only here: it takes longer to import than a command takes to start

    return FileLock(path, is_singleton=False, fallback_to_soft=False)


def _refuse_other(path: Path) -> None:
    """A pipe or a device would be locked like a file."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode) and not stat.S_ISLNK(mode):  # a link is refused where it is opened
        raise UserError(f"{path} is no plain file", "delete it, or use another --out")


def _has_no_locks(error: OSError) -> bool:
    """Whether that is what the file system says, as network drives do."""
    return error.errno in (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
