"""What a worker process does with its job."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from multiprocessing import connection
from pathlib import Path
from typing import NoReturn

from ganzoo.bench.jobs import Job
from ganzoo.bench.pipes import all_sent
from ganzoo.config.layers import from_dict
from ganzoo.config.options import load_zoo
from ganzoo.engine.ledger import process_began
from ganzoo.engine.stopping import Stop, Stopped, stop_on_signals
from ganzoo.errors import UserError
from ganzoo.files.locks import AtWork
from ganzoo.files.machine import threads_said
from ganzoo.files.progress import as_job
from ganzoo.runs.directory import RunDirectory, told_with_traceback
from ganzoo.runs.events import Interrupted, note, tell, working

BUSY = 75
"""Exit code of a worker that another process was ahead of: EX_TEMPFAIL of sysexits.h."""


def work(job: Job, at_once: int = 1, pipe: connection.Connection | None = None) -> None:
    """What a worker process does, one of `at_once` on this machine. Exit code 0: result.json is there; 2: the user's
    error; 1: a bug, traceback in failure.txt; BUSY: another process is at work on the run; 128 and the number of a
    signal: stopped by it, state saved. Events go into the pipe; None: to who listens.
    """
    if hasattr(signal, "SIGUSR2") and threading.current_thread() is threading.main_thread():
        # Slurm says with it that a job's time is nearly over, on some clusters to all its processes: who began this one
        # ends it then.
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    with (
        stop_on_signals(again=lambda number: None) as stop,  # the bench kills, where that is meant
        all_sent(pipe),
        as_job(job.title),
    ):
        _work(job, at_once, stop)


def _work(job: Job, at_once: int, stop: Stop) -> None:
    threading.Thread(target=end_with_parent, daemon=True).start()
    # A worker is its job's own process; who calls this in another one has spent that one's time on other things.
    began = None if multiprocessing.parent_process() is None else process_began()
    run = RunDirectory(Path(job.out))
    try:
        if job.threads is not None:  # read by libraries when they are loaded
            said = ("OMP_NUM_THREADS",) if threads_said() else ()  # unsaid, it stays so: the engine may take fewer
            names = ("OPENBLAS_NUM_THREADS", *said)
            os.environ |= dict.fromkeys(names, str(job.threads))
        with working("loading torch"):  # seconds in which the user may interrupt, too
            from ganzoo.engine.cuda.concurrent import OwnProcess
            from ganzoo.runs.job import run_job

        if job.threads is not None:
            import torch

            torch.set_num_threads(job.threads)
        registry = load_zoo(job.plugin_files)
        config = from_dict(registry, job.config)
        run_job(
            registry,
            config,
            run.path,
            root=Path(job.root),
            turn=OwnProcess(beside=at_once - 1) if job.own_cores else OwnProcess(at_once),
            stop=stop,
            began=began,
        )
    except (KeyboardInterrupt, Stopped) as error:
        leave(error)
    except AtWork:  # whose folder it is
        sys.exit(BUSY)
    except Exception as error:
        record_failure(run, error)
        sys.exit(2 if isinstance(error, UserError) else 1)


def leave(error: BaseException) -> NoReturn:
    """Say what stopped a worker, and end it without joining torch's threads, which may be in the middle of a step."""
    tell(Interrupted(text=str(error)))
    os._exit(getattr(error, "code", 130))


def record_failure(run: RunDirectory, error: BaseException) -> None:
    """failure.txt: cause and cure of a user's error, the traceback of a bug."""
    if isinstance(error, UserError):
        write_failure(run, f"{error.cause}; {error.cure}")
    else:
        write_failure(run, told_with_traceback(error))


def end_with_parent() -> None:
    """A bench that is killed must not leave a job behind that trains on."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(130)


def write_failure(run: RunDirectory, text: str) -> None:
    """Best effort: when the disk is the trouble, the exit code still tells."""
    try:
        run.write_failure(text)
    except (OSError, UserError) as error:
        note(f"cannot record the failure: {error}")
