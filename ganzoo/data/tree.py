"""Folders and files below a folder, each looked at once."""

from __future__ import annotations

import contextlib
import os
from array import array
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ganzoo.data.contents import ABSENT, COLUMNS, numbers, read
from ganzoo.data.decode import suffixes
from ganzoo.data.members import Members
from ganzoo.errors import DataError
from ganzoo.files.text import clean

UNREAD = frozenset(
    {
        *(".avif", ".cr2", ".cr3", ".dng", ".eps", ".exr", ".heic", ".heif", ".hdr", ".j2k"),
        *(".jp2", ".jxl", ".nef", ".psd", ".raw", ".svg", ".tga", ".xcf"),
    }
)
"""Endings of pictures that are not read, unless this Pillow can: worth more than a word in passing."""


_ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".7z", ".rar")


_SYSTEM = frozenset({"desktop.ini", "thumbs.db"})  # as much a file of the user's as hidden ones are


@dataclass
class Passed:
    """What lies there and is not used."""

    files: Counter[str] = field(default_factory=Counter)  # by ending
    folders: list[str] = field(default_factory=list)
    example: str = ""

    def add(self, name: str, shown: str) -> None:
        if name.lower() in _SYSTEM:
            return
        _, dot, ending = name.rpartition(".")
        fits = dot and 0 < len(ending) <= 10 and " " not in ending
        self.files[clean(f".{ending.lower()}") if fits else "other"] += 1
        self.example = self.example or shown


def shown(path: Path) -> str:
    return clean(str(path))


@dataclass
class Entries:
    """Names in one folder, hidden ones aside; folders are sorted."""

    images: list[str]
    folders: list[str]
    others: list[str]


def entries_of(folder: Path) -> Entries:
    """Raises DataError where there is no folder that can be read."""
    endings = suffixes()
    found = Entries([], [], [])
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                name = entry.name
                if name[0] == "." or name == "__MACOSX":
                    continue
                if is_folder(entry):
                    found.folders.append(name)
                elif name[name.rfind(".") :].lower() in endings:
                    found.images.append(name)
                else:
                    found.others.append(name)
    except (OSError, ValueError) as error:
        raise unreadable(folder, error) from error
    found.folders.sort()
    found.others.sort()
    return found


class Tree(dict[Path, Entries]):
    """The folders that were looked into, each once."""

    def __missing__(self, folder: Path) -> Entries:
        found = self[folder] = self.entries_of(folder)
        return found

    def entries_of(self, folder: Path) -> Entries:
        """Raises DataError where there is no folder that can be read."""
        return entries_of(folder)

    def holds_images(self, folder: str) -> bool:
        """Whether there is an image in `folder` or below."""
        return next(walk(folder, suffixes()), None) is not None

    def collect(self, top: Path, passed: Passed) -> Found:
        """Every image below `top`; see `collect`."""
        return collect(top, passed)

    def labels(self, top: Path, names: Sequence[str], passed: Passed) -> np.ndarray | None:
        """Labels int64 `[N]` of the images `names` below `top` by what lies beside each of them; None: nothing does."""
        return None

    def has(self, file: Path) -> bool:
        return os.path.lexists(file)

    def read(self, file: Path) -> bytes:
        """Raises OSError."""
        return read(str(file))


def unreadable(folder: Path, error: Exception) -> DataError:
    where = shown(folder)
    if isinstance(error, ValueError):  # a NUL, or characters that no file name can have here
        return DataError(f"{where} cannot be the path of a folder", "give the path of a folder of images")
    if isinstance(error, FileNotFoundError):
        return DataError(f"{where} does not exist", "give the path of a folder of images")
    if isinstance(error, NotADirectoryError):
        name = folder.name.lower()
        cure = "give the folder; unpack an archive first; for .npz: npz:PATH"
        if name.endswith(_ARCHIVES):
            cure = "unpack it, and give the folder that comes out"
        elif name.endswith(".npz"):
            cure = f"say npz:{where}"
        elif folder.suffix.lower() in suffixes() | UNREAD:
            cure = "give the folder that it lies in"
        return DataError(f"{where} is not a folder", cure)
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return DataError(f"cannot read {where}: {reason}", "check the permissions of the folder")


