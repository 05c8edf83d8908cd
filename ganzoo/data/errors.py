"""The error of the data package that callers tell apart from the others."""

from __future__ import annotations

from ganzoo.errors import DataError


class NoTestSplit(DataError):
    """The dataset has no test images of its own; a caller may split the training images instead."""
