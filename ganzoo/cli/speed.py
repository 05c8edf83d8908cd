"""What `ganzoo bench --speed-only` does in place of training."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ganzoo.cli.options import print_json
from ganzoo.errors import RunError

if TYPE_CHECKING:
    from ganzoo.config.run_config import RunConfig
    from ganzoo.zoo.registry import Registry

SECONDS = 0.5
"""Of training, and of sampling, in each round of each variant."""


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


def report_speed(
    registry: Registry,
    configs: Sequence[RunConfig],
    *,
    root: Path,
    rounds: int,
    out: Path,
    compare: Path | None,
    fail_on: float,
    as_json: bool,
) -> None:
    """Measure, print, write OUT/speed.json; compare with an earlier file. Exits with 1 where a variant trains or
    samples slower than before by more than `fail_on` percent.

    Raises:
        RunError: `compare` cannot be read, or would be overwritten, or has nothing in common.
    """
    from ganzoo.bench.speed import changed_conditions, compare_speed, measure_speed, read_speed
    from ganzoo.files.writing import write_json

    # Refused before a minute is spent on measuring.
    before = None if compare is None else read_speed(compare)
    if compare is not None and compare.resolve() == (out / "speed.json").resolve():
        raise RunError(f"{compare} would be overwritten by what is compared with it", "choose another --out")
    now = measure_speed(
        registry,
        configs,
        root=root,
        rounds=rounds,
        seconds=SECONDS,
        announce=lambda line: click.echo(line, err=True),
    )
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "speed.json", now)
    ratios = None if before is None else compare_speed(now, before)
    for line in () if before is None else (*changed_conditions(now, before), *_only_in_one(now, before)):
        click.echo(f"not the code alone: {line}", err=True)
    slower = [] if ratios is None else [row for row in ratios if _lowest(row) < 1 - fail_on / 100]
    if as_json:
        print_json(now if ratios is None else {**now, "ratios": ratios, "slower": [row["variant"] for row in slower]})
    else:
        _print(now, ratios, out / "speed.json")
        for row in slower:
            what = "training" if row["train_ratio"] <= row["sample_ratio"] else "sampling"
            click.echo(f"{row['variant']}: {what} {100 * (1 - _lowest(row)):.0f} % slower than in {compare}", err=True)
        restless = [row["variant"] for row in now["rows"] if 100 * row["spread"] > fail_on]
        if slower and restless:
            names = ", ".join(restless)
            click.echo(f"the rounds of {names} differ by more than {fail_on:g} % among themselves", err=True)
    if slower:
        sys.exit(1)


def _lowest(row: dict[str, Any]) -> float:
    return float(min(row["train_ratio"], row["sample_ratio"]))


def _only_in_one(now: dict[str, Any], before: dict[str, Any]) -> list[str]:
    here, there = ({row["variant"] for row in document["rows"]} for document in (now, before))
    lines = [f"{name} was not measured before" for name in sorted(here - there)]
    return lines + [f"{name} was measured before, and is not now" for name in sorted(there - here)]


def _print(now: dict[str, Any], ratios: list[dict[str, Any]] | None, path: Path) -> None:
    known = {(row["variant"], row["objective"]): row for row in ratios or []}
    lines: list[tuple[str, ...]] = [("variant", "objective", "batch", "train img/s", "sample img/s", "spread")]
    if ratios is not None:
        lines[0] += ("train", "sample")
    for row in now["rows"]:
        line: tuple[str, ...] = (
            row["variant"],
            row["objective"],
            str(row["batch_size"]),
            f"{row['train_img_per_s']:,.0f}",
            f"{row['sample_img_per_s']:,.0f}",
            f"{100 * row['spread']:.0f}%",
        )
        ratio = known.get((row["variant"], row["objective"]))
        if ratio is not None:
            line += (f"{ratio['train_ratio']:.2f}x", f"{ratio['sample_ratio']:.2f}x")
        lines.append(line)
    widths = [max(len(line[at]) for line in lines if at < len(line)) for at in range(len(lines[0]))]
    for line in lines:
        sized = enumerate(zip(line, widths, strict=False))
        cells = [text.ljust(width) if at < 2 else text.rjust(width) for at, (text, width) in sized]
        click.echo("  ".join(cells).rstrip())
    environment = now["environment"]
    where = f"{environment['device_name']}, {environment['precision']}, torch {environment['packages']['torch']}"
    click.echo(f"{where}; lower quartile of {now['rounds']} rounds of {now['seconds']:g} s\n{path}")
