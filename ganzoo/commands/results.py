"""What reads finished work: `leaderboard`, `sample`, `eval`, `film`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ganzoo.commands.options import (
    cache_root,
    data_root_option,
    device_option,
    json_option,
    load_registry,
    plugin_option,
    print_json,
    with_options,
)
from ganzoo.errors import SettingError, UserError


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option("--sort", default="fid", show_default=True, metavar="COLUMN", help="Rank by this column.")
@click.option("--format", "form", type=click.Choice(["table", "md", "csv", "json"]), default="table", show_default=True)
@json_option
def leaderboard(paths: tuple[Path, ...], sort: str, form: str, as_json: bool) -> None:
    """Rank the runs under PATHS (default: runs), one table per protocol."""
    from ganzoo.leaderboard import read_tables
    from ganzoo.render import to_csv, to_json, to_markdown

    tables = read_tables(list(paths) or [Path("runs")], sort)
    if as_json or form == "json":
        click.echo(to_json(tables))
    elif form == "table":
        from ganzoo.display import print_tables

        print_tables(tables)
    else:
        click.echo(to_markdown(tables) if form == "md" else to_csv(tables), nl=False)


@click.command()
@click.argument("run", metavar="RUN|VARIANT")
@click.option("-n", "count", type=click.IntRange(min=1), metavar="N", help="Images.  [default: 64, or 8 per class]")
@click.option("--labels", metavar="0,1,2", help="Classes, one column each (conditional variants).")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--snapshot", type=float, metavar="KIMG", help="Use the snapshot nearest to this many kimg.  [default: last]"
)
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="PNG", help="[default: samples.png in the run directory]"
)
@with_options(device_option, plugin_option)
def sample(
    run: str,
    count: int | None,
    labels: str | None,
    seed: int,
    snapshot: float | None,
    out: Path | None,
    device: str | None,
    plugin_files: tuple[Path, ...],
) -> None:
    """Make a grid of images from a run directory, or from the newest run of VARIANT under runs/."""
    from ganzoo.sampling import sample_grid

    path = sample_grid(
        load_registry(plugin_files),
        run,
        count=count,
        labels=_integers(labels),
        seed=seed,
        kimg=snapshot,
        out=out,
        device=device or "auto",
    )
    click.echo(path)


@click.command("eval")
@click.argument("source", metavar="RUN|FOLDER|NPZ")
@click.option("--dataset", metavar="NAME[:PATH]", help="Real images to compare with.  [default: the run's, or digits]")
@click.option("--features", metavar="NAME", help="Feature network.  [default: the dataset's]")
@click.option("--metrics", metavar="A,B", help="Metrics.  [default: all but cas]")
@click.option("--num-images", type=int, metavar="N", help="Generated images, or at most this many of a folder's.")
@click.option("--size", type=int, metavar="PIXELS", help="Bring the dataset's images to this size.")
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="Any setting.")
@with_options(device_option, data_root_option, plugin_option, json_option)
def eval_command(
    source: str, as_json: bool, data_root: Path | None, plugin_files: tuple[Path, ...], **options: Any
) -> None:
    """Score a run, a folder of images or an npz against a dataset."""
    from ganzoo.display import TrainingDisplay
    from ganzoo.sampling import evaluate_source

    registry = load_registry(plugin_files)
    with TrainingDisplay("eval") as display:
        document = evaluate_source(registry, source, root=cache_root(data_root), announce=display.announce, **options)
    if as_json:
        print_json(document)
        return
    floors = document["floors"]
    of = "" if document["images"] == document["of"] else f" of {document['of']}, drawn at random"
    click.echo(f"{document['source']} ({document['images']} images{of}) against {document['dataset']}, train split")
    click.echo("".join(f"{title:>16}" for title in ("", "generated", *(floor["name"] for floor in floors))))
    for name, value in document["values"].items():
        if "." in name:  # of one class, or at one number of images: with --json
            continue
        real = (f"{floor['values'][name]:>16.5g}" if name in floor["values"] else f"{'-':>16}" for floor in floors)
        click.echo(f"{name:<16}{value:>16.5g}{''.join(real)}")
    click.echo(f"protocol: {document['protocol']}")
    for floor in floors:
        click.echo(f"{floor['name']}: {floor['what']}, {floor['images']} images")
    for name, reason in document["left_out"].items():
        click.echo(f"{name} is left out: {reason}")


@click.command()
@click.argument("run", metavar="RUN|VARIANT")
@click.option("--out", type=click.Path(path_type=Path), metavar="GIF", help="[default: film.gif in the run directory]")
@click.option(
    "--seconds", type=click.FloatRange(min=0.02, max=200), default=0.5, show_default=True, help="Seconds per snapshot."
)
def film(run: str, out: Path | None, seconds: float) -> None:
    """Make an animation of a run's sample grids, or of the newest run of VARIANT, with the kimg written on it."""
    from ganzoo.grid import film as write_film
    from ganzoo.runs import find_run, kimg_of

    directory = find_run(run)
    variant = directory.read_config()["variant"]["name"]
    frames = [(path, f"{variant}  {kimg_of(path):.1f} kimg") for path in directory.samples()]
    if not frames:
        raise UserError(f"{run} has no sample grids yet", "train it first")
    path = out or directory.path / "film.gif"
    write_film(frames, path, seconds)
    click.echo(path)


def _integers(text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise SettingError(f"--labels {text} are not whole numbers", "write them as 0,1,2") from None
