"""`ganzoo.leaderboard`: results, compared, as plain Python data. Torch-free."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganzoo.config.options import known_arguments
from ganzoo.config.places import as_path
from ganzoo.files.frames import Frame, to_frame
from ganzoo.leaderboard.html import to_html
from ganzoo.leaderboard.latex import to_latex
from ganzoo.leaderboard.layout import asked_columns, chosen_columns, known_columns
from ganzoo.leaderboard.render import Choose, documents, to_csv, to_json, to_markdown
from ganzoo.leaderboard.rows import Table
from ganzoo.leaderboard.table import read_tables
from ganzoo.leaderboard.tidy import to_tidy
from ganzoo.runs.directory import RunDirectory
from ganzoo.runs.run import Run

_ABOUT = ("rank", "kind", "variant", "objective", "name", "settings", "seeds", "status")


@dataclass(frozen=True, kw_only=True)
class Leaderboard:
    """One table for each protocol: what is in different tables cannot be compared. A notebook shows it as tables."""

    compared: Sequence[Table]
    """The tables as objects, for those who want to render them anew."""
    runs: Sequence[Run]
    """Those that it is of. Of `ganzoo.bench`: one for each variant and seed, in order, whatever became of it."""

    @property
    def tables(self) -> list[dict[str, Any]]:
        """JSON-ready: "protocol", "dataset", "environments", "floors", "left_out", "ranked_by", "rows", ... Each row
        has "rank", "variant", "objective", "settings", "seeds", "status", "runs", "beside" (the most runs that trained
        on other cores meanwhile), and "numbers", of which each is {"mean", "interval95", "n"} by the key of its column.
        """
        return documents(self.compared)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Flat, of all tables: "protocol", "dataset", "rank", "kind" ("generated"; "real": a floor), "variant",
        "objective", "name", "settings", "seeds", "status", and for each number its mean by the key of its column
        ("fid", "is", ...) and, over several seeds, half its 95 % interval ("fid_interval95").
        """
        rows = []
        for table in self.tables:
            for row in table["rows"]:
                flat = {"protocol": table["protocol"], "dataset": table["dataset"], **{key: row[key] for key in _ABOUT}}
                for key, number in row["numbers"].items():
                    flat[key] = number["mean"]
                    if number["interval95"] is not None:
                        flat[f"{key}_interval95"] = number["interval95"]
                rows.append(flat)
        return rows

    @property
    def failed(self) -> list[Run]:
        """The runs that have no result, or failed when they were last started: see their `failure`."""
        return [run for run in self.runs if not run.finished]

    def to_frame(self) -> Frame:
        """`rows` as a pandas DataFrame. UserError without pandas."""
        return to_frame(self.rows)

    def to_json(self) -> str:
        """`tables` as text."""
        return to_json(self.compared)

    def to_csv(self) -> str:
        """One line for each row."""
        return to_csv(self.compared)

    def to_tidy(self) -> str:
        """CSV of one line for each run, scored snapshot and metric, for plots and statistics of one's own: "protocol",
        "dataset", "variant", "objective", "name", "settings", "seed", "kimg", "seconds", "metric", "value", "run".
        """
        return to_tidy(self.compared)

    def to_markdown(self, columns: Sequence[str] | None = None) -> str:
        """A table for each protocol, with its conditions below. `columns`: their keys, or ["all"]; None: those that
        have numbers. UnknownName: there is no such column.
        """
        return to_markdown(self.compared, self._choose(columns))

    def to_latex(self, columns: Sequence[str] | None = None) -> str:
        """A table of booktabs for each protocol; `columns`: None: those that fit a page; ["all"]: those that have
        numbers; else, and errors, as in `to_markdown`.
        """
        return to_latex(self.compared) if columns is None else to_latex(self.compared, self._choose(columns))

    def _choose(self, columns: Sequence[str] | None) -> Choose:
        known = [column for table in self.compared for column in table.columns]
        asked = None if columns is None else asked_columns(",".join(columns), known_columns(known))
        return lambda table: chosen_columns(table, asked)

    def _repr_markdown_(self) -> str:
        return self.to_markdown()

    def _repr_html_(self) -> str:
        return to_html(self.compared)

    def __repr__(self) -> str:
        rows = [
            f"{row['variant']} {row['fid']:.2f}" if "fid" in row else row["variant"]
            for row in self.rows
            if row["kind"] == "generated"
        ]
        failed = f"; {len(self.failed)} of {len(self.runs)} runs without a result" if self.failed else ""
        return f"<Leaderboard of {len(self.compared)} tables: {', '.join(rows)}{failed}>"


@known_arguments
def leaderboard(*paths: str | os.PathLike[str], sort: str = "fid") -> Leaderboard:
    """Rank the runs below some folders, from any number of machines, as `ganzoo leaderboard` does.

    Example:
        print(ganzoo.leaderboard("runs").to_markdown())

    Args:
        paths: folders; none: runs.
        sort: key of the column that ranks: "fid", "kid", "train_img_per_s", ...

    Raises:
        RunError: no run is found, or none that can be read, or a path is no folder.
        UnknownName: `sort` is no column.
    """
    tables = read_tables([as_path(path, "paths") for path in paths] or [Path("runs")], sort)
    runs = [Run.at(RunDirectory(Path(path))) for table in tables for row in table.rows for path in row.runs]
    return Leaderboard(compared=tables, runs=runs)
