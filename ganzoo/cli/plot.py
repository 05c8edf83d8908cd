"""What makes figures of finished work: `plot`."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ganzoo.cli.options import say
from ganzoo.errors import RunError

if TYPE_CHECKING:
    from ganzoo.leaderboard.rows import Table


@click.command(short_help="Figures for a paper: PDF, PNG or SVG of the charts.")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="[DIR]...")
@click.option("--format", "form", type=click.Choice(["pdf", "png", "svg"]), default="pdf", show_default=True)
@click.option("--quality", default="fid", show_default=True, metavar="COLUMN", help="What is drawn over training.")
@click.option("--cost", default="seconds", show_default=True, metavar="COLUMN", help="What quality is drawn against.")
@click.option(
    "--width",
    type=click.FloatRange(min=1, max=40),
    default=3.25,
    show_default=True,
    metavar="INCHES",
    help="3.25: a column of a paper.",
)
@click.option("--out", type=click.Path(path_type=Path), default=Path("figures"), show_default=True, metavar="FOLDER")
def plot(paths: tuple[Path, ...], form: str, quality: str, cost: str, width: float, out: Path) -> None:
    """Draw the runs under DIR (default: runs) as figures for a paper: quality against cost with the Pareto front,
    quality over kimg and over seconds with bands over seeds, losses. Needs matplotlib (the extra `plots`).
    """
    from ganzoo.files.writing import check_folder
    from ganzoo.leaderboard.table import read_tables
    from ganzoo.plots.figures import write_figures
    from ganzoo.plots.style import matplotlib_here

    check_folder(out)
    matplotlib_here()  # before anything is read
    folders = list(paths) or [Path("runs")]
    tables = read_tables(folders)
    written = 0
    for table in tables:
        folder = out if len(tables) == 1 else out / folder_of(table.protocol)
        files = write_figures(table, folder, form=form, cost=cost, quality=quality, width=width)
        for file in files:
            click.echo(file)
        if files and not files[0].name.startswith(f"{quality}-by-"):
            say(f"no chart of {quality} against {cost}: {_why_none(table, quality, cost)}")
        written += len(files)
    if not written:
        raise RunError(
            f"there is nothing to draw under {' or '.join(map(str, folders))}: no run has a score or a loss yet",
            "train further: the same command continues a run",
        )


_SPEEDS = ("seconds", "train_img_per_s")


def _why_none(table: Table, quality: str, cost: str) -> str:
    rows = [row for row in table.rows if row.kind == "generated"]
    there = {column.key: column.group for column in table.columns if any(row.numbers.get(column.key) for row in rows)}
    if quality not in there:
        others = [key for key, group in there.items() if group == "quality" and key != "diverged"]
        return f"no run has {quality}" + (f"; draw another: --quality {others[0]}" if others else "")
    if cost not in there:
        return f"no run has {cost}" + (" (runs that share a device have no speed)" if cost in _SPEEDS else "")
    return "no run has both"


def folder_of(protocol: str) -> str:
    """The name of a protocol's folder: its id, which a stranger may have written as "../../x", or at length."""
    name = re.sub(r"[^A-Za-z0-9_.-]", "-", protocol)[:100].lstrip(".")
    return name if name == protocol else f"{name}-{hashlib.sha256(protocol.encode()).hexdigest()[:8]}"
