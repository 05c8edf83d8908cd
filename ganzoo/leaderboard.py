"""Leaderboards: read result.json files from any number of machines, group by protocol, rank, render. Torch-free."""

from __future__ import annotations

import csv
import io
import json
import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ganzoo.config import flatten
from ganzoo.errors import RunError, UnknownName
from ganzoo.runs import RunDirectory, find_runs

RANKED_SEEDS = 3
"""Training seeds a row needs to get a rank."""

# Two-sided 95 % quantile of Student's t, by degrees of freedom.
# fmt: off
_T95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
        2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042)
# fmt: on

# What tells where a run was made, not what it computed: the protocol holds the hashes of data and weights.
_PLACES = ("seed", "device", "callbacks", "schema", "dataset.path", "features.weights")


@dataclass(frozen=True, kw_only=True)
class Number:
    """A mean over seeds; `half` is half the width of its 95 % Student t interval, None for a single seed."""

    mean: float
    half: float | None
    n: int


def summarize(values: Iterable[float | None]) -> Number | None:
    """Mean and interval of the values that are there; None when there is none."""
    present = [value for value in values if value is not None and math.isfinite(value)]
    if not present:
        return None
    n = len(present)
    if n == 1:
        return Number(mean=present[0], half=None, n=1)
    # Beyond the table: z + (z^3 + z) / (4 df), z = 1.960 (Abramowitz and Stegun 26.7.5), right to 0.2 %.
    t = _T95[n - 2] if n - 2 < len(_T95) else 1.960 + 2.372 / (n - 1)
    return Number(mean=statistics.fmean(present), half=t * statistics.stdev(present) / math.sqrt(n), n=n)


@dataclass(kw_only=True)
class Row:
    """One configuration over its seeds."""

    variant: str
    objective: str
    kind: str = "generated"  # or "real": the floor
    results: list[dict[str, Any]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)  # one line for each seed that gave no result
    settings: str = ""  # what tells it from other rows of the same variant and objective
    runs: list[str] = field(default_factory=list)  # run directories
    repeats: int = 0  # runs left out because their seed is counted already: a copy is no further evidence
    rank: int | None = None
    numbers: dict[str, Number | None] = field(default_factory=dict)

    @property
    def status(self) -> str:
        """ "" when all is well, else what happened to which share of the seeds."""
        diverged = [str(result["diverged"]) for result in self.results if result.get("diverged")]
        total = len(self.results) + len(self.failures)
        notes = [f"{len(diverged)}/{total} diverged: {diverged[0]}"] if diverged else []
        notes += [f"{len(self.failures)}/{total} failed: {self.failures[0]}"] if self.failures else []
        notes += [f"{self.repeats} left out: their seeds are counted already"] if self.repeats else []
        return "; ".join(notes)


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of one protocol; they may be compared with each other and with no other table's."""

    protocol: str
    dataset: str
    rows: list[Row]
    environments: list[str]  # where the numbers were made
    floor: str = ""  # what the row of real data is


@dataclass(frozen=True, kw_only=True)
class Column:
    key: str
    title: str
    value: Callable[[dict[str, Any]], float | None]  # from a result
    show: Callable[[float], str]
    higher_is_better: bool
    group: str = "quality"  # or "cost"


def _metric(key: str, snapshot: str = "last") -> Callable[[dict[str, Any]], float | None]:
    def value(result: dict[str, Any]) -> float | None:
        number = ((result.get(snapshot) or {}).get("values") or {}).get(key)
        return float(number) if number is not None else None

    return value


def _memory(result: dict[str, Any]) -> float | None:
    return result.get("peak_memory") or None


def _parameters(result: dict[str, Any]) -> float | None:
    counts = result.get("parameters")
    return sum(counts.values()) if counts else None


def _count(value: float) -> str:
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.2f}{unit}"
    return f"{value:.0f}"


def _digits(places: int) -> Callable[[float], str]:
    return lambda value: f"{value:,.{places}f}"


def _bytes(value: float) -> str:
    return f"{value / 2**30:.2f} GiB" if value >= 2**30 else f"{value / 2**20:.0f} MiB"


