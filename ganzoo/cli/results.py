"""What reads finished work: `leaderboard`, `sample`, `film`."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import click

from ganzoo.cli.options import (
    columns_option,
    device_option,
    echo_json,
    json_option,
    load_registry,
    plugin_option,
    print_json,
    say,
    with_options,
)
from ganzoo.errors import SettingError
from ganzoo.files.text import clean

FORMATS = ("table", "md", "csv", "json", "latex", "tidy")


@click.command(short_help="Rank the runs of some folders, one table per protocol.")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option("--sort", default="fid", show_default=True, metavar="COLUMN", help="Rank by this column.")
@columns_option
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default="table",
    show_default=True,
    help="latex: a table of booktabs that fits a page, all of it with --columns all; tidy: CSV of one line per run, "
    "snapshot and metric.",
)
@click.option("--check", is_flag=True, help="Verify snapshots against the hashes in the results instead.")
@json_option
def leaderboard(paths: tuple[Path, ...], sort: str, columns: str | None, form: str, check: bool, as_json: bool) -> None:
    """Rank the runs under PATHS (default: runs), one table per protocol.

    The table has the columns that fit the window, latex those that fit a page; csv, json and tidy have every number.
    """
    from ganzoo.leaderboard.api import leaderboard as read
    from ganzoo.leaderboard.layout import asked_columns, known_columns

    form = "json" if as_json else form
    if columns is not None and form in ("csv", "json", "tidy"):
        raise SettingError(f"--format {form} has every column", "leave --columns out")
    if check:
        _check(list(paths) or [Path("runs")], form == "json")
        return
    board = read(*paths, sort=sort)
    known = [column for table in board.compared for column in table.columns]
    asked = None if columns is None else asked_columns(columns, known_columns(known))
    if form == "table":
        from ganzoo.cli.tables import print_tables

        print_tables(board.compared, asked)
    elif form == "json":
        echo_json(board.to_json())
    else:
        text = {
            "md": lambda: board.to_markdown(asked),
            "csv": board.to_csv,
            "latex": lambda: board.to_latex(asked),
            "tidy": board.to_tidy,
        }[form]()
        click.echo(text, nl=False)


def _check(paths: list[Path], as_json: bool) -> None:
    """Print what has become of each run's snapshots; exit with 1 where one is not what its result says."""
    from ganzoo.runs.integrity import check_runs

    checked = check_runs(paths)
    if as_json:
        print_json([dataclasses.asdict(run) for run in checked])
    else:
        for run in checked:
            click.echo(clean(run.line))
    if any(run.problems for run in checked):
        sys.exit(1)


