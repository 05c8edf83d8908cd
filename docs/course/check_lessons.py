"""Run lessons as they are, with the code of all their solutions, and say how long each took.

    python docs/course/check_lessons.py --out checked        # all six
    python docs/course/check_lessons.py 1 5 --out checked    # these

Each runs in a folder of its own below --out, with nothing trained before, and is kept there with its figures. Exit code
1: a cell of one failed, or warned.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError

COURSE = Path(__file__).resolve().parent
NAMES = sorted(file.stem for file in COURSE.glob("[0-9]_*.ipynb"))

MINUTES = 30
"""Of computing that one cell may take."""


def read(name: str) -> Any:
    return nbformat.read(COURSE / f"{name}.ipynb", as_version=4)


def solutions(notebook: Any) -> list[str]:
    """What is folded away below the exercises."""
    text = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    return re.findall(r"<details><summary>Solution</summary>\n\n(.*?)\n</details>", text, re.DOTALL)


def code_of(solution: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", solution, re.DOTALL)


def with_solutions(notebook: Any) -> Any:
    """The notebook, each solution's code in a cell behind the one that it is folded into."""
    cells = []
    for cell in notebook.cells:
        cells.append(cell)
        if cell.cell_type == "markdown":
            found = nbformat.from_dict({**notebook, "cells": [cell]})
            cells += [nbformat.v4.new_code_cell(code) for text in solutions(found) for code in code_of(text)]
    return nbformat.from_dict({**notebook, "cells": cells})


def execute(notebook: Any, folder: Path, seconds: int) -> None:
    """Run all cells in `folder`, and keep their outputs in the notebook. `seconds`: that one cell may take.

    Raises:
        CellExecutionError: a cell failed. CellTimeoutError: one took longer.
    """
    NotebookClient(notebook, timeout=seconds, resources={"metadata": {"path": str(folder)}}).execute()


def complaints(notebook: Any) -> list[str]:
    """What cells wrote to stderr: warnings, mostly."""
    outputs = [out for cell in notebook.cells if cell.cell_type == "code" for out in cell.outputs]
    return [out.text.strip() for out in outputs if out.get("name") == "stderr"]


def check(name: str, out: Path) -> str:
    """Run a lesson below `out`; "" where all went well, else what did not, in a line."""
    folder = out / name
    if (folder / "runs").exists():
        return f"{folder} holds an earlier check, whose runs would be found again: remove it, or name another --out"
    folder.mkdir(parents=True, exist_ok=True)
    notebook = with_solutions(read(name))
    try:
        execute(notebook, folder, seconds=60 * MINUTES)
    except (CellExecutionError, CellTimeoutError) as error:
        told = re.sub(r"\x1b\[[0-9;]*m", "", str(error))  # a kernel's colours
        return (told.strip().splitlines() or [type(error).__name__])[-1]
    finally:
        nbformat.write(notebook, folder / f"{name}.ipynb")
    return "; ".join(text.splitlines()[-1] for text in complaints(notebook) if text)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("lessons", nargs="*", type=int, metavar="N", help=f"1 to {len(NAMES)}; none: all")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="notebooks with their figures")
    options = parser.parse_args(arguments)
    if not set(options.lessons) <= set(range(1, len(NAMES) + 1)):
        parser.error(f"lessons are numbers from 1 to {len(NAMES)}")
    failed = 0
    for number in options.lessons or range(1, len(NAMES) + 1):
        name = NAMES[number - 1]
        print(f"{name}: running", flush=True)
        began = time.monotonic()
        wrong = check(name, options.out)
        failed += bool(wrong)
        print(f"{name}: {(time.monotonic() - began) / 60:.1f} minutes, {wrong or 'all cells ran'}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
