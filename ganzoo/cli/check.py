"""What looks at a plugin: `check`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ganzoo.cli.options import (
    cache_root,
    data_root_option,
    json_option,
    load_registry,
    plugin_option,
    print_json,
    with_options,
)


@click.command()
@click.argument("name")
@with_options(data_root_option, plugin_option, json_option)
def check(name: str, data_root: Path | None, plugin_files: tuple[Path, ...], as_json: bool) -> None:
    """Try whether NAME, of a plugin, keeps the contract; exit code 1 where a check fails. Takes seconds, on the CPU.

    NAME is a variant, objective, regularizer, augmentation, dataset (NAME:PATH where it takes a path), feature network,
    metric or callback. No images are downloaded, and nothing is kept.
    """
    from ganzoo.doctor.contract import Report
    from ganzoo.doctor.contract import check as check_contract

    told: list[Report] = []

    def tell(report: Report) -> None:
        if not as_json:
            click.echo("\n".join([*([""] if told else []), *report.lines()]))
        told.append(report)

    verdict = check_contract(name, registry=load_registry(plugin_files), root=cache_root(data_root), on_report=tell)
    if as_json:
        print_json({"ok": verdict.ok, "reports": [report.to_dict() for report in verdict.reports]})
    else:
        findings = [finding for report in verdict.reports for finding in report.findings]
        failed, warned = (sum(one.status == status for one in findings) for status in ("FAILED", "warning"))
        warnings = f", {warned} warning{'s' if warned > 1 else ''}" if warned else ""
        click.echo(f"\n{f'{failed} of {len(findings)} checks failed' if failed else 'all is well'}{warnings}")
    if not verdict.ok:
        sys.exit(1)
