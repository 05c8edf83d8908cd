"""Where encoded images come from, in order: files of a folder, members of an archive, rows of a table. Torch-free."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from ganzoo.data.contents import read
from ganzoo.data.decode import Decoded, Decoding, decode_image

Read = Callable[[], bytes]
"""Gives one image as it is stored. Called in any thread, once. Raises OSError or ValueError: it cannot be read."""


class Members(ABC):
    """The images of one split. Gone through from the first to the last, never held all at once."""

    @abstractmethod
    def batches(self, size: int) -> Iterator[Sequence[Read]]:
        """All of them in order, at most `size` at a time."""

    def decode(self, content: bytes, how: Decoding) -> Decoded:
        """What `Read` gave, as pixels; errors as of `decode_image`. Called in any thread."""
        return decode_image(io.BytesIO(content), how)


class Files(Members):
    """Files below a folder."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self.folder, self.names = folder, names

    def batches(self, size: int) -> Iterator[Sequence[Read]]:
        for start in range(0, len(self.names), size):
            yield [partial(read, f"{self.folder}/{name}") for name in self.names[start : start + size]]


Task = TypeVar("Task")
Done = TypeVar("Done")


def in_threads(work: Callable[[Task], Done], tasks: Iterable[Task], workers: int, name: str) -> Iterator[Done]:
    """What `work` makes of the tasks, in order; only a few of them are in memory at a time."""
    with ThreadPoolExecutor(workers, thread_name_prefix=name) as pool:
        pending: deque[Future[Done]] = deque()
        try:
            for task in tasks:
                pending.append(pool.submit(work, task))
                if len(pending) > 4 * workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
