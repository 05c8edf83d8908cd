"""Orders as jobs of Slurm. News come through files in the bench's folder, which all its machines share."""

from __future__ import annotations

import pickle
import signal
import struct
import sys
import threading
import time
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganzoo.bench.clusters import Ended, News, Order
from ganzoo.bench.elsewhere import carry_out
from ganzoo.errors import RunError, UserError

LAG_SECONDS = 60.0
"""Of a shared file system: for so long the last news of a job that is over may still come."""

_LENGTH = struct.Struct("<Q")


@dataclass(kw_only=True)
class _Submitted:
    job: Any  # submitit.Job
    spool: Path
    read: int = 0  # bytes
    over: float | None = None  # when Slurm said so


class SlurmCluster:
    """Submitit writes the batch scripts and asks Slurm how jobs are."""

    def __init__(self, settings: Mapping[str, Any], out: Path) -> None:
        """
        Raises:
            UserError: submitit is not installed.
            RunError: there is no Slurm.
        """
        try:
            import submitit
        except ImportError:
            raise UserError("submitit is not installed", "install it: uv pip install 'ganzoo[slurm]'") from None
        self._folder = out.resolve() / "slurm"
        try:
            executor = submitit.AutoExecutor(folder=self._folder / "logs", cluster=settings["cluster"])
        except RuntimeError as error:
            raise RunError(
                f"{error}", "log in to a machine of the cluster, or try --set executor.cluster=local"
            ) from None
        executor.update_parameters(
            name="ganzoo", timeout_min=settings["minutes"], cpus_per_task=settings["cpus"], nodes=1, tasks_per_node=1,
            gpus_per_node=settings["gpus"], mem_gb=settings["memory_gb"],
        )  # fmt: skip
        if settings["cluster"] == "slurm":
            named = {"slurm_partition": settings["partition"], "slurm_account": settings["account"]}
            executor.update_parameters(**{name: value for name, value in named.items() if value is not None})
        self._executor = executor
        self._threads = settings["cpus"]
        self.slots: int | None = settings["at_once"]
        self._jobs: dict[Hashable, _Submitted] = {}
        self._started = 0

    def start(self, order: Order) -> Hashable:
        self._started += 1
        spools = self._folder / "news"
        spools.mkdir(parents=True, exist_ok=True)
        spool = spools / f"{time.time_ns()}-{self._started}"
        job = self._executor.submit(_carry_out, order, str(spool), self._threads)
        self._jobs[self._started] = _Submitted(job=job, spool=spool)
        return self._started

    def news(self, seconds: float) -> Sequence[tuple[Hashable, News]]:
        until = time.monotonic() + seconds
        while not (found := self._read()) and time.monotonic() < until:
            time.sleep(0.2)
        return found

    def _read(self) -> list[tuple[Hashable, News]]:
        found: list[tuple[Hashable, News]] = []
        for name, one in list(self._jobs.items()):
            over = one.over is not None or one.job.done()  # before its news are read, so that none is missed
            news = _unread(one)
            found += [(name, what) for what in news]
            if over and one.over is None:
                one.over = time.monotonic()
            ended = bool(news) and isinstance(news[-1], Ended)
            if not ended and one.over is not None and (one.job.state == "INTERRUPTED" or _silent(one)):
                found.append((name, Ended(lost=f"Slurm says {one.job.state}")))
                ended = True
            if ended:
                del self._jobs[name]
                one.spool.unlink(missing_ok=True)
        return found

    def stop(self, seconds: float) -> None:
        for one in self._jobs.values():
            one.job.cancel(check=False)
        until = time.monotonic() + seconds
        while self._jobs and time.monotonic() < until:
            self.news(0.5)


def _silent(one: _Submitted) -> bool:
    return one.over is not None and time.monotonic() - one.over > LAG_SECONDS


def _unread(one: _Submitted) -> list[News]:
    """What has been written whole since the last time."""
    try:
        with one.spool.open("rb") as file:
            file.seek(one.read)
            data = file.read()
    except FileNotFoundError:
        return []
    found, at = list[News](), 0
    while at + _LENGTH.size <= len(data):
        (length,) = _LENGTH.unpack_from(data, at)
        if at + _LENGTH.size + length > len(data):
            break
        at += _LENGTH.size
        found.append(pickle.loads(data[at : at + length]))  # our own, in the user's own folder
        at += length
    one.read += at
    return found


def _carry_out(order: Order, spool: str, threads: int) -> None:
    """On Slurm's machine. What ends the job ends the process that it began, which saves its state."""
    if threading.current_thread() is threading.main_thread():  # submitit's own handler lets SIGTERM pass
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _interrupted)
    with open(spool, "ab") as file:
        for news in carry_out(order, threads=threads):
            data = pickle.dumps(news)
            file.write(_LENGTH.pack(len(data)) + data)
            file.flush()


def _interrupted(number: int, frame: object) -> None:
    sys.exit(128 + number)
