"""`tar:FILE`, images in tar files: as a folder of what is in them. Imports torch only where images do."""

from __future__ import annotations

import os
import weakref
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from ganzoo.data.cache import cached_images
from ganzoo.data.contents import numbers
from ganzoo.data.decode import suffixes
from ganzoo.data.folder import decoding
from ganzoo.data.images import Images
from ganzoo.data.members import Members, Read
from ganzoo.data.paths import absolute
from ganzoo.data.scan import scan_split
from ganzoo.data.several import files_at, splits_of
from ganzoo.data.tree import Entries, Found, Passed, Tree
from ganzoo.errors import DataError
from ganzoo.files.progress import OnProgress
from ganzoo.files.text import clean
from ganzoo_tar.index import index_of

LABEL = ".cls"
"""Beside an image of a WebDataset: its class as a whole number."""

Place = tuple[int, int, int]
"""Number of the tar file, first byte, length."""


def load_tar(
    root: Path,
    split: str,
    download: bool,
    *,
    path: Path | str,
    size: int | None = None,
    color: str | None = "rgb",
    fit: str = "crop",
    background: str = "black",
    white: int | None = None,
    labels: bool = True,
    on_progress: OnProgress | None = None,
) -> Images:
    """Images of a tar file, of a folder of them, or of all that a pattern names; parameters as of `load_folder`.

    Nothing is unpacked: the images are decoded into the same cache as a folder's, and are the same images, with the
    same digest, as those of the folder that the files unpack to. Splits and classes are found as in a folder, and by
    the names of several files (train-000.tar, test-000.tar); in a WebDataset by a file NAME.cls beside each image.
    """
    how = decoding(size, color, fit, background, white)
    top = absolute(path)
    files = files_at(top, ".tar")
    tree = TarTree(top, files, root / "folder-cache" / "tar")
    if not tree.places:
        raise DataError(f"{clean(str(top))} has no files in it", "give a tar file with images in it")
    listing = scan_split(top, split, labelled=labels, tree=tree)
    return cached_images(listing, how, split=split, root=root, has_settings=True, on_progress=on_progress)


class TarTree(Tree):
    """Folders in tar files, as if they lay below `top`; what training and test files hold, below train/ and test/."""

    def __init__(self, top: Path, files: Sequence[Path], kept: Path) -> None:
        super().__init__()
        self.top, self.files = top, list(files)
        train, test = splits_of(files, clean(str(top))) if len(files) > 1 else (files, None)
        self.places: dict[str, Place] = {}  # by path below `top`
        self.astray: list[str] = []  # links to nothing, likewise
        if test:
            self._add(train, "train/", kept)
            self._add(test, "test/", kept)
        else:
            self._add(train, "", kept)
        self.holding = {folder for name in self.places if _is_image(name) for folder in _above(name)}
        self.inside: dict[str, set[str]] = {"": set()}  # folder -> names in it
        for name in self.places:
            child = name
            for folder in _above(name):
                known = self.inside.setdefault(folder, set())
                if child in known:
                    break
                known.add(child)
                child = folder

    def _add(self, files: Sequence[Path], prefix: str, kept: Path) -> None:
        found = [(self.files.index(file), file, index_of(file, kept)) for file in files]
        marks = _marks([file for _, file, _ in found], [index.names for _, _, index in found])
        for mark, (number, _, index) in zip(marks, found, strict=True):
            for name, (offset, length) in zip(index.names, index.places, strict=True):
                if not _is_hidden(name):
                    self.places[prefix + _marked(name, mark)] = (number, offset, length)
            self.astray += [prefix + _marked(name, mark) for name in index.astray if not _is_hidden(name)]

    def _inner(self, path: Path | str) -> str:
        inner = os.path.relpath(path, self.top)
        return "" if inner == "." else inner.replace(os.sep, "/")

    def entries_of(self, folder: Path) -> Entries:
        here = self._inner(folder)
        if here not in self.inside:
            raise DataError(f"{clean(str(folder))} does not exist", "give the path of a tar file of images")
        found = Entries([], [], [])
        for path in self.inside[here]:
            name = path.rpartition("/")[2]
            kind = found.folders if path in self.inside else found.images if _is_image(name) else found.others
            kind.append(name)
        for names in (found.folders, found.others):
            names.sort()
        return found

    def holds_images(self, folder: str) -> bool:
        return self._inner(folder) in self.holding

    def collect(self, top: Path, passed: Passed) -> Found:
        here = self._inner(top)
        prefix = f"{here}/" if here else ""
        names: list[str] = []
        classes: Counter[str] = Counter()
        for path in self.places:
            if path.startswith(prefix):
                name = path[len(prefix) :]
                if _is_image(name):
                    names.append(name)
                    first, slash, _ = name.partition("/")
                    if slash:
                        classes[first] += 1
                else:
                    passed.add(name.rpartition("/")[2], name)
        astray = sum(path.startswith(prefix) for path in self.astray)
        passed.files.update({"link to nothing" if astray == 1 else "links to nothing": astray} if astray else {})
        names.sort()
        places = [self.places[prefix + name] for name in names]
        return Found(
            names=names,
            stats=np.array([numbers(os.stat(file)) for file in self.files], dtype=np.uint64),
            folders=self[top].folders,
            classes=classes,
            loose=len(names) - classes.total(),
            members=TarMembers(self.files, places),
        )

    def labels(self, top: Path, names: Sequence[str], passed: Passed) -> np.ndarray | None:
        """By WebDataset's files .cls.

        Raises:
            DataError: some images have one, others none; one holds no whole number from 0.
        """
        prefix = f"{self._inner(top)}/".removeprefix("/") if self._inner(top) else ""
        beside = [prefix + _key(name) + LABEL for name in names]
        there = [path in self.places for path in beside]
        if not any(there):
            return None
        if not all(there):
            lacking = clean(names[there.index(False)], 200)
            cause = f"{clean(str(top))} has a {LABEL} file beside some images, and none beside {lacking}"
            raise DataError(cause, "add it, or ignore labels: --set dataset.labels=false")
        passed.files[LABEL] = 0
        read = TarMembers(self.files, [])
        found = np.empty(len(names), dtype=np.int64)
        for at, path in enumerate(beside):
            text = read.get(self.places[path]).strip()[:20]
            if not text.isdigit() or len(text) > 9:
                cause = f"{clean(path, 200)} in {clean(str(top))} holds {clean(repr(text), 40)}, no number of a class"
                raise DataError(cause, "number the classes 0 to K-1, or ignore labels: --set dataset.labels=false")
            found[at] = int(text)
        return found

    def has(self, file: Path) -> bool:
        return self._inner(file) in self.places

    def read(self, file: Path) -> bytes:
        return TarMembers(self.files, []).get(self.places[self._inner(file)])


