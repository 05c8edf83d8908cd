"""The command line, in a process of its own.

Mostly one that has torch imported already, which takes a second instead of four: multiprocessing's fork server imports
it once, and forks for each command. It is the same code in another working folder, environment and streams, with
nothing of the tests' process in it.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from unittest import mock

PRELOADED = ["torch._dynamo", "ganzoo.runs.job", "ganzoo.cli.training", "sklearn.datasets"]
"""torch._dynamo: torch's optimizers import it, and that takes longer than all of the rest."""
TESTS = str(Path(__file__).parent)


GanZoo = Callable[..., subprocess.CompletedProcess[str]]


def ganzoo_in(folder: Path) -> GanZoo:
    """`ganzoo_in(folder)("list", "variants", code=0, GANZOO_STRICT="1")` runs the command line in `folder` with the
    variables set, and checks the exit code. `fresh`: in an interpreter that has imported nothing, as it is with `path`
    in front of sys.path and with another `python`.
    """

    def run(
        *arguments: str | Path,
        code: int = 0,
        path: tuple[Path, ...] = (),
        python: Path | None = None,
        fresh: bool = False,
        **variables: str,
    ) -> subprocess.CompletedProcess[str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("GANZOO_", "VIRTUAL_ENV", "PYTHON"))}
        environment = clean | {"OMP_NUM_THREADS": "1"} | variables
        words = list(map(str, arguments))
        if fresh or path or python or "forkserver" not in multiprocessing.get_all_start_methods():
            if path:
                environment["PYTHONPATH"] = os.pathsep.join(map(str, path))
            command = [str(python or sys.executable), "-m", "ganzoo", *words]
            done = subprocess.run(
                command, capture_output=True, text=True, cwd=folder, env=environment, timeout=300, check=False
            )
        else:
            done = _forked(words, cwd=folder, env=environment, timeout=300)
        assert done.returncode == code, f"{done.args}\n{done.stdout}\n{done.stderr}"
        return done

    return run


def _forked(
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
