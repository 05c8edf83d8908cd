"""Whether what scores a run is installed, before hours or images are spent on it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from ganzoo.config.run_config import RunConfig, score_interval
from ganzoo.errors import UserError
from ganzoo.runs.directory import RunDirectory
from ganzoo.runs.find import find_runs
from ganzoo.runs.forecast import Present
from ganzoo.zoo.registry import Registry


def check_packages(registry: Registry, config: RunConfig, under: Path) -> None:
    """Whether the feature network of `config` can be imported, where a run is to be scored: one that is finished needs
    nothing any more. `under`: the folder of runs, or of this one.

    Raises:
        UserError: a package is missing.
    """
    spec = registry.features(config.features.name)
    missing = [name for name in spec.packages if importlib.util.find_spec(name) is None]
    if not missing or score_interval(config.train.scores, config.eval.every) is None:
        return
    runs = [RunDirectory(under), *Present(find_runs([under])).the_same(registry, config)]
    if not any(run is not None and run.result_file.exists() for run in runs):
        raise UserError(
            f"the feature network {spec.name} needs {' and '.join(missing)}",
            f"{spec.install or 'install it'}; or train without scores: --set train.scores=none",
        )
