"""docs/course: each notebook runs from its first cell to its last, and shows what it says it shows."""

from __future__ import annotations

import base64
import importlib
import io
import re
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import nbformat
import pytest
from PIL import Image

COURSE = Path(__file__).parents[1] / "docs" / "course"
sys.path.append(str(COURSE))
check_lessons = importlib.import_module("check_lessons")
read, solutions, code_of, NAMES = (getattr(check_lessons, n) for n in ("read", "solutions", "code_of", "NAMES"))

QUICK: dict[str, dict[str, Any]] = {
    "1_the_game": {"TOY_STEPS": 20, "RING_STEPS": 100, "KIMG": 0.2, "IMAGES": 100},
    "2_dcgan": {"KIMG": 0.13, "IMAGES": 100},
    "3_conditioning": {"TOY_STEPS": 20, "KIMG": 0.13, "IMAGES": 100},
    "4_wasserstein": {"TOY_STEPS": 20, "KIMG": 0.35, "IMAGES": 100},
    "5_scores": {"STEPS": 2, "COUNTS": (80, 160)},
    "6_your_own": {"SEEDS": 1, "KIMG": 0.13, "IMAGES": 140},
}
"""Budgets that take the place of a notebook's own, which are for a lesson."""

MINUTES = 10
"""Of computing that one cell may take; a whole lesson takes less on a laptop."""


def budgets_of(notebook: Any) -> int:
    """Place of the cell that says how much is computed."""
    (place,) = (n for n, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", ()))
    return int(place)


def quicken(notebook: Any, budgets: dict[str, Any]) -> None:
    """Add a cell behind the notebook's budgets that makes them smaller."""
    place = budgets_of(notebook)
    theirs = set(re.findall(r"^(\w+) = ", notebook.cells[place].source, re.MULTILINE))
    assert set(budgets) <= theirs, "a budget that the notebook does not have"
    lines = "\n".join(f"{name} = {value!r}" for name, value in budgets.items())
    notebook.cells.insert(place + 1, nbformat.v4.new_code_cell(lines))


def check_outputs(notebook: Any) -> None:
    """Each figure is there, with something on it; what a cell ends with is shown; nothing complains."""
    figures = 0
    assert not check_lessons.complaints(notebook)
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        pictures = [out.data["image/png"] for out in cell.outputs if "image/png" in out.get("data", {})]
        assert len(pictures) == cell.source.count("plt.show()"), cell.source
        for picture in pictures:
            grey = Image.open(io.BytesIO(base64.b64decode(picture))).convert("L").crop((40, 40, 300, 200))
            assert len(grey.getcolors()) > 5, "an empty figure"
        figures += len(pictures)
    assert figures


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, data_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANZOO_DATA", str(data_root))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")  # the kernel's debugger, which would speak of it


@pytest.mark.parametrize("name", NAMES)
def test_a_lesson_runs(name: str, tmp_path: Path) -> None:
    notebook = read(name)
    quicken(notebook, QUICK[name])
    check_lessons.execute(notebook, tmp_path, seconds=300)
    check_outputs(notebook)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_lesson_runs_as_it_is_with_its_solutions(name: str, tmp_path: Path) -> None:
    notebook = read(name)
    lesson = len(notebook.cells)
    notebook.cells += [nbformat.v4.new_code_cell(code) for text in solutions(notebook) for code in code_of(text)]
    began = time.monotonic()
    check_lessons.execute(notebook, tmp_path, seconds=60 * MINUTES)
    seconds = time.monotonic() - began
    check_outputs(nbformat.from_dict({**notebook, "cells": notebook.cells[:lesson]}))
    print(f"{name}: {seconds:.0f} s with its solutions")  # pytest -s shows it


def test_the_teachers_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    fold = "x\n\n<details><summary>Solution</summary>\n\n```python\n{}\n```\n</details>"
    for name, cell, solved in (("1_good", "a = 1", "open('b', 'w').write(str(a + 1))"), ("2_bad", "a = 1", "a / 0"),
                               ("3_warns", "import sys", "print('oh', file=sys.stderr)")):  # fmt: skip
        cells = [nbformat.v4.new_code_cell(cell), nbformat.v4.new_markdown_cell(fold.format(solved))]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / f"{name}.ipynb")
    monkeypatch.setattr(check_lessons, "COURSE", tmp_path)
    monkeypatch.setattr(check_lessons, "NAMES", ["1_good", "2_bad", "3_warns"])
    assert check_lessons.main(["--out", str(tmp_path / "out")]) == 1
    told = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"1_good: \d+\.\d minutes, all cells ran", told[1])
    assert told[3].endswith("ZeroDivisionError: division by zero")
    assert told[5].endswith(", oh")
    assert (tmp_path / "out" / "1_good" / "b").read_text() == "2"
    kept = nbformat.read(tmp_path / "out" / "2_bad" / "2_bad.ipynb", as_version=4)
    assert len(kept.cells) == 3
    (tmp_path / "out" / "1_good" / "runs").mkdir()
    assert check_lessons.main(["1", "--out", str(tmp_path / "out")]) == 1
    assert "an earlier check" in capsys.readouterr().out
    shutil.rmtree(tmp_path / "out" / "1_good")
    assert check_lessons.main(["1", "--out", str(tmp_path / "out")]) == 0


def test_six_lessons_in_order() -> None:
    assert [name[:2] for name in NAMES] == [f"{n}_" for n in range(1, 7)]
    assert set(QUICK) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_stored_without_outputs(name: str) -> None:
    notebook = read(name)
    nbformat.validate(notebook)
    for number, cell in enumerate(notebook.cells, start=1):
        assert cell.id == f"cell-{number:02d}"
        assert set(cell.metadata) <= {"tags"}
        if cell.cell_type == "code":
            assert not cell.outputs
            assert cell.execution_count is None
    stored = (COURSE / f"{name}.ipynb").read_text(encoding="utf-8")
    assert stored == nbformat.writes(notebook) + "\n", (
        "written by something else than nbformat: its diffs would be noise"
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_lesson_says_what_it_teaches(name: str) -> None:
    notebook = read(name)
    head = notebook.cells[0].source
    assert head.startswith(f"# {name[0]}. ")
    assert "**You will be able to**" in head
    assert re.search(r"\*\*Time:\*\* \d+ minutes .* less than \d+ minutes on a laptop", head)
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert text.count("$") > 10, "no equations"
    exercises = re.findall(r"^\*\*(\d+)\.\*\* ", text, re.MULTILINE)
    assert exercises == [str(n) for n in range(1, len(exercises) + 1)]
    assert len(exercises) >= 4
    assert len(solutions(notebook)) == len(exercises)
    for solution in solutions(notebook):
        for code in code_of(solution):
            compile(code, name, "exec")
    figures = sum("plt.show()" in cell.source for cell in notebook.cells if cell.cell_type == "code")
    assert text.count("**What to see.**") >= figures - 2, "a figure that nothing is said of"


@pytest.mark.parametrize("page", [*(f"{name}.ipynb" for name in NAMES), "README.md"])
def test_links_lead_somewhere(page: str) -> None:
    text = (COURSE / page).read_text(encoding="utf-8")
    if page.endswith("ipynb"):
        text = "\n".join(cell.source for cell in read(Path(page).stem).cells)
    targets = [target for target in re.findall(r"\]\(([^)#\s]+)", text) if not target.startswith("http")]
    assert targets
    for target in targets:
        assert (COURSE / target).exists(), target
