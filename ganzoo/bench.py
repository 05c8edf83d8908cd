"""The benchmark: a grid of independent jobs, each in a process of its own, each leaving a run directory."""

from __future__ import annotations

import contextlib
import hashlib
import json
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from ganzoo.config import RunConfig
from ganzoo.errors import FitError, UserError
from ganzoo.layers import from_dict
from ganzoo.ledger import process_began
from ganzoo.registry import Registry
from ganzoo.runs import RunDirectory
from ganzoo.source import source_sha256
from ganzoo.stopping import SIGNALS, Stop, Stopped, signals_blocked, stop_on_signals

if TYPE_CHECKING:
    from ganzoo.engine.loop import Observer


@dataclass(frozen=True, kw_only=True)
class Job:
    """Everything a worker process needs, all of it picklable."""

    config: dict[str, Any]  # RunConfig.to_dict()
    out: str  # run directory
    root: str  # folder of datasets and caches
    plugin_files: tuple[str, ...]  # --plugin
    title: str  # "dcgan seed 0 (3/6)"


def choose_configs(
    names: Sequence[str], make_config: Callable[[str], RunConfig], strict: bool
) -> tuple[list[RunConfig], list[str]]:
    """A config per variant that fits the other settings, and a line for each variant that does not.

    Raises:
        FitError: no variant fits; with `strict`, as soon as one does not.
        UserError: what is wrong whatever the variant.
    """
    configs, left_out = [], []
    for name in names:
        try:
            configs.append(make_config(name))
        except FitError as error:
            if strict or (name == names[-1] and not configs):
                raise
            left_out.append(f"{name} is left out: {error.cause}")
    return configs, left_out


def plan_jobs(
    registry: Registry,
    configs: Sequence[RunConfig],
    seeds: int,
    out: Path,
    root: Path,
    plugin_files: Sequence[Path],
    *,
    data: str,
) -> list[Job]:
    """One job per config and seed, seeds outermost, so that a bench cut short has compared every variant once.

    A job's folder carries a hash of its config, of the sources of variant and objective, and of `data`, a digest of
    what it begins with: the training images, and initial weights. The same command finds its finished runs again, and
    other settings, other images, or an edited plugin, never meet them.
    """
    total = len(configs) * seeds
    jobs: list[Job] = []
    for index in range(seeds):
        for config in configs:
            seeded = replace(config, seed=config.seed + index)
            variant, objective = registry.variant(seeded.variant.name), registry.objective(seeded.objective.name)
            text = json.dumps(seeded.identity(), sort_keys=True) + source_sha256(variant, objective) + data
            digest = hashlib.sha256(text.encode()).hexdigest()[:8]
            option = "" if seeded.objective.name == variant.objective else f"+{seeded.objective.name}"
            name = f"{seeded.variant.name}{option}-s{seeded.seed}-{digest}"
            jobs.append(
                Job(
                    config=seeded.to_dict(),
                    out=str(out / seeded.dataset.name / name),
                    root=str(root),
                    plugin_files=tuple(map(str, plugin_files)),
                    title=f"{seeded.variant.name}{option} seed {seeded.seed} ({len(jobs) + 1}/{total})",
                )
            )
    return jobs


Outdated = Callable[[Job, dict[str, Any]], str | None]
"""Why the result of a finished job is no longer what the job asks for, in words; None where it is."""


def run_jobs(
    jobs: Sequence[Job],
    announce: Callable[[str], None],
    outdated: Outdated = lambda job, result: None,
) -> list[RunDirectory]:
    """Run what is missing, one job after another. A job that fails leaves `failure.txt` in its folder and the next one
    starts; so does a worker that is killed. `announce` is told of jobs that are already done and of failures.

    Raises:
        Stopped: a signal has come; the same command continues.
    """
    context = multiprocessing.get_context("spawn")
    for job in jobs:
        run = RunDirectory(Path(job.out))
        if done_before(job, announce, outdated):
            continue
        exitcode = join(context.Process(target=work, args=(job,), name=job.title))
        if exitcode:
            if exitcode < 0:
                write_failure(run, f"the process was ended by signal {-exitcode} (out of memory?)")
            announce(f"{job.title}: failed: {first_failure(run) or _ended(exitcode)}")
    return [RunDirectory(Path(job.out)) for job in jobs]


