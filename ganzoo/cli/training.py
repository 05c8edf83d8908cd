"""What trains: `train` and `bench`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ganzoo.cli.options import echo_json, json_option, run_options, say, to_library
from ganzoo.cli.speed import FailOn, report_speed
from ganzoo.config.gates import Gate, parse_gate
from ganzoo.engine.stopping import stop_on_signals
from ganzoo.errors import UserError

if TYPE_CHECKING:
    from ganzoo.runs.run import Run

num_images_option = click.option("--num-images", type=int, metavar="N", help="Generated images per score.")


dry_run_option = click.option("--dry-run", is_flag=True, help="Say what would be done and how long; do nothing.")


@click.command()
@click.argument("variant", required=False)
@run_options
@num_images_option
@click.option("--init", metavar="RUN", help="Start from the weights of this run, snapshot or model.")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="DIR", help="Run directory.  [default: runs/DATASET/VARIANT-...]"
)
@click.option(
    "--fail-on",
    multiple=True,
    metavar="CONDITION",
    help="Exit 1 if the last score meets it, e.g. 'fid>20', or has none.",
)
@dry_run_option
@click.option("--print-config", is_flag=True, help="Print every setting as TOML, for --config; do nothing.")
@json_option
def train(
    variant: str | None,
    fail_on: tuple[str, ...],
    dry_run: bool,
    print_config: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Train VARIANT and score it. The same command continues an interrupted run, a longer budget a finished one."""
    gates = [parse_gate(text) for text in fail_on]
    if dry_run or print_config or gates:
        from ganzoo.cli.plan import plan_train

        if plan_train(variant, to_library(options), gates, dry_run, print_config, as_json):
            return
    stop = click.get_current_context().with_resource(stop_on_signals())
    from ganzoo.cli.display import TrainingDisplay, print_tables
    from ganzoo.leaderboard.render import to_json
    from ganzoo.leaderboard.table import make_tables
    from ganzoo.runs.directory import RunDirectory
    from ganzoo.runs.training import train as train_run

    run = train_run(
        variant,
        report=say,
        watch=TrainingDisplay,
        stop=stop,
        began=click.get_current_context().obj,  # when the process began, where the command is all that it does
        **to_library(options),
    )
    tables = make_tables([RunDirectory(run.path)])
    if as_json:
        echo_json(to_json(tables))
    else:
        print_tables(tables)
        click.echo(f"samples: {run.path / 'samples'}\nresult: {run.path / 'result.json'}")
    not_reached([run])
    if tripped([run], gates) or run.diverged:
        sys.exit(1)


def not_reached(runs: Sequence[Run]) -> None:
    """Say, on stderr, which runs ended before the score that `--until` names."""
    for run in runs:
        until = (run.result or {}).get("until")
        if until and not until["reached"]:
            found = run.values.get(until["metric"])
            value = "no number" if found is None else f"{found:.5g}"
            say(f"{run.path}: {until['metric']}={until['value']:g} was not reached: {value} at {until['kimg']:g} kimg")


def tripped(runs: Sequence[Run], gates: Sequence[Gate]) -> bool:
    """Whether a run meets a condition of `--fail-on`, or has no number to tell; which, is said on stderr."""
    found = [(run, gate, why) for run in runs for gate in gates if (why := gate.trips(run.values)) is not None]
    for run, gate, why in found:
        say(f"{run.path} fails on {gate.text}: {why}")
    return bool(found)


@click.command()
@click.option(
    "--variants", metavar="A,B", help="Variants, or all.  [default: a choice of them; `ganzoo list` says which]"
)
@run_options
@click.option("--seeds", type=click.IntRange(min=1), default=1, show_default=True, help="Training seeds per variant.")
@click.option(
    "--grid", multiple=True, metavar="KEY=A,B", help="Every variant with each of these, e.g. train.g_lr=1e-4,2e-4."
)
@click.option("--concurrent", type=click.IntRange(min=1), metavar="N", help="Runs at a time.  [default: by rule]")
@num_images_option
@click.option("--speed-only", is_flag=True, help="Train nothing; measure throughput, into OUT/speed.json.")
@click.option("--rounds", type=click.IntRange(min=1), default=15, show_default=True, help="Rounds of --speed-only.")
@click.option(
    "--compare", type=click.Path(path_type=Path), metavar="FILE", help="As --speed-only, and an earlier speed.json."
)
@click.option(
    "--fail-on",
    type=FailOn(),
    multiple=True,
    metavar="CONDITION",
    help="Exit 1 if a run's last score meets it, e.g. 'fid>20', or has none; with --compare: P%, if slower by more.  "
    "[default: 10%]",
)
@dry_run_option
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/bench"), show_default=True, metavar="DIR")
@json_option
def bench(
    variants: str | None,
    seeds: int,
    grid: tuple[str, ...],
    concurrent: int | None,
    speed_only: bool,
    rounds: int,
    compare: Path | None,
    fail_on: tuple[float | Gate, ...],
    dry_run: bool,
    out: Path,
    as_json: bool,
    **options: Any,
) -> None:
    """Train and compare variants; print the leaderboard. Started again, it does only what is missing."""
    from ganzoo.bench.api import bench as run_bench
    from ganzoo.bench.api import speed
    from ganzoo.bench.executors import kill_workers
    from ganzoo.cli.display import TrainingDisplay, print_tables
    from ganzoo.runs.directory import RunDirectory

    def kill(number: int) -> None:
        kill_workers()
        os._exit(128 + number)

    stop = click.get_current_context().with_resource(stop_on_signals(again=kill))
    gates = [one for one in fail_on if isinstance(one, Gate)]
    percents = [one for one in fail_on if not isinstance(one, Gate)]
    if percents and compare is None:
        raise UserError("--fail-on needs something to compare with", "give --compare FILE, an earlier speed.json")
    if gates and (speed_only or compare is not None):
        raise UserError(f"--fail-on {gates[0].text} is of scores, and nothing is trained", "leave one of the two out")
    if grid and (speed_only or compare is not None):
        raise UserError("--grid is of runs, and nothing is trained", "leave one of the two out")
    options = {**to_library(options), "out": out, "announce": say}
    if dry_run or gates:
        from ganzoo.cli.plan import plan_bench

        if plan_bench(variants, options, gates, dry_run, seeds, grid, as_json):
            return
    if speed_only or compare is not None:
        percent = min(percents, default=10.0)
        report_speed(speed(variants, rounds=rounds, compare=compare, fail_on=percent, **options), compare, as_json)
        return
    board = run_bench(
        variants, seeds=seeds, grid=grid, concurrent=concurrent, watch=TrainingDisplay, stop=stop, **options
    )
    if not board.compared:
        sys.exit(1)
    if as_json:
        echo_json(board.to_json())
    else:
        print_tables(board.compared)
        click.echo("sample grids (samples/), results (result.json):")
        for run in board.runs:
            grids = RunDirectory(run.path).samples()
            click.echo(f"  {grids[-1] if grids else run.path}")
    not_reached(board.runs)
    if tripped(board.runs, gates) or board.failed:  # an old result is none of this start's
        sys.exit(1)