COLUMNS: tuple[Column, ...] = (
    Column(key="fid", title="FID", value=_metric("fid"), show=_digits(2), higher_is_better=False),
    Column(key="best_fid", title="best FID", value=_metric("fid", "best"), show=_digits(2), higher_is_better=False),
    Column(key="is", title="IS", value=_metric("is"), show=_digits(2), higher_is_better=True),
    Column(key="kid", title="KID", value=_metric("kid"), show=lambda value: f"{value:.3g}", higher_is_better=False),
    Column(key="precision", title="prec.", value=_metric("precision"), show=_digits(2), higher_is_better=True),
    Column(key="recall", title="recall", value=_metric("recall"), show=_digits(2), higher_is_better=True),
    Column(key="density", title="dens.", value=_metric("density"), show=_digits(2), higher_is_better=True),
    Column(key="coverage", title="cover.", value=_metric("coverage"), show=_digits(2), higher_is_better=True),
    Column(key="cond_acc", title="cond. acc. %", value=_metric("cond_acc"), show=_digits(1), higher_is_better=True),
    Column(key="modes", title="modes", value=_metric("modes"), show=_digits(0), higher_is_better=True),
    Column(
        key="kimg",
        title="kimg",
        value=lambda result: result.get("kimg"),
        show=_digits(0),
        higher_is_better=False,
        group="cost",
    ),
    Column(
        key="train_img_per_s",
        title="train img/s",
        value=lambda result: result.get("train_img_per_s"),
        show=_digits(0),
        higher_is_better=True,
        group="cost",
    ),
    Column(
        key="sample_img_per_s",
        title="sample img/s",
        value=lambda result: result.get("sample_img_per_s"),
        show=_digits(0),
        higher_is_better=True,
        group="cost",
    ),
    Column(key="parameters", title="params", value=_parameters, show=_count, higher_is_better=False, group="cost"),
    Column(key="peak_memory", title="peak mem.", value=_memory, show=_bytes, higher_is_better=False, group="cost"),
    Column(
        key="seconds",
        title="seconds",
        value=lambda result: (result.get("seconds") or {}).get("wall"),
        show=_digits(0),
        higher_is_better=False,
        group="cost",
    ),
)


def make_tables(runs: Sequence[RunDirectory], sort: str = "fid") -> list[Table]:
    """One table per protocol. Rows are ranked by `sort`, a key of `COLUMNS`; the floor stands first.

    Raises:
        UnknownName: `sort` is no column.
        RunError: no run is found, or a record is damaged.
    """
    column = next((column for column in COLUMNS if column.key == sort), None)
    if column is None:
        raise UnknownName("column", sort, [column.key for column in COLUMNS])
    if not runs:
        raise RunError("there are no runs here", "give folders that `ganzoo train` or `ganzoo bench` wrote to")
    finished: dict[str, dict[str, Row]] = {}  # protocol id -> key -> row
    failed: list[tuple[RunDirectory, dict[str, Any], str]] = []
    for run in runs:
        result = run.read_result()
        if result is None:
            config = run.read_config()
            if all(isinstance(config.get(part), dict) for part in ("variant", "objective", "dataset")):
                failed.append((run, config, _failure(run)))  # else: some other program's config.json
            continue
        _check_result(run, result)
        rows = finished.setdefault(result["protocol"]["id"], {})
        row = rows.setdefault(_key(result["config"], result.get("source")), _row(result["config"]))
        row.runs.append(str(run.path))
        if any(other["seed"] == result["seed"] for other in row.results):
            row.repeats += 1
        else:
            row.results.append(result)
    if not finished and not failed:
        raise RunError("there are no runs here", "give folders that `ganzoo train` or `ganzoo bench` wrote to")
    for run, config, line in failed:
        start = _key(config, None)
        protocols = [p for p, rows in finished.items() if any(key.startswith(start) for key in rows)]
        protocols += [p for p, rows in finished.items() if _dataset(rows) == config["dataset"]["name"]]
        rows = finished.setdefault((*protocols, "no result")[0], {})
        row = rows.setdefault(next((key for key in rows if key.startswith(start)), start), _row(config))
        row.failures.append(line)
        row.runs.append(str(run.path))
    return [_table(protocol, list(rows.values()), column) for protocol, rows in sorted(finished.items())]


