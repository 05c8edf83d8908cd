"""Records as pandas DataFrames, where pandas is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ganzoo.errors import UserError

Frame = Any
"""A pandas.DataFrame."""


def to_frame(records: Sequence[Mapping[str, Any]]) -> Frame:
    """
    Raises:
        UserError: pandas is not installed.
    """
    try:
        import pandas
    except ImportError:
        raise UserError("a frame needs pandas, which is not installed", "pip install pandas") from None
    return pandas.DataFrame(list(records))
