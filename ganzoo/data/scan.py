"""Find the image files of a folder, its splits and its classes. Reads no image."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ganzoo.data import pack
from ganzoo.data.decode import suffixes
from ganzoo.data.errors import NoTestSplit
from ganzoo.data.facts import Facts, distinct
from ganzoo.data.members import Files, Members
from ganzoo.data.splits import Ambiguous, find_splits
from ganzoo.data.tree import _ARCHIVES, UNREAD, Entries, Found, Passed, Tree, shown
from ganzoo.errors import DataError
from ganzoo.files.text import clean

_PLAIN = frozenset({"data", "dataset", "image", "images", "img", "imgs", "jpegimages", "photos", "pictures", "pics"})
"""Names of folders that are no classes when their neighbours hold no images."""

_WHOLE = re.compile(r"-?[0-9]+")


@dataclass(frozen=True, kw_only=True, eq=False)
class Listing:
    """The image files of one split, sorted by name, and their classes."""

    folder: Path
    names: Sequence[str]  # paths below `folder`, with /
    stats: np.ndarray  # uint64 [F,5]: `ganzoo.data.contents.numbers` of each file that they lie in, in order
    labels: np.ndarray | None = None  # int64 [N]; None: unlabelled
    num_classes: int = 0
    class_names: tuple[str, ...] | None = None  # fit for a terminal, all different
    class_folders: tuple[str, ...] | None = None  # as the file system spells them
    facts: Facts  # what can be told without reading an image
    members: Members | None = None  # what holds the images, where they are no files of their own

    @property
    def source(self) -> Members:
        return Files(self.folder, self.names) if self.members is None else self.members


def scan_split(path: Path, split: str, *, labelled: bool = True, tree: Tree | None = None) -> Listing:
    """List the images of `split` ("train" or "test") under `path`.

    A lone folder, with nothing else that holds images beside it, is entered, as often as there is one. A training and a
    test folder (see `ganzoo.data.splits.find_splits`) are the splits; a lone training folder is the training set;
    otherwise everything is. Folders directly in a split are classes, whole numbers in their order and then by name, and
    test images get the labels of the training classes; a flat folder or a single class is unlabelled, as is everything
    with `labelled` False. `dataset.json` beside the images decides instead, see `ganzoo.data.pack`. Hidden files and
    folders are passed over. Raises DataError if there are no images or no such folder, if classes are ambiguous or
    without images, and NoTestSplit. `tree`: folders that are none of the file system's, those of an archive say.
    """
    passed, tree = Passed(), Tree() if tree is None else tree
    top = _descend(tree, path, path, labelled, passed, splits=True)
    train, test = _splits(tree, top)
    splits = tuple(f"{clean(folder.name)}/" for folder in (train, test) if folder is not None and folder != top)
    folder = test if split == "test" else train
    if folder is None:
        raise NoTestSplit(f"{shown(path)} has no test split", "put the images into train/ and test/ there")
    if top not in (train, test):
        _beside(tree[top], [train.name] + ([test.name] if test else []), passed, _prefix(top, path))
    entered = train = _descend(tree, train, path, labelled, passed if split == "train" else Passed())
    names = _train_classes(tree, train) if split == "test" and labelled else None
    if split == "test":
        entered = _descend(tree, folder, path, labelled, passed, classes=names or ())
    found = tree.collect(entered, passed)
    if not found.names:
        _refuse_empty(entered, passed)
    facts = Facts(
        images=len(found.names),
        descended=_descended(path, top, entered, folder),
        splits=splits,
        test_split=test is not None,
    )
    listing = Listing(folder=entered, names=found.names, stats=found.stats, facts=facts, members=found.members)
    if labelled:
        document, train_document = entered / pack.NAME, train / pack.NAME
        beside = tree.labels(entered, found.names, passed)
        if beside is not None:
            listing = _numbered(tree, listing, beside, train if split == "test" else None)
        elif tree.has(document):
            listing = _packed(tree, listing, document, train_document if split == "test" else None)
            passed.files[".json"] -= 1
        elif tree.has(train_document):
            cause = f"{shown(train_document)} gives labels to the training images, and {shown(entered)} has none"
            raise DataError(cause, "add one there, or ignore labels: --set dataset.labels=false")
        else:
            listing = _with_classes(
                listing, found, names if split == "test" else _train_names(entered, found, passed), split
            )
    warnings = _unread(passed)
    kinds = tuple((what, count) for what, count in passed.files.items() if count > 0)
    facts = replace(
        listing.facts, passed_over=kinds, folders_passed_over=tuple(passed.folders), warnings=tuple(warnings)
    )
    return replace(listing, facts=facts)


def _with_classes(listing: Listing, found: Found, names: Sequence[str] | None, split: str) -> Listing:
    """The listing with labels by the folders `names`, in order; None: unlabelled."""
    if names is None:
        return listing
    folder = shown(listing.folder)
    if found.loose:
        loose = clean(next(name for name in listing.names if "/" not in name), 200)
        if split == "test":
            cause = f"{folder} has loose images such as {loose}, while training images are in class folders"
        else:
            cause = f"{folder} has class folders and loose images such as {loose}"
        cure = "move it into a class folder, or set labels=false to ignore the class folders"
        raise DataError(cause, f"{cure}: --set dataset.labels=false")
    index = {name: number for number, name in enumerate(names)}
    # names are sorted, so that those of a folder lie together, in the order of the folder's name with its slash
    folders = sorted(found.classes, key=lambda name: f"{name}/")
    unknown = next((name for name in folders if name not in index), None)
    if unknown is not None:
        cure = "add it to the training images, or set labels=false: --set dataset.labels=false"
        raise DataError(f"{folder}/{clean(unknown, 200)} is no training class", cure)
    labels = np.repeat([index[name] for name in folders], [found.classes[name] for name in folders])
    return replace(
        listing,
        labels=labels.astype(np.int64),
        num_classes=len(names),
        class_names=distinct(names),
        class_folders=tuple(names),
    )


def _numbered(tree: Tree, listing: Listing, labels: np.ndarray, train: Path | None) -> Listing:
    """With labels that lie beside each image. `train`: where the training images are; None: they are these."""
    trained = labels if train is None else tree.labels(train, tree.collect(train, Passed()).names, Passed())
    count = 0 if trained is None else int(trained.max(initial=0)) + 1
    if count < 2:
        return listing
    where = shown(listing.folder)
    if count > len(trained if trained is not None else ()):
        cause = f"{where} has labels up to {count - 1} for {len(labels)} images"
        raise DataError(cause, "number the classes 0 to K-1, each with an image; or --set dataset.labels=false")
    if labels.max(initial=0) >= count:
        cause = f"{where} has the label {labels.max()}, which is no training label"
        raise DataError(cause, f"training labels go to {count - 1}; or --set dataset.labels=false")
    return replace(listing, labels=labels, num_classes=count, facts=replace(listing.facts, labels_from=".cls"))


def _packed(tree: Tree, listing: Listing, document: Path, train_document: Path | None) -> Listing:
    """The listing with labels by `dataset.json`; `train_document`: that of the training images, None: this one."""
    facts = replace(listing.facts, labels_from=pack.NAME)
    read = pack.read_labels(document, listing.names, tree.read)
    if train_document is None:
        count = pack.num_classes(read, shown(document))
    elif tree.has(train_document):
        trained = pack.read_labels(train_document, pack.names_in(train_document, tree.read), tree.read)
        count = pack.num_classes(trained, shown(train_document))
    else:
        count = 0
    if count == 0:
        return replace(listing, facts=facts)
    if read is None:
        cause = f"{shown(document)} has null for labels, while training images have some"
        raise DataError(cause, "add labels there, or ignore them: --set dataset.labels=false")
    labels = read[0]
    if labels.max() >= count:
        cause = f"{shown(document)} has the label {labels.max()}, which is no training label"
        raise DataError(cause, f"training labels go to {count - 1}; or --set dataset.labels=false")
    return replace(listing, labels=labels, num_classes=count, facts=facts)


def _train_names(folder: Path, found: Found, passed: Passed) -> list[str] | None:
    """The class folders of training images, in order; None if fewer than two. Raises DataError for an empty one."""
    empty = [name for name in found.folders if name not in found.classes]
    if len(found.classes) < 2 and (found.loose or not empty):
        return None
    if empty:
        more = f" and {len(empty) - 1} more" if len(empty) > 1 else ""
        unread = ", ".join(sorted(set(passed.files) & (UNREAD - suffixes())))
        convert = f"convert {unread} to .png or .jpg, " if unread else ""
        raise DataError(
            f"the class folder {shown(folder)}/{clean(min(empty), 200)}{more} has no image that can be read",
            f"{convert}put images into it or remove it; or ignore the class folders: --set dataset.labels=false",
        )
    return sorted(found.classes, key=_class_order)


def _train_classes(tree: Tree, train: Path) -> list[str] | None:
    """The class folders of the training images, without listing them."""
    names = [name for name in tree[train].folders if tree.holds_images(f"{train}/{name}")]
    return sorted(names, key=_class_order) if len(names) > 1 else None


def _class_order(name: str) -> tuple[int, int, str]:
    """Whole numbers by their value, then other names as text."""
    return (0, int(name), name) if _WHOLE.fullmatch(name) else (1, 0, name)


def _splits(tree: Tree, top: Path) -> tuple[Path, Path | None]:
    """The folders of training and test images in `top`; `top` itself and None if there is no split."""
    try:
        train, test = find_splits(tree[top].folders)
    except Ambiguous as error:
        names = " and ".join(f"{clean(name, 200)}/" for name in error.args)
        raise DataError(
            f"{shown(top)} has {names}, which of them is meant cannot be told", "rename or move all but one of them"
        ) from None
    return (top if train is None else top / train), (None if test is None else top / test)


def _descend(
    tree: Tree,
    folder: Path,
    path: Path,
    labelled: bool,
    passed: Passed,
    *,
    splits: bool = False,
    classes: Collection[str] = (),
) -> Path:
    """Enter `folder`'s lone folder, again and again, and note in `passed` what lies beside.

    Not where a `dataset.json` gives the labels, nor, with `splits`, where there are some, nor, among test images of
    `classes`, a folder that is one or has to be refused as none. Neighbours without images do not count beside a folder
    that plainly is no class: one of class folders, or one named "images".
    """
    for _ in range(100):  # deeper is a link to itself
        here = tree[folder]
        if here.images or not here.folders or (labelled and pack.NAME in here.others):
            return folder
        if splits and _splits(tree, folder)[0] != folder:
            return folder
        holding: list[str] = []
        for name in here.folders:
            if tree.holds_images(f"{folder}/{name}"):
                holding.append(name)
                if len(holding) > 1:
                    return folder
        if not holding:
            return folder
        only = holding[0]
        if classes and (only in classes or not _structured(tree, folder / only)):
            return folder
        if len(here.folders) > 1 and only.lower() not in _PLAIN and not _structured(tree, folder / only):
            return folder
        _beside(here, [only], passed, _prefix(folder, path))
        folder = folder / only
    return folder


def _structured(tree: Tree, folder: Path) -> bool:
    """Whether a folder has its images in folders of its own."""
    here = tree[folder]
    return not here.images and any(tree.holds_images(f"{folder}/{name}") for name in here.folders)


def _prefix(folder: Path, path: Path) -> str:
    return "" if folder == path else f"{_relative(folder, path)}/"


def _beside(here: Entries, used: Collection[str], passed: Passed, prefix: str) -> None:
    """Note what lies beside the folders `used`."""
    for name in (*here.images, *here.others):
        passed.add(name, name)
    passed.folders += [f"{prefix}{clean(name, 200)}/" for name in here.folders if name not in used]


def _descended(path: Path, top: Path, entered: Path, split: Path) -> str | None:
    """The lone folders entered above and in the split, as a path below `path`."""
    if top == path and entered == split:
        return None
    return f"{_relative(entered, path)}/"


def _relative(folder: Path, path: Path) -> str:
    return clean(folder.relative_to(path).as_posix())


def _unread(passed: Passed) -> list[str]:
    """A warning of pictures that were passed over."""
    kinds = [(ending, count) for ending, count in sorted(passed.files.items()) if ending in UNREAD - suffixes()]
    if not kinds:
        return []
    named = ", ".join(f"{count:,} {ending}" for ending, count in kinds)
    return [f"{named} are passed over, as Pillow does not read them here; convert them to .png or .jpg to have them in"]


def _refuse_empty(folder: Path, passed: Passed) -> None:
    """Raise DataError for a folder without images."""
    known = ", ".join(sorted(suffixes()))
    cure = f"give one with images in it ({known}), with or without class folders"
    unread = [ending for ending in passed.files if ending in UNREAD - suffixes()]
    if unread:
        cure = f"convert {', '.join(sorted(unread))} to .png or .jpg; images are read from {known}"
    elif any(f".{ending.rpartition('.')[2]}" in passed.files for ending in _ARCHIVES):
        cure = "unpack the archive in it, and give the folder with the images"
    if passed.example:
        raise DataError(f"{shown(folder)} has no images, only other files such as {clean(passed.example, 200)}", cure)
    raise DataError(f"{shown(folder)} has no files", cure)
