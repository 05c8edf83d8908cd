"""The benchmark: a grid of independent jobs, each in a process of its own, each leaving a run directory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ganzoo.config.run_config import RunConfig
from ganzoo.errors import FitError
from ganzoo.runs.names import beside_the_variant, folder_of
from ganzoo.zoo.registry import Registry


@dataclass(frozen=True, kw_only=True)
class Job:
    """Everything a worker process needs, all of it picklable."""

    config: dict[str, Any]  # RunConfig.to_dict()
    out: str  # run directory
    root: str  # folder of datasets and caches
    plugin_files: tuple[str, ...]  # --plugin
    title: str  # "dcgan seed 0 (3/6)"
    threads: int | None = None  # of torch, where jobs share the processors; None: torch's own choice
    own_cores: bool = False  # whether as many processors are the job's, whatever runs beside it


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

    `data`: a digest of what the runs begin with, see `folder_of`.
    """
    total = len(configs) * seeds
    jobs: list[Job] = []
    for index in range(seeds):
        for config in configs:
            seeded = replace(config, seed=config.seed + index)
            option = beside_the_variant(registry, seeded)
            jobs.append(
                Job(
                    config=seeded.to_dict(),
                    out=str(folder_of(registry, seeded, out, data)),
                    root=str(root),
                    plugin_files=tuple(map(str, plugin_files)),
                    title=f"{seeded.variant.name}{option} seed {seeded.seed} ({len(jobs) + 1}/{total})",
                )
            )
    return jobs
