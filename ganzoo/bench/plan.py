"""Which variants a bench compares, and how its jobs are run."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo.bench import together
from ganzoo.bench.chosen import ALL, chosen_names
from ganzoo.bench.executors import run_jobs
from ganzoo.bench.grid import Grid, points_of
from ganzoo.bench.jobs import Job, choose_configs, plan_jobs
from ganzoo.config.fit import check_fit
from ganzoo.config.layers import from_dict
from ganzoo.config.options import Names, RunOptions, check_used, config_of, files_of, load_zoo, names_of, texts_of
from ganzoo.config.places import cache_root
from ganzoo.config.run_config import RunConfig
from ganzoo.errors import SettingError
from ganzoo.files.machine import usable_cores
from ganzoo.runs.directory import RunDirectory
from ganzoo.runs.events import Planned, note, tell, working
from ganzoo.runs.plugin_cure import plugins_named, runs_of
from ganzoo.runs.training import say_what_was_read
from ganzoo.zoo.registry import Registry

if TYPE_CHECKING:
    from ganzoo.data import Images


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """A config per variant."""

    registry: Registry
    plugins: Sequence[Path]  # files
    root: Path
    configs: Sequence[RunConfig]  # one at least


@dataclass(frozen=True, kw_only=True)
class Entrants(Chosen):
    """What is compared, on the same images."""

    images: Images
    device_type: str

    @property
    def sort(self) -> str:
        """What they are ranked by."""
        return "fid" if self.configs[0].train.until is None else "time_to"


@dataclass(frozen=True, kw_only=True)
class Asked(Chosen):
    """What a bench is asked for, before any images are looked at."""

    left_out: Sequence[str]  # why a variant is, in a line
    strict: bool  # whether the variants were named one by one, and no grid

    @property
    def many(self) -> bool:
        """Whether a variant is there more than once."""
        return len({config.variant.name for config in self.configs}) < len(self.configs)


def asked_for(variants: Names, out: Path, options: RunOptions, grid: Grid = None) -> Asked:
    """Those of `variants` whose settings fit together; arguments and errors as of `entrants`. Torch-free."""
    points = points_of(grid)
    plugins = files_of(options.get("plugins"))
    registry, root = load_zoo(plugins, note), cache_root(options.get("data_root"))
    asked = (names_of(variants, "variants") or "").split(",")
    names = list(dict.fromkeys(name.strip() for name in asked if name.strip()))
    if variants is not None and not names:
        raise SettingError("no variant is named", "name some, say all, or leave variants out for a choice of them")
    if ALL in names and len(names) > 1:
        raise SettingError(f"all, and {', '.join(name for name in names if name != ALL)}", "all has them already")
    strict = variants is not None and names != [ALL]
    if not strict:
        names = [spec.name for spec in registry.variants()] if names else chosen_names(registry)
    with plugins_named(registry, (run for name in names for run in runs_of(name, out))):
        names = [registry.variant(name).name for name in names]
    wanted = {f"{name} {point.label}".strip(): (name, point) for name in names for point in points}

    def make_config(label: str) -> RunConfig:
        name, point = wanted[label]
        sets = [*texts_of(options.get("sets")), *point.sets]
        return config_of(registry, name, {**options, **point.options, "sets": sets})

    strict = strict and len(points) == 1  # of a grid, what fits is compared
    found, left_out = choose_configs(list(wanted), make_config, strict)
    configs: list[RunConfig] = []
    for config in found:  # a setting of one variant makes no difference to another
        configs += [] if config in configs else [config]
    check_used([*texts_of(options.get("sets")), *(text for point in points for text in point.sets)], configs)
    return Asked(registry=registry, plugins=plugins, root=root, configs=configs, left_out=left_out, strict=strict)


def entrants(variants: Names, out: Path, options: RunOptions, grid: Grid = None) -> Entrants:
    """Those of `variants` that fit the data; "all": the whole zoo; None: those of `bench.chosen`. Images are decoded or
    downloaded once, here. Told, in notes: plugins and variants that are left out, what was read.

    Raises:
        FitError: none fits, or one of those that were named does not.
        SettingError: `variants` names none.
        UserError: what is wrong whatever the variant.
    """
    asked = asked_for(variants, out, options, grid)
    registry, plugins, root, configs = asked.registry, asked.plugins, asked.root, asked.configs
    with working("loading torch"):
        from ganzoo.engine.device import resolve_device
        from ganzoo.scoring.scorer import load_images

    device = resolve_device(configs[0].device)  # refused once, rather than in every job
    with working(f"loading {configs[0].dataset.name}"):
        images = load_images(registry, configs[0], root, "train")
    say_what_was_read(configs[0], images)
    by_label = {
        f"{config.variant.name}{f' ({i + 1})' if asked.many else ''}": config for i, config in enumerate(configs)
    }

    def fits_images(label: str) -> RunConfig:
        config = by_label[label]
        check_fit(
            registry.variant(config.variant.name),
            registry.objective(config.objective.name),
            config.dataset.name,
            images.shape[1],
            images.shape[0],
            images.num_classes,
            [registry.regularizer(choice.name) for choice in config.regularizers],
            [choice.name for choice in config.augmentations],
        )
        return config

    configs, more = choose_configs(list(by_label), fits_images, asked.strict)
    for line in (*asked.left_out, *more):
        note(line)
    return Entrants(
        registry=registry, plugins=plugins, root=root, configs=configs, images=images, device_type=device.type
    )


def compete(
    entrants: Entrants,
    *,
    seeds: int,
    out: Path,
    concurrent: int | None,  # runs at a time; None: by rule
) -> list[RunDirectory]:
    """Run what is missing; the runs, in order.

    Raises:
        Stopped: a signal has come; the same call continues.
    """
    from ganzoo.runs.begin import init_sha256, outdated

    registry, root, configs = entrants.registry, entrants.root, entrants.configs
    data = entrants.images.sha256 + init_sha256(registry, configs[0].init)
    jobs = plan_jobs(registry, configs, seeds, out, root, entrants.plugins, data=data)
    at_once = min(len(jobs), concurrent or together.default_concurrent(entrants.device_type, configs, len(jobs)))
    if entrants.device_type == "cpu" and at_once > 1:
        said = os.environ.get("OMP_NUM_THREADS", "")
        cores = min(usable_cores(), int(said)) if said.isdigit() else usable_cores()  # who has set it knows better
        jobs = [replace(job, threads=max(1, cores // at_once)) for job in jobs]
    tell(Planned(jobs=tuple(job.title for job in jobs), at_once=at_once))

    def why_again(job: Job, result: dict[str, Any]) -> str | None:
        return outdated(result, registry, from_dict(registry, job.config), root)

    if entrants.device_type == "cuda" and at_once > 1:
        return together.run_groups(jobs, concurrent=at_once, outdated=why_again)
    return run_jobs(jobs, why_again, at_once)
