"""What scores images that are there: `eval`, and `stats`, which prepares it for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ganzoo.cli.options import (
    data_root_option,
    device_option,
    json_option,
    load_registry,
    plugin_option,
    print_json,
    progress_options,
    protocol_option,
    to_library,
    with_options,
)
from ganzoo.cli.progress import showing
from ganzoo.files.progress import working

sets_option = click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="Any setting.")


@click.command("eval", short_help="Score a run, a model, a folder of images or an npz.")
@click.argument("source", metavar="RUN|SNAPSHOT|MODEL|FOLDER|NPZ")
@click.option("--dataset", metavar="NAME[:PATH]", help="Real images to compare with.  [default: the run's]")
@click.option(
    "--reference", type=click.Path(path_type=Path), metavar="NPZ", help="FID against a file of mu and sigma instead."
)
@click.option("--features", metavar="NAME", help="Feature network.  [default: the run's, or the dataset's]")
@click.option("--metrics", metavar="A,B", help="Metrics.  [default: all but cas]")
@click.option("--num-images", type=int, metavar="N", help="Generated images, or at most this many of a folder's.")
@click.option("--size", type=int, metavar="PIXELS", help="Bring the images to this size.")
@click.option(
    "--snapshot", type=float, metavar="KIMG", help="Use the snapshot nearest to this many kimg.  [default: last]"
)
@with_options(
    protocol_option, sets_option, device_option, data_root_option, plugin_option, progress_options, json_option
)
def eval_command(as_json: bool, quiet: bool, log_format: str, **options: Any) -> None:
    """Score a run, a snapshot, a model (`ganzoo list models`), a folder of images or an npz against a dataset."""
    from ganzoo.cli.tables import print_rows
    from ganzoo.leaderboard.formats import bytes_text

    with showing(log_format, quiet):
        with working("loading torch"):
            from ganzoo.runs.evaluation import evaluate
        document = evaluate(**to_library(options)).to_dict()
    if as_json:
        print_json(document)
        return
    floors = document["floors"]
    of = "" if document["images"] == document["of"] else f" of {document['of']}, drawn at random"
    split = ", train split" if options["reference"] is None else ""
    click.echo(f"{document['source']} ({document['images']} images{of}) against {document['dataset']}{split}")
    if document["snapshot"] is not None:
        click.echo(f"snapshot: {document['snapshot']}")
    for line in document["facts"]:
        click.echo(line)
    rows = [
        (name, f"{value:.5g}", *(_number(floor["values"].get(name)) for floor in floors))
        for name, value in document["values"].items()
        if "." not in name  # of one class, or at one number of images: with --json
    ]
    print_rows(("", "generated", *(floor["name"] for floor in floors)), rows)
    if document["score_peak_memory"]:
        click.echo(f"peak memory: {bytes_text(document['score_peak_memory'])}")
    click.echo(f"protocol: {document['protocol']}")
    if options["reference"] is not None:
        click.echo("how the file was computed is not known here: compare only with numbers against the same file")
    for floor in floors:
        click.echo(f"{floor['name']}: {floor['what']}, {floor['images']} images")
    for name, reason in document["left_out"].items():
        click.echo(f"{name} is left out: {reason}")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.5g}"


@click.command(short_help="Write a dataset's mean and covariance, for FID elsewhere.")
@click.argument("dataset", metavar="DATASET[:PATH]")
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="NPZ", help="File to write.")
@click.option("--features", metavar="NAME", help="Feature network.  [default: the dataset's]")
@click.option("--split", type=click.Choice(["train", "test"]), default="train", show_default=True)
@click.option("--num-images", type=click.IntRange(min=2), metavar="N", help="At most this many, drawn at random.")
@click.option("--size", type=int, metavar="PIXELS", help="Bring the images to this size.")
@with_options(sets_option, device_option, data_root_option, plugin_option, progress_options)
def stats(
    dataset: str,
    out: Path,
    data_root: Path | None,
    plugin_files: tuple[Path, ...],
    quiet: bool,
    log_format: str,
    **options: Any,
) -> None:
    """Write the mean and covariance of a dataset's features, as pytorch-fid and `eval --reference` read them."""
    from ganzoo.config.places import cache_root

    registry = load_registry(plugin_files)
    with showing(log_format, quiet):
        with working("loading torch"):
            from ganzoo.runs.foreign import write_stats
        lines = write_stats(registry, dataset, out, root=cache_root(data_root), **options)
    for line in (str(out), *lines):
        click.echo(line)
