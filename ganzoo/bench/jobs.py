"""The benchmark: a grid of independent jobs, each in a process of its own, each leaving a run directory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo.config.layers import specs_of
from ganzoo.config.run_config import RunConfig
from ganzoo.errors import FitError
from ganzoo.zoo.registry import Registry
from ganzoo.zoo.source import source_sha256

if TYPE_CHECKING:
    pass


def _beside_the_variant(registry: Registry, config: RunConfig) -> str:
    """ "+hinge+r1+diffaug": what is not the variant's own choice."""
    spec = registry.variant(config.variant.name)
    names = [] if config.objective.name == spec.objective else [config.objective.name]
    for chosen, own in ((config.regularizers, spec.regularizers), (config.augmentations, spec.augmentations)):
        if [choice.name for choice in chosen] != sorted(own):
            names += [choice.name for choice in chosen] or ["plain"]
    return "".join(f"+{name}" for name in names)


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
            sources = source_sha256(*specs_of(registry, seeded))
            text = json.dumps(seeded.identity(), sort_keys=True) + sources + data
            digest = hashlib.sha256(text.encode()).hexdigest()[:8]
            option = _beside_the_variant(registry, seeded)
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
