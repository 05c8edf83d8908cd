"""Which folders are runs."""

from __future__ import annotations

import os
from pathlib import Path

from ganzoo.errors import RunError
from ganzoo.runs.directory import RunDirectory

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


def find_run(name: str, under: Path = Path("runs")) -> RunDirectory:
    """The run directory `name`, or the newest run of the variant `name` under `under` that has a snapshot.

    Raises:
        RunError: neither is there.
    """
    if os.path.lexists(Path(name) / "config.json"):
        return RunDirectory(Path(name))
    if os.path.exists(name):  # False, not an error, for a path the system cannot look at
        return RunDirectory.existing(Path(name))
    if os.sep in name or name.endswith((".npz", ".safetensors")):
        raise RunError(f"{name} does not exist", "give a run directory, a snapshot, a folder of images or a .npz file")
    runs = [(_variant(run), run) for run in find_runs([under]) if run.snapshots()]
    ours = [run for variant, run in runs if variant == name]
    if not ours:
        there = ", ".join(sorted({variant for variant, _ in runs if variant}))
        raise RunError(
            f"'{name}' is no run directory, and there is no run of a variant of that name under {under}/",
            f"train one: ganzoo train {name}" + (f"; there are runs of {there}" if there else ""),
        )
    return max(ours, key=lambda run: os.lstat(run.snapshots()[-1]).st_mtime)


def _variant(run: RunDirectory) -> str:
    """The name of the run's variant; "" where its config cannot be read: it may be a stranger's, among others."""
    try:
        return str(run.read_config()["variant"]["name"])
    except RunError:
        return ""
