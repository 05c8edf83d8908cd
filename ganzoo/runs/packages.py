"""Whether what scores a run is installed, before hours or images are spent on it."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from ganzoo.config.run_config import RunConfig, score_interval
from ganzoo.errors import UserError
from ganzoo.runs.directory import RunDirectory
from ganzoo.runs.find import find_runs
from ganzoo.runs.finished import asks_for_more
from ganzoo.runs.forecast import Present
from ganzoo.zoo.registry import Registry
from ganzoo.zoo.specs import Features


def check_packages(
    registry: Registry,
    configs: Sequence[RunConfig],
    *,
    under: Path,
    out: Path | None = None,
    seeds: int = 1,
    scored: bool | None = None,
) -> None:
    """Whether the feature networks of runs that are to be scored can be imported. Those that are finished as their
    configs ask need nothing any more. `under`: the folder of runs; `out`: the one of a single run that was named;
    `scored`: whether they are scored, where that is not for them to say.

    Raises:
        UserError: a package is missing.
    """
    lacking = [one for one in configs if missing_packages(registry.features(one.features.name))]
    present = Present(find_runs([under]) if lacking and out is None else [])
    for config in lacking:
        if not scored and score_interval(config.train.scores, config.eval.every) is None:
            continue
        runs = present.the_same(registry, config, seeds) if out is None else [RunDirectory(out)]
        if not all(run is not None and _is_done(run, config) for run in runs):
            can_do_without = scored is None and config.train.until is None
            check_installed(registry.features(config.features.name), "train" if can_do_without else None)


def _is_done(run: RunDirectory, config: RunConfig) -> bool:
    result = run.read_result()
    return result is not None and asks_for_more(config, result) is None


def check_installed(spec: Features, doing: str | None = None) -> None:
    """`doing` "train": what can be done without scores, too.

    Raises:
        UserError: a package of the feature network is missing.
    """
    if missing := missing_packages(spec):
        without = "; or train without scores: --set train.scores=none" if doing == "train" else ""
        raise UserError(
            f"the feature network {spec.name} needs {' and '.join(missing)}",
            f"{spec.install or f'install {missing[0]}'}{without}",
        )


def missing_packages(spec: Features) -> list[str]:
    return [name for name in spec.packages if not _is_installed(name)]


def _is_installed(module: str) -> bool:
    """Without importing it, but for the packages that it is in."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # one that it is in is missing
        return False
