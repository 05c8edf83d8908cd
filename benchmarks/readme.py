"""The table and the pictures of README.md, from the runs of a bench: `python benchmarks/readme.py RUNS`.

What stands between the two markers is made anew, as `ganzoo leaderboard` prints it in a window of 80 columns, with the
last grid of each row's first seed in docs/images/. RUNS is the --out of a `ganzoo bench` of one dataset.
"""

from __future__ import annotations

import io
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console

from ganzoo.cli.tables import own_objectives, print_tables
from ganzoo.errors import UserError
from ganzoo.leaderboard.rows import Row, Table
from ganzoo.leaderboard.table import read_tables
from ganzoo.runs.directory import RunDirectory

REPOSITORY = Path(__file__).parents[1]
README = REPOSITORY / "README.md"
IMAGES = REPOSITORY / "docs" / "images"
BEGIN, END = "<!-- by benchmarks/readme.py -->", "<!-- end -->"
WIDTH = 80
ABREAST = 3
"""Pictures in a line."""


def command_of(table: Table, rows: Sequence[Row]) -> str:
    """What trained them.

    Raises:
        ValueError: no bench of variants as they are did.
    """
    own = own_objectives({row.variant for row in rows})
    other = [row.variant for row in rows if row.settings or row.name or own.get(row.variant) != row.objective]
    kimgs = {result["config"]["train"]["kimg"] for row in rows for result in row.results}
    seeds = {tuple(sorted(result["seed"] for result in row.results)) for row in rows}
    if other or len(kimgs) != 1 or len(seeds) != 1 or any(row.failures for row in rows):
        raise ValueError(f"not of one finished bench with the variants' own recipes: {other}, {kimgs} kimg, {seeds}")
    dataset = "" if table.dataset == "digits" else f" --dataset {table.dataset}"
    names = ",".join(sorted(row.variant for row in rows))
    (numbers,), (kimg,) = seeds, kimgs
    return f"ganzoo bench{dataset} --variants {names} --kimg {kimg:g} --seeds {len(numbers)}"


def grid_of(row: Row) -> Path:
    """The last grid of the run of the lowest seed."""
    runs = [RunDirectory(Path(path)) for path in row.runs]
    first = min(runs, key=lambda run: (run.read_result() or {})["seed"])
    return first.samples()[-1]


def pictures(table: Table, rows: Sequence[Row]) -> Iterator[str]:
    """Markdown, in the order of the rows; the files are copied."""
    cells = []
    for row in rows:
        name = f"{table.dataset.partition(':')[0]}-{row.variant}.png"
        shutil.copy(grid_of(row), IMAGES / name)
        cells.append((row.variant, f"![{table.dataset} by {row.variant}](docs/images/{name})"))
    cells += [("", "")] * (-len(cells) % ABREAST)
    for at in range(0, len(cells), ABREAST):
        line = cells[at : at + ABREAST]
        yield "| " + " | ".join(name if at == 0 else f"**{name}**" if name else "" for name, _ in line) + " |"
        if at == 0:
            yield "|---" * ABREAST + "|"
        yield "| " + " | ".join(image for _, image in line) + " |"


def block(table: Table) -> str:
    """What stands between the markers."""
    rows = [row for row in table.rows if row.kind == "generated"]
    out = io.StringIO()
    print_tables([table], console=Console(file=out, width=WIDTH), fold=True)
    runs = sum(len(row.results) for row in rows)
    parts = ["```sh", command_of(table, rows), "```", "", f"trains {runs} networks and prints", ""]
    parts += ["```text", out.getvalue().rstrip(), "```", ""]
    return "\n".join([*parts, *pictures(table, rows)])


def renewed(page: str, text: str) -> str:
    """
    Raises:
        ValueError: the page has not both markers, once each and in order.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in rest:
        raise ValueError(f"no {BEGIN} ... {END} in the page")
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{after}"


def main(paths: Sequence[str]) -> int:
    if len(paths) != 1:
        print("usage: python benchmarks/readme.py RUNS", file=sys.stderr)
        return 2
    try:
        tables = read_tables([Path(paths[0])])
    except UserError as error:
        print(f"error: {error.cause}\n  try: {error.cure}", file=sys.stderr)
        return 2
    if len(tables) != 1:
        print(f"error: results of {len(tables)} protocols\n  try: the --out of one bench", file=sys.stderr)
        return 2
    README.write_text(renewed(README.read_text(encoding="utf-8"), block(tables[0])), encoding="utf-8")
    print(README)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
