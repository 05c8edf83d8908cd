"""Two beside each other: `compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ganzoo.cli.options import device_option, json_option, plugin_option, print_json, say, with_options
from ganzoo.files.text import clean


@click.command(short_help="Two runs or models: the same noise, scores, what differs.")
@click.argument("first", metavar="RUN|MODEL")
@click.argument("second", metavar="RUN|MODEL")
@click.option("-n", "count", type=click.IntRange(min=1, max=1000), metavar="N", help="Images of each.  [default: 64]")
@click.option("--labels", metavar="A,B", help="Classes by name or number, one column each (conditional variants).")
@click.option("--seed", type=int, default=0, show_default=True, metavar="S", help="Seed of the noise.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("compare.png"), show_default=True, metavar="PNG")
@with_options(device_option, plugin_option, json_option)
def compare(
    first: str,
    second: str,
    count: int | None,
    labels: str | None,
    seed: int,
    out: Path,
    device: str | None,
    plugin_files: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Set two runs or models side by side: images of the same noise, scores with their differences, and the settings in
    which they differ. Runs of other seeds beside a run count with it, and give intervals.
    """
    from ganzoo.errors import SettingError
    from ganzoo.files.writing import check_file
    from ganzoo.leaderboard.beside import compare as set_side_by_side

    if out.suffix.lower() != ".png":
        raise SettingError(f"the picture is a PNG: {out}", "end --out in .png")
    check_file(out, "compare.png")
    found = set_side_by_side(first, second, n=count, labels=labels, seed=seed, device=device, plugins=plugin_files)
    replaced = out.exists()
    found.save(out)
    if replaced:
        say(f"{out} was there before, and is replaced")
    if as_json:
        print_json({**found.to_dict(), "picture": str(out)})
        return
    _print(found.comparison)
    click.echo(f"{found.images} images of each, of the same noise: {out}")


def _print(comparison: Any) -> None:
    from rich.console import Console
    from rich.text import Text

    from ganzoo.cli.tables import emit, plain_table
    from ganzoo.leaderboard.beside import difference_text
    from ganzoo.leaderboard.render import show

    console = Console(highlight=False)
    table = plain_table()
    table.add_column("")
    for name in (comparison.first.name, comparison.second.name, "difference"):
        table.add_column(Text(clean(name, 40)), justify="right", overflow="fold")
    for row in comparison.differences:
        cells = [Text(show(row.column, number)) for number in (row.first, row.second)]
        if row.better is not None:
            cells[row.better].stylize("bold")
        table.add_row(Text(row.column.title), *cells, Text(difference_text(row)))
    emit(table, console, fold=console.is_terminal)
    if comparison.settings:
        settings = plain_table()
        for name in ("settings that differ", comparison.first.name, comparison.second.name):
            settings.add_column(Text(clean(name, 40)), overflow="fold")
        for key, *values in comparison.settings:
            settings.add_row(Text(key), *(Text("-" if value is None else clean(str(value), 80)) for value in values))
        emit(settings, console, fold=console.is_terminal)
    else:
        click.echo("no setting differs")
    for note in comparison.notes:
        click.echo(clean(note))