def done_before(job: Job, announce: Callable[[str], None], outdated: Outdated) -> bool:
    """Whether the job has a result that counts; said in a line where there is one."""
    result = RunDirectory(Path(job.out)).read_result()
    reason = None if result is None else outdated(job, result)
    if result is not None:
        announce(f"{job.title}: {reason or 'done before'}")
    return result is not None and reason is None


GRACE_SECONDS = 10.0
"""For a worker to save its state, before it is killed."""


def join(worker: multiprocessing.process.BaseProcess) -> int:
    """Start a process and wait for its end: the exit code, negative for a signal that killed it. What interrupts this
    one interrupts the worker, too, and waits until it is gone.
    """
    with signals_blocked():  # one that comes in between would leave a worker that nobody knows
        worker.start()
    try:
        worker.join()
    except (KeyboardInterrupt, Stopped):
        worker.terminate()  # a terminal has told it already, others have not: it takes both as one
        worker.join(timeout=GRACE_SECONDS)
        if worker.is_alive():
            worker.kill()
            worker.join()
        raise
    return worker.exitcode or 0


def kill_workers(number: int) -> None:
    """What a bench does at a second signal."""
    for worker in multiprocessing.active_children():
        worker.kill()
    os._exit(128 + number)


def _ended(exitcode: int) -> str:
    names = {128 + getattr(signal, name): name for name in SIGNALS if hasattr(signal, name)}
    return f"stopped by {names[exitcode]}, state saved" if exitcode in names else f"exit code {exitcode}"


def first_failure(run: RunDirectory) -> str:
    """The first line of the run's failure.txt; "" if there is none."""
    return run.read_failure()


def work(job: Job) -> None:
    """What a worker process does. Exit code 0: result.json is there; 2: the user's error; 1: a bug, traceback in
    failure.txt; 128 and the number of a signal: stopped by it, state saved.
    """
    with stop_on_signals(again=lambda number: None) as stop:  # the bench kills, where that is meant
        _work(job, stop)


def _work(job: Job, stop: Stop) -> None:
    threading.Thread(target=end_with_parent, daemon=True).start()
    # A worker is its job's own process; who calls this in another one has spent that one's time on other things.
    began = None if multiprocessing.parent_process() is None else process_began()
    run = RunDirectory(Path(job.out))
    try:
        from ganzoo.display import TrainingDisplay
        from ganzoo.job import run_job  # imports torch: seconds in which the user may interrupt, too

        display = TrainingDisplay(job.title)
        observers: list[Observer] = [display]
        registry = Registry.load([Path(file) for file in job.plugin_files])
        config = from_dict(registry, job.config)
        with display:
            run_job(
                registry,
                config,
                run.path,
                root=Path(job.root),
                observers=observers,
                announce=display.announce,
                report=display.report,
                stop=stop,
                began=began,
            )
    except (KeyboardInterrupt, Stopped) as error:
        leave(error, job.title)
    except Exception as error:
        record_failure(run, error)
        sys.exit(2 if isinstance(error, UserError) else 1)


def leave(error: BaseException, title: str) -> NoReturn:
    """Say what stopped a worker, and end it without joining torch's threads, which may be in the middle of a step."""
    with contextlib.suppress(OSError):  # the terminal may be gone
        print(f"{title}: {error}", file=sys.stderr, flush=True)
    os._exit(getattr(error, "code", 130))


def record_failure(run: RunDirectory, error: BaseException) -> None:
    """failure.txt: cause and cure of a user's error, the traceback of a bug."""
    if isinstance(error, UserError):
        write_failure(run, f"{error.cause}; {error.cure}")
    else:
        write_failure(run, "".join([f"{type(error).__name__}: {error}\n\n", *traceback.format_exception(error)]))


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
        print(f"cannot record the failure: {error}", file=sys.stderr)
