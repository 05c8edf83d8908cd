"""What looks at a plugin: `check`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ganzoo.cli.options import data_root_option, json_option, plugin_option, print_json, with_options


@click.command(short_help="Try whether a plugin of yours keeps the contract.")
@click.argument("name")
@with_options(data_root_option, plugin_option, json_option)
def check(name: str, data_root: Path | None, plugin_files: tuple[Path, ...], as_json: bool) -> None:
    """Try whether NAME, of a plugin, keeps the contract; exit code 1 where a check fails. Takes seconds, on the CPU.

    NAME is a variant, objective, regularizer, augmentation, dataset (NAME:PATH where it takes a path), feature network,
    metric or callback. No images are downloaded, and nothing is kept.
    """
    from ganzoo.doctor.contract import check as check_contract

    told = 0

    def tell(lines: list[str]) -> None:
        nonlocal told
        if not as_json:
            click.echo("\n".join([*([""] if told else []), *lines]))
        told += 1

    verdict = check_contract(
        name, plugins=plugin_files, data_root=data_root, on_report=lambda report: tell(list(report.lines()))
    )
    if as_json:
        print_json(verdict.to_dict())
    else:
        click.echo(f"\n{verdict.summary()}")
    if not verdict.ok:
        sys.exit(1)
