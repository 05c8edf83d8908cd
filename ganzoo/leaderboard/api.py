"""The library's function about many results."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganzoo.files.frames import Frame, to_frame
from ganzoo.leaderboard.render import to_csv, to_json, to_markdown
from ganzoo.leaderboard.rows import Table
from ganzoo.leaderboard.table import read_tables


@dataclass(frozen=True)
class Leaderboard:
    """Tables of results, one per protocol: rows of different tables are not to be compared."""

    tables: Sequence[Table]

    def to_dict(self) -> list[dict[str, Any]]:
        """As `ganzoo leaderboard --format json` says it."""
        document: list[dict[str, Any]] = json.loads(to_json(list(self.tables)))
        return document

    @property
    def rows(self) -> list[dict[str, Any]]:
        """All rows, in order, each with the "protocol" of its table."""
        return [{"protocol": table["protocol"], **row} for table in self.to_dict() for row in table["rows"]]

    def to_markdown(self) -> str:
        return to_markdown(list(self.tables))

    def to_csv(self) -> str:
        return to_csv(list(self.tables))

    def to_frame(self) -> Frame:
        """`rows` as a pandas DataFrame. UserError without pandas."""
        return to_frame(self.rows)


def leaderboard(*paths: str | Path, sort: str = "fid") -> Leaderboard:
    """The results of all runs under `paths`, ranked by `sort`.

    Raises:
        UserError: no results there, or a metric that there is not.
    """
    return Leaderboard(read_tables([Path(path) for path in paths or ("runs",)], sort))
