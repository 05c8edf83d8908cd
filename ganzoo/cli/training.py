"""What trains: `train` and `bench`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from ganzoo.cli.options import json_option, progress_options, run_options, to_library
from ganzoo.cli.progress import showing
from ganzoo.cli.speed import Percent, report_speed
from ganzoo.engine.stopping import stop_on_signals
from ganzoo.errors import UserError

num_images_option = click.option("--num-images", type=int, metavar="N", help="Generated images per score.")


@click.command()
@click.argument("variant", required=False)
@run_options
@num_images_option
@click.option("--init", metavar="RUN", help="Start from the weights of this run, snapshot or model.")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="DIR", help="Run directory.  [default: runs/DATASET/VARIANT-...]"
)
@progress_options
@json_option
def train(variant: str | None, as_json: bool, quiet: bool, log_format: str, **options: Any) -> None:
    """Train VARIANT and score it. The same command continues an interrupted run, a longer budget a finished one."""
    stop = click.get_current_context().with_resource(stop_on_signals())
    with showing(log_format, quiet):
        from ganzoo.runs.training import train as train_run

        run = train_run(
            variant,
            stop=stop,
            began=click.get_current_context().obj,  # when the process began, where the command is all that it does
            **to_library(options),
        )
    from ganzoo.cli.display import print_tables
    from ganzoo.leaderboard.render import to_json
    from ganzoo.leaderboard.table import make_tables
    from ganzoo.runs.directory import RunDirectory

    tables = make_tables([RunDirectory(run.path)])
    if as_json:
        click.echo(to_json(tables))
    else:
        print_tables(tables)
        click.echo(f"samples: {run.path / 'samples'}\nresult: {run.path / 'result.json'}")
    if run.diverged:
        sys.exit(1)


@click.command()
@click.option(
    "--variants", metavar="A,B", help="Variants, or all.  [default: a choice of them; `ganzoo list` says which]"
)
@run_options
@click.option("--seeds", type=click.IntRange(min=1), default=1, show_default=True, help="Training seeds per variant.")
@click.option("--concurrent", type=click.IntRange(min=1), metavar="N", help="Runs at a time.  [default: by rule]")
@num_images_option
@click.option("--speed-only", is_flag=True, help="Train nothing; measure throughput, into OUT/speed.json.")
@click.option("--rounds", type=click.IntRange(min=1), default=15, show_default=True, help="Rounds of --speed-only.")
@click.option(
    "--compare", type=click.Path(path_type=Path), metavar="FILE", help="As --speed-only, and an earlier speed.json."
)
@click.option(
    "--fail-on", type=Percent(), metavar="P%", help="With --compare: exit 1 if slower by more.  [default: 10%]"
)
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/bench"), show_default=True, metavar="DIR")
@progress_options
@json_option
def bench(
    variants: str | None,
    seeds: int,
    concurrent: int | None,
    speed_only: bool,
    rounds: int,
    compare: Path | None,
    fail_on: float | None,
    out: Path,
    as_json: bool,
    quiet: bool,
    log_format: str,
    **options: Any,
) -> None:
    """Train and compare variants; print the leaderboard. Started again, it does only what is missing."""
    from ganzoo.bench.api import bench as run_bench
    from ganzoo.bench.api import speed
    from ganzoo.bench.executors import kill_workers
    from ganzoo.cli.display import print_tables
    from ganzoo.runs.directory import RunDirectory

    def kill(number: int) -> None:
        kill_workers()
        os._exit(128 + number)

    stop = click.get_current_context().with_resource(stop_on_signals(again=kill))
    if fail_on is not None and compare is None:
        raise UserError("--fail-on needs something to compare with", "give --compare FILE, an earlier speed.json")
    options = {**to_library(options), "out": out}
    if speed_only or compare is not None:
        percent = 10.0 if fail_on is None else fail_on
        with showing(log_format, quiet):
            measured = speed(variants, rounds=rounds, compare=compare, fail_on=percent, **options)
        report_speed(measured, compare, as_json)
        return
    with showing(log_format, quiet):
        board = run_bench(variants, seeds=seeds, concurrent=concurrent, stop=stop, **options)
    if not board.compared:
        sys.exit(1)
    if as_json:
        click.echo(board.to_json())
    else:
        print_tables(board.compared)
        click.echo("sample grids (samples/), results (result.json):")
        for run in board.runs:
            grids = RunDirectory(run.path).samples()
            click.echo(f"  {grids[-1] if grids else run.path}")
    if board.failed:  # an old result is none of this start's
        sys.exit(1)
