"""What `ganzoo bench --speed-only` does in place of training."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ganzoo.cli.options import print_json, say

if TYPE_CHECKING:
    from ganzoo.bench.api import Speed


_RATIOS = ("train", "sample")
"""Speed now over speed before."""


class Percent(click.ParamType):
    """ "10%" or "10" -> 10.0."""

    name = "percent"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            number = float(str(value).removesuffix("%"))
        except ValueError:
            number = -1.0
        if not 0 < number < 100:
            self.fail(f"{value!r} is not a percentage between 0 and 100", param, ctx)
        return number


def report_speed(speed: Speed, compare: Path | None, as_json: bool) -> None:
    """Print it. Exits with 1 where a variant trains or samples slower than in `compare` by more than was allowed."""
    from ganzoo.bench.api import lowest

    now, slower = speed.measured, speed.slower
    if as_json:
        more = {} if speed.ratios is None else {"ratios": speed.ratios, "slower": [row["variant"] for row in slower]}
        print_json({**now, **more})
    else:
        _print(now, speed.ratios, speed.path)
        for row in slower:
            what = "training" if row["train_ratio"] <= row["sample_ratio"] else "sampling"
            say(f"{row['variant']}: {what} {100 * (1 - lowest(row)):.0f} % slower than in {compare}")
        if slower and speed.restless:
            names = ", ".join(speed.restless)
            say(f"the rounds of {names} differ by more than {speed.fail_on:g} % among themselves")
    if slower:
        sys.exit(1)


def _print(now: dict[str, Any], ratios: list[dict[str, Any]] | None, path: Path) -> None:
    from ganzoo.cli.tables import print_rows

    known = {(row["variant"], row["objective"]): row for row in ratios or []}
    heads: tuple[str, ...] = ("variant", "objective", "batch", "train img/s", "sample img/s", "spread")
    rows = []
    for row in now["rows"]:
        ratio = known.get((row["variant"], row["objective"]))
        cells = (
            row["variant"],
            row["objective"],
            str(row["batch_size"]),
            f"{row['train_img_per_s']:,.0f}",
            f"{row['sample_img_per_s']:,.0f}",
            f"{100 * row['spread']:.0f}%",
        )
        rows.append(cells if ratio is None else (*cells, *(f"{ratio[f'{one}_ratio']:.2f}x" for one in _RATIOS)))
    print_rows(heads if ratios is None else (*heads, *_RATIOS), rows, left=2)
    environment = now["environment"]
    where = f"{environment['device_name']}, {environment['precision']}, torch {environment['packages']['torch']}"
    click.echo(f"{where}; lower quartile of {now['rounds']} rounds of {now['seconds']:g} s\n{path}")