def _check_result(run: RunDirectory, result: dict[str, Any]) -> None:
    """Raises RunError where the record lacks what a row is made of."""
    needed = {"config": dict, "protocol": dict, "environment": dict, "dataset": str, "seed": int}
    damaged = [key for key, kind in needed.items() if not isinstance(result.get(key), kind)]
    if damaged or "id" not in result["protocol"]:
        raise RunError(
            f"{run.result_file} is no result of this version: {', '.join(damaged) or 'protocol.id'} missing",
            "delete the file, or the run, and start again",
        )


def _key(config: dict[str, Any], source: str | None) -> str:
    """Equal for runs that differ only in their seed."""
    flat = {key: value for key, value in flatten(config).items() if key not in _PLACES}
    return json.dumps(flat, sort_keys=True) + (source or "")


def _row(config: dict[str, Any]) -> Row:
    return Row(variant=config["variant"]["name"], objective=config["objective"]["name"])


def _dataset(rows: dict[str, Row]) -> str | None:
    return next((str(result["dataset"]) for row in rows.values() for result in row.results), None)


def _failure(run: RunDirectory) -> str:
    if not run.failure_file.exists():
        return "not finished; the same command continues it"
    lines = run.failure_file.read_text(encoding="utf-8").strip().splitlines()
    return lines[0] if lines else "no message"


def _table(protocol: str, rows: list[Row], column: Column) -> Table:
    for row in rows:
        row.numbers = {column.key: summarize(column.value(result) for result in row.results) for column in COLUMNS}
    rows.sort(key=lambda row: _order(row, column))
    rank = 0
    for row in rows:
        number = row.numbers.get(column.key)
        if number is not None and number.n >= RANKED_SEEDS and not row.failures:
            rank += 1
            row.rank = rank
    _tell_apart(rows)
    floor = next((result["floor"] for row in rows for result in row.results if result.get("floor")), None)
    if floor is not None:
        real = Row(variant="real data", objective="", kind="real")
        real.numbers = {column.key: summarize([column.value({"last": floor})]) for column in COLUMNS}
        rows = [real, *rows]
        what = f"{floor['what']}, {floor['images']} images"
    else:
        what = ""
    environments = sorted({_environment(result) for row in rows for result in row.results})
    dataset = next((str(result["dataset"]) for row in rows for result in row.results), "")
    return Table(protocol=protocol, dataset=dataset, rows=rows, environments=environments, floor=what)


def _order(row: Row, column: Column) -> tuple[bool, float]:
    number = row.numbers.get(column.key)
    if number is None:
        return (True, 0.0)
    return (False, -number.mean if column.higher_is_better else number.mean)


