"""Orders as jobs of Slurm. News come through files in the bench's folder, which all its machines share."""

from __future__ import annotations

import contextlib
import io
import pickle
import signal
import struct
import subprocess
import threading
import time
from collections import deque
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganzoo.bench.clusters import WANTED, Ended, News, Order
from ganzoo.bench.elsewhere import carry_out
from ganzoo.errors import RunError, UserError
from ganzoo.files.text import clean
from ganzoo.runs.events import note

LAG_SECONDS = 60.0
"""Of a shared file system: for so long the last news of a job that is over may still come."""

ASK_SECONDS = 10.0
"""Between two looks at a job: each is three calls to the file system, one of which writes."""

SACCT_SECONDS = 60.0
"""Between two calls of sacct, each for all jobs; submitit's own become rarer, up to ten minutes apart."""

AGAIN_SECONDS = 30.0
"""Until a job is submitted again that Slurm did not take."""

PATIENCE_SECONDS = 600.0
"""For so long Slurm may take no job while none of ours is at work."""

FOR_NOW = ("limit", "timed out", "contact", "temporar", "try again")
"""In what sbatch says where it may take the same job later."""

GOES_ON = ("SUSPENDED", "RESIZING")
"""States that submitit takes for final ones."""

_LENGTH = struct.Struct("<Q")


@dataclass(kw_only=True)
class _Submitted:
    job: Any  # submitit.Job
    spool: Path
    read: int = 0  # bytes
    asked: float = 0.0  # when it was looked at last
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
            executor.update_parameters(
                **{name: value for name, value in named.items() if value is not None},
                slurm_additional_parameters={"no_requeue": True},  # the bench does that: once, and it can cancel them
                slurm_srun_args=[f"--cpus-per-task={settings['cpus']}"],  # which srun of Slurm 22.05 does not inherit
            )
        self._executor = executor
        self._threads = settings["cpus"]
        self._pause, self._ask = (1.0, ASK_SECONDS) if settings["cluster"] == "slurm" else (0.2, 0.2)
        self.slots: int | None = settings["at_once"]
        self._jobs: dict[Hashable, _Submitted] = {}
        self._refused: deque[tuple[Hashable, Order]] = deque()  # jobs that Slurm has not taken yet
        self._refused_at = 0.0  # when it was asked last
        self._at_work = 0.0  # when there was a job of ours last
        self._late: list[tuple[Hashable, News]] = []  # news of jobs that were stopped
        self._leaving: list[_Submitted] = []  # jobs that have said their last word, and are not over yet
        self._started = 0
        self._heard = False  # whether any job has said anything
        self._called = 0.0  # when sacct was called last
        if settings["cluster"] == "slurm" and (why := _no_accounting()):
            note(f"sacct does not answer ({why}): a job that ends without a word, as with its node, is waited for")

    def start(self, order: Order) -> Hashable:
        """
        Raises:
            RunError: Slurm does not take the first job of all, nor would it later: there is no such partition, say.
        """
        self._started += 1
        if self._refused:
            self._refused.append((self._started, order))
        elif cause := self._submit(self._started, order):
            if self._started == 1 and not any(sign in cause for sign in FOR_NOW):
                raise RunError(f"Slurm takes no such job: {cause}", "see its settings: ganzoo show slurm")
            note(f"Slurm takes no more jobs for now: {cause}; the others are submitted as it takes them")
            self._refused.append((self._started, order))
        return self._started

    def _submit(self, name: Hashable, order: Order) -> str:
        """Why Slurm does not take it; "" where it does."""
        from submitit.core.utils import FailedJobError, FailedSubmissionError

        spools = self._folder / "news"
        spools.mkdir(parents=True, exist_ok=True)
        spool = spools / f"{time.time_ns()}-{name}"
        try:
            with contextlib.redirect_stderr(io.StringIO()):  # submitit shows what the error has as well
                job = self._executor.submit(_carry_out, order, str(spool), self._threads)
        except (FailedJobError, FailedSubmissionError) as error:
            self._refused_at = time.monotonic()
            return clean(str(error).strip().partition("\n")[0], 300) or "sbatch has failed"
        self._jobs[name] = _Submitted(job=job, spool=spool)
        self._at_work = time.monotonic()
        return ""

    def _submit_again(self) -> None:
        """What Slurm has not taken before, if it is time.

        Raises:
            RunError: it has taken none for long, and no job of ours is left that it could be waiting for.
        """
        if self._jobs:
            self._at_work = time.monotonic()
        while self._refused and time.monotonic() - self._refused_at > AGAIN_SECONDS:
            if cause := self._submit(*self._refused[0]):
                if not self._jobs and time.monotonic() - self._at_work > PATIENCE_SECONDS:
                    raise RunError(f"Slurm takes no more jobs: {cause}", "the same command goes on")
                return
            self._refused.popleft()

    def news(self, seconds: float) -> Sequence[tuple[Hashable, News]]:
        self._submit_again()
        until, found = time.monotonic() + seconds, self._late + self._read()
        self._late = []
        while not found and time.monotonic() < until:
            time.sleep(self._pause)
            found = self._read()
        return found

    def _read(self) -> list[tuple[Hashable, News]]:
        found: list[tuple[Hashable, News]] = []
        for name, one in list(self._jobs.items()):
            if one.over is None and self._is_over(one, self._ask):  # before its news are read, so that none is missed
                one.over = time.monotonic()
            news = _unread(one)
            self._heard |= bool(news)
            found += [(name, what) for what in news]
            ended = bool(news) and isinstance(news[-1], Ended)
            if not ended and one.over is not None and (one.job.state == "INTERRUPTED" or _silent(one)):
                found.append((name, self._end_of(one)))
                ended = True
            if ended:
                self._leaving.append(self._jobs.pop(name))
                one.spool.unlink(missing_ok=True)
        self._leaving = [one for one in self._leaving if one.over is None and not self._is_over(one, self._ask / 5)]
        return found

    def _is_over(self, one: _Submitted, every: float) -> bool:
        """As Slurm says, if it is asked: every so many seconds."""
        now = time.monotonic()
        if now - one.asked < every:
            return False
        one.asked = now
        if now - self._called > SACCT_SECONDS:
            self._called = now
            if any(other.job.state in GOES_ON for other in self._jobs.values()):
                one.job.watcher.clear()  # it asks no more after states that it takes for final
            one.job.get_info(mode="force")
        done = one.job.done()
        # submitit waits for one that was preempted: it lets Slurm start them again
        return one.job.state not in GOES_ON and (done or one.job.state == "PREEMPTED")

    def _end_of(self, one: _Submitted) -> Ended:
        """Of a job that is over, and has not said how."""
        if not one.job.paths.result_pickle.exists() or (error := one.job.exception()) is None:
            return Ended(lost=f"Slurm says {one.job.state}")
        lines = [line for line in str(error).partition("\n-----")[2].splitlines() if line[:1].strip(" -")]
        cause = clean(next((line for line in reversed(lines) if not line.startswith("You can")), "it broke"), 300)
        if self._heard:  # so that it is this machine alone, perhaps
            return Ended(lost=f"{cause}; see {one.job.paths.stderr}")
        return Ended(refused=f"a machine of the cluster cannot run ganzoo's jobs: {cause}",
                     cure=f"see {one.job.paths.stderr}")  # fmt: skip

    def stop(self, seconds: float) -> None:
        self._refused.clear()  # there is room for them now
        for one in self._jobs.values():
            one.job.cancel(check=False)
        until = time.monotonic() + seconds
        while (self._jobs or self._leaving) and time.monotonic() < until:
            self._late += self._read()
            time.sleep(0.2)


