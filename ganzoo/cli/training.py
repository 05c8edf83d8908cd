"""What trains: `train` and `bench`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ganzoo.cli.options import columns_option, json_option, load_registry, run_options, say, to_library
from ganzoo.cli.speed import Percent, report_speed
from ganzoo.engine.stopping import stop_on_signals
from ganzoo.errors import UserError

if TYPE_CHECKING:
    from ganzoo.leaderboard.api import Leaderboard

num_images_option = click.option("--num-images", type=int, metavar="N", help="Generated images per score.")


@click.command(short_help="Train one variant and score it.")
@click.argument("variant", required=False)
@run_options
@num_images_option
@click.option("--init", metavar="RUN", help="Start from the weights of this run, snapshot or model.")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="DIR", help="Run directory.  [default: runs/DATASET/VARIANT-...]"
)
@columns_option
@json_option
def train(variant: str | None, columns: str | None, as_json: bool, **options: Any) -> None:
    """Train VARIANT and score it. The same command continues an interrupted run, a longer budget a finished one."""
    stop = click.get_current_context().with_resource(stop_on_signals())
    from ganzoo.cli.display import TrainingDisplay
    from ganzoo.cli.tables import print_tables
    from ganzoo.leaderboard.render import to_json
    from ganzoo.leaderboard.table import make_tables
    from ganzoo.runs.directory import RunDirectory
    from ganzoo.runs.training import train as train_run

    asked = columns_asked(columns, options["plugin_files"])
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
        click.echo(to_json(tables))
    else:
        print_tables(tables, asked)
        click.echo(f"samples: {run.path / 'samples'}\nresult: {run.path / 'result.json'}")
    if run.diverged:
        sys.exit(1)


@click.command(short_help="Train several variants and compare them.")
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
@columns_option
@json_option
def bench(
    variants: str | None,
    columns: str | None,
    seeds: int,
    concurrent: int | None,
    speed_only: bool,
    rounds: int,
    compare: Path | None,
    fail_on: float | None,
    out: Path,
    as_json: bool,
    **options: Any,
) -> None:
    """Train and compare variants; print the leaderboard. Started again, it does only what is missing."""
    from ganzoo.bench.api import bench as run_bench
    from ganzoo.bench.api import speed
    from ganzoo.bench.executors import kill_workers
    from ganzoo.cli.display import TrainingDisplay
    from ganzoo.cli.tables import print_tables

    def kill(number: int) -> None:
        kill_workers()
        os._exit(128 + number)

    stop = click.get_current_context().with_resource(stop_on_signals(again=kill))
    if fail_on is not None and compare is None:
        raise UserError("--fail-on needs something to compare with", "give --compare FILE, an earlier speed.json")
    asked = columns_asked(columns, options["plugin_files"])
    options = {**to_library(options), "out": out, "announce": say}
    if speed_only or compare is not None:
        percent = 10.0 if fail_on is None else fail_on
        report_speed(speed(variants, rounds=rounds, compare=compare, fail_on=percent, **options), compare, as_json)
        return
    board = run_bench(variants, seeds=seeds, concurrent=concurrent, watch=TrainingDisplay, stop=stop, **options)
    if not board.compared:
        sys.exit(1)
    if as_json:
        click.echo(board.to_json())
    else:
        print_tables(board.compared, asked)
        _say_where(board)
    if board.failed:  # an old result is none of this start's
        sys.exit(1)


def columns_asked(columns: str | None, plugin_files: Sequence[Path]) -> list[str] | None:
    """What `--columns` says, None where it says nothing: looked at before anything is trained.

    Raises:
        UnknownName: it is no column of any table, nor a score of an installed metric.
    """
    if columns is None:
        return None
    from ganzoo.leaderboard.columns import COLUMNS
    from ganzoo.leaderboard.layout import asked_columns, known_columns

    registry = load_registry(plugin_files)
    scores = [key for spec in registry.all("metrics") for key in registry.metric(spec.name).higher_is_better]
    return asked_columns(columns, list(dict.fromkeys((*known_columns(COLUMNS), *scores))))


def _say_where(board: Leaderboard) -> None:
    """Where the pictures are: of the row that is ahead, and of all."""
    from ganzoo.leaderboard.cells import label
    from ganzoo.runs.directory import RunDirectory

    ahead = next((row for table in board.compared for row in table.rows if row.kind == "generated"), None)
    grids = RunDirectory(Path(ahead.runs[0])).samples() if ahead is not None and ahead.runs else []
    if ahead is not None and grids:
        click.echo(f"images of {label(ahead)}: {grids[-1]}")
    folders = sorted({str(run.path.parent) for run in board.runs})
    click.echo(f"images and results of each run: {', '.join(folders)}; as a page: ganzoo report {folders[0]}")
