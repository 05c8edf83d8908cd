"""`python -m ganzoo.cli.golden --write-golden`: measure the golden values on this machine and store them. Minutes."""

from __future__ import annotations

import datetime
from pathlib import Path

import click

from ganzoo.cli.options import data_root_option, load_registry
from ganzoo.config.places import cache_root


@click.command()
@click.option("--write-golden", is_flag=True, required=True, help="Measure the golden values and store them.")
@click.option(
    "--folder", type=click.Path(path_type=Path), metavar="DIR", help="Of the classifiers.  [default: the package's]"
)
@data_root_option
def main(write_golden: bool, folder: Path | None, data_root: Path | None) -> None:
    """Measure the golden values of the shipped classifiers under several conditions, and write golden.json."""
    import torch

    from ganzoo.doctor import golden
    from ganzoo.doctor.examine import load_pair
    from ganzoo.features.classifiers import WEIGHTS
    from ganzoo.runs.environment import describe_environment

    registry = load_registry(())
    described = describe_environment(torch.device("cpu"), "fp32", registry.plugins)
    made = {
        "date": datetime.date.today().isoformat(),
        "torch": described["packages"]["torch"],
        "processor": f"{described['cpu']}, {torch.backends.cpu.get_cpu_capability()}",
        "threads": 1,
    }
    pairs = {name: load_pair(registry, cache_root(data_root), name) for name in golden.REFERENCE_IMAGES}
    golden.write_golden(registry, pairs, folder or WEIGHTS, made, click.echo)


if __name__ == "__main__":
    main()
