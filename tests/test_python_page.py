"""docs/python.md: its first lines are a script that runs, and the others go on from there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import ganzoo

PAGE = (Path(__file__).parents[1] / "docs" / "python.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
CUT = {
    "kimg=2": "kimg=0.1, num_images=70",
    "kimg=1": "kimg=0.1, num_images=70",
    "seeds=1": "sets=['train.batch_size=16', 'train.snapshots=1', 'eval.metrics=fid', 'variant.dcgan.channels=4']",
    '"variant.channels": 16': '"variant.channels": 4, "train.batch_size": 16, "eval.metrics": "fid"',
}
"""The page's budgets, and those of the test."""


def cut(snippet: str) -> str:
    for theirs, ours in CUT.items():
        snippet = snippet.replace(theirs, ours)
    return snippet


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, data_root: Path) -> Path:
    """Where the first lines have run as a script."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "script.py").write_text(cut(SNIPPETS[0]))
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    environment |= {"GANZOO_DATA": str(data_root), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "script.py"],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    first, *table = done.stdout.splitlines()
    assert float(first.split()[0]) > 0
    rows = [line.split(" | ")[1] for line in table if line.startswith("| -")]
    assert sorted(rows[:2]) == ["dcgan", "gan"]
    return folder


def test_the_first_lines_are_ten(folder: Path) -> None:
    lines = [line for line in SNIPPETS[0].splitlines() if line.strip()]
    assert len(lines) <= 10
    assert all(text in PAGE for text in CUT)
    assert (folder / "grid.png").stat().st_size > 100
    assert len(list((folder / "runs" / "bench").rglob("result.json"))) == 2


def test_the_other_lines(folder: Path, data_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("GANZOO_DATA", str(data_root))
    (path,) = (folder / "runs" / "digits").glob("dcgan-*")
    run = ganzoo.Run(path)
    names: dict[str, Any] = {"ganzoo": ganzoo, "run": run, "generator": ganzoo.load(run)}
    *snippets, plain = map(cut, SNIPPETS[1:])
    for snippet in snippets:
        exec(snippet, names)
    assert names["floats"].shape == (4, 1, 32, 32)
    assert names["images"][0].size == (32, 32)
    assert "kid" in names["found"].values
    assert names["film"].path == path / "film.webp"
    assert names["film"].kimg[0] == 0
    assert names["pair"].settings["variant.name"] == ["dcgan", "cdcgan"]
    assert (folder / "pair.png").stat().st_size > 100
    assert names["seen"]["pool"].shape == (100, 64)
    assert all("<table>" in html for html in names["html"])
    assert names["earlier"].path in run.snapshots
    assert names["watch"].result["status"] == "done"
    assert len(names["lines"][0]) == 3
    assert names["said"][0] == "unknown variant 'dcgann'"
    assert names["said"][1].startswith("did you mean dcgan")
    z = names["generator"].z(16, seed=3)
    monkeypatch.setattr(torch, "randn", lambda *size: z)
    exec(plain, names)
    assert torch.equal(names["floats"], names["network"](z))
    assert (names["floats"] - names["generator"](z)).abs().max() < 1e-4


def test_every_function_is_on_the_page() -> None:
    for name in ("train", "bench", "speed", "evaluate", "load", "leaderboard", "Run", "images", "features_of",
                 "film", "compare"):  # fmt: skip
        assert f"`ganzoo.{name}(" in PAGE