def is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def walk(top: str, endings: Collection[str]) -> Iterator[str]:
    """Names of images below `top`, without order; each folder once, however many links lead to it."""
    seen: set[tuple[int, int]] = set()
    waiting = [top]
    while waiting:
        folder = waiting.pop()
        try:
            if met(os.stat(folder), seen):
                continue
            with os.scandir(folder) as entries:
                for entry in entries:
                    name = entry.name
                    if name[0] == "." or name == "__MACOSX":
                        continue
                    if is_folder(entry):
                        waiting.append(entry.path)
                    elif name[name.rfind(".") :].lower() in endings:
                        yield name
        except OSError as error:
            raise unreadable(Path(folder), error) from error


def met(found: os.stat_result, seen: set[tuple[int, int]]) -> bool:
    """Whether a folder was met before; notes it."""
    key = (found.st_dev, found.st_ino)
    if key in seen:
        return True
    if found.st_ino:  # 0 where the file system has no such numbers
        seen.add(key)
    return False


@dataclass
class Found:
    """All images below a folder."""

    names: Sequence[str]
    stats: np.ndarray  # uint64 [N,5]
    folders: list[str]  # directly in it
    classes: Counter[str]  # images in each of these, where there are any
    loose: int  # images directly in it
    members: Members | None = None  # as of a listing


def collect(top: Path, passed: Passed) -> Found:
    """Every image below `top` with its numbers, sorted by name; other files are noted in `passed`.

    Links are followed, and each folder is entered once, so that a link to a parent does not go round for ever.
    """
    endings = suffixes()
    names: list[str] = []
    stats = array("Q")  # flat, as 200,000 tuples would take longer to make than the files to look at
    classes: Counter[str] = Counter()
    top_folders: list[str] = []
    seen: set[tuple[int, int]] = set()
    waiting = [("", "")]  # path below `top` with its slash, and the folder directly in `top` that it belongs to
    while waiting:
        prefix, first = waiting.pop()
        path = f"{top}/{prefix}"
        before = len(names)
        try:
            with opened(path) as (entries, found):
                if met(found, seen):
                    continue
                for entry in entries:
                    name = entry.name
                    if name[0] == "." or name == "__MACOSX":
                        continue
                    if is_folder(entry):
                        if not prefix:
                            top_folders.append(name)
                        waiting.append((f"{prefix}{name}/", first or name))
                    elif name[name.rfind(".") :].lower() in endings:
                        names.append(prefix + name)
                        try:
                            stats.extend(numbers(entry.stat()))
                        except OSError:
                            stats.extend(ABSENT)
                    else:
                        passed.add(name, prefix + name)
        except OSError as error:
            raise unreadable(Path(path), error) from error
        if first and len(names) > before:
            classes[first] += len(names) - before
    table = np.array(stats, dtype=np.uint64).reshape(-1, COLUMNS)
    order = sorted(range(len(names)), key=names.__getitem__)
    return Found(
        names=[names[i] for i in order],
        stats=table[order],
        folders=top_folders,
        classes=classes,
        loose=len(names) - classes.total(),
    )


@contextlib.contextmanager
def opened(path: str) -> Iterator[tuple[Iterator[os.DirEntry[str]], os.stat_result]]:
    """The entries of a folder and its own numbers. Opened by descriptor where the system can, as each file is then
    found from there and not from the root.
    """
    if os.scandir not in os.supports_fd:
        with os.scandir(path) as entries:
            yield entries, os.stat(path)
        return
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0))
    try:
        with os.scandir(descriptor) as entries:
            yield entries, os.fstat(descriptor)
    finally:
        os.close(descriptor)
