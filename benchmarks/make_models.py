"""Make the models that come with ganzoo: train what is missing, export it, and write the table of docs/models.md.

    python benchmarks/make_models.py
    python benchmarks/make_models.py --only dcgan@digits,cdcgan@digits
    python benchmarks/make_models.py --from runs/models

Every model is of seed 0 and of the last snapshot: neither is chosen by its score. A run that is finished under --runs
is not trained again. --from trains nothing: it exports each finished run that it finds there.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import ganzoo
from ganzoo.config.places import cache_root
from ganzoo.runs.export import export_model
from ganzoo.runs.find import find_runs
from ganzoo.zoo.models import markdown, read_index
from ganzoo.zoo.registry import Registry

REPOSITORY = Path(__file__).parents[1]
FOLDER = REPOSITORY / "plugins" / "ganzoo_models"
PAGE = REPOSITORY / "docs" / "models.md"
SEED = 0
MOST_BYTES, MOST_BYTES_IN_ALL = 4_000_000, 30_000_000

FASHION_MNIST = ("dcgan", "cdcgan")
"""Models of all variants are of digits; of larger images one without and one with classes keep the package small."""


def recipes(registry: Registry) -> dict[str, dict[str, object]]:
    """Name -> options of the run, beside variant, dataset and seed."""
    digits: dict[str, dict[str, object]] = {f"{spec.name}@digits": {} for spec in registry.variants()}
    return digits | {f"{variant}@fashion-mnist": {"preset": "laptop", "kimg": 60.0} for variant in FASHION_MNIST}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="names of models, comma separated; default: all")
    parser.add_argument("--from", dest="finished", type=Path, help="export the finished runs under this folder")
    parser.add_argument("--runs", type=Path, default=Path("runs/models"), help="where runs are made")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder of models; default: that of the package")
    arguments = parser.parse_args()
    registry = Registry.load()
    if arguments.finished is not None:
        runs = [run.path for run in find_runs([arguments.finished]) if run.read_result() is not None]
    else:
        runs = trained(registry, arguments.only.split(",") if arguments.only else [], arguments.runs)
    for run in runs:
        name, entry = export_model(registry, str(run), arguments.out, root=cache_root())
        before = entry["values_before"].get("fid")
        print(f"{name}: {entry['bytes']:,} bytes, FID {before} -> {entry['values']['fid']}", flush=True)
    entries = read_index(arguments.out)
    sizes = {name: entry["bytes"] for name, entry in entries.items()}
    large = [name for name, size in sizes.items() if size > MOST_BYTES]
    if large or sum(sizes.values()) > MOST_BYTES_IN_ALL:
        sys.exit(f"too large: {', '.join(large) or 'all together'}, {sum(sizes.values()):,} bytes in all")
    if arguments.out == FOLDER:
        write_table(PAGE, markdown(entries))


def trained(registry: Registry, names: list[str], under: Path) -> list[Path]:
    """Runs of the recipes, those that are missing made now. `names`: none for all."""
    runs, options = [], recipes(registry)
    for name in names or options:
        variant, _, dataset = name.partition("@")
        board = ganzoo.bench(
            [variant], dataset=dataset, seed=SEED, out=under, listen=ganzoo.show_progress, **options[name],
        )  # fmt: skip
        if board.failed:
            sys.exit(f"{name}: {board.failed[0].failure}")
        runs.append(board.runs[0].path)
        print(f"{name}: {runs[-1]}", flush=True)
    return runs


def write_table(page: Path, table: str) -> None:
    """Between the page's two marks."""
    head, _, rest = page.read_text(encoding="utf-8").partition("<!-- models -->\n")
    _, _, tail = rest.partition("<!-- /models -->")
    page.write_text(f"{head}<!-- models -->\n{table}\n<!-- /models -->{tail}", encoding="utf-8")


if __name__ == "__main__":
    main()
