"""What stays of a run on the disk: `train.keep`. Torch-free."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ganzoo.config.kept import KEEP, kept_of
from ganzoo.errors import SettingError
from ganzoo.files.reading import is_plain
from ganzoo.runs.directory import RunDirectory, kimg_of


def kept_no_longer(run: RunDirectory, keep: frozenset[str]) -> str | None:
    """What a run that goes on will let go of because its command says otherwise than the one before, in a line."""
    if not run.trained or "all" in keep:
        return None
    before = run.read_config()["train"].get("keep") or "all"
    with contextlib.suppress(SettingError):  # somebody else has written it
        if kept_of(before) - keep - {"state"} and any(images_of(file) > 0 for file in run.snapshots()):
            return (
                f"{run.path} kept {before}, and keeps {','.join(word for word in KEEP if word in keep)} from now on: "
                f"trained snapshots that are none of these go (--set train.keep={before} keeps them)"
            )
    return None


def thin_out(run: RunDirectory, keep: frozenset[str], images: int) -> None:
    """Remove snapshots that a run which has come to `images` images will not need, however it goes on: neither from
    its latest saved state, which is of this moment, nor from the one before. `keep`: see `kept_of`.

    The untrained one stays, as it may have to be scored; so do those that only an earlier state knows as the best.
    """
    if "all" in keep:
        return
    lines = run.metrics()
    before = [line for line in lines if line["images"] < images]
    best = {*best_images(lines), *best_images(before)} if "best" in keep else set[int]()
    for file in run.snapshots():
        if 0 < images_of(file) < images and images_of(file) not in best:
            remove(file)


def surplus_snapshots(run: RunDirectory, keep: frozenset[str], files: Sequence[Path] | None = None) -> list[Path]:
    """Those that need not stay of a finished run: neither the last nor, if `keep` says so, the best of a protocol.
    `files`: its snapshots, oldest first; None: all that lie there.
    """
    if "all" in keep:
        return []
    best = best_images(run.metrics()) if "best" in keep else set[int]()
    return [file for file in (run.snapshots() if files is None else files)[:-1] if images_of(file) not in best]


def surplus_states(run: RunDirectory, keep: frozenset[str]) -> list[Path]:
    """States that a finished run does not need: the one before the latest, and the latest unless it is to stay."""
    if "all" in keep:
        return []
    files = (run.previous_state_file,) if "state" in keep else (run.previous_state_file, run.state_file)
    return [file for file in files if is_plain(run.path, f"{file.parent.name}/{file.name}")]


def best_images(lines: Sequence[dict[str, Any]]) -> set[int]:
    """Of each protocol, how many images the trained snapshot of lowest FID has seen; as `best` of a result."""
    lowest: dict[str, tuple[float, int]] = {}
    for line in lines:
        fid, protocol = line["values"].get("fid"), line["protocol"]
        if line["images"] > 0 and fid is not None and (protocol not in lowest or fid < lowest[protocol][0]):
            lowest[protocol] = (float(fid), line["images"])
    return {images for _, images in lowest.values()}


def images_of(file: Path) -> int:
    """Of a snapshot's name."""
    return round(kimg_of(file) * 1000)


def remove_all(files: Iterable[Path]) -> None:
    for file in files:
        remove(file)


def remove(file: Path) -> None:
    """A file that cannot be removed stays: nothing is wrong with a run that holds more than it needs."""
    with contextlib.suppress(OSError):
        file.unlink()
