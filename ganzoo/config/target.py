"""A score to reach: `--until fid=10` ends a run at the first scored snapshot that is as good."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ganzoo.errors import SettingError, UnknownName


@dataclass(frozen=True, kw_only=True)
class Target:
    metric: str  # key of a score, such as "fid"
    value: float
    higher_is_better: bool

    def reached(self, values: Mapping[str, float]) -> bool:
        """Whether scores are at least as good; False where there is no such score."""
        found = values.get(self.metric)
        if found is None:
            return False
        return found >= self.value if self.higher_is_better else found <= self.value


def parse_target(text: str, higher_is_better: Mapping[str, bool]) -> Target:
    """ "fid=10" as a Target. `higher_is_better`: of every score the run computes.

    Raises:
        SettingError: not of this form, or not a number.
        UnknownName: no metric of the run computes this score.
    """
    metric, equals, number = (part.strip() for part in text.partition("="))
    try:
        value = float(number)
    except ValueError:
        value = float("nan")
    if not equals or value != value:
        raise SettingError(f"train.until={text!r} is not a target", "write METRIC=VALUE, such as fid=10")
    if metric not in higher_is_better:
        raise UnknownName("score", metric, higher_is_better)
    return Target(metric=metric, value=value, higher_is_better=higher_is_better[metric])
