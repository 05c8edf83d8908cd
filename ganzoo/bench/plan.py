"""Which variants a bench compares, and how its jobs are run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ganzoo.bench import together
from ganzoo.bench.chosen import ALL, chosen_names
from ganzoo.bench.executors import Outdated, run_jobs
from ganzoo.bench.grid import Grid, Point, points_of
from ganzoo.bench.jobs import Job, choose_configs, plan_jobs
from ganzoo.config.fit import check_config, check_scores
from ganzoo.config.layers import from_dict
from ganzoo.config.options import Names, RunOptions, check_used, config_of, files_of, load_zoo, names_of, texts_of
from ganzoo.config.places import cache_root
from ganzoo.config.run_config import RunConfig
from ganzoo.config.settings import resolve
from ganzoo.errors import SettingError, UnknownName
from ganzoo.files.writing import write_text, writing
from ganzoo.runs.directory import RunDirectory
from ganzoo.runs.events import Planned, note, tell, working
from ganzoo.runs.names import folder_of
from ganzoo.runs.packages import check_packages
from ganzoo.runs.plugin_cure import plugins_named, runs_of
from ganzoo.runs.training import say_recipes, say_what_was_read
from ganzoo.zoo.registry import Registry
from ganzoo.zoo.specs import Executor

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

    options: Sequence[Mapping[str, Any]]  # what asks for each config
    left_out: Sequence[str]  # why a variant is, in a line
    strict: bool  # whether the variants were named one by one, and no grid

    @property
    def many(self) -> bool:
        """Whether a variant is there more than once."""
        return len({config.variant.name for config in self.configs}) < len(self.configs)

    def fresh(
        self, configs: Sequence[RunConfig], out: Path, data: str
    ) -> Iterator[tuple[RunConfig, Mapping[str, Any]]]:
        """Those of its own `configs` whose runs in `out` have not begun, each with its options; `data`: as of
        `plan_jobs`.
        """
        chosen = {id(config) for config in configs}
        for config, options in zip(self.configs, self.options, strict=True):
            run = RunDirectory(folder_of(self.registry, config, out, data))
            if id(config) in chosen and not run.config_file.exists():
                yield config, options


Points = Mapping[str, Sequence[Point]]
"""A grid of each variant's own, by its name."""


def asked_for(
    variants: Names,
    out: Path,
    options: RunOptions,
    grid: Grid = None,
    *,
    points: Points | None = None,
    report: Callable[[str], None] = note,
) -> Asked:
    """Those of `variants` whose settings fit together; arguments and errors as of `entrants`. Torch-free. `report`: is
    told of plugins that are left out.
    """
    everywhere = points_of(grid)
    plugins = files_of(options.get("plugins"))
    registry, root = load_zoo(plugins, report), cache_root(options.get("data_root"))
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
    own = points or {}
    pairs = [(name, point) for name in names for point in own.get(name, everywhere)]
    wanted = {f"{name} {point.label}".strip(): (name, point) for name, point in pairs}
    made: list[tuple[RunConfig, Mapping[str, Any]]] = []

    def make_config(label: str) -> RunConfig:
        name, point = wanted[label]
        said = {**options, **point.options, "sets": [*texts_of(options.get("sets")), *point.sets]}
        made.append((config_of(registry, name, said), said))
        return made[-1][0]

    strict = strict and len(pairs) == len(names)  # of a grid, what fits is compared
    _, left_out = choose_configs(list(wanted), make_config, strict)
    # A setting of one variant makes no difference to another.
    once = [i for i, (config, _) in enumerate(made) if all(config != other for other, _ in made[:i])]
    configs = [made[i][0] for i in once]
    check_used([*texts_of(options.get("sets")), *(text for _, point in pairs for text in point.sets)], configs)
    return Asked(
        registry=registry,
        plugins=plugins,
        root=root,
        configs=configs,
        options=[made[i][1] for i in once],
        left_out=left_out,
        strict=strict,
    )


def entrants(
    variants: Names,
    out: Path,
    options: RunOptions,
    grid: Grid = None,
    elsewhere: bool = False,
    *,
    points: Points | None = None,
    seeds: int = 1,
    scored: bool = True,
) -> Entrants:
    """Those of `variants` that fit the data; "all": the whole zoo; None: those of `bench.chosen`; each once for each of
    `points` that are its own, or of `grid`. Images are decoded or downloaded once, here. Told, in notes: plugins and
    variants that are left out, what was read. `scored`: what scores them is looked at, too, before images are.

    Raises:
        FitError: none fits, or one of those that were named does not.
        SettingError: `variants` names none.
        UserError: what is wrong whatever the variant.
    """
    asked = asked_for(variants, out, options, grid, points=points)
    registry, plugins, root, configs = asked.registry, asked.plugins, asked.root, asked.configs
    for config in configs if scored else ():
        check_scores(registry, config)
    if scored and not elsewhere:
        check_packages(registry, configs, under=out, seeds=seeds, scored=None if points is None else True)
    with working("loading torch"):
        from ganzoo.engine.device import resolve_device
        from ganzoo.scoring.images import load_images, training_images

    # Refused once, rather than in every job; a cluster's machines have other devices than this one.
    device_type = "cpu" if elsewhere else resolve_device(configs[0].device).type
    with working(f"loading {configs[0].dataset.name}"):
        images = (
            training_images(registry, configs[0], root) if scored else load_images(registry, configs[0], root, "train")
        )
    say_what_was_read(configs[0], images)
    configs, more = fitting(asked, images.shape[1], images.shape[0], images.num_classes)
    for line in (*asked.left_out, *more):
        note(line)
    if points is None:  # a search, which looks for settings of its own, comes here again and again
        say_recipes(registry, asked.fresh(configs, out, images.sha256), images)
    return Entrants(
        registry=registry, plugins=plugins, root=root, configs=configs, images=images, device_type=device_type
    )


