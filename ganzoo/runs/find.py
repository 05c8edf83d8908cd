"""Which folders are runs."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from ganzoo.config.run_config import dataset_label
from ganzoo.errors import RunError
from ganzoo.runs.directory import RunDirectory

RUNS = Path("runs")
"""Where runs lie unless something else is said."""

DEEPEST = 64
"""Levels of folders in which runs are looked for; results lie a few deep."""

WRITTEN = "give a folder that `ganzoo train` or `ganzoo bench` wrote to, or make one: ganzoo bench"

NEAR = 3
"""Levels in which they are looked for where none was meant: what was named may be all of a disk."""


def find_runs(paths: list[Path], deepest: int = DEEPEST) -> list[RunDirectory]:
    """Every run under `paths`, in order of path, and at most `deepest` levels of folders below them. Links there are
    not followed; folders that cannot be read are left out.
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
                    elif depth < deepest and entry.is_dir(follow_symlinks=False):
                        waiting.append((folder / entry.name, depth + 1))
        except (OSError, ValueError):
            continue
    return [RunDirectory(path) for path in sorted(found)]


def runs_under(paths: Sequence[Path]) -> list[RunDirectory]:
    """As `find_runs`, of folders that somebody has named.

    Raises:
        RunError: one of them is no folder, or there is no run below them.
    """
    for path in paths:
        if not os.path.isdir(path):  # False, not an error, for a path the system cannot look at
            alike = did_you_mean([name for name in entries_like(path) if os.path.isdir(name)])
            what = "is no folder" if os.path.exists(path) else "does not exist"
            raise RunError(f"{path} {what}", alike or WRITTEN)
    found = find_runs(list(paths))
    if not found:
        raise RunError(f"there are no runs under {' or '.join(str(path) for path in paths)}", WRITTEN)
    return found


def is_path(name: str) -> bool:
    """Whether `name` is, or looks like, that of a file or folder, and not of a variant."""
    return os.path.lexists(Path(name) / "config.json") or os.path.exists(name) or _looks_like_a_path(name)


def _looks_like_a_path(name: str) -> bool:
    return os.sep in name or name.endswith((".npz", ".safetensors"))


def find_run(name: str, under: Path = RUNS) -> RunDirectory:
    """The run directory `name`, or the newest run of the variant `name` under `under` that has a snapshot.

    Raises:
        RunError: neither is there; the cure is one that there is.
    """
    if os.path.lexists(Path(name) / "config.json"):
        return RunDirectory(Path(name))
    if os.path.exists(name):  # False, not an error, for a path the system cannot look at
        raise _no_run(Path(name))
    if _looks_like_a_path(name):
        raise RunError(
            f"{name} does not exist",
            did_you_mean([near for near in entries_like(Path(name)) if _may_be_meant(Path(near))])
            or "give a run directory, a snapshot, a folder of images or a .npz file",
        )
    if "@" in name:
        variant, _, dataset = name.partition("@")
        raise RunError(
            f"{name} is the name of a model, which is weights alone, and this is of a run",
            f"train one: ganzoo train {variant} --dataset {dataset}",
        )
    found = newest_run(name, under=under)
    if found is None:
        cause = f"'{name}' is no run directory, and there is no run of a variant of that name under {under}/"
        raise RunError(cause, _way_out(name, under))
    return found


def _may_be_meant(path: Path) -> bool:
    return path.is_dir() or path.suffix in (".npz", ".safetensors")


def _no_run(path: Path) -> RunError:
    """Of what is there."""
    runs = find_runs([path], deepest=NEAR) if os.path.isdir(path) else []
    runs = [run for run in runs if not os.path.samefile(run.path, path)]  # a result that was copied alone
    if runs:
        return RunError(
            f"{path} holds runs, and is no run itself", f"give one of them, such as {named_under(path, runs[0])}"
        )
    return RunError(f"{path} is no run directory (it has no config.json)", "give the --out of a `ganzoo train`")


def named_under(path: Path, run: RunDirectory) -> Path:
    """A run that was found under `path`, named as `path` was."""
    return path / run.path.relative_to(os.path.realpath(path))


def _way_out(name: str, under: Path) -> str:
    from ganzoo.config.options import load_zoo

    variants = [spec.name for spec in load_zoo().variants()]
    there = variants_of(under)
    alike = runs_like(name, under) or difflib.get_close_matches(name, there, n=1)
    near = [name] if name in variants else difflib.get_close_matches(name, variants, n=1)
    if alike and name not in variants:
        return did_you_mean(alike)
    cure = f"train one: ganzoo train {near[0] if near else 'dcgan'}"
    return cure + (f"; there are runs of {', '.join(there)}" if there else "")


def runs_like(name: str, under: Path = RUNS) -> list[str]:
    """Run directories under `under` whose name `name` begins, or nearly is; at most three."""
    runs = {run.path.name: str(named_under(under, run)) for run in find_runs([under])}
    return [runs[found] for found in _alike(name, runs)]


def entries_like(path: Path) -> list[str]:
    """Folders and files beside `path` whose name its own begins, or nearly is; at most three."""
    try:
        with os.scandir(path.parent) as found:
            names = [entry.name for entry in found if not entry.name.startswith(".")]
    except (OSError, ValueError):
        return []
    return [str(path.parent / name) for name in _alike(path.name, names)]


def _alike(name: str, known: Iterable[str]) -> list[str]:
    """At most three: those that it begins, else those that it nearly is."""
    known = sorted(known)
    begun = [one for one in known if name and one.startswith(name)]
    return begun[:3] or difflib.get_close_matches(name, known, n=3, cutoff=0.75)


def did_you_mean(names: list[str]) -> str:
    """ "did you mean a or b?"; "" of none."""
    return f"did you mean {' or '.join(names)}?" if names else ""


def newest_run(variant: str, dataset: str | None = None, under: Path = RUNS) -> RunDirectory | None:
    """Of the runs of a variant that have a snapshot. `dataset`: None, on any; "folder", on any folder; "folder:PATH" as
    it was trained with or as leaderboards print it, on that one.
    """
    runs = [run for run in find_runs([under]) if run.snapshots()]
    ours = [run for run in runs if _name(run, "variant") == variant]
    if dataset is not None:
        at_it = [run for run in ours if _is_at(run, dataset)]
        ours = at_it or [run for run in ours if _is_called(run, dataset)]
    return max(ours, key=lambda run: os.lstat(run.snapshots()[-1]).st_mtime) if ours else None


def variants_of(under: Path = RUNS) -> list[str]:
    """Of which there are runs with a snapshot."""
    return sorted({_name(run, "variant") for run in find_runs([under]) if run.snapshots()} - {""})


def _is_at(run: RunDirectory, dataset: str) -> bool:
    """Whether `dataset` is KIND:PATH with the path of the images that the run was trained on."""
    name, colon, place = dataset.partition(":")
    if not colon or _name(run, "dataset") != name:
        return False
    theirs = run.read_config()["dataset"].get("path")
    return bool(theirs) and os.path.realpath(os.path.expanduser(place)) == os.path.realpath(str(theirs))


def _is_called(run: RunDirectory, dataset: str) -> bool:
    """Whether `dataset` is the name of the run's, as "digits" and "folder" are, or what leaderboards print."""
    name = _name(run, "dataset")
    return dataset == name or (bool(name) and dataset == dataset_label(name, run.read_config()["dataset"]))


def _name(run: RunDirectory, section: str) -> str:
    """The name of the run's variant or dataset; "" where its config cannot be read: it may be a stranger's."""
    try:
        return str(run.read_config()[section]["name"])
    except RunError:
        return ""
