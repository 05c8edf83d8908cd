"""The library's function about many runs."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ganzoo.bench.executors import Unwatched, Watch
from ganzoo.bench.plan import compete, entrants
from ganzoo.config.options import config_of
from ganzoo.errors import RunError
from ganzoo.leaderboard.api import Leaderboard
from ganzoo.leaderboard.table import make_tables
from ganzoo.runs.api import registry_of, root_of


def bench(
    variants: str | Sequence[str] | None = None,
    *,
    seeds: int = 1,
    concurrent: int | None = None,
    out: str | Path = "runs/bench",
    data_root: str | Path | None = None,
    plugins: Iterable[str | Path] = (),
    sets: Sequence[str] = (),
    config: str | Path | Mapping[str, Any] | None = None,
    announce: Callable[[str], None] = lambda line: None,
    watch: Watch = Unwatched,
    **options: Any,
) -> Leaderboard:
    """Train and compare variants, as `ganzoo bench`: the same call does only what is missing.

    Each run is a process of its own, so that a script has to call this below `if __name__ == "__main__":`.

    Args:
        variants: names, or a text of names with commas; None: all that fit the dataset.
        seeds: training seeds per variant.
        concurrent: runs that share a GPU at a time; None: by rule.
        out: folder of the runs.
        data_root: folder of datasets and caches; None: $GANZOO_DATA or ~/.cache/ganzoo.
        plugins: Python files to load plugins from.
        sets: settings, "train.batch_size=32".
        config: TOML or JSON file, or what it would hold.
        announce: told, in a line, of variants that are left out, jobs that were done before, and failures.
        watch: makes an observer for each run, in the run's own process: a class or function of a module.
        options: as of `ganzoo.train`.

    Raises:
        UserError: no variant fits, or anything that is wrong whatever the variant; no run could be started.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise RunError(
            "ganzoo.bench was called while a process of its own was starting",
            'put the call below `if __name__ == "__main__":`',
        )
    files = [Path(file) for file in plugins]
    registry, root = registry_of(files), root_of(data_root)
    asked = (variants or "").split(",") if isinstance(variants, str) or variants is None else variants
    names = [registry.variant(name.strip()).name for name in dict.fromkeys(asked) if name.strip()]
    chosen = entrants(
        registry, names, lambda name: config_of(registry, name, sets=sets, config=config, **options), root
    )
    for line in chosen.left_out:
        announce(line)
    runs = compete(
        chosen, seeds=seeds, out=Path(out), plugin_files=files, concurrent=concurrent, announce=announce, watch=watch
    )
    started = [run for run in runs if run.config_file.exists()]
    if not started:
        raise RunError(f"no run could be started in {out}", "train one of the variants by itself: it says why")
    return Leaderboard(make_tables(started, chosen.sort))