def fitting(
    asked: Asked, size: int | None, channels: int | None, num_classes: int | None
) -> tuple[list[RunConfig], list[str]]:
    """Those that can be trained on images of that kind, and a line for each of the others; None: not known.

    Raises:
        FitError: none can, or one of those that were named cannot.
    """
    by_label = {
        f"{config.variant.name}{f' ({i + 1})' if asked.many else ''}": config for i, config in enumerate(asked.configs)
    }

    def checked(label: str) -> RunConfig:
        check_config(asked.registry, by_label[label], size, channels, num_classes)
        return by_label[label]

    return choose_configs(list(by_label), checked, asked.strict)


LOCAL = "local"
"""The executor that is none of a plugin's: processes of this machine."""


@dataclass(frozen=True, kw_only=True)
class Elsewhere:
    """The machines that a bench's jobs are given to, in place of this one."""

    spec: Executor
    settings: Mapping[str, Any]


def chosen_executor(name: str, options: RunOptions) -> tuple[Elsewhere | None, RunOptions]:
    """The executor that is named, with what `sets` says of it; None: this machine. And the options without that.

    Raises:
        UserError: no plugin registers it, or what is set is none of its settings.
    """
    texts = texts_of(options.get("sets"))
    mine = {key.strip(): value.strip() for key, _, value in (text.partition("=") for text in texts)}
    mine = {key.partition(".")[2]: value for key, value in mine.items() if key.startswith("executor.")}
    rest = cast(RunOptions, {**options, "sets": [text for text in texts if not text.strip().startswith("executor.")]})
    if name == LOCAL:
        if mine:
            raise SettingError(
                f"executor.{next(iter(mine))} is set, and jobs run on this machine", "name the executor: --executor ray"
            )
        return None, options
    registry = load_zoo(files_of(options.get("plugins")))
    known = {spec.name for spec in registry.all("executors")}
    if name not in known:
        raise UnknownName("executor", name, {LOCAL, *known})
    spec = registry.executor(name)
    return Elsewhere(spec=spec, settings=resolve(spec.settings, mine, "executor")), rest


def compete(
    entrants: Entrants,
    *,
    seeds: int,
    out: Path,
    concurrent: int | None,  # runs at a time; None: by rule
    elsewhere: Elsewhere | None = None,
) -> list[RunDirectory]:
    """Run what is missing; the runs, in order.

    Raises:
        RunError: there is no such cluster, or its machines cannot run these jobs.
        Stopped: a signal has come; the same call continues.
    """
    from ganzoo.runs.begin import init_sha256

    registry, root, configs = entrants.registry, entrants.root, entrants.configs
    data = entrants.images.sha256 + init_sha256(registry, configs[0].init)
    jobs = plan_jobs(registry, configs, seeds, out, root, entrants.plugins, data=data)
    if elsewhere is not None:
        return _compete_elsewhere(elsewhere, entrants, jobs, out, concurrent)
    at_once = min(len(jobs), concurrent or together.default_concurrent(entrants.device_type, configs, len(jobs)))
    if entrants.device_type == "cpu" and at_once > 1:
        cores = together.cores_lent()
        jobs = [replace(job, threads=max(1, cores // at_once), own_cores=at_once <= cores) for job in jobs]
    tell(Planned(jobs=tuple(job.title for job in jobs), at_once=at_once))
    why_again = _why_again(registry, root)
    if entrants.device_type == "cuda" and at_once > 1:
        return together.run_groups(jobs, concurrent=at_once, outdated=why_again)
    return run_jobs(jobs, why_again, at_once)


def _compete_elsewhere(
    elsewhere: Elsewhere, entrants: Entrants, jobs: Sequence[Job], out: Path, at_most: int | None
) -> list[RunDirectory]:
    from ganzoo.bench.clusters import run_on
    from ganzoo.bench.elsewhere import versions
    from ganzoo.zoo.calls import call_target

    registry = entrants.registry
    tell(Planned(jobs=tuple(job.title for job in jobs), at_once=at_most or len(jobs)))
    owners = {name for config in entrants.configs for name in plugins_of(registry, config)}
    found = versions([str(file) for file in entrants.plugins])
    needed = {name: value for name, value in found.items() if not name.startswith("plugin ") or name[7:] in owners}
    mark = out / ".ganzoo-bench"
    with writing(mark):
        out.mkdir(parents=True, exist_ok=True)
    write_text(mark, "seen by machines that share this folder\n")
    with working(f"asking {elsewhere.spec.name} for machines"):
        cluster = call_target(registry, "executors", elsewhere.spec, elsewhere.settings, out, form="(settings, out)")
    return run_on(cluster, jobs, needed, mark, _why_again(registry, entrants.root), at_most)


def plugins_of(registry: Registry, config: RunConfig) -> set[str]:
    """Names of the plugins that a run needs."""
    used = [
        ("variants", config.variant.name),
        ("objectives", config.objective.name),
        *(("regularizers", choice.name) for choice in config.regularizers),
        *(("augmentations", choice.name) for choice in config.augmentations),
        ("datasets", config.dataset.name),
        ("features", config.features.name),
        *(("metrics", name) for name in config.metric_names),
        *(("callbacks", name) for name in config.callbacks),
    ]
    return {registry.owner(kind, name).name for kind, name in used}


def _why_again(registry: Registry, root: Path) -> Outdated:
    from ganzoo.runs.begin import outdated

    return lambda job, result: outdated(result, registry, from_dict(registry, job.config), root)
