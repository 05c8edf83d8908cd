"""The error of the data package that callers tell apart from the others."""

from __future__ import annotations

from ganzoo.errors import DataError


class NoTestSplit(DataError):
    """The dataset has no test images of its own; a caller may split the training images instead. Targets may raise the
    class itself.
    """

    def __init__(self, cause: str = "there are no test images", cure: str = "use the train split") -> None:
        super().__init__(cause, cure)
