"""The words around a leaderboard: who is ahead, what keeps rows from a rank, under which conditions it all holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ganzoo.files.text import clean, many
from ganzoo.leaderboard.cells import label, show, with_several
from ganzoo.leaderboard.rows import RANKED_SEEDS, Row, Table
from ganzoo.leaderboard.significance import LEVEL

MOST_SKIPPED = 10
"""Lines about records that cannot be read, below a table."""

MOST_NAMED = 4
"""Rows that a sentence names one by one."""


_LEVEL = f"at {100 * LEVEL:.0f} %"


def title(table: Table) -> str:
    """ "digits, 3 seeds each, 32 kimg (32,000 real images) each": of the rows, where it is the same for all. Of runs
    that are not finished nobody knows under which protocol they will be scored.
    """
    rows = [row for row in table.rows if row.results]
    seeds, kimgs = {len(row.results) for row in rows}, {_kimg(row) for row in rows}
    parts = [table.dataset]
    if len(seeds) == 1:
        parts.append(many(seeds.pop(), "seed") + (" each" if len(rows) > 1 else ""))
    if len(kimgs) == 1 and (kimg := kimgs.pop()) is not None:
        shown = {round(1000 * result["kimg"]) for row in rows for result in row.results if result.get("kimg")}
        images = f" ({shown.pop():,} real images)" if len(shown) == 1 else ""  # batches of several sizes end near it
        parts.append(f"{kimg:g} kimg{images}{' each' if len(rows) > 1 else ''}")
    return ", ".join(part for part in parts if part) or "runs without a result"


def _kimg(row: Row) -> float | None:
    number = row.numbers.get("kimg")
    return None if number is None else number.mean


def verdict(table: Table) -> list[str]:
    """Who is ahead, in a sentence, and whether that is more than luck. Of a single row, and of nothing but failures,
    there is nothing to say.
    """
    rows = [row for row in table.rows if row.kind == "generated"]
    compared = [row for row in rows if row.numbers.get(table.sort.key) is not None]
    if len(compared) < 2:
        return []
    name = called(table)
    what = f"{'highest' if table.sort.higher_is_better else 'lowest'} {table.sort.title}"
    ranked = [row for row in compared if row.rank is not None]
    if not ranked:
        best = compared[0]
        luck = (
            "seeds are too few to tell that from luck" if _seeds(compared) > 1 else "one seed cannot be told from luck"
        )
        return [f"{name(best)} has the {what}, {show(table.sort, best.numbers[table.sort.key])}; {luck}"]
    first = [row for row in ranked if row.rank == 1]
    number = show(table.sort, first[0].numbers[table.sort.key])
    lines = [f"{name(first[0])} has the {what}, {number}"]
    if len(first) > 1:
        lines[0] += f"; {_named(name, first[1:])} cannot be told from it {_LEVEL}"
    elif len(ranked) > 1:
        lines[0] += f"; the next, {name(ranked[1])}, is told from it {_LEVEL}"
    ahead = [row for row in compared[: compared.index(first[0])] if row.rank is None]
    if ahead:
        lines.append(f"above it, without a rank: {_named(name, ahead)}")
    return lines


def _seeds(rows: list[Row]) -> int:
    return max(len(row.results) for row in rows)


Called = Callable[[Row], str]


def called(table: Table) -> Called:
    """What rows are called in a sentence, where no column beside them says what they train."""
    several = with_several(table.rows)
    return lambda row: label(row, objective=row.variant in several)


def _named(name: Called, rows: list[Row]) -> str:
    if len(rows) > MOST_NAMED:
        return f"{len(rows)} others"
    names = [name(row) for row in rows]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def no_rank(table: Table) -> list[str]:
    """Why rows have no rank, and what gives them one."""
    reasons = list(dict.fromkeys(row.unranked for row in table.rows if row.unranked))
    few = f"fewer than {RANKED_SEEDS} seeds"
    if sum(row.kind == "generated" for row in table.rows) == 1 and reasons == [few]:
        return []  # of one row nobody expects a rank
    cure = f" (--seeds {RANKED_SEEDS} trains as many)"
    told = [f"{reason}{cure if reason == few else ''}" for reason in reasons]
    return [f"no rank: {'; '.join(told)}"] if told else []


def problems(table: Table) -> list[str]:
    """What has gone wrong with which row."""
    name = called(table)
    lines = [f"{name(row)}: {row.status}" for row in table.rows if row.status]
    if any(row.stopped for row in table.rows):
        lines.append("where a seed diverged before its end, a mean is over the seeds that have the number")
    return lines + skipped_lines(table)


def conditions(table: Table, keys: Sequence[str] | None = None) -> list[str]:
    """Under which the numbers were made, and what has to be known of them. `keys`: of the columns that are shown; None:
    all.
    """
    lines = [f"real images: {table.dataset}"] if ":" in table.dataset else []
    lines += _scored(table)
    lines += [f"protocol: {table.protocol}", *(f"made on: {environment}" for environment in table.environments)]
    lines += [f"{name}: {what}, scored as if generated{_MEANING.get(name, '')}" for name, what in table.floors.items()]
    lines += [f"target: {target}" for target in _targets(table)]
    lines += [f"left out: {metrics}: {reason}" for reason, metrics in table.left_out.items()]
    name = called(table)
    lines += [f"{name(row)}: {note}" for row in table.rows for note in row.notes]
    if any(row.mixed for row in table.rows):
        lines.append("speed and memory are left out where the seeds of a row ran on different machines or versions")
    if any(row.beside_others for row in table.rows):
        lines.append("speed, time and memory are left out where runs of a row shared their device with other runs")
    if beside := max((row.beside for row in table.rows), default=0):
        lines.append(
            f"up to {beside + 1} runs at a time, on a core each: `ganzoo bench --speed-only` measures one alone"
        )
    shown = [column for column in table.columns if column.key in _UNBIASED and (keys is None or column.key in keys)]
    below = [column.title for column in shown if _below_zero(table, column.key)]
    if below:
        are = "is" if len(below) == 1 else "are"
        lines.append(f"{' and '.join(below)} {are} unbiased: below 0 means that there is no difference to be seen")
    return lines + table.methods


def _scored(table: Table) -> list[str]:
    """The protocol in words, of records that have its ingredients."""
    known: dict[str, Any] = next((result["protocol"] for row in table.rows for result in row.results), {})
    generated, real = known.get("generated_count"), known.get("reference_count")
    if not isinstance(generated, int) or not isinstance(real, int):
        return []
    features, split = clean(str(known.get("features"))), clean(str(known.get("split")))
    return [
        f"scores: {generated:,} generated images against {real:,} real ones ({split} split), as the feature network "
        f"'{features}' sees them"
    ]


_MEANING = {"real: train resample": ": what one gets who knows them by heart"}

_UNBIASED = ("fid_inf", "kid")


def _below_zero(table: Table, key: str) -> bool:
    return any(number is not None and number.mean < 0 for row in table.rows for number in [row.numbers.get(key)])


def notes(table: Table) -> list[str]:
    """What a reader has to know to believe the table: all of the above."""
    return [*verdict(table), *no_rank(table), *problems(table), *conditions(table)]


def _targets(table: Table) -> list[str]:
    """What the times to a target are times to."""
    found = (result["until"] for row in table.rows for result in row.results if result.get("until"))
    return sorted({f"{until['metric']}={until['value']:g}" for until in found})


def skipped_lines(table: Table) -> list[str]:
    """A line for each record that cannot be read, for ten at most."""
    lines = [f"skipped: {line}" for line in table.skipped[:MOST_SKIPPED]]
    more = len(table.skipped) - MOST_SKIPPED
    return [*lines, f"skipped: {more} more records that cannot be read"] if more > 0 else lines
