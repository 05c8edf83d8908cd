"""A job on a machine that is not the bench's own: what is done there. Torch-free until the job begins."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import json
import math
import multiprocessing
import os
import socket
import sys
import tempfile
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ganzoo.bench.clusters import Ended, News, Order, Part
from ganzoo.bench.jobs import Job
from ganzoo.bench.processes import await_workers, end_workers, exitcode_of, make_worker, start_worker
from ganzoo.bench.worker import work
from ganzoo.config.options import load_zoo
from ganzoo.config.places import cache_root
from ganzoo.files.progress import Event, listening
from ganzoo.runs.provenance import COMMIT


def versions(plugin_files: Sequence[str] = ()) -> dict[str, str]:
    """What decides about a job's numbers: versions of packages, digests of the code of ganzoo and of each plugin."""
    found = {"torch": importlib.metadata.version("torch"), "ganzoo": _digest("ganzoo")}
    for plugin in load_zoo([Path(file) for file in plugin_files]).plugins:
        if plugin.status == "loaded" and not plugin.module.startswith("ganzoo."):
            code = _digest_of(Path(plugin.origin)) if plugin.local else _digest(plugin.module.partition(".")[0])
            found[f"plugin {plugin.name}"] = code
    return found


def _digest(package: str) -> str:
    """Of a package that can be imported, or a module."""
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        return ""
    origin = Path(found.origin)
    return _digest_of(origin.parent if origin.name == "__init__.py" else origin)


def _digest_of(path: Path) -> str:
    """Of a file, or of all Python files in a folder."""
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.relative_to(path).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def carry_out(order: Order, *, threads: int | None = None, gpus: float = 0.0) -> Iterator[News]:
    """Do what is ordered, in a process of its own, and tell of it. Closed, or interrupted: the process saves its state
    and ends.

    Args:
        threads: of torch; None: its own choice.
        gpus: of which the job has this share, below 1 where several share one.
    """
    job = replace(order.job, threads=threads)
    missing = [file for file in job.plugin_files if not Path(file).is_file()]
    there = {} if missing else versions(job.plugin_files)
    differing = [name for name, version in order.versions.items() if there.get(name) != version]
    if missing or differing:
        name = missing[0] if missing else differing[0]
        has = "is not there" if missing or name not in there else f"is {there[name]}, here it is {order.versions[name]}"
        yield Ended(
            exitcode=2,
            refused=f"on {socket.gethostname()} {name} {has}",
            cure="install the same versions of ganzoo and its plugins there",
        )
        return
    with contextlib.ExitStack() as stack:
        shared = Path(order.mark).is_file()
        if not shared:
            scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="ganzoo-"))
            job = replace(job, out=str(Path(scratch) / Path(job.out).name))
        if not Path(job.root).is_dir():
            job = replace(job, root=str(cache_root(None)))
        exitcode = yield from _events(job, order, max(1, math.floor(1 / gpus)) if 0 < gpus < 1 else 1)
        if not shared:
            yield from _parts(Path(job.out))
        yield Ended(exitcode=exitcode)


def _events(job: Job, order: Order, at_once: int) -> Generator[Event, None, int]:
    """The exit code at the end."""
    heard: list[Event] = []
    worker = make_worker(multiprocessing.get_context("spawn"), work, job, at_once, name=job.title)
    try:
        with _told(order):  # a process is told the command of the one that begins it
            start_worker(worker)
        ended = False
        while not ended:
            with listening(heard.append):  # a generator must not leave it set where it yields
                ended = worker in await_workers([worker], 0.5)
            yield from (event for event in heard)  # not from the list: Ray sends to what it iterates over
            heard.clear()
    except BaseException:
        end_workers([worker])
        raise
    return exitcode_of(worker)


@contextlib.contextmanager
def _told(order: Order) -> Iterator[None]:
    """A process that is started in here takes the bench's command for its own, and its commit where it has none."""
    before, sys.argv = sys.argv, list(order.command)
    commit = os.environ.get(COMMIT)
    try:
        os.environ[COMMIT] = json.dumps(order.commit)
        yield
    finally:
        sys.argv = before
        os.environ.pop(COMMIT)
        if commit is not None:
            os.environ[COMMIT] = commit


def _parts(folder: Path) -> Iterator[Part]:
    """All files of a run directory; the result last, so that a run counts when it is whole."""
    files = [file for file in sorted(folder.rglob("*")) if file.is_file() and file.name != ".lock"]
    for file in sorted(files, key=lambda file: file.name == "result.json"):
        yield Part(name=file.relative_to(folder).as_posix(), data=file.read_bytes())
