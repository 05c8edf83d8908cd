"""Who wants to know how many images there are before they are decoded, which may take minutes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Count:
    """What is known of images without decoding them."""

    images: int  # or fewer, if some are broken
    num_classes: int  # 0: unlabelled
    size: int | None  # pixels of a side; None: not known
    channels: int


Check = Callable[[Count], object]
"""Told what is known; may refuse it."""

_CHECK: ContextVar[Check | None] = ContextVar("ganzoo_counted", default=None)
_KEPT: ContextVar[bool] = ContextVar("ganzoo_listing_kept", default=True)


@contextlib.contextmanager
def counted(check: Check, *, keep: bool = True) -> Iterator[None]:
    """Inside, `check` is told of each set of images by whoever finds its files; what it raises ends the loading.
    `keep` False: what has been found is not to be kept for the next time either.
    """
    tokens = _CHECK.set(check), _KEPT.set(keep)
    try:
        yield
    finally:
        _CHECK.reset(tokens[0])
        _KEPT.reset(tokens[1])


def count_known(count: Count) -> None:
    """Told once by a dataset, and in the thread that it was called in."""
    check = _CHECK.get()
    if check is not None:
        check(count)


def listing_kept() -> bool:
    """Whether a dataset may write down what it has found, such as the index of an archive."""
    return _KEPT.get()
