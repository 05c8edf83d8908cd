"""What trains: `train` and `bench`."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ganzoo.cli.groups import Grouped
from ganzoo.cli.options import (
    columns_option,
    echo_json,
    json_option,
    load_registry,
    progress_options,
    run_options,
    say,
    to_library,
)
from ganzoo.cli.progress import showing
from ganzoo.cli.speed import FailOn, report_speed
from ganzoo.config.gates import Gate, parse_gate
from ganzoo.engine.ranks.place import Place, place_of, refuse_several
from ganzoo.engine.stopping import SIGNALS, Stop, stop_on_signals
from ganzoo.errors import SettingError, UserError
from ganzoo.files.progress import listening

if TYPE_CHECKING:
    from ganzoo.leaderboard.api import Leaderboard
    from ganzoo.runs.run import Run

num_images_option = click.option("--num-images", type=int, metavar="N", help="Generated images per score.")


dry_run_option = click.option("--dry-run", is_flag=True, help="Say what would be done and how long; do nothing.")


@click.command(cls=Grouped, short_help="Train one variant and score it.")
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
@columns_option
@progress_options
@json_option
def train(
    variant: str | None,
    fail_on: tuple[str, ...],
    dry_run: bool,
    print_config: bool,
    columns: str | None,
    as_json: bool,
    quiet: bool,
    log_format: str,
    **options: Any,
) -> None:
    """Train VARIANT and score it. The same command continues an interrupted run, a longer budget a finished one."""
    place = place_of(os.environ)
    gates = [parse_gate(text) for text in fail_on]
    if not place.leads:
        if not dry_run and not print_config:
            _follow(place, options)
        return
    if dry_run or print_config or gates:
        from ganzoo.cli.plan import plan_train

        with _planning(dry_run, log_format, quiet):
            planned = plan_train(variant, to_library(options), gates, dry_run, print_config, as_json)
        if planned:
            return
    stop = click.get_current_context().with_resource(stop_on_signals())
    asked = columns_asked(columns, options["plugin_files"], as_json)
    with showing(log_format, quiet, torch=False), _joined(place, stop):
        from ganzoo.runs.training import train as train_run

        run = train_run(
            variant,
            stop=stop,
            began=click.get_current_context().obj,  # when the process began, where the command is all that it does
            **to_library(options),
        )
    from ganzoo.cli.tables import print_tables
    from ganzoo.leaderboard.render import to_json
    from ganzoo.leaderboard.table import make_tables
    from ganzoo.runs.directory import RunDirectory

    tables = make_tables([RunDirectory(run.path)])
    if as_json:
        echo_json(to_json(tables))
    else:
        print_tables(tables, asked)
        click.echo(f"samples: {run.path / 'samples'}\nresult: {run.path / 'result.json'}")
    not_reached([run])
    if tripped([run], gates) or run.diverged:
        sys.exit(1)


def _planning(dry_run: bool, log_format: str, quiet: bool) -> contextlib.AbstractContextManager[object]:
    """What is told of a plan is told again by what comes after it."""
    return showing(log_format, quiet, torch=False) if dry_run else listening(lambda event: None)


def _joined(place: Place, stop: Stop) -> contextlib.AbstractContextManager[object]:
    if place.size == 1:
        return contextlib.nullcontext()
    from ganzoo.engine.ranks.group import joined

    return joined(place, stop)


def _follow(place: Place, options: Mapping[str, Any]) -> None:
    """What a process does that torchrun has started beside the first: nothing that could be seen."""
    for name in SIGNALS:  # Python's own handlers would wait until the process no longer does
        if hasattr(signal, name) and signal.getsignal(number := getattr(signal, name)) is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    from ganzoo.config.options import load_zoo
    from ganzoo.config.places import cache_root
    from ganzoo.engine.ranks.group import joined
    from ganzoo.runs.following import follow_run

    stop = Stop()
    try:
        with joined(place, stop) as ranks:
            library = to_library(options)
            follow_run(ranks, load_zoo(library.get("plugins")), cache_root(library.get("data_root")), stop)
    except UserError as error:
        say(f"error: {error.cause}\n  try: {error.cure}")  # of this process alone: `__main__` tells what all have
        sys.exit(2)


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


@click.command(cls=Grouped, short_help="Train several variants and compare them.")
@click.option(
    "--variants", metavar="A,B", help="Variants, or all.  [default: a choice of them; `ganzoo list` says which]"
)
@run_options
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    default=1,
    metavar="K",
    help="Training seeds per variant, 3 for ranks.  [default: 1]",
)
@click.option(
    "--grid", multiple=True, metavar="KEY=A,B", help="Every variant with each of these, e.g. train.g_lr=1e-4,2e-4."
)
@click.option(
    "--search",
    type=click.IntRange(min=1),
    metavar="N",
    help="Of --grid, which may have ranges (A..B), try N combinations on held-out images; compare the best.",
)
@click.option("--concurrent", type=click.IntRange(min=1), metavar="N", help="Runs at a time.  [default: by rule]")
@click.option(
    "--executor",
    default="local",
    show_default=True,
    metavar="NAME",
    help="Where runs are processes: local, or of `ganzoo list executors`.",
)
@num_images_option
@click.option("--speed-only", is_flag=True, help="Train nothing; measure throughput, into OUT/speed.json.")
@click.option(
    "--rounds", type=click.IntRange(min=1), default=15, metavar="N", help="Rounds of --speed-only.  [default: 15]"
)
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
@columns_option
@progress_options
@json_option
def bench(
    variants: str | None,
    columns: str | None,
    seeds: int,
    grid: tuple[str, ...],
    search: int | None,
    concurrent: int | None,
    executor: str,
    speed_only: bool,
    rounds: int,
    compare: Path | None,
    fail_on: tuple[float | Gate, ...],
    dry_run: bool,
    out: Path,
    as_json: bool,
    quiet: bool,
    log_format: str,
    **options: Any,
) -> None:
    """Train and compare variants; print the leaderboard. Started again, it does only what is missing."""
    refuse_several(os.environ, "bench")
    from ganzoo.bench.api import bench as run_bench
    from ganzoo.bench.api import speed
    from ganzoo.bench.processes import kill_workers
    from ganzoo.cli.tables import print_tables

    def kill(number: int) -> None:
        kill_workers()
        os._exit(128 + number)

    stop = click.get_current_context().with_resource(stop_on_signals(again=kill))
    gates = [one for one in fail_on if isinstance(one, Gate)]
    percents = [one for one in fail_on if not isinstance(one, Gate)]
    if percents and compare is None:
        raise UserError("--fail-on needs something to compare with", "give --compare FILE, an earlier speed.json")
    asked = columns_asked(columns, options["plugin_files"], as_json)
    if gates and (speed_only or compare is not None):
        raise UserError(f"--fail-on {gates[0].text} is of scores, and nothing is trained", "leave one of the two out")
    if (grid or search) and (speed_only or compare is not None):
        name = "--search" if search else "--grid"
        raise UserError(f"{name} is of runs, and nothing is trained", "leave one of the two out")
    options = {**to_library(options), "out": out}
    if dry_run or gates:
        from ganzoo.cli.plan import plan_bench

        timed = speed_only or compare is not None
        with _planning(dry_run, log_format, quiet):
            planned = plan_bench(variants, options, gates, dry_run, seeds, grid, as_json, search, executor, timed)
        if planned:
            return
    if speed_only or compare is not None:
        percent = min(percents, default=10.0)
        with showing(log_format, quiet, torch=False):
            measured = speed(variants, rounds=rounds, compare=compare, fail_on=percent, **options)
        report_speed(measured, compare, as_json)
        return
    with showing(log_format, quiet, torch=False):
        how: dict[str, Any] = {"concurrent": concurrent, "executor": executor, "stop": stop}
        board = run_bench(variants, seeds=seeds, grid=grid, search=search, **how, **options)
    if not board.compared:
        sys.exit(1)
    if as_json:
        echo_json(board.to_json())
    else:
        print_tables(board.compared, asked)
        _say_where(board)
    not_reached(board.runs)
    if tripped(board.runs, gates) or board.failed:  # an old result is none of this start's
        sys.exit(1)


def columns_asked(columns: str | None, plugin_files: Sequence[Path], as_json: bool = False) -> list[str] | None:
    """What `--columns` says, None where it says nothing: looked at before anything is trained.

    Raises:
        UnknownName: it is no column of any table, nor a score of an installed metric.
        SettingError: no table is printed.
    """
    if columns is None:
        return None
    if as_json:
        raise SettingError("--json has every column", "leave --columns out")
    from ganzoo.leaderboard.columns import COLUMNS
    from ganzoo.leaderboard.layout import asked_columns, known_columns

    registry = load_registry(plugin_files)
    scores = [key for spec in registry.all("metrics") for key in registry.metric(spec.name).higher_is_better]
    return asked_columns(columns, list(dict.fromkeys((*known_columns(COLUMNS), *scores))))


def _say_where(board: Leaderboard) -> None:
    """Where the pictures are: of the row that is ahead, and of all."""
    from ganzoo.leaderboard.words import called
    from ganzoo.runs.directory import RunDirectory

    rows = ((table, row) for table in board.compared for row in table.rows)
    table, ahead = next(((table, row) for table, row in rows if row.kind == "generated"), (None, None))
    grids = RunDirectory(Path(ahead.runs[0])).samples() if ahead is not None and ahead.runs else []
    if table is not None and ahead is not None and grids:
        click.echo(f"images of {called(table)(ahead)}: {grids[-1]}")
    folders = sorted({str(run.path.parent) for run in board.runs})
    click.echo(f"images and results of each run: {', '.join(folders)}; as a page: ganzoo report {folders[0]}")
