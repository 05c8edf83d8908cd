"""What makes a model of a run: `export`."""

from __future__ import annotations

from pathlib import Path

import click

from ganzoo.cli.options import data_root_option, device_option, load_registry, plugin_option, with_options
from ganzoo.cli.progress import showing
from ganzoo.errors import SettingError
from ganzoo.files.progress import working


@click.command(short_help="Make models of finished runs, to share or to start from.")
@click.argument("runs", metavar="RUN|VARIANT...", nargs=-1, required=True)
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="DIR", help="Folder of models.")
@click.option("--name", metavar="VARIANT@LABEL", help="Of the model.  [default: VARIANT@DATASET]")
@click.option("--dtype", default="fp16", show_default=True, type=click.Choice(["fp16", "bf16", "fp32"]))
@with_options(device_option, data_root_option, plugin_option)
def export(
    runs: tuple[str, ...],
    out: Path,
    name: str | None,
    dtype: str,
    device: str | None,
    data_root: Path | None,
    plugin_files: tuple[Path, ...],
) -> None:
    """Make models of finished runs: the last snapshot in half precision, scored anew, with an index.json and a
    model card (README.md) beside it.

    A plugin whose `register_models` returns `ganzoo.models_in(DIR)` brings them to others.
    """
    with working("loading torch"):
        from ganzoo.config.places import cache_root
        from ganzoo.runs.export import export_model
        from ganzoo.zoo.models import summary

    if name is not None and len(runs) > 1:
        raise SettingError("--name is of one model, and there are several runs", "export them one by one")
    registry = load_registry(plugin_files)
    for run in runs:
        with showing():
            model, entry = export_model(
                registry, run, out, root=cache_root(data_root), name=name, dtype=dtype, device=device or "auto"
            )
        click.echo(f"{out / entry['file']}\n{model}: {summary(entry)}")
        before, after = entry["values_before"].get("fid"), entry["values"].get("fid")
        if before is not None and after is not None:
            click.echo(f"FID of the run's own weights: {before:.4f}, of the model's: {after:.4f}")
