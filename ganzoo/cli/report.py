"""What puts finished work on a page: `report`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ganzoo.cli.options import load_registry, plugin_option, progress_options
from ganzoo.cli.progress import showing
from ganzoo.errors import SettingError

if TYPE_CHECKING:
    from ganzoo.report.page import Sampler
    from ganzoo.report.pictures import Gallery
    from ganzoo.report.runs import RunView
    from ganzoo.zoo.registry import Registry


@click.command(short_help="Leaderboards, images and curves as a page to look at.")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="[DIR]...")
@click.option("--sort", default="fid", show_default=True, metavar="COLUMN", help="Rank by this column.")
@click.option("--out", type=click.Path(path_type=Path), metavar="HTML", help="The page.  [default: report.html]")
@click.option("--site", type=click.Path(path_type=Path), metavar="DIR", help="Write a folder for a web host instead.")
@click.option("--no-sampling", is_flag=True, help="Make no new pictures from snapshots: quicker, and without torch.")
@plugin_option
@progress_options
def report(
    paths: tuple[Path, ...],
    sort: str,
    out: Path | None,
    site: Path | None,
    no_sampling: bool,
    plugin_files: tuple[Path, ...],
    quiet: bool,
    log_format: str,
) -> None:
    """Write the runs under DIR (default: runs) as one HTML page: leaderboards, charts, and each run's images."""
    from ganzoo.files.writing import check_file, check_folder, write_text
    from ganzoo.report.commands import commands
    from ganzoo.report.page import make_report, make_site

    if site is not None and out is not None:
        raise SettingError("--out is one file and --site a folder", "choose one of them")
    if out is not None:
        check_file(out, "report.html")
    if site is not None:
        check_folder(site, "--site")
    folders = list(paths) or [Path("runs")]
    with showing(log_format, quiet, torch=False):
        registry = load_registry(plugin_files)
        command = commands(registry)
        sample: Sampler | None = None
        if not no_sampling:
            sample = _sampler(registry)
        if site is not None:
            made = make_site(folders, site, sort, sample, command)
            written = site / "index.html"
        else:
            made = make_report(folders, sort, sample, command)
            written = out or Path("report.html")
            write_text(written, made.html)
    for line in () if quiet else made.notes:
        click.echo(line, err=True)
    click.echo(written)


def _sampler(registry: Registry) -> Sampler:
    """Interpolations. Torch is imported where some run has a snapshot."""

    def sample(views: Sequence[RunView], gallery: Gallery) -> list[str]:
        if not any(view.directory.snapshots() for view in views):
            return []
        from ganzoo.report.sampling import interpolations

        return interpolations(registry)(views, gallery)

    return sample
