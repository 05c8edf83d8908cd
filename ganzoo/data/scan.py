"""Find the image files of a folder, its splits and its classes. Reads no image."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ganzoo.data.contents import File
from ganzoo.data.decode import SUFFIXES
from ganzoo.data.errors import NoTestSplit
from ganzoo.errors import DataError

TEST_FOLDERS = ("test", "val", "valid", "validation")  # beside train/; the first that exists is the test split


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The image files of one split, sorted by name, and the classes that their first folders name."""

    folder: Path
    files: tuple[File, ...]
    class_names: tuple[str, ...] | None  # None: unlabelled

    def labels(self) -> list[int] | None:
        """Class index of each file, or None."""
        if self.class_names is None:
            return None
        index = {name: i for i, name in enumerate(self.class_names)}
        return [index[file.name.partition("/")[0]] for file in self.files]


def scan_split(path: Path, split: str, *, labelled: bool = True) -> Listing:
    """List the images of `split` ("train" or "test") under `path`.

    With `train/` and one of `test/`, `val/`, `valid/`, `validation/` in it, those are the splits; a lone `train/` is
    the training set; otherwise everything is. Folders directly in a split are classes, by sorted name, and test images
    get the labels of the training classes; a flat folder or a single class is unlabelled, as is everything with
    `labelled` False. Hidden files and folders are passed over. Raises DataError if there are no images or no such
    folder, or if classes are ambiguous, and NoTestSplit.
    """
    train, test = split_folders(path)
    folder = test if split == "test" else train
    if folder is None:
        raise NoTestSplit(f"{path} has no test split", "put the images into train/ and test/ there")
    files, others = _list(folder)
    if not files:
        cure = f"give a folder with images in it ({', '.join(sorted(SUFFIXES))}), with or without class folders"
        if others:
            raise DataError(f"{folder} has no images, only other files such as {others[0]}", cure)
        raise DataError(f"{folder} has no files", cure)
    if not labelled:
        return Listing(folder=folder, files=files, class_names=None)
    names = _class_names(train)
    if names is not None:
        for file in files:
            first, slash, _ = file.name.partition("/")
            if not slash:
                cure = "move it into a class folder, or set labels=false to ignore the class folders"
                raise DataError(f"{folder} has class folders and loose images such as {file.name}", cure)
            if first not in names:
                raise DataError(f"{folder / first} is no training class", f"add it to {train}, or set labels=false")
    return Listing(folder=folder, files=files, class_names=names)


def split_folders(path: Path) -> tuple[Path, Path | None]:
    """The folders of training and test images under `path`; None for the latter if there is no split."""
    try:
        folders = {entry.name for entry in os.scandir(path) if entry.is_dir() and not entry.name.startswith(".")}
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist", "give the path of a folder of images") from error
    except NotADirectoryError as error:
        raise DataError(
            f"{path} is not a folder", "give the folder; unpack an archive first; for .npz: npz:PATH"
        ) from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}", "check the permissions of the folder") from error
    if "train" in folders:
        for name in TEST_FOLDERS:
            if name in folders:
                return path / "train", path / name
        if folders == {"train"}:
            return path / "train", None
    return path, None


def _class_names(train: Path) -> tuple[str, ...] | None:
    """Sorted names of the folders in `train` that hold images; None if fewer than two."""
    with os.scandir(train) as entries:
        folders = [e for e in entries if e.is_dir() and not e.name.startswith(".")]
    names = sorted(e.name for e in folders if next(_walk(e.path, "", set()), None) is not None)
    return tuple(names) if len(names) > 1 else None


def _list(folder: Path) -> tuple[tuple[File, ...], list[str]]:
    """Image files below `folder`, sorted by name, and up to one name of another file."""
    others: list[str] = []
    files = []
    try:
        for name, entry in _walk(str(folder), "", set(), others):
            try:
                files.append(File.of(name, entry.stat()))
            except OSError:
                files.append(File(name, -1, 0))
    except OSError as error:
        raise DataError(f"cannot read {error.filename}: {error.strerror}", "check its permissions") from error
    return tuple(sorted(files)), others


def _walk(
    folder: str, prefix: str, seen: set[tuple[int, int]], others: list[str] | None = None
) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Image files below `folder`, by name below the top; the first other file's name is put into `others`.

    Links are followed; `seen` holds the folders met, so that a link to a parent does not go round for ever.
    """
    stat = os.stat(folder)
    if (stat.st_dev, stat.st_ino) in seen:
        return
    if stat.st_ino:  # 0 where the file system has no such numbers
        seen.add((stat.st_dev, stat.st_ino))
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".") or entry.name == "__MACOSX":
                continue
            if entry.is_dir():
                yield from _walk(entry.path, f"{prefix}{entry.name}/", seen, others)
            elif entry.name[entry.name.rfind(".") :].lower() in SUFFIXES:
                yield f"{prefix}{entry.name}", entry
            elif others is not None and not others:
                others.append(f"{prefix}{entry.name}")