def _tell_apart(rows: list[Row]) -> None:
    """Rows of the same variant and objective get the settings in which they differ."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row.results:
            groups.setdefault((row.variant, row.objective), []).append(row)
    for same in groups.values():
        if len(same) < 2:
            continue
        flats = [
            flatten(row.results[0]["config"]) | {"source": (row.results[0].get("source") or "")[:8]} for row in same
        ]
        keys = sorted({key for flat in flats for key in flat} - set(_PLACES))
        differing = [key for key in keys if len({json.dumps(flat.get(key)) for flat in flats}) > 1]
        for row, flat in zip(same, flats, strict=True):
            row.settings = " ".join(f"{key}={flat.get(key)}" for key in differing)


def _environment(result: dict[str, Any]) -> str:
    environment = result["environment"]
    packages = environment["packages"]
    return (
        f"{environment['device']}, {environment['precision']}, torch {packages['torch']}, ganzoo {packages['ganzoo']}, "
        f"Python {environment['python']}"
    )


def show(column: Column, number: Number | None) -> str:
    """ "12.34", "12.34 ± 0.56" over seeds, "-" where there is nothing."""
    if number is None:
        return "-"
    text = column.show(number.mean)
    return text if number.half is None or column.group == "cost" else f"{text} ± {column.show(number.half)}"


def used_columns(table: Table) -> list[Column]:
    """Columns in which some row has a number."""
    return [column for column in COLUMNS if any(row.numbers.get(column.key) for row in table.rows)]


def to_json(tables: Sequence[Table]) -> str:
    """Every number with its interval and count, ready for another program."""
    document = [
        {
            "protocol": table.protocol,
            "dataset": table.dataset,
            "environments": table.environments,
            "floor": table.floor,
            "rows": [
                {
                    "rank": row.rank,
                    "kind": row.kind,
                    "variant": row.variant,
                    "objective": row.objective,
                    "settings": row.settings,
                    "seeds": len(row.results),
                    "status": row.status,
                    "numbers": {
                        column.key: {"mean": number.mean, "interval95": number.half, "n": number.n}
                        for column in COLUMNS
                        if (number := row.numbers.get(column.key)) is not None
                    },
                    "runs": row.runs,
                }
                for row in table.rows
            ],
        }
        for table in tables
    ]
    return json.dumps(document, indent=1, ensure_ascii=False)


def to_csv(tables: Sequence[Table]) -> str:
    """One line per row: protocol, rank, names, then mean and interval of every column."""
    out = io.StringIO()
    writer = csv.writer(out)
    numbers = [name for column in COLUMNS for name in (column.key, f"{column.key}_interval95")]
    writer.writerow(["protocol", "rank", "kind", "variant", "objective", "settings", "seeds", "status", *numbers])
    for table in tables:
        for row in table.rows:
            values: list[object] = []
            for column in COLUMNS:
                number = row.numbers.get(column.key)
                values += ["", ""] if number is None else [number.mean, "" if number.half is None else number.half]
            head = [table.protocol, row.rank or "", row.kind, row.variant, row.objective, row.settings]
            writer.writerow([*head, len(row.results), row.status, *values])
    return out.getvalue()


def to_markdown(tables: Sequence[Table]) -> str:
    """Pipe tables, one per protocol, each with its conditions below."""
    parts = []
    for table in tables:
        columns = used_columns(table)
        head = ["rank", "variant", "objective", *(column.title for column in columns), "seeds"]
        lines = ["| " + " | ".join(head) + " |", "|" + "---|" * 3 + "---:|" * (len(columns) + 1)]
        for row in table.rows:
            cells = [
                str(row.rank or "-"),
                label(row),
                row.objective,
                *(show(c, row.numbers.get(c.key)) for c in columns),
            ]
            lines.append("| " + " | ".join([*cells, str(len(row.results) or "-")]) + " |")
        parts.append("\n".join([*lines, "", *notes(table)]))
    return "\n\n".join(parts) + "\n"


def label(row: Row) -> str:
    """The variant, and what tells its row from others of the same name."""
    return f"{row.variant} [{row.settings}]" if row.settings else row.variant


def notes(table: Table) -> list[str]:
    """What a reader has to know to believe the table."""
    lines = [f"protocol: {table.protocol}", *(f"made on: {environment}" for environment in table.environments)]
    lines += [f"real data: {table.floor}"] if table.floor else []
    lines += [f"{label(row)}: {row.status}" for row in table.rows if row.status]
    if any(row.rank is None for row in table.rows if row.kind == "generated"):
        lines.append(f"- in rank: not ranked, fewer than {RANKED_SEEDS} seeds or a seed without a result")
    if any(len(row.results) > 1 for row in table.rows):
        lines.append("± is half the 95 % Student t interval over training seeds")
    return lines


def read_tables(paths: Sequence[Path], sort: str = "fid") -> list[Table]:
    """Tables of every run under `paths`; errors as in `make_tables`."""
    for path in paths:
        if not path.is_dir():
            raise RunError(f"{path} is no folder", "give folders that `ganzoo train` or `ganzoo bench` wrote to")
    return make_tables(find_runs(list(paths)), sort)
