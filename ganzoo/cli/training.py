"""What trains: `train` and `bench`."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ganzoo.cli.options import cache_root, json_option, load_registry, make_config, run_options
from ganzoo.cli.speed import Percent, report_speed
from ganzoo.engine.stopping import stop_on_signals
from ganzoo.errors import UserError

if TYPE_CHECKING:
    from ganzoo.config.run_config import RunConfig
    from ganzoo.data import Images


num_images_option = click.option("--num-images", type=int, metavar="N", help="Generated images per score.")


def _say(line: str) -> None:
    click.echo(line, err=True)


def say_what_was_read(config: RunConfig, images: Images) -> None:
    """One line on stderr: a folder of images is not known by its name."""
    from ganzoo.config.run_config import dataset_label

    if images.facts is not None:
        _say(images.facts.line(dataset_label(config.dataset.name, config.dataset.settings)))


def _runs_of(variant: str | None, out: Path | None) -> Iterator[Path]:
    """Runs that may know which plugin the variant is of."""
    from ganzoo.runs.find import find_run

    for under in (out, Path("runs")):
        if under is not None:
            yield under
            with contextlib.suppress(UserError):
                yield find_run(variant or "", under).path


@click.command()
@click.argument("variant", required=False)
@run_options
@num_images_option
@click.option("--init", metavar="RUN", help="Start from the weights of this run or snapshot.")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="DIR", help="Run directory.  [default: runs/DATASET/VARIANT-...]"
)
@json_option
def train(
    variant: str | None, num_images: int | None, init: str | None, out: Path | None, as_json: bool, **options: Any
) -> None:
    """Train VARIANT and score it. The same command continues an interrupted run, a longer budget a finished one."""
    stop = click.get_current_context().with_resource(stop_on_signals())
    from ganzoo.runs.plugin_cure import plugins_named

    registry = load_registry(options["plugin_files"])
    extra = {"eval.num_images": num_images, "init": init}
    with plugins_named(registry, _runs_of(variant, out)):
        config = make_config(registry, variant, options, {k: v for k, v in extra.items() if v is not None})
    from ganzoo.cli.display import TrainingDisplay, print_tables
    from ganzoo.leaderboard.render import to_json
    from ganzoo.leaderboard.table import make_tables
    from ganzoo.runs.begin import init_sha256, shorter_run
    from ganzoo.runs.directory import RunDirectory
    from ganzoo.runs.job import run_job
    from ganzoo.runs.names import folder_of
    from ganzoo.scoring.scorer import load_images

    root = cache_root(options["data_root"])
    images = load_images(registry, config, root, "train")
    say_what_was_read(config, images)
    path = out
    if path is None:
        data = images.sha256 + init_sha256(config.init)
        fresh_path = folder_of(registry, config, Path("runs"), data)
        path = shorter_run(fresh_path, registry, config, images) or fresh_path

    run = RunDirectory(path)
    fresh = not os.path.exists(run.config_file)  # False, not an error, for a path the system refuses
    try:
        with TrainingDisplay(config.variant.name) as display:
            result = run_job(
                registry,
                config,
                path,
                root=root,
                images=images,
                observers=[display],
                announce=display.announce,
                report=display.report,
                stop=stop,
                began=click.get_current_context().obj,  # when the process began, where the command is all that it does
            )
    except UserError:
        if fresh:
            run.discard_unstarted()
        raise
    except Exception as error:
        run.write_failure(f"{type(error).__name__}: {error}")
        raise
    tables = make_tables([RunDirectory(path)])
    if as_json:
        click.echo(to_json(tables))
    else:
        print_tables(tables)
        click.echo(f"samples: {path / 'samples'}\nresult: {path / 'result.json'}")
    if result["diverged"]:
        sys.exit(1)


@click.command()
@click.option("--variants", metavar="A,B", help="Variants to compare.  [default: all that fit the dataset]")
@run_options
@click.option("--seeds", type=click.IntRange(min=1), default=1, show_default=True, help="Training seeds per variant.")
@click.option(
    "--concurrent", type=click.IntRange(min=1), metavar="N", help="Runs that share a GPU at a time.  [default: by rule]"
)
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
@json_option
def bench(
    variants: str | None,
    seeds: int,
    concurrent: int | None,
    num_images: int | None,
    speed_only: bool,
    rounds: int,
    compare: Path | None,
    fail_on: float | None,
    out: Path,
    as_json: bool,
    **options: Any,
) -> None:
    """Train and compare variants; print the leaderboard. Started again, it does only what is missing."""
    from ganzoo.bench.executors import kill_workers
    from ganzoo.bench.plan import compete, entrants
    from ganzoo.cli.display import TrainingDisplay, print_tables
    from ganzoo.leaderboard.render import to_json
    from ganzoo.leaderboard.table import make_tables
    from ganzoo.runs.plugin_cure import plugins_named

    click.get_current_context().with_resource(stop_on_signals(again=kill_workers))
    if fail_on is not None and compare is None:
        raise UserError("--fail-on needs something to compare with", "give --compare FILE, an earlier speed.json")
    registry = load_registry(options["plugin_files"])
    root = cache_root(options["data_root"])
    names = list(dict.fromkeys(name.strip() for name in (variants or "").split(",") if name.strip()))
    with plugins_named(registry, (run for name in names for run in _runs_of(name, out))):
        names = [registry.variant(name).name for name in names]
    extra = {"eval.num_images": num_images} if num_images is not None else {}
    chosen = entrants(
        registry, names, lambda name: make_config(registry, name, options, extra), root, say_what_was_read
    )
    for line in chosen.left_out:
        _say(line)
    if speed_only or compare is not None:
        report_speed(
            registry,
            chosen.configs,
            root=root,
            rounds=rounds,
            out=out,
            compare=compare,
            fail_on=10.0 if fail_on is None else fail_on,
            as_json=as_json,
        )
        return
    runs = compete(
        chosen,
        seeds=seeds,
        out=out,
        plugin_files=options["plugin_files"],
        concurrent=concurrent,
        announce=_say,
        watch=TrainingDisplay,
    )
    started = [run for run in runs if run.config_file.exists()]
    if not started:
        sys.exit(1)
    tables = make_tables(started, chosen.sort)
    if as_json:
        click.echo(to_json(tables))
    else:
        print_tables(tables)
        click.echo("sample grids (samples/), results (result.json):")
        for run in runs:
            grids = run.samples()
            click.echo(f"  {grids[-1] if grids else run.path}")
    if any(run.read_result() is None or run.read_failure() for run in runs):  # an old result is none of this start's
        sys.exit(1)
