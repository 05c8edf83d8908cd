"""What puts finished work on a page: `report`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(short_help="Leaderboards, images and curves as a page to look at.")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="[DIR]...")
@click.option("--sort", default="fid", show_default=True, metavar="COLUMN", help="Rank by this column.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("report.html"), show_default=True, metavar="HTML")
def report(paths: tuple[Path, ...], sort: str, out: Path) -> None:
    """Write the runs under DIR (default: runs) as one HTML page: leaderboards, and each run's images and curves."""
    from ganzoo.files.writing import write_text
    from ganzoo.report import make_report

    write_text(out, make_report(list(paths) or [Path("runs")], sort))
    click.echo(out)
