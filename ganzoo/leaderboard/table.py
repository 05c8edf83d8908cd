"""Leaderboards: read result.json files from any number of machines, group by protocol, rank. Torch-free."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ganzoo.config.run_config import LATER, PLACES, dataset_label, flatten
from ganzoo.errors import RunError, UnknownName
from ganzoo.leaderboard.columns import COLUMNS, Column, extra_columns, summarize
from ganzoo.leaderboard.rows import RANKED_SEEDS, Row, Table, _started_from
from ganzoo.leaderboard.significance import shared_ranks
from ganzoo.runs.directory import RunDirectory
from ganzoo.runs.find import WRITTEN, runs_under
from ganzoo.runs.results import Results
from ganzoo.scoring.protocol import is_unscored

OTHER_MACHINES = "speed and memory of other machines or versions"
"""Why a row that ran on several has no speed, and why rows that ran on different ones are not ranked by it."""

SHARED_DEVICE = "speed of a device shared with other runs"
"""Why a row whose runs were not alone on their device has no speed: it says how busy the device was."""

# What tells where a run was made, not what it computed: the protocol holds the hashes of data and weights.
_PLACES = {*PLACES, "seed", "schema"}


def make_tables(runs: Sequence[RunDirectory], sort: str = "fid") -> list[Table]:
    """One table per protocol. Rows are ranked by `sort`, the key of a column; the floors, unranked, stand first.

    A row is ranked if it has 3 seeds or more, all with a final score and a number in the column, none failed. The seeds
    that are left when others diverged are no fair sample, so such a row shows their mean and has no rank. Ranks are
    those of `significance.shared_ranks`.

    A record that cannot be read is named in `skipped` of every table, and the others are shown.

    Raises:
        UnknownName: `sort` is no column.
        RunError: no run is found, or none that can be read.
    """
    if not runs:
        raise RunError("there are no runs here", WRITTEN)
    finished: dict[str, dict[str, Row]] = {}  # protocol id -> key -> row
    failed: list[tuple[RunDirectory, dict[str, Any], str]] = []
    skipped: list[str] = []
    records, keys = Results(), _Keys()
    for run in runs:
        try:
            result = records.read(run)
            if result is None:
                if run.is_ours():
                    failed.append((run, run.read_config(), run.read_failure() or _UNFINISHED))
                continue
        except RunError as error:
            skipped.append(error.cause)
            continue
        rows = finished.setdefault(result["protocol"]["id"], {})
        row = rows.get(key := keys.of(result["config"]) + _origin(result))
        if row is None:
            row = rows[key] = _row(result["config"])
        row.runs.append(str(run.path))
        if any(other["seed"] == result["seed"] for other in row.results):
            row.repeats += 1
        else:
            row.results.append(result)
    if not finished and not failed:
        if skipped:
            cure = "update ganzoo where a newer one wrote it; else take the folder from where it came again"
            raise RunError(f"no record here can be read: {skipped[0]}", cure)
        raise RunError("there are no runs here", WRITTEN)
    results = [result for rows in finished.values() for row in rows.values() for result in row.results]
    columns = [*COLUMNS, *extra_columns(results)]
    column = next((column for column in columns if column.key == sort), None)
    if column is None:
        raise UnknownName("column", sort, [column.key for column in columns])
    for run, config, line in failed:
        start = keys.of(config)
        protocols = [p for p, rows in finished.items() if _conditions(config) in _all_conditions(rows)]
        rows = finished.setdefault((*protocols, "no result")[0], {})
        row = rows.setdefault(next((key for key in rows if key.startswith(start)), start), _row(config))
        row.failures.append(line)
        row.runs.append(str(run.path))
    return [
        replace(_table(protocol, list(rows.values()), columns, column), skipped=skipped)
        for protocol, rows in sorted(finished.items())
    ]


class _Keys:
    """Of configs: equal for runs that differ only in their seed. Sections of many are the same objects."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], tuple[Any, str]] = {}

    def of(self, config: dict[str, Any]) -> str:
        """A section that says nothing is one that older results have not."""
        return "\n".join(line for key in sorted(config) if (line := self._section(key, config[key])) != "{}")

    def _section(self, key: str, value: Any) -> str:
        known = self._known.get((key, id(value)))
        if known is None:
            flat = {name: inner for name, inner in flatten({key: value}).items()
                    if not _elsewhere(name) and inner != LATER.get(name, ...)}  # fmt: skip
            known = (value, json.dumps(flat, sort_keys=True))  # the value as well: no other object gets its id
            self._known[key, id(value)] = known
        return known[1]


