"""From what a user typed to the path of a dataset. Imports no torch."""

from __future__ import annotations

import os
from pathlib import Path

from ganzoo.errors import DataError
from ganzoo.files.text import clean


def absolute(path: Path | str) -> Path:
    """The path of a dataset from the root, without links. Raises DataError for a text that cannot be a path."""
    try:
        os.fsencode(path)
        return Path(path).expanduser().resolve()
    except (ValueError, RuntimeError, OSError) as error:  # a NUL, a lone surrogate; no such user; links in a circle
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "it holds what no path can hold"
        if isinstance(error, RuntimeError):
            reason = str(error)
        raise DataError(
            f"{clean(str(path))} is no path: {clean(reason, 200)}", "give the path of the images"
        ) from error