class TarMembers(Members):
    """Files in tar files, by their places."""

    def __init__(self, files: Sequence[Path], places: Sequence[Place]) -> None:
        self.files, self.places = files, places
        self._open: dict[int, int] = {}  # number of a file -> its descriptor

    def batches(self, size: int) -> Iterator[Sequence[Read]]:
        for start in range(0, len(self.places), size):
            some = self.places[start : start + size]
            for number in {place[0] for place in some}:
                self._descriptor(number)  # here, in one thread
            yield [partial(self.get, place) for place in some]

    def get(self, place: Place) -> bytes:
        """Raises OSError."""
        number, offset, length = place
        if hasattr(os, "pread"):
            content = os.pread(self._descriptor(number), length, offset)
        else:
            with open(self.files[number], "rb") as file:
                file.seek(offset)
                content = file.read(length)
        if len(content) != length:
            raise OSError("the tar file has become shorter")
        return content

    def _descriptor(self, number: int) -> int:
        if number not in self._open:
            handle = os.open(self.files[number], os.O_RDONLY | getattr(os, "O_BINARY", 0))
            self._open[number] = handle
            weakref.finalize(self, os.close, handle)
        return self._open[number]


def _is_image(name: str) -> bool:
    return name[name.rfind(".") :].lower() in suffixes() and "." in name


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


def _marks(files: Sequence[Path], names: Sequence[Sequence[str]]) -> Sequence[str]:
    """What goes before the names of each file's members, so that none is another's: nothing, unless shards number
    their images anew.
    """

    def differ(marks: Sequence[str]) -> bool:
        all_names = [_marked(name, mark) for mark, some in zip(marks, names, strict=True) for name in some]
        return len(set(all_names)) == len(all_names)

    numbered = [f"{number:06d}-" for number in range(len(files))]
    ways = ([""] * len(files), [f"{file.name.partition('.')[0]}-" for file in files], [f"{f.stem}-" for f in files])
    return next((marks for marks in ways if differ(marks)), numbered)


def _marked(name: str, mark: str) -> str:
    folder, slash, last = name.rpartition("/")
    return f"{folder}{slash}{mark}{last}"


def _key(name: str) -> str:
    """ "a/0001.seg.png" -> "a/0001", as WebDataset has it."""
    folder, slash, last = name.rpartition("/")
    return folder + slash + last.partition(".")[0]


def _above(name: str) -> Iterator[str]:
    """The folders that a file is in, from the inner to the outer one, "" the last."""
    while name:
        name = name.rpartition("/")[0]
        yield name
