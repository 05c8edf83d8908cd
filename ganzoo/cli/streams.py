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


SPELLED = {
    "\N{PLUS-MINUS SIGN}": "+-",
    "\N{INFINITY}": "inf",
    "\N{MICRO SIGN}": "u",
    "\N{HORIZONTAL ELLIPSIS}": "...",
    "\N{EN DASH}": "-",
    "\N{EM DASH}": "-",
}
"""How what ganzoo itself prints is written where the encoding lacks it."""

ASCII = "ganzoo-ascii"
"""ASCII by a name that click does not know: it would write UTF-8 in its stead."""


def _encode(stream: object) -> None:
    """UTF-8 in files and pipes, where Windows has one of its code pages, which know no infinity. Whoever names another
    encoding by PYTHONIOENCODING gets it, with `SPELLED` and "?" for what it lacks.
    """
    if not isinstance(stream, io.TextIOWrapper):  # replaced, by a test or a notebook
        return
    codecs.register(_ascii)
    codecs.register_error("ganzoo", _spell)
    named = os.environ.get("PYTHONIOENCODING", "").partition(":")[0]
    encoding = None if stream.isatty() else "utf-8"
    if named:
        encoding = ASCII if _name(named) == "ascii" else None
    stream.reconfigure(encoding=encoding, errors="ganzoo")


def _ascii(name: str) -> codecs.CodecInfo | None:
    if name not in (ASCII, ASCII.replace("-", "_")):
        return None
    known = codecs.lookup("ascii")
    return codecs.CodecInfo(
        known.encode,
        known.decode,
        streamreader=known.streamreader,
        streamwriter=known.streamwriter,
        incrementalencoder=known.incrementalencoder,
        incrementaldecoder=known.incrementaldecoder,
        name=ASCII,
    )


def _spell(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(SPELLED.get(one, "?") for one in error.object[error.start : error.end]), error.end


def spelled(text: str, encoding: str) -> str:
    """`text` as it will be written, for whoever counts its letters."""
    if text.isascii():
        return text
    codec = codecs.lookup("ascii" if encoding == ASCII else encoding)
    return "".join(one if codec.encode(one, "replace")[0] != b"?" else SPELLED.get(one, "?") for one in text)


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