_UNFINISHED = "not finished; the same command continues it"


def _origin(result: dict[str, Any]) -> str:
    """What a run was made from beside its settings: the code of variant and objective, initial weights."""
    return f"{result.get('source') or ''}{(result.get('init') or {}).get('sha256', '')}"


def _elsewhere(key: str) -> bool:
    """Whether a setting says where a run was made, or how it was scored, which is the protocol's to say."""
    return key in _PLACES or key == "train.scores" or key.startswith(("eval.", "metrics."))


def _row(config: dict[str, Any]) -> Row:
    extras = [name for kind in ("regularizers", "augmentations") for name in config.get(kind) or {}]
    return Row(
        variant=config["variant"]["name"],
        objective=" + ".join([config["objective"]["name"], *extras]),
        name=config.get("name") or "",
        config=config,
    )


def _conditions(config: dict[str, Any]) -> str:
    """Equal for configs whose scores would have the same protocol: a run without a score belongs with these."""
    flat = flatten({key: config.get(key) for key in ("dataset", "features", "eval", "metrics")})
    return json.dumps(flat | {"ema": (config.get("train") or {}).get("ema_kimg", 1) > 0}, sort_keys=True)


def _all_conditions(rows: dict[str, Row]) -> set[str]:
    return {_conditions(result["config"]) for row in rows.values() for result in row.results}


def _table(protocol: str, rows: list[Row], columns: list[Column], sort: Column) -> Table:
    for row in rows:
        row.numbers = {column.key: summarize(column.values(row.results), column.interval) for column in columns}
        if len(row.results) == 1 and not row.results[0].get("diverged"):
            row.numbers["diverged"] = None  # one seed that trained is no rate
        row.mixed = len(_environments([row])) > 1
        row.beside_others = any(result["environment"].get("concurrent", 1) != 1 for result in row.results)
        if row.mixed or row.beside_others:
            # Speed and memory of different machines have no mean, and those of a shared one are no single run's; what
            # the networks are stays.
            row.numbers |= {column.key: None for column in columns if column.group == "speed"}
    rows.sort(key=lambda row: _order(row, sort))
    _rank(rows, sort)
    _tell_apart(rows)
    floors = _floors(rows)
    real = [
        Row(
            variant=_floor_label(floor),
            objective="",
            kind="real",
            numbers={column.key: summarize(column.values([{"last": floor}])) for column in columns},
        )
        for floor in floors
    ]
    datasets = (result["config"]["dataset"] for row in rows for result in row.results)
    dataset = next((dataset_label(str(dataset["name"]), dataset) for dataset in datasets), "")
    return Table(
        protocol=protocol,
        dataset=dataset,
        rows=[*real, *rows],
        columns=columns,
        sort=sort,
        environments=_environments(rows),
        floors={
            _floor_label(floor): f"{floor['what']}, {floor['images']} images against {floor['reference']}"
            for floor in floors
        },
        left_out=_left_out(rows),
    )


def _rank(rows: Sequence[Row], sort: Column) -> None:
    """Rank the rows, given in order of their means, or say why not."""
    for row in rows:
        row.unranked = _why_unranked(row, sort)
    fit = [row for row in rows if not row.unranked]
    if sort.group == "speed" and len(_environments(fit)) > 1:
        for row in fit:  # of two machines one is faster, not one variant
            row.unranked = OTHER_MACHINES
        return
    ranks = shared_ranks([sort.values(row.results) for row in fit])
    for row, rank in zip(fit, ranks, strict=True):
        row.rank, row.shared = rank, ranks.count(rank) > 1


def ahead(rows: Sequence[Row], column: Column) -> list[Row]:
    """Of generated rows, that of the best mean in a column and those that cannot be told from it, by the tests that
    ranks come from. Empty: the best has too few seeds for a test, or no row is told from another.
    """
    means = [(number.mean, row) for row in rows if (number := row.numbers.get(column.key)) is not None]
    there = [row for _, row in sorted(means, key=lambda one: one[0], reverse=column.higher_is_better)]
    fit = [row for row in there if not _why_unranked(row, column)]
    if len(fit) < 2 or fit[0] is not there[0] or (column.group == "speed" and len(_environments(fit)) > 1):
        return []
    ranks = shared_ranks([column.values(row.results) for row in fit])
    first = [row for row, rank in zip(fit, ranks, strict=True) if rank == 1]
    return first if len(first) < len(fit) else []


