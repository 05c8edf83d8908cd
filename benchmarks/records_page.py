"""docs/records.md, from the histories in docs/records/ alone."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import records_rules as rules

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "records"
PAGE = ROOT / "docs" / "records.md"

BEGIN, END = "<!-- by benchmarks/records.py write -->", "<!-- end -->"
BEGINNING = f"""# Records

{BEGIN}
{END}
"""

BUSY = 0.25
"""Cores that others kept busy, from which on an entry says so."""


def write() -> None:
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE)


def page() -> str:
    """The page as it is, with what lies between its marks made anew."""
    before, _, rest = (PAGE.read_text(encoding="utf-8") if PAGE.exists() else BEGINNING).partition(BEGIN)
    _, _, after = rest.partition(END)
    histories = {name: rules.read(FOLDER / f"{name}.json") for name in rules.TARGETS}
    lines = [*standing(histories), ""]
    for name, challenges in histories.items():
        lines += [*section(rules.TARGETS[name], challenges), ""]
    return f"{before}{BEGIN}\n\n" + "\n".join(lines).rstrip() + f"\n\n{END}{after}"


def standing(histories: Mapping[str, Sequence[dict[str, Any]]]) -> Iterator[str]:
    """A line for each target."""
    yield "| target | seconds of training | kimg | settings | since | challenges |"
    yield "|---|---:|---:|---|---|---:|"
    for name, challenges in histories.items():
        target, found = rules.TARGETS[name], rules.holder(challenges)
        told = ["-", "-", "nobody yet", "-"]
        if found is not None:
            told = [seconds_of(found["runs"]), kimg_of(found["runs"]), code(found), found["date"]]
        yield f"| {' | '.join([target.title, *told, str(len(challenges))])} |"


def section(target: rules.Target, challenges: Sequence[dict[str, Any]]) -> Iterator[str]:
    yield f"## {target.title}"
    yield ""
    yield f"Protocol `{target.protocol}`, scored every {target.grid:g} kimg."
    found = rules.holder(challenges)
    if found is not None:
        yield "The record, whole:"
        yield ""
        yield f"    {command_of(found, target)}"
    if not challenges:
        return
    yield ""
    yield "| | date | settings | seconds | kimg | the record beside it | p | outcome | others' cores | load |"
    yield "|---:|---|---|---:|---:|---:|---:|---|---:|---:|"
    for number, one in enumerate(challenges):
        yield f"| {' | '.join([str(number), *row(one)])} |"
    yield ""
    yield from details(challenges)


def row(one: Mapping[str, Any]) -> Iterator[str]:
    yield one["date"]
    yield f"**{code(one)}**" if one["record"] else code(one)
    complete = len(one["runs"]) == rules.SEEDS and all(run["reached"] for run in one["runs"])
    yield seconds_of(one["runs"]) if complete else "-"
    yield kimg_of(one["runs"]) if complete else "-"
    yield seconds_of(one["holder"]) if complete and one["holder"] else "-"
    yield "-" if one["p"] is None else p_text(one["p"])
    yield f"**record**: {one['why']}" if one["record"] else one["why"]
    everybody = [*one["runs"], *(one["holder"] or [])]
    yield span([run["others"] for run in everybody], 1)
    yield span([run["load"] for run in everybody], 1)


def details(challenges: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Of each challenge its seeds, and on what they ran."""
    for number, one in enumerate(challenges):
        told = [f"{number}: {each(one['runs'])}"]
        if one["holder"]:
            told.append(f"the record beside it {each(one['holder'])}")
        if found := one.get("conditions"):
            told.append(f"{found['device']}, torch {found['torch']}, ganzoo {found['ganzoo']}, Python "
                        f"{found['python']}, commit {str(found['commit'])[:7]}")  # fmt: skip
        busy = statistics.fmean([run["others"] for run in [*one["runs"], *(one["holder"] or [])]] or [0.0])
        if busy >= BUSY:
            told.append(f"the machine had other work, {busy:.1f} of its cores on average")
        yield f"- {'; '.join(told)}."


def each(runs: Sequence[Mapping[str, Any]]) -> str:
    """ "seeds 0-4: 5.1, 4.9, ... s"."""
    if not runs:
        return "no seed"
    seconds = ", ".join(f"{run['seconds']:.2f}{'' if run['reached'] else ' (missed)'}" for run in runs)
    seeds = f"seeds {runs[0]['seed']}-{runs[-1]['seed']}" if len(runs) > 1 else f"seed {runs[0]['seed']}"
    return f"{seeds} {seconds} s"


def code(challenge: Mapping[str, Any]) -> str:
    return f"`{rules.settings_of(challenge)}`"


def command_of(challenge: Mapping[str, Any], target: rules.Target) -> str:
    """The one command of ganzoo that is the record: its seeds, one after the other, as a leaderboard."""
    settings = rules.settings_of(challenge)
    first = challenge["runs"][0]["seed"]
    words = ["ganzoo", "bench", "--variants", settings.variant, *rules.words_of(settings, target)]
    words += ["--seeds", str(rules.SEEDS), "--seed", str(first), "--concurrent", "1"]
    return " ".join([*(f"{key}={value}" for key, value in rules.ENVIRONMENT.items()), *words])


def seconds_of(runs: Sequence[Mapping[str, Any]]) -> str:
    """Their mean, with the leaderboard's interval."""
    from ganzoo.leaderboard.significance import student_t_half_width

    values = [run["seconds"] for run in runs]
    return f"{statistics.fmean(values):.2f} ± {student_t_half_width(values):.2f}"


def kimg_of(runs: Sequence[Mapping[str, Any]]) -> str:
    return span([run["kimg"] for run in runs], 2)


def p_text(p: float) -> str:
    return f"{p:.1g}" if p >= 1e-6 else "< 0.000001"


def span(values: Sequence[float], digits: int) -> str:
    """ "0.1-0.4", or one number."""
    if not values:
        return "-"
    low, high = f"{min(values):.{digits}f}", f"{max(values):.{digits}f}"
    return low if low == high else f"{low}-{high}"
