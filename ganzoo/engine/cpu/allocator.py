"""Memory that a step or a batch gives back is kept for the next one, and given back to the system when told."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import sys
from collections.abc import Iterator
from typing import Any

import torch

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -3, -4  # of glibc's malloc.h

_kept = False  # what malloc, of which a process has one, was told last


def keep_freed_memory() -> bool:
    """Tell glibc's malloc, for this process and for good, not to return freed memory to the system. True if it obeys.

    A step allocates the same tensors again and again. By default those of some megabytes are mapped anew each time, and
    every page of them is a fault and is zeroed by the kernel: 12,000 faults in a step of `dcgan` at batch 64. The price
    is that a process stays as large as it has once been, until `give_back_freed_memory`. Elsewhere than on Linux with
    glibc nothing happens.
    """
    global _kept
    libc = _glibc()
    _kept = libc is not None and bool(libc.mallopt(M_MMAP_MAX, 0)) and bool(libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1))
    return _kept


@contextlib.contextmanager
def freed_memory_kept(device: torch.device) -> Iterator[None]:
    """`keep_freed_memory` for a while, unless it is kept anyway: afterwards what is free is given back, and malloc does
    as it did before. For work on a processor; that of other devices allocates little here.
    """
    if device.type != "cpu" or _kept:
        yield
        return
    keep_freed_memory()
    try:
        yield
    finally:
        _return_freed_memory()
        give_back_freed_memory()


def give_back_freed_memory() -> None:
    """Return to the system, once, what is free now, whatever malloc was told. The next step faults it in again."""
    libc = _glibc()
    if libc is not None:
        libc.malloc_trim(0)


def _return_freed_memory() -> None:
    """Undo `keep_freed_memory`. Thresholds that were set no longer follow the sizes of what is freed, so they are those
    that malloc would have come to: 32 MiB, the largest, and twice as much.
    """
    global _kept
    libc = _glibc()
    if libc is not None and _kept:
        libc.mallopt(M_MMAP_MAX, 65536)
        libc.mallopt(M_MMAP_THRESHOLD, 2**25)
        libc.mallopt(M_TRIM_THRESHOLD, 2**26)
    _kept = False


@functools.cache
def _glibc() -> Any:
    """The C library, if it is glibc on Linux; else None."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        libc = ctypes.CDLL(None)
        libc.mallopt, libc.malloc_trim, libc.gnu_get_libc_version  # noqa: B018 (whether they are there)
    except (OSError, AttributeError):  # another libc
        return None
    return libc