def _no_accounting() -> str:
    """Why sacct says nothing of jobs; "" where it does."""
    try:
        asked = subprocess.run(["sacct", "-n", "-X", "-j", "1"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        return clean(str(error), 200)
    return clean(asked.stderr.strip().partition("\n")[0], 200) if asked.returncode else ""


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
        record = data[at + _LENGTH.size : at + _LENGTH.size + length]
        # a file system may show bytes that are not there yet as 0
        if not 0 < length == len(record) or record[-1:] != pickle.STOP:
            break
        at += _LENGTH.size + length
        found.append(pickle.loads(record))  # our own, in the user's own folder
    one.read += at
    return found


def _carry_out(order: Order, spool: str, threads: int) -> None:
    """On Slurm's machine. What ends the job ends the process that it began, which saves its state."""
    if threading.current_thread() is threading.main_thread():  # submitit's own handlers let SIGTERM pass
        for number in (*ENDINGS, signal.SIGINT):
            signal.signal(number, _interrupted)
    with open(spool, "ab") as file:

        def write(news: News) -> None:
            data = pickle.dumps(news)
            file.write(_LENGTH.pack(len(data)) + data)
            file.flush()

        try:
            for news in carry_out(order, threads=threads):
                write(news)
        except _Interrupted as interrupted:
            if interrupted.end is not None:
                write(interrupted.end)
            raise


ENDINGS = {signal.SIGTERM: Ended(exitcode=WANTED)}
"""Signals with which Slurm ends a job: for another one, and, as submitit asks, a while before its time is over."""
if hasattr(signal, "SIGUSR2"):
    ENDINGS[signal.SIGUSR2] = Ended(lost="its time was over")


class _Interrupted(SystemExit):
    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.end = ENDINGS.get(signal.Signals(number))


def _interrupted(number: int, frame: object) -> None:
    for other in (*ENDINGS, signal.SIGINT):  # Slurm says it more than once, and the state is being saved
        signal.signal(other, signal.SIG_IGN)
    raise _Interrupted(number)
