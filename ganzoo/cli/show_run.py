"""What `ganzoo show RUN` says of a run directory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from ganzoo.cli.options import print_json
from ganzoo.errors import RunError
from ganzoo.files.text import clean


def looks_like_run(name: str) -> bool:
    """Whether `name` is a run directory, or else a path, rather than something in the zoo."""
    return os.path.exists(os.path.join(name, "config.json")) or os.sep in name


@contextmanager
def runs_named(name: str) -> Iterator[None]:
    """A name that is not in the zoo may have been meant as a folder's.

    Raises:
        RunError: there is a folder or file of that name, which is no run.
        RunError: or run directories are nearly called so.
        UnknownName: neither.
    """
    from ganzoo.errors import UnknownName
    from ganzoo.runs.find import did_you_mean, find_run, runs_like

    try:
        yield
    except UnknownName as error:
        if os.path.exists(name):
            find_run(name)
        cure = did_you_mean(runs_like(name))
        if cure:
            raise RunError(error.cause, cure) from None
        raise


def show_run(path: Path, as_json: bool) -> None:
    """Print what it is, how far it has come, its last scores, and what was found to be wrong.

    Raises:
        RunError: there is no run there, or it is damaged.
    """
    from ganzoo.config.run_config import dataset_label
    from ganzoo.runs.diagnostics import Facts, facts_of_record, replay
    from ganzoo.runs.events import clock
    from ganzoo.runs.find import find_run

    run = find_run(str(path))
    config, result = run.read_config(), run.read_result()
    metrics, stats, found = run.metrics(), run.stats(), run.diagnostics()
    if result is not None and "diagnostics" not in result:  # of an earlier version: what would have been found
        found = replay(Facts.of(config, **facts_of_record(run.read_record())), stats, metrics)
    scored = [score for score in metrics if score["images"] > 0]
    failure = run.read_failure()
    kimg = (result or {}).get("kimg") or (stats[-1].get("kimg") if stats else None) or 0.0
    status = "not finished" if result is None else "diverged" if result["diverged"] else "done"
    if as_json:
        document = {"path": str(path), "status": status, "kimg": kimg, "failure": failure, "config": config}
        print_json({**document, "last": scored[-1] if scored else None, "diagnostics": found})
        return
    name, objective = config["variant"]["name"], config["objective"]["name"]
    dataset = config["dataset"]
    label = dataset_label(dataset["name"], {key: value for key, value in dataset.items() if key != "name"})
    click.echo(clean(f"{path}: {name}, {objective}, on {label}, seed {config.get('seed', 0)}"))
    budget = config["train"].get("kimg")
    of = "" if budget is None else f" of {budget:g}"
    wall = ((result or {}).get("seconds") or {}).get("wall")
    time = "" if wall is None else f", {clock(wall)}"
    click.echo(f"{status}: {kimg:g}{of} kimg, {len(run.snapshots())} snapshots{time}")
    why = (result or {}).get("diverged") or failure
    if why:
        click.echo(clean(f"  {why}"))
    for score in scored[-1:]:
        values = {key: value for key, value in score["values"].items() if "." not in key and value is not None}
        shown = "  ".join(f"{key} {value:.4g}" for key, value in values.items())
        click.echo(clean(f"scores at {score['kimg']:g} kimg: {shown}"))
    grids = run.samples()
    if grids:
        click.echo(f"newest picture: {grids[-1]}")
    if found:
        click.echo("found:")
        for one in found:
            click.echo(f"  at {one['kimg']:.3g} kimg: {one['text']}\n    {one['cure']}\n    {one['link']}")
    elif stats:
        click.echo("found: nothing that is wrong")
