"""The benchmark: a grid of independent jobs, each in a process of its own, each leaving a run directory."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo.config import RunConfig
from ganzoo.errors import FitError, UserError
from ganzoo.layers import from_dict
from ganzoo.registry import Registry
from ganzoo.runs import RunDirectory
from ganzoo.source import source_sha256

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
    registry: Registry, configs: Sequence[RunConfig], seeds: int, out: Path, root: Path, plugin_files: Sequence[Path]
) -> list[Job]:
    """One job per config and seed, seeds outermost, so that a bench cut short has compared every variant once.

    A job's folder carries a hash of its config and of the sources of variant and objective: the same command finds its
    finished runs again, and other settings, or an edited plugin, never meet them.
    """
    total = len(configs) * seeds
    jobs: list[Job] = []
    for index in range(seeds):
        for config in configs:
            seeded = replace(config, seed=config.seed + index)
            variant, objective = registry.variant(seeded.variant.name), registry.objective(seeded.objective.name)
            text = json.dumps(seeded.identity(), sort_keys=True) + source_sha256(variant, objective)
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


def run_jobs(jobs: Sequence[Job], announce: Callable[[str], None]) -> list[RunDirectory]:
    """Run what is missing, one job after another. A job that fails leaves `failure.txt` in its folder and the next one
    starts; so does a worker that is killed. `announce` is told of jobs that are already done and of failures.

    Raises:
        KeyboardInterrupt: the user stopped; the same command continues.
    """
    context = multiprocessing.get_context("spawn")
    for job in jobs:
        run = RunDirectory(Path(job.out))
        if run.read_result() is not None:
            announce(f"{job.title}: done before")
            continue
        worker = context.Process(target=work, args=(job,), name=job.title)
        worker.start()
        try:
            worker.join()
        except KeyboardInterrupt:
            worker.join(timeout=10)
            if worker.is_alive():
                worker.kill()
            raise
        if worker.exitcode:
            if worker.exitcode < 0:
                _write_failure(run, f"the process was ended by signal {-worker.exitcode} (out of memory?)")
            first = run.failure_file.read_text(encoding="utf-8").splitlines()[0] if run.failure_file.exists() else ""
            announce(f"{job.title}: failed: {first or f'exit code {worker.exitcode}'}")
    return [RunDirectory(Path(job.out)) for job in jobs]


def work(job: Job) -> None:
    """What a worker process does. Exit code 0: result.json is there; 2: the user's error; 1: a bug, traceback in
    failure.txt; 130: interrupted.
    """
    threading.Thread(target=_end_with_parent, daemon=True).start()
    run = RunDirectory(Path(job.out))
    try:
        from ganzoo.display import TrainingDisplay
        from ganzoo.job import run_job  # imports torch: seconds in which the user may interrupt, too

        display = TrainingDisplay(job.title)
        observers: list[Observer] = [display]
        registry = Registry.load([Path(file) for file in job.plugin_files])
        config = from_dict(registry, job.config)
        with display:
            run_job(registry, config, run.path, root=Path(job.root), observers=observers, announce=display.announce)
    except KeyboardInterrupt:
        os._exit(130)  # without joining torch's threads, which may be in the middle of a step
    except UserError as error:
        _write_failure(run, f"{error.cause}; {error.cure}")
        sys.exit(2)
    except Exception as error:
        _write_failure(run, f"{type(error).__name__}: {error}\n\n{traceback.format_exc()}")
        sys.exit(1)


def _end_with_parent() -> None:
    """A bench that is killed must not leave a job behind that trains on."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(130)


def _write_failure(run: RunDirectory, text: str) -> None:
    """Best effort: when the disk is the trouble, the exit code still tells."""
    try:
        run.write_failure(text)
    except (OSError, UserError) as error:
        print(f"cannot record the failure: {error}", file=sys.stderr)
