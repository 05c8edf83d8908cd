"""`ganzoo clean`: what finished runs hold and do not need. Torch-free.

Only files are removed that a run writes, by their names, of folders that are runs: snapshots, saved states, and what a
killed process left half written. Results, numbers, pictures and whatever else lies there are never touched.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ganzoo.config.kept import KEEP, kept_of
from ganzoo.errors import SettingError, UserError
from ganzoo.files.locks import exclusive
from ganzoo.files.reading import is_plain
from ganzoo.runs.directory import RunDirectory
from ganzoo.runs.find import named_under, runs_under
from ganzoo.runs.keeping import images_of, surplus_snapshots, surplus_states

LEFTOVER = re.compile(r"\..+\.\d+\.tmp")
"""Names of files that are being written, see `write_atomic`: in a run that nobody is at work on they never will be."""


@dataclass(kw_only=True)
class Cleaned:
    """What a run holds and does not need."""

    path: str
    snapshots: list[Path] = field(default_factory=list)
    states: list[Path] = field(default_factory=list)
    leftovers: list[Path] = field(default_factory=list)
    sizes: dict[Path, int] = field(default_factory=dict)  # bytes of each of these
    why_not: str = ""  # why the run is left alone, or some of its files, which are then not among these

    @property
    def files(self) -> list[Path]:
        return [*self.snapshots, *self.states, *self.leftovers]

    @property
    def bytes(self) -> int:
        return sum(self.sizes.values())

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "path": self.path,
            "bytes": self.bytes,
            "files": [{"name": str(file), "bytes": self.sizes[file]} for file in self.files],
            **({"left_alone": self.why_not} if self.why_not else {}),
        }


def clean(
    paths: Sequence[Path],
    *,
    keep: str | None = None,
    states: bool = False,
    older_than: float | None = None,
    dry_run: bool = False,
) -> Iterator[Cleaned]:
    """Each run under `paths` that holds more than it needs, and what was removed of it; or is left alone, and why.

    Args:
        keep: as `train.keep`; None: each run's own.
        states: remove the states of finished runs, too.
        older_than: days since a run has finished; others are passed over. None: any.
        dry_run: remove nothing, write nothing.

    Raises:
        SettingError: `keep` is no choice, or `older_than` no number of days.
        RunError: a path is no folder, or there are no runs below it.
    """
    if keep is not None:
        kept_of(keep)
    if older_than is not None and not older_than >= 0:  # NaN is neither
        raise SettingError(
            f"{older_than} is no number of days", "say how many days ago runs have to have ended, 0 or more"
        )
    for run in runs_under(paths):
        if not run.is_ours() or not os.path.lexists(run.config_file):
            continue
        path = next((p for p in paths if run.path.is_relative_to(os.path.realpath(p))), run.path)
        found = Cleaned(path=str(named_under(path, run)))
        try:
            with _alone(run, dry_run):
                _look(run, found, keep, states, older_than)
                if not dry_run:
                    _remove(run, found)
        except UserError as error:  # also of a record that is damaged
            found = Cleaned(path=found.path, why_not=error.cause)
        if found.files or found.why_not:
            yield found


@contextlib.contextmanager
def _alone(run: RunDirectory, dry_run: bool) -> Iterator[None]:
    """Nobody else is at work on the run. Raises UserError where somebody is, or where that cannot be known."""
    lock = run.path / ".lock"
    if dry_run and not os.path.lexists(lock):  # nobody has been here, and nothing is to be written
        yield
        return
    with exclusive(lock) as held:
        if not held:
            raise UserError("its file system has no locks, so somebody may be at work on it", "remove files by hand")
        yield


def _look(run: RunDirectory, found: Cleaned, keep: str | None, states: bool, older_than: float | None) -> None:
    """Fill `found`. Nothing but leftovers is surplus of a run that is not finished: it may need the rest to go on."""
    config, result = run.read_config(), run.read_result()
    if older_than is not None:
        newest = run.result_file if result is not None else run.config_file
        if time.time() - os.lstat(newest).st_mtime < older_than * 86400:
            return
    if result is not None and not _goes_on(run, config, result):
        wanted = kept_of(keep if keep is not None else str(config["train"].get("keep") or ",".join(KEEP)))
        found.snapshots = _surplus_of_result(run, wanted, result)
        found.states = surplus_states(run, frozenset({"last"}) if states else wanted)
    folders = ("", *(folder.name for folder in (run.snapshots_dir, run.samples_dir, run.neighbours_dir)))
    for folder in (*folders, run.pictures_dir.name, run.state_file.parent.name):
        with contextlib.suppress(OSError):
            names = [f"{folder}/{name}".lstrip("/") for name in os.listdir(run.path / folder)]
            leftovers = [name for name in names if LEFTOVER.fullmatch(Path(name).name) and is_plain(run.path, name)]
            found.leftovers += [run.path / name for name in sorted(leftovers)]
    found.sizes = {file: os.lstat(file).st_size for file in found.files}


def _surplus_of_result(run: RunDirectory, keep: frozenset[str], result: dict[str, Any]) -> list[Path]:
    """Snapshots that the result names and that need not stay. Another's file may have such a name, too: it stays, and
    is not taken for the last. What the result calls the best is it, whatever has become of metrics.jsonl.
    """
    named = result.get("snapshots") or {}  # those of earlier versions name none
    ours = [file for file in run.snapshots() if file.stem in named or not named]
    best = int((result.get("best") or {}).get("images") or 0) if "best" in keep else 0
    return [file for file in surplus_snapshots(run, keep, ours) if not best or images_of(file) != best]


def _goes_on(run: RunDirectory, config: dict[str, Any], result: dict[str, Any]) -> bool:
    """Whether the result is of a smaller budget than the run has come to have."""
    train, then = config["train"], result["config"]["train"]
    if any(train.get(key) != then.get(key) for key in ("kimg", "minutes", "until")):
        return True
    return any(line["images"] > 1000 * result["kimg"] + 0.5 for line in run.stats()[-1:])


def _remove(run: RunDirectory, found: Cleaned) -> None:
    """First it is said, in run.json, which snapshots are gone: the result names them for ever."""
    if found.snapshots:
        gone = {*(run.read_record().get("cleaned") or ()), *(file.stem for file in found.snapshots)}
        run.record(cleaned=sorted(gone))
    for files in (found.snapshots, found.states, found.leftovers):
        for file in tuple(files):
            try:
                file.unlink(missing_ok=True)
            except OSError as error:
                files.remove(file)
                del found.sizes[file]
                found.why_not = found.why_not or f"cannot remove {file}: {error.strerror or error}"
