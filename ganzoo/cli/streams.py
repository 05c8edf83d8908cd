"""Standard output and error as they have to be when they are no terminal: a file, or a pipe that may be closed."""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def safe_streams() -> Iterator[None]:
    """Around all that the program prints: no character of it is an error, and neither is a reader that has seen enough,
    as `| head -1` has; the program then ends without a word, with exit code 1.
    """
    for stream in (sys.stdout, sys.stderr):
        _encode(stream)
    try:
        yield
    except SystemExit as ending:
        if not _flushed() and not ending.code:
            ending.code = 1
        raise
    if not _flushed():
        sys.exit(1)


def _encode(stream: object) -> None:
    """UTF-8 in files and pipes, where Windows has one of its code pages, which know no infinity. Whoever names another
    encoding by PYTHONIOENCODING gets it, with "?" for what it lacks; ASCII counts as not named, as it does to click.
    """
    if not isinstance(stream, io.TextIOWrapper):  # replaced, by a test or a notebook
        return
    named = os.environ.get("PYTHONIOENCODING", "").partition(":")[0]
    kept = stream.isatty() or (named and _name(stream.encoding) != "ascii")
    stream.reconfigure(encoding=None if kept else "utf-8", errors="replace")


def _name(encoding: str) -> str:
    with contextlib.suppress(LookupError):
        return codecs.lookup(encoding).name
    return encoding


def says_everything() -> bool:
    """Whether standard output can say every character."""
    return _name(getattr(sys.stdout, "encoding", None) or "utf-8").startswith("utf")


def _flushed() -> bool:
    """Whether all that was printed has been read. What cannot be is dropped: Python would try, and complain, again."""
    read = True
    for stream in (sys.stdout, sys.stderr):
        if stream is None:  # there has never been one, as with `>&-`
            continue
        try:
            stream.flush()
        except (OSError, ValueError):  # ValueError: closed
            read &= stream is not sys.stdout
            with contextlib.suppress(OSError, ValueError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream.fileno())
                os.close(nowhere)
    return read
