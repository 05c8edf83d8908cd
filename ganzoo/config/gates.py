"""Conditions under which a run fails a build: `--fail-on 'fid>20'`."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from ganzoo.errors import SettingError, UnknownName

_FORM = re.compile(r"\s*([\w.@-]+)\s*(<=|>=|<|>)\s*(\S+)\s*")


@dataclass(frozen=True, kw_only=True)
class Gate:
    text: str
    score: str  # key, such as "fid"
    sign: str  # of < <= > >=
    value: float

    def trips(self, values: Mapping[str, float | None]) -> str | None:
        """Why these scores fail, in words; None: they pass. A score that has no number fails: nobody knows."""
        found = values.get(self.score)
        if found is None or found != found:
            return f"{self.score} has no number"
        met = {"<": found < self.value, "<=": found <= self.value, ">": found > self.value, ">=": found >= self.value}
        return f"{self.score} is {found:.5g}" if met[self.sign] else None


def parse_gate(text: str) -> Gate:
    """ "fid>20" as a Gate.

    Raises:
        SettingError: not of this form.
    """
    form = _FORM.fullmatch(text)
    try:
        value = float(form[3]) if form else float("nan")
    except ValueError:
        value = float("nan")
    if form is None or value != value:
        raise SettingError(
            f"--fail-on {text!r} is no condition", "write METRIC>VALUE or METRIC<VALUE, such as 'fid>20'"
        )
    return Gate(text=text, score=form[1], sign=form[2], value=value)


def check_known(gates: Collection[Gate], scores: Collection[str]) -> None:
    """Before anything is trained. Raises UnknownName: no metric of the run computes the score."""
    for gate in gates:
        if gate.score not in scores:
            raise UnknownName("score", gate.score, scores)
