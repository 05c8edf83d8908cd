"""Which folders are training and test images, told by their names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

_TRAIN = ("train", "training")
_TEST = ("test", "tests", "testing", "val", "valid", "validation", "eval", "evaluation", "dev")  # preferred in order
_FILLERS = (
    *("images", "image", "imgs", "img", "photos", "pictures", "pics"),
    *("datasets", "dataset", "data", "sets", "set", "split", "folder", "dir"),
)
_WORDS = sorted((*_TRAIN, *_TEST), key=len, reverse=True)
_GLUED = re.compile(rf"({'|'.join(_WORDS)})(?:{'|'.join(_FILLERS)})?(\d\w*)?")  # "trainset", "testdata", "val2017"


class Ambiguous(Exception):
    """Several folders may be the training or the test images; `args` are their names."""


class _Named(NamedTuple):
    folder: str
    word: str  # of _TRAIN or _TEST
    rest: tuple[str, ...]  # what else the name says: ("seg",) for "seg_train"


def find_splits(folders: Iterable[str]) -> tuple[str | None, str | None]:
    """Names of the folders of training and test images among `folders`, None where there is none.

    Any case, with words such as "set" and "images" about them: "Training", "test_set", "valimages". Other words must be
    in both names or in that of the training images: "seg_train" and "seg_test". A training folder without a test folder
    counts only if there is no other folder. Raises Ambiguous.
    """
    folders = list(folders)
    named = [found for found in map(_named, sorted(folders)) if found is not None]
    trains = [found for found in named if found.word in _TRAIN]
    tests = [found for found in named if found.word in _TEST]
    plain = [found for found in trains if not found.rest]
    candidates = plain or [t for t in trains if any(test.rest in (t.rest, ()) for test in tests)]
    if len(candidates) > 1:
        raise Ambiguous(*(found.folder for found in candidates))
    if not candidates:
        return None, None
    train = candidates[0]
    fitting = [test for test in tests if test.rest == train.rest] or [test for test in tests if not test.rest]
    if not fitting:
        return (train.folder, None) if len(folders) == 1 else (None, None)
    first = min(_TEST.index(test.word) for test in fitting)
    chosen = [test.folder for test in fitting if _TEST.index(test.word) == first]
    if len(chosen) > 1:
        raise Ambiguous(*chosen)
    return train.folder, chosen[0]


def _named(folder: str) -> _Named | None:
    words, rest = [], []
    for part in re.split(r"[\W_]+", folder.lower()):
        glued = _GLUED.fullmatch(part)
        if glued:
            words.append(glued[1])
            rest += [glued[2]] if glued[2] else []
        elif part and part not in _FILLERS:
            rest.append(part)
    return _Named(folder, words[0], tuple(rest)) if len(words) == 1 else None
