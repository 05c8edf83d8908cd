"""What makes room: `clean`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ganzoo.cli.options import json_option, print_json
from ganzoo.files.text import clean as cleaned_text

if TYPE_CHECKING:
    from ganzoo.runs.cleaning import Cleaned


@click.command(short_help="Remove snapshots and states that finished runs do not need.")
@click.argument("paths", metavar="DIR...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Say what would be removed; remove nothing.")
@click.option(
    "--keep", metavar="A,B", help="What stays: all, or last with best and state.  [default: each run's train.keep]"
)
@click.option(
    "--state", "states", is_flag=True, help="Remove saved states, too: these runs cannot be made longer then."
)
@click.option("--older-than", type=click.FloatRange(min=0), metavar="DAYS", help="Only runs that ended before that.")
@json_option
def clean(
    paths: tuple[Path, ...], dry_run: bool, keep: str | None, states: bool, older_than: float | None, as_json: bool
) -> None:
    """Remove what runs under DIR hold and do not need: of finished ones snapshots and saved states, of others what a
    killed process left half written. Results, numbers and pictures stay, and so does what is no run's.

    Runs that a process is at work on are left alone. Links are not followed.
    """
    from ganzoo.runs.cleaning import clean as clean_runs

    done = []
    for run in clean_runs(paths, keep=keep, states=states, older_than=older_than, dry_run=dry_run):
        done.append(run)
        if not as_json:
            click.echo(cleaned_text(_line(run, dry_run), 500))
    total = sum(run.bytes for run in done)
    if as_json:
        print_json({"dry_run": dry_run, "bytes": total, "runs": [run.to_dict() for run in done]})
        return
    count = sum(1 for run in done if run.files)
    if count:
        runs = "1 run" if count == 1 else f"{count:,} runs"
        click.echo(f"{'would remove' if dry_run else 'removed'} {_size(total)} of {runs}")
    else:
        click.echo("nothing to remove")


def _line(run: Cleaned, dry_run: bool) -> str:
    if not run.files:
        return f"{run.path}: left alone: {run.why_not}"
    kinds = (("snapshot", run.snapshots), ("state", run.states), ("half-written file", run.leftovers))
    parts = [
        f"{len(files)} {kind}{'' if len(files) == 1 else 's'} ({_size(sum(run.sizes[file] for file in files))})"
        for kind, files in kinds
        if files
    ]
    rest = f"; {run.why_not}" if run.why_not else ""
    return f"{run.path}: {'would remove' if dry_run else 'removed'} {', '.join(parts)}{rest}"


def _size(count: int) -> str:
    """ "3.9 MB", "1.20 GB"."""
    return f"{count / 1e9:,.2f} GB" if count >= 1e9 else f"{count / 1e6:,.1f} MB"