@click.command(short_help="Images of a run, a variant or a model that is in the package.")
@click.argument("run", metavar="RUN|SNAPSHOT|VARIANT|MODEL")
@click.option(
    "--dataset", metavar="NAME", help="Of VARIANT: its runs and models on this one.  [default: digits' model]"
)
@click.option(
    "-n", "count", type=click.IntRange(min=1), metavar="N", help="Images, or rows.  [default: 64, 8 per class, 8 rows]"
)
@click.option(
    "--labels",
    metavar="A,B",
    help="Classes by name or number, in this order a column each, a row each of --interpolate and --sweep "
    "(conditional variants).",
)
@click.option("--seed", type=int, metavar="S", help="Seed of the noise.  [default: 0]")
@click.option("--interpolate", metavar="A:B", help="Rows from the noise of seed A to that of seed B.")
@click.option("--steps", type=click.IntRange(min=2), metavar="N", help="Columns of --interpolate.  [default: 8]")
@click.option("--code", "code", multiple=True, metavar="K=V", help="Fix code K at V, e.g. 2=0.5 (infogan).")
@click.option("--sweep", type=int, metavar="K", help="Code that changes along rows.  [default: the first not fixed]")
@click.option("--truncation", type=float, metavar="PSI", help="Nearer to the average image, where G knows how.")
@click.option(
    "--snapshot", type=float, metavar="KIMG", help="Use the snapshot nearest to this many kimg.  [default: last]"
)
@click.option(
    "--out",
    metavar="PNG|NPZ|WEBP|GIF|DIR/",
    help="A grid, arrays, a film of --interpolate, or a folder of images.  [default: samples.png in the run directory, "
    "MODEL.png]",
)
@with_options(device_option, plugin_option)
def sample(
    run: str,
    dataset: str | None,
    seed: int | None,
    interpolate: str | None,
    steps: int | None,
    code: tuple[str, ...],
    snapshot: float | None,
    out: str | None,
    device: str | None,
    plugin_files: tuple[Path, ...],
    **options: Any,
) -> None:
    """Make images by a run directory, a snapshot of one, or the newest run of VARIANT under runs/; where there is none,
    by the model of VARIANT that is in the package; or by MODEL, one of `ganzoo list models`, such as dcgan@digits.
    """
    from ganzoo.runs.codes import parse_codes
    from ganzoo.runs.outputs import MOVING, check_still, output_of, write_beside
    from ganzoo.runs.sampling import open_source, parse_seeds, plan_samples
    from ganzoo.runs.sources import find_source

    if steps is not None and interpolate is None and options["sweep"] is None and not code:
        raise SettingError(
            "--steps are those of --interpolate and --sweep", "say --interpolate 0:1, or leave --steps out"
        )
    if interpolate is not None and seed is not None:
        raise SettingError("--interpolate has its own two seeds", "leave --seed out")
    if out is not None and interpolate is None and options["sweep"] is None and not code:
        check_still(Path(out))
    registry = load_registry(plugin_files)
    found = find_source(registry, run, snapshot, dataset)
    path, write = output_of(out or str(found.pictures))
    if path.suffix.lower() in MOVING and interpolate is not None and steps is None:
        steps = 24  # a second or two
    replaced = out is not None and path.exists()
    source = open_source(registry, found, device=device or "auto")
    samples = plan_samples(
        source,
        seed=seed or 0,
        interpolate=None if interpolate is None else parse_seeds(interpolate),
        steps=steps,
        codes=parse_codes(code),
        **options,
    )
    if out is None:  # nobody has named a file that may be replaced
        path = write_beside(path, samples, write)
    else:
        write(path, samples)
    click.echo(path)
    if replaced:
        say(f"{path} was there before, and is replaced")
    if found.line is not None:
        click.echo(clean(found.line))
    if snapshot is not None:
        click.echo(f"snapshot: {samples.file.name}, {samples.snapshot.images / 1000:g} kimg")
    legend = samples.legend(grid=path.suffix.lower() == ".png")
    if legend is not None:
        click.echo(legend)


@click.command(short_help="An animation of how runs' images came to be.")
@click.argument("runs", nargs=-1, required=True, metavar="RUN|VARIANT...")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="WEBP|GIF|MP4", help="[default: film.webp in the run directory]"
)
@click.option(
    "--fps", type=click.FloatRange(min=0.2, max=50), default=8.0, show_default=True, help="Frames each second."
)
@click.option(
    "--size",
    type=click.IntRange(min=16, max=4096),
    metavar="PIXELS",
    help="Width of each run's pictures, about.  [default: 640; of several runs 360]",
)
@click.option(
    "--even", type=click.IntRange(min=2, max=2000), metavar="N", help="N frames equally far apart in kimg instead."
)
@plugin_option
def film(
    runs: tuple[str, ...],
    out: Path | None,
    fps: float,
    size: int | None,
    even: int | None,
    plugin_files: tuple[Path, ...],
) -> None:
    """Make a film of a run's pictures, or of several runs side by side; VARIANT: its newest run. A frame for each
    picture, which are close together at the start of training, with the kimg written on it. Pictures of a run that has
    none are made from its snapshots.
    """
    from ganzoo.cli.progress import showing
    from ganzoo.runs.filming import film as write

    replaced = out is not None and out.exists()
    with showing("auto", False, torch=False):
        made = write(*runs, out=out, fps=fps, size=size, even=even, plugins=plugin_files)
    click.echo(made.path)
    if replaced:
        say(f"{made.path} was there before, and is replaced")
    size_of_file = made.path.stat().st_size / 1e6
    frames = f"{len(made.kimg)} frames, {made.kimg[0]:g} to {made.kimg[-1]:g} kimg"
    click.echo(f"{frames if len(made.kimg) > 1 else f'1 frame, of {made.kimg[0]:g} kimg'}, {size_of_file:.2f} MB")
