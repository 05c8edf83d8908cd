"""Scores in long form, as pandas, R and plotting libraries take them: one line per run, snapshot and metric."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ganzoo.errors import RunError
from ganzoo.files.text import clean, csv_cell
from ganzoo.leaderboard.rows import Table
from ganzoo.runs.directory import RunDirectory

FIELDS = ("protocol", "dataset", "variant", "objective", "name", "settings", "seed", "kimg", "seconds", "metric",
          "value", "run")  # fmt: skip


def to_tidy(tables: Sequence[Table]) -> str:
    """CSV of `tidy_rows`."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(FIELDS)
    for line in tidy_rows(tables):
        writer.writerow([csv_cell(value) if isinstance(value, str) else value for value in line.values()])
    return out.getvalue()


def tidy_rows(tables: Sequence[Table]) -> Iterator[dict[str, Any]]:
    """A record of FIELDS for each metric of each scored snapshot of each run, finished or not. "kimg": of the snapshot,
    0 for the untrained one; "seconds": of training until then. None is what is not known, a value that was not finite,
    and what real images have not: seed, kimg, run. A copy of a run counts once, as in the table.
    """
    for table in tables:
        for row in table.rows:
            about = dict.fromkeys(FIELDS) | {
                "protocol": table.protocol,
                "dataset": table.dataset,
                "variant": row.variant,
                "objective": row.objective,
                "name": row.name,
                "settings": row.settings,
            }
            numbers = {key: number.mean for key, number in row.numbers.items() if number is not None}
            if row.kind == "real":
                yield from (about | {"metric": key, "value": value} for key, value in numbers.items())
            seen: set[int] = set()
            for path in row.runs:
                yield from _of_run(about, RunDirectory(Path(path)), seen)


def _of_run(about: dict[str, Any], run: RunDirectory, seen: set[int]) -> Iterator[dict[str, Any]]:
    """`seen`: seeds of the row that are done."""
    try:
        result = run.read_result()
        config = result["config"] if result is not None else run.read_config()
        scores, ticks = run.metrics(), run.stats()
    except RunError:  # named among what is skipped
        return
    seed = int(config.get("seed", 0) if result is None else result["seed"])
    if seed in seen:
        return
    seen.add(seed)
    if not scores and result is not None:  # a result that was copied alone
        parts = (result.get(part) for part in ("untrained", "best", "last"))
        scores = list({part["images"]: part for part in parts if part}.values())
    seconds = {0: 0.0} | {tick["images"]: tick.get("seconds") for tick in ticks}
    for score in scores:
        images = score["images"]
        found = {"seed": seed, "kimg": images / 1000, "seconds": seconds.get(images), "run": clean(str(run.path))}
        found |= {"protocol": score.get("protocol") or about["protocol"]}
        for metric, value in score["values"].items():
            yield about | found | {"metric": metric, "value": value}
