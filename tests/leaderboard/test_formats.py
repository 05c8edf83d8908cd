"""One style for each unit, and as many digits as an interval allows."""

from __future__ import annotations

from typing import Any

import pytest

from ganzoo.leaderboard.columns import COLUMNS
from ganzoo.leaderboard.formats import bytes_text, clock, with_interval

KIMG = next(column for column in COLUMNS if column.key == "kimg")


@pytest.mark.parametrize(
    ("mean", "half", "text"),
    [
        (3.3091, 0.827, "3.31 ± 0.83"),
        (11.0, 2.484, "11.0 ± 2.5"),
        (16.75, 18.91, "17 ± 19"),
        (119.37, 163.87, "120 ± 160"),
        (4563.2, 123.4, "4,560 ± 120"),
        (0.5, 0.0996, "0.50 ± 0.10"),
        (0.79, 0.00123, "0.7900 ± 0.0012"),
        (9.99, 0.999, "10.0 ± 1.0"),
        (-0.01, 0.02, "-0.010 ± 0.020"),
        (1234567.0, 99.6, "1,234,570 ± 100"),
    ],
)
def test_two_digits_of_the_interval(mean: float, half: float, text: str) -> None:
    assert " ± ".join(with_interval(mean, half)) == text


def test_bytes_have_one_unit() -> None:
    assert [bytes_text(mib * 2**20) for mib in (963, 1007, 1055, 24576)] == [
        "963 MiB", "1,007 MiB", "1,055 MiB", "24,576 MiB",
    ]  # fmt: skip


def test_the_clock() -> None:
    assert [clock(seconds) for seconds in (0, 36.6, 599.6, 3753, 36000)] == [
        "0:00", "0:37", "10:00", "1:02:33", "10:00:00",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("kimg", "changes", "shown"),
    [
        (10.02, {}, 10.0),  # whole batches are a little more
        (10.0, {}, 10.0),
        (10.07, {}, 10.07),  # more than a batch: no rounding up
        (4.0, {}, 4.0),  # stopped by --until
        (10.02, {"diverged": "d_loss is nan"}, 10.02),
        (10.02, {"config": {"train": {"kimg": None, "batch_size": 64}}}, 10.02),  # minutes were asked for
        (10.02, {"config": {"train": {"kimg": 10.0, "batch_size": "x"}}}, 10.02),
        (10.02, {"config": {}}, 10.02),
        (None, {}, None),
    ],
)
def test_kimg_are_those_asked_for(kimg: float | None, changes: dict[str, Any], shown: float | None) -> None:
    result = {"kimg": kimg, "diverged": None, "config": {"train": {"kimg": 10.0, "batch_size": 64}}, **changes}
    assert KIMG.value(result) == shown
