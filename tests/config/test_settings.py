"""Text, TOML and JSON values become a setting's type, or an error that says what it takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from ganzoo import Setting
from ganzoo.config.settings import check, knob, resolve, settings_of
from ganzoo.errors import SettingError, UnknownName
from ganzoo.zoo.specs import Value


def whole(**limits: Any) -> Setting:
    return Setting(name="n", default=4, doc="number of things", **limits)


def real(**limits: Any) -> Setting:
    return Setting(name="x", default=0.5, doc="share of things", **limits)


TEXT = Setting(name="t", default="a", doc="a name")
FLAG = Setting(name="f", default=False, doc="whether")
MAYBE = Setting(name="m", default=None, type=int, doc="pixels; none: as they are")
MAYBE_TEXT = Setting(name="c", default=None, type=str, choices=("gray", "rgb", None), doc="color; none: as it is")


@pytest.mark.parametrize(
    ("setting", "given", "expected"),
    [
        (whole(), "8", 8), (whole(), 8, 8), (whole(), 8.0, 8), (whole(), "1e3", 1000),
        (real(), "2e-4", 2e-4), (real(), 1, 1.0), (real(), "3", 3.0),
        (TEXT, "none", "none"), (TEXT, "8", "8"),
        (FLAG, "true", True), (FLAG, "Yes", True), (FLAG, "on", True), (FLAG, "1", True), (FLAG, True, True),
        (FLAG, "false", False), (FLAG, "no", False), (FLAG, "OFF", False), (FLAG, "0", False), (FLAG, False, False),
        (MAYBE, "none", None), (MAYBE, "null", None), (MAYBE, None, None), (MAYBE, "28", 28),
        (MAYBE_TEXT, "rgb", "rgb"), (MAYBE_TEXT, "none", None), (MAYBE_TEXT, None, None),
        (Setting(name="k", default=5, optional=True, doc="kimg"), "none", None),
        (whole(minimum=4), "4", 4), (whole(maximum=4), "4", 4),
    ],
)  # fmt: skip
def test_values_become_the_setting_s_type(setting: Setting, given: Any, expected: Value) -> None:
    value = check(setting, given, "section.key")
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("setting", "given", "cause"),
    [
        (whole(), "many", "section.key='many' is not a whole number"),
        (whole(), "1.5", "section.key='1.5' is not a whole number"),
        (whole(), True, "section.key=True is not a whole number"),
        (whole(), [4], r"section.key=\[4\] is not a whole number"),
        (whole(), "inf", "section.key='inf' is not a whole number"),
        (whole(), "nan", "section.key='nan' is not a whole number"),
        (whole(), "", "section.key='' is not a whole number"),
        (real(), "fast", "section.key='fast' is not a number"),
        (real(), "inf", "section.key=inf is out of range"),
        (real(), "nan", "section.key=nan is out of range"),
        (TEXT, 8, "section.key=8 is not text"),
        (FLAG, "maybe", "section.key='maybe' is not true or false"),
        (FLAG, 2, "section.key=2 is not true or false"),
        (whole(), "none", "section.key cannot be none"),
        (TEXT, None, "section.key cannot be none"),
        (whole(minimum=4), "3", "section.key=3 is out of range"),
        (whole(maximum=4), "5", "section.key=5 is out of range"),
        (real(minimum=0.0), "-1e-9", "section.key=-1e-9 is out of range"),
    ],
)
def test_wrong_values_are_refused(setting: Setting, given: Any, cause: str) -> None:
    with pytest.raises(SettingError, match=cause):
        check(setting, given, "section.key")


def test_the_cure_says_the_type_the_limits_and_the_meaning() -> None:
    with pytest.raises(SettingError) as caught:
        check(real(minimum=0.0, maximum=0.9), 3, "variant.dropout")
    assert caught.value.cure == "it takes a number of at least 0 and at most 0.9: share of things"


def test_a_wrong_choice_suggests_the_nearest() -> None:
    setting = Setting(name="optimizer", default="adam", choices=("adam", "rmsprop"), doc="rule")
    with pytest.raises(UnknownName, match=r"value of train.optimizer 'adm' .did you mean adam"):
        check(setting, "adm", "train.optimizer")


def test_resolve_gives_every_setting_a_value() -> None:
    assert resolve((whole(), TEXT, MAYBE), {"n": "7"}, "variant") == {"n": 7, "t": "a", "m": None}


def test_resolve_suggests_the_setting_that_was_meant() -> None:
    with pytest.raises(UnknownName, match=r"unknown setting 'variant.chanels' .did you mean variant.channels"):
        resolve((Setting(name="channels", default=64, doc="maps"),), {"chanels": 8}, "variant")


def test_the_knobs_of_a_dataclass_are_settings() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Config:
        steps: int = knob(3, "number of steps", minimum=1)
        limit: float | None = knob(None, "seconds; none: no limit", type=float)

    steps, limit = settings_of(Config)
    assert steps == Setting(name="steps", default=3, doc="number of steps", minimum=1)
    assert check(limit, "2", "x") == 2.0
    assert Config().steps == 3
