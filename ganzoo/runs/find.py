"""Which folders are runs."""

from __future__ import annotations

import os
from pathlib import Path

from ganzoo.errors import RunError
from ganzoo.runs.directory import RunDirectory

RUNS = Path("runs")
"""Where runs lie unless something else is said."""

DEEPEST = 64
"""Levels of folders in which runs are looked for; results lie a few deep."""


def find_runs(paths: list[Path]) -> list[RunDirectory]:
    """Every run under `paths`, in order of path. Links below them are not followed; folders that cannot be read are
    left out.
    """
    names = {"config.json", "result.json"}  # a result that was copied alone is a row all the same
    found: set[Path] = set()
    waiting = [(Path(os.path.realpath(path)), 0) for path in paths]
    while waiting:  # os.walk calls itself for each level
        folder, depth = waiting.pop()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name in names:
                        found.add(folder)
                    elif depth < DEEPEST and entry.is_dir(follow_symlinks=False):
                        waiting.append((folder / entry.name, depth + 1))
        except (OSError, ValueError):
            continue
    return [RunDirectory(path) for path in sorted(found)]


def is_path(name: str) -> bool:
    """Whether `name` is, or looks like, that of a file or folder, and not of a variant."""
    return os.path.lexists(Path(name) / "config.json") or os.path.exists(name) or _looks_like_a_path(name)


def _looks_like_a_path(name: str) -> bool:
    return os.sep in name or name.endswith((".npz", ".safetensors"))


def find_run(name: str, under: Path = RUNS) -> RunDirectory:
    """The run directory `name`, or the newest run of the variant `name` under `under` that has a snapshot.

    Raises:
        RunError: neither is there.
    """
    if os.path.lexists(Path(name) / "config.json"):
        return RunDirectory(Path(name))
    if os.path.exists(name):  # False, not an error, for a path the system cannot look at
        return RunDirectory.existing(Path(name))
    if _looks_like_a_path(name):
        raise RunError(f"{name} does not exist", "give a run directory, a snapshot, a folder of images or a .npz file")
    if "@" in name:
        variant, _, dataset = name.partition("@")
        raise RunError(
            f"{name} is the name of a model, which is weights alone, and this is of a run",
            f"train one: ganzoo train {variant} --dataset {dataset}",
        )
    found = newest_run(name, under=under)
    if found is None:
        there = ", ".join(variants_of(under))
        raise RunError(
            f"'{name}' is no run directory, and there is no run of a variant of that name under {under}/",
            f"train one: ganzoo train {name}" + (f"; there are runs of {there}" if there else ""),
        )
    return found


def newest_run(variant: str, dataset: str | None = None, under: Path = RUNS) -> RunDirectory | None:
    """Of the runs of a variant that have a snapshot; `dataset` None: on any."""
    runs = [run for run in find_runs([under]) if run.snapshots()]
    ours = [run for run in runs if _name(run, "variant") == variant]
    ours = [run for run in ours if dataset in (None, _name(run, "dataset"))]
    return max(ours, key=lambda run: os.lstat(run.snapshots()[-1]).st_mtime) if ours else None


def variants_of(under: Path = RUNS) -> list[str]:
    """Of which there are runs with a snapshot."""
    return sorted({_name(run, "variant") for run in find_runs([under]) if run.snapshots()} - {""})


def _name(run: RunDirectory, section: str) -> str:
    """The name of the run's variant or dataset; "" where its config cannot be read: it may be a stranger's."""
    try:
        return str(run.read_config()[section]["name"])
    except RunError:
        return ""
