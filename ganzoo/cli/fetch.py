"""`fetch`: datasets and weights ahead, for machines without a network."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from ganzoo.cli.options import (
    data_root_option,
    json_option,
    load_registry,
    plugin_option,
    print_json,
    say,
    with_options,
)
from ganzoo.errors import UserError
from ganzoo.files.text import clean


@click.command(short_help="Download datasets and feature networks ahead.")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option(
    "--mirror",
    metavar="URL",
    envvar="GANZOO_MIRROR",
    help="Server to ask first: another machine's data root, served.  [default: $GANZOO_MIRROR]",
)
@with_options(data_root_option, plugin_option, json_option)
def fetch(
    names: tuple[str, ...], mirror: str | None, data_root: Path | None, plugin_files: tuple[Path, ...], as_json: bool
) -> None:
    """Download datasets and feature networks ahead, e.g. `fetch inception mnist`; without names: what is there."""
    from ganzoo.config.places import cache_root
    from ganzoo.runs.fetching import at_hand
    from ganzoo.runs.fetching import fetch as get

    root = cache_root(data_root)
    if not names:
        there = at_hand(root)
        if as_json:
            print_json(there)
            return
        width = max(map(len, there))
        for name, places in there.items():
            click.echo(f"{name:<{width}}  {', '.join(_shown(places)) if places else 'not there'}")
        click.echo(f"under {clean(str(root))}")
        return
    registry, failed = load_registry(plugin_files), False
    told: dict[str, Any] = {}
    for name in dict.fromkeys(names):
        try:
            found = get(registry, name, root, mirror=mirror or "", note=say)
        except UserError as error:  # the others may be had
            failed = True
            say(f"error: {clean(error.cause)}\n  try: {clean(error.cure)}")
            told[name] = {"state": "failed", "places": [], "error": error.cause}
            continue
        told[name] = {"state": "was there" if found.was_there else "fetched", "places": list(found.places)}
        if not as_json:
            where = f": {', '.join(_shown(found.places))}" if found.places else ""
            click.echo(f"{name}: {told[name]['state'] if found.places else 'ready'}{where}")
    if as_json:
        print_json(told)
    if failed:
        sys.exit(2)


def _shown(places: tuple[str, ...]) -> list[str]:
    """Files of one folder by their folder."""
    folders = {str(Path(place).parent) for place in places}
    return [clean(place) for place in (sorted(folders) if len(places) > 1 else places)]
