"""`ganzoo leaderboard --check`: whether snapshots are those that the results were made from. Torch-free."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ganzoo.errors import RunError
from ganzoo.files.reading import Unreadable, sha256_inside
from ganzoo.runs.directory import RunDirectory
from ganzoo.runs.find import runs_under


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What became of one run."""

    path: str
    snapshots: int  # whose SHA-256 is the one in the result
    problems: tuple[str, ...]  # none: all is well
    known: bool = True  # False: the result names no hashes, as those of earlier versions

    @property
    def line(self) -> str:
        if self.problems:
            return f"{self.path}: {'; '.join(self.problems)}"
        if not self.known:
            return f"{self.path}: its result names no hashes: made by an earlier version"
        return f"{self.path}: ok ({self.snapshots} snapshot{'' if self.snapshots == 1 else 's'})"


def check_runs(paths: Sequence[Path]) -> list[Checked]:
    """Every finished run under `paths`.

    Raises:
        RunError: a path is no folder, or there is no finished run.
    """
    checked = [found for run in runs_under(paths) if (found := _check(run)) is not None]
    if not checked:
        raise RunError("there are no finished runs here", "train one to its end: the same command continues it")
    return checked


def _check(run: RunDirectory) -> Checked | None:
    """None where the run has no result yet."""
    try:
        result = run.read_result()
    except RunError as error:
        return Checked(path=str(run.path), snapshots=0, problems=(error.cause,))
    if result is None:
        return None
    hashes = result.get("snapshots")
    if not hashes:
        return Checked(path=str(run.path), snapshots=0, problems=(), known=False)
    gone = 0
    problems, cleaned = [], _cleaned(run)
    for name, expected in sorted(hashes.items()):
        try:
            if sha256_inside(run.path, f"snapshots/{name}.safetensors") != expected:
                problems.append(f"snapshot {name} has been changed")
        except FileNotFoundError:
            gone += 1
            if name in cleaned:
                continue
            problems.append(f"snapshot {name} is missing")
        except Unreadable as error:
            problems.append(f"snapshot {name} {error}")
    unknown = [file.stem for file in run.snapshots() if file.stem not in hashes]
    problems += [f"snapshot {name} is not in the result" for name in unknown]
    return Checked(path=str(run.path), snapshots=len(hashes) - gone, problems=tuple(problems))


def _cleaned(run: RunDirectory) -> list[str]:
    """Names of snapshots that `ganzoo clean` has removed."""
    try:
        return list(run.read_record().get("cleaned") or ())
    except RunError:
        return []
