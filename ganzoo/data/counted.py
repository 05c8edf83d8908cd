"""Who wants to know how many images there are before they are decoded, which may take minutes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar

Check = Callable[[int, int], object]
"""Told the number of images and that of their classes, 0: unlabelled; may refuse them."""

_CHECK: ContextVar[Check | None] = ContextVar("ganzoo_counted", default=None)


@contextlib.contextmanager
def counted(check: Check) -> Iterator[None]:
    """Inside, `check` is told of each set of images by whoever finds its files; what it raises ends the loading."""
    token = _CHECK.set(check)
    try:
        yield
    finally:
        _CHECK.reset(token)


def count_known(images: int, num_classes: int) -> None:
    """So many images there are, or fewer, if some are broken, and so many classes, 0: unlabelled."""
    check = _CHECK.get()
    if check is not None:
        check(images, num_classes)
