"""The command line: a group whose commands are in this folder. Few stable options, the rest through `--set`."""

from __future__ import annotations

import click

from ganzoo import __version__
from ganzoo.cli import results, scores, training, zoo
from ganzoo.cli.check import check
from ganzoo.cli.clean import clean
from ganzoo.cli.compare import compare
from ganzoo.cli.doctor import doctor
from ganzoo.cli.export import export
from ganzoo.cli.fetch import fetch
from ganzoo.cli.habits import Zoo
from ganzoo.cli.plot import plot
from ganzoo.cli.progress import showing
from ganzoo.cli.report import report


@click.group(cls=Zoo, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="ganzoo")
def cli() -> None:
    """A GAN model zoo with a benchmark.

    Start with `ganzoo bench`, which trains and compares some variants in a few minutes.
    """
    # Of every command; those that train show more, in their own way.
    click.get_current_context().with_resource(showing(torch=False))


for _command in (
    zoo.list_command,
    zoo.show,
    zoo.plugins,
    training.train,
    training.bench,
    results.leaderboard,
    results.sample,
    scores.eval_command,
    scores.stats,
    results.film,
    compare,
    plot,
    report,
    fetch,
    doctor,
    check,
    export,
    clean,
):
    cli.add_command(_command)