def _why_unranked(row: Row, sort: Column) -> str:
    """ "" for a row that may be ranked. The seeds left when others stopped are no fair sample of the variant's."""
    if any(is_unscored(result["protocol"]["id"]) for result in row.results) and sort.group == "quality":
        return "not scored"
    if len(row.results) < RANKED_SEEDS:
        return f"fewer than {RANKED_SEEDS} seeds"
    if row.failures:
        return "a seed without a result"
    if row.stopped:
        return "a seed that diverged before its end"
    if row.mixed and sort.group == "speed":
        return OTHER_MACHINES
    if row.beside_others and sort.group == "speed":
        return SHARED_DEVICE
    number = row.numbers[sort.key]
    return f"a seed without {sort.title}" if number is None or number.n < len(row.results) else ""


def _floors(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """What the results say of real data, once by name: runs of one protocol agree, but may have other metrics."""
    floors: dict[str, dict[str, Any]] = {}
    for row in rows:
        for result in row.results:
            for floor in result.get("floors") or []:
                known = floors.setdefault(floor["name"], floor | {"values": {}})
                known["values"] = floor["values"] | known["values"]
    return list(floors.values())


def _floor_label(floor: dict[str, Any]) -> str:
    return f"real: {floor['name']}"


def _left_out(rows: Sequence[Row]) -> dict[str, str]:
    """Reasons for which metrics are missing, each once, with the names of the metrics."""
    metrics: dict[str, list[str]] = {}
    for row in rows:
        for result in row.results:
            for metric, reason in (result.get("left_out") or {}).items():
                names = metrics.setdefault(reason, [])
                names += [metric] if metric not in names else []
    return {reason: ", ".join(names) for reason, names in sorted(metrics.items(), key=lambda item: item[1])}


def _order(row: Row, column: Column) -> tuple[bool, float]:
    number = row.numbers.get(column.key)
    if number is None:
        return (True, 0.0)
    return (False, -number.mean if column.higher_is_better else number.mean)


def _tell_apart(rows: list[Row]) -> None:
    """Rows of the same variant and objective get the settings in which they differ."""
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.variant, row.objective, row.name), []).append(row)
    for same in groups.values():
        if len(same) < 2:
            continue
        configs = [row.config for row in same]
        varying = {key for config in configs for key in config.keys() | configs[0].keys()
                   if (value := config.get(key)) is not (first := configs[0].get(key)) and value != first}  # fmt: skip
        flats = [
            flatten({key: value for key, value in row.config.items() if key in varying}) | _made_from(row)
            for row in same
        ]
        keys = sorted(key for key in {key for flat in flats for key in flat} if not _elsewhere(key))
        differing = [key for key in keys if _differs(key, flats)]
        for row, flat in zip(same, flats, strict=True):
            row.settings = " ".join(f"{key}={flat.get(key)}" for key in differing if row.results or key not in _MADE)


_MADE = ("source", "started from")
"""What only a result says."""


def _made_from(row: Row) -> dict[str, Any]:
    if not row.results:
        return {}
    return dict(zip(_MADE, ((row.results[0].get("source") or "")[:8], _started_from(row.results[0])), strict=True))


def _differs(key: str, flats: Sequence[dict[str, Any]]) -> bool:
    known = [flat for flat in flats if key in flat or key not in _MADE]
    return any(not _same(flat.get(key), known[0].get(key)) for flat in known)


def _same(one: Any, other: Any) -> bool:
    """As JSON has it: 1 is neither 1.0 nor true."""
    return one is other or (type(one) is type(other) and bool(one == other))


def _environments(rows: Sequence[Row]) -> list[str]:
    once = {id(found): found for row in rows for result in row.results for found in (result["environment"],)}
    return sorted({_environment(found) for found in once.values()})


def _environment(environment: dict[str, Any]) -> str:
    packages = environment["packages"]
    return (
        f"{environment['device']}, {environment['precision']}, torch {packages.get('torch')}, ganzoo "
        f"{packages.get('ganzoo')}, "
        f"Python {environment['python']}"
    )


def read_tables(paths: Sequence[Path], sort: str = "fid") -> list[Table]:
    """Tables of every run under `paths`; errors as in `make_tables`, and a path that is no folder."""
    return make_tables(runs_under(paths), sort)
