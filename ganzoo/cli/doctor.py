"""What looks at the installation itself: `doctor`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ganzoo.cli.options import (
    data_root_option,
    device_option,
    json_option,
    load_registry,
    plugin_option,
    print_json,
    with_options,
)
from ganzoo.config.places import cache_root


@click.command(short_help="Test the metrics on this machine, and describe it.")
@with_options(data_root_option, device_option, plugin_option, json_option)
def doctor(data_root: Path | None, device: str | None, plugin_files: tuple[Path, ...], as_json: bool) -> None:
    """Test the metrics on this machine and describe it; exit code 1 when a check fails. Nothing is downloaded.

    The record is kept as doctor.json under the data root, and every run's env.json says how it went.
    """
    from ganzoo.doctor.checks import Check
    from ganzoo.doctor.examine import check_lines, examine, store
    from ganzoo.doctor.survey import survey_lines
    from ganzoo.engine.device import resolve_device
    from ganzoo.errors import UserError

    def tell(check: Check) -> None:
        if not as_json:
            click.echo("\n".join(check_lines(check)))

    registry = load_registry(plugin_files)
    root = cache_root(data_root)
    document = examine(registry, device=resolve_device(device or "auto"), root=root, on_check=tell)
    try:
        store(document, root)
    except UserError as error:  # a data root that cannot be written is a failed check already
        click.echo(f"the record is not kept: {error.cause}", err=True)
    if as_json:
        print_json(document)
    else:
        click.echo("\n".join(["", *survey_lines(document["environment"])]))
        failed = sum(check["status"] == "FAILED" for check in document["checks"])
        verdict = "all is well" if document["ok"] else f"{failed} of {len(document['checks'])} checks failed"
        click.echo(f"\n{verdict}, {document['seconds']:.0f} seconds")
    if not document["ok"]:
        sys.exit(1)
