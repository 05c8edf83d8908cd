"""Two beside each other: `compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ganzoo.cli.options import device_option, json_option, load_registry, plugin_option, print_json, say, with_options
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
    from ganzoo.leaderboard.compare import compare as set_side_by_side
    from ganzoo.leaderboard.compare import side_of_model, side_of_run
    from ganzoo.runs.directory import RunDirectory
    from ganzoo.runs.sampling import open_source
    from ganzoo.runs.side_by_side import write_side_by_side
    from ganzoo.runs.sources import find_source

    if out.suffix.lower() != ".png":
        raise SettingError(f"the picture is a PNG: {out}", "end --out in .png")
    registry = load_registry(plugin_files)
    found = [find_source(registry, name) for name in (first, second)]
    sources = [open_source(registry, where, device=device or "auto") for where in found]
    sides = [
        side_of_run(RunDirectory(where.place))
        if where.model is None
        else side_of_model(where.model, source.snapshot.config.to_dict())
        for where, source in zip(found, sources, strict=True)
    ]
    comparison = set_side_by_side(sides[0], sides[1])
    names = (clean(found[0].place.name if found[0].model is None else found[0].name, 50),
             clean(found[1].place.name if found[1].model is None else found[1].name, 50))  # fmt: skip
    replaced = out.exists()
    images = write_side_by_side(out, (sources[0], sources[1]), names, count=count, labels=labels, seed=seed)
    if replaced:
        say(f"{out} was there before, and is replaced")
    if as_json:
        print_json(_document(comparison, out, images))
        return
    _print(comparison)
    click.echo(f"{images} images of each, of the same noise: {out}")


def _document(comparison: Any, out: Path, images: int) -> dict[str, Any]:
    numbers = {
        row.column.key: {
            "first": row.first and {"mean": row.first.mean, "interval95": row.first.half, "n": row.first.n},
            "second": row.second and {"mean": row.second.mean, "interval95": row.second.half, "n": row.second.n},
            "difference": row.difference,
            "interval95": row.half,
            "better": None if row.better is None else ("first", "second")[row.better],
        }
        for row in comparison.differences
    }
    sides = [
        {"name": side.name, "protocol": side.protocol, "seeds": side.seeds}
        for side in (comparison.first, comparison.second)
    ]
    settings = {key: list(values) for key, *values in comparison.settings}
    return {
        "first": sides[0], "second": sides[1], "numbers": numbers, "settings": settings,
        "notes": list(comparison.notes), "picture": str(out), "images": images,
    }  # fmt: skip


def _print(comparison: Any) -> None:
    from rich.console import Console
    from rich.text import Text

    from ganzoo.cli.tables import emit, plain_table
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
        table.add_row(Text(row.column.title), *cells, Text(_difference(row)))
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


def _difference(row: Any) -> str:
    if row.difference is None:
        return ""
    text = ("+" if row.difference >= 0 else "-") + row.column.show(abs(row.difference))
    if row.half is not None:
        text += f" ± {row.column.show(row.half)}"
        if row.better is None and row.difference:
            text += " (not told apart)"
    return text
