"""`python -m ganzoo.cli.train_classifier NAME`: train one of the frozen classifiers that score generated images."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from ganzoo.errors import UserError
from ganzoo.features.train_classifier import RECIPES, train_and_save


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("name", type=click.Choice(list(RECIPES)))
@click.option(
    "--data-root",
    type=click.Path(path_type=Path),
    envvar="GANZOO_DATA",
    default=Path("data"),
    show_default=True,
    show_envvar=True,
    help="Folder of the datasets.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("classifiers"), show_default=True, help="Folder to write to."
)
@click.option("--epochs", type=click.IntRange(1), default=None, help="Passes over the training images.  [the recipe's]")
@click.option("--seed", type=int, default=0, show_default=True)
def main(name: str, data_root: Path, out: Path, epochs: int | None, seed: int) -> None:
    """Train the classifier NAME on the CPU and write it, with its record, into --out."""
    begin = time.monotonic()

    def on_epoch(epoch: int, loss: float) -> None:
        click.echo(f"epoch {epoch}  loss {loss:.4f}  {time.monotonic() - begin:.0f} s", err=True)

    try:
        record = train_and_save(name, data_root, out, epochs=epochs, seed=seed, on_epoch=on_epoch)
    except UserError as error:
        click.echo(f"error: {error.cause}\n       {error.cure}", err=True)
        sys.exit(2)
    click.echo(f"{out / record['file']}  test accuracy {record['accuracy']:.2%} on {record['test_images']} images")


if __name__ == "__main__":
    main()
