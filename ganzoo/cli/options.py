"""Options that commands share, and what they are turned into."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from ganzoo.zoo.registry import Registry

F = TypeVar("F", bound=Callable[..., Any])


def with_options(*options: Callable[[F], F]) -> Callable[[F], F]:
    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


plugin_option = click.option(
    "--plugin",
    "plugin_files",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Also load plugins from this Python file, or folder with an __init__.py.",
)
data_root_option = click.option(
    "--data-root",
    type=click.Path(path_type=Path),
    metavar="DIR",
    envvar="GANZOO_DATA",
    help="Folder of datasets and caches.  [default: $GANZOO_DATA or ~/.cache/ganzoo]",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
columns_option = click.option(
    "--columns", metavar="A,B", help="Columns of the table, or all; see `ganzoo show columns`.  [default: what fits]"
)
device_option = click.option("--device", metavar="NAME", help="auto, cpu, cuda, cuda:1 or mps.")
run_options = with_options(
    click.option("--dataset", metavar="NAME[:PATH]", help="Dataset; see `ganzoo list datasets`.  [default: digits]"),
    click.option("--objective", metavar="NAME", help="Objective; the default is the variant's own."),
    click.option("--regularize", metavar="A,B", help="Regularizers, or none; the default is the variant's own."),
    click.option("--augment", metavar="A,B", help="Augmentations, or none; the default is the variant's own."),
    click.option("--features", metavar="NAME", help="Feature network for scoring; the default is the dataset's."),
    click.option("--size", type=int, metavar="PIXELS", help="Bring images to this square size."),
    click.option("--kimg", type=float, metavar="N", help="Train for this many thousand real images."),
    click.option("--minutes", type=float, metavar="M", help="Train for this many minutes."),
    click.option("--until", metavar="METRIC=VALUE", help="Stop at the first snapshot this good, e.g. fid=10."),
    click.option("--seed", type=int, metavar="S", help="Seed of the (first) run."),
    click.option("--name", metavar="WHO", help="Whose run it is, for the leaderboard of a class."),
    device_option,
    click.option("--precision", metavar="NAME", help="auto, fp32 or bf16."),
    click.option("--preset", metavar="NAME", help="Bundle of settings: standard or laptop."),
    click.option("--log", metavar="NAMES", help="Callbacks, comma separated, e.g. tensorboard."),
    click.option("--config", "config_file", type=click.Path(path_type=Path), metavar="FILE", help="TOML or JSON file."),
    click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="Any setting, e.g. train.batch_size=32."),
    data_root_option,
    plugin_option,
)


def load_registry(files: Sequence[Path]) -> Registry:
    """The zoo; broken plugins are reported on stderr and left out."""
    from ganzoo.config.options import load_zoo

    return load_zoo(files, say)


def say(line: str) -> None:
    """On stderr: what is not the command's answer."""
    click.echo(line, err=True)


def to_library(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as arguments of the library's functions, which have two of them by shorter names."""
    names = {"plugin_files": "plugins", "config_file": "config"}
    return {names.get(name, name): value for name, value in options.items()}


def print_json(document: Any) -> None:
    click.echo(json.dumps(document, indent=1, ensure_ascii=False))
