"""The command line in a process of its own that has torch imported already, which takes a second instead of four.

multiprocessing's fork server imports torch once, and forks for each command: the same code in another working folder,
environment and streams, with nothing of the tests' process in it.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from unittest import mock

PRELOADED = ["torch._dynamo", "ganzoo.runs.job", "ganzoo.cli.training", "sklearn.datasets"]
"""torch._dynamo: torch's optimizers import it, and that takes longer than all of the rest."""
TESTS = str(Path(__file__).parent)


def run(
    arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str], timeout: float
) -> subprocess.CompletedProcess[str]:
    """As `subprocess.run([sys.executable, "-m", "ganzoo", *arguments], ...)`.

    Raises:
        subprocess.TimeoutExpired: the process was killed.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    with tempfile.TemporaryDirectory() as folder:
        streams = [str(Path(folder) / name) for name in ("out", "err")]
        process = context.Process(target=_command, args=(list(arguments), str(cwd), dict(env), streams))
        with mock.patch.dict(os.environ, OMP_NUM_THREADS="1"):  # read when the server imports torch
            process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(list(arguments), timeout)
        out, err = (Path(stream).read_text(encoding="utf-8") for stream in streams)
    return subprocess.CompletedProcess(list(arguments), process.exitcode, out, err)


def _command(arguments: list[str], cwd: str, env: dict[str, str], streams: list[str]) -> None:
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    for number, stream in enumerate(streams, 1):
        file = os.open(stream, os.O_WRONLY | os.O_CREAT)
        os.dup2(file, number)
        os.close(file)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", encoding="utf-8", closefd=False) for number in (1, 2))
    sys.argv = ["ganzoo", *arguments]
    sys.path[:] = [cwd, *(entry for entry in sys.path if entry and not entry.startswith(TESTS))]
    runpy.run_module("ganzoo", run_name="__main__", alter_sys=True)
