"""Looking at the zoo does not import torch, so that it is instant."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HELP_SECONDS = 0.3
"""Processor time `ganzoo --help` may take."""

CHECK = """
import sys
sys.argv = ["ganzoo", *sys.argv[1:]]
from ganzoo.__main__ import main
try:
    main()
except SystemExit as done:
    if done.code:
        raise
heavy = {"torch", "torchvision", "torchmetrics", "torch_fidelity", "sklearn", "numpy"} & set(sys.modules)
assert not heavy, heavy
"""


def test_importing_ganzoo() -> None:
    code = "import sys, ganzoo, ganzoo.cli.main, ganzoo.bench.jobs; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize(
    "command",
    ["--help", "--version", "train --help", "list", "list --json", "show dcgan", "show digits", "show train",
     "show wgan-gp --json", "plugins", "plugins gan --json"],
)  # fmt: skip
def test_commands_that_only_look(command: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CHECK, *command.split()], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize("form", ["table", "md", "csv", "json"])
def test_the_leaderboard(form: str, tmp_path: Path, write_run: Callable[..., dict[str, Any]]) -> None:
    write_run(tmp_path / "runs" / "a")
    done = subprocess.run(
        [sys.executable, "-c", CHECK, "leaderboard", "--format", form],
        capture_output=True, text=True, cwd=tmp_path, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "non-saturating" in done.stdout


@pytest.mark.skipif(not hasattr(os, "wait4"), reason="needs the processor time of a child")
def test_help_is_instant(tmp_path: Path) -> None:
    """Processor time, not wall time: other work on the machine does not count. The best of several is the program's."""
    best = float("inf")
    for _ in range(8):
        child = subprocess.Popen([sys.executable, "-m", "ganzoo", "--help"], stdout=subprocess.DEVNULL, cwd=tmp_path)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        assert child.returncode == 0
        best = min(best, usage.ru_utime + usage.ru_stime)
        if best < HELP_SECONDS / 2:
            break
    assert best < HELP_SECONDS
