"""`dataset.json`, the labels of the image packs that StyleGAN's `dataset_tool.py` makes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ganzoo.data.contents import read
from ganzoo.errors import DataError
from ganzoo.files.text import clean

NAME = "dataset.json"
MOST_BYTES = 2**29  # a million one-hot vectors of a hundred classes take 300 MB

_FORM = 'write {"labels": [["00000/img00000000.png", 6], ...]}, or null for labels'
_CURE = f"{_FORM}; to ignore the file: --set dataset.labels=false"


Read = Callable[[Path], bytes]


def read_file(file: Path) -> bytes:
    """Raises OSError."""
    return read(str(file))


def read_labels(file: Path, names: Sequence[str], get: Read = read_file) -> tuple[np.ndarray, int] | None:
    """Labels int64 `[N]` of the images `names`, paths beside the file with /, and the number of classes.

    None: the pack is unlabelled. `{"labels": [[name, label], ...]}`, an object of them in place of the list, or null;
    a label is a whole number from 0 or a one-hot vector. Raises DataError for anything else, for names that the folder
    has not and for images that the file does not name.
    """
    where = clean(str(file))
    labels = _document(file, where, get)
    if labels is None:
        return None
    pairs = list(labels.items()) if isinstance(labels, dict) else labels
    if not isinstance(pairs, list):
        raise DataError(f"the labels in {where} are neither a list nor null", _CURE)
    given: dict[str, Any] = {}
    for pair in pairs:
        if not isinstance(pair, (list, tuple)) or len(pair) != 2 or not isinstance(pair[0], str):
            raise DataError(f"{where} has the label {_short(pair)}, which is no pair of a name and a label", _CURE)
        name = pair[0].replace("\\", "/")
        if name in given:
            raise DataError(f"{where} has two labels for {clean(name, 200)}", _CURE)
        given[name] = pair[1]
    _check_names(given, names, where)
    width = None  # of one-hot vectors
    numbers: list[int] = []
    for name in names:
        number, length = _label(given[name], name, where)
        if numbers and length != width:
            raise DataError(f"{where} has labels of different forms, as that of {clean(name, 200)}", _CURE)
        width = length
        numbers.append(number)
    return np.array(numbers, dtype=np.int64), width or max(numbers, default=-1) + 1


def num_classes(read: tuple[np.ndarray, int] | None, where: str) -> int:
    """The number of classes of training images by what `read_labels` gave; 0: unlabelled, which a single class is, too.

    Whether each has an image is checked where all datasets are. Raises DataError for more classes than images.
    """
    if read is None or read[1] < 2:
        return 0
    images, count = len(read[0]), read[1]
    if count > max(images, 2):
        raise DataError(f"{where} has {count} classes for {images} images", f"number them from 0; {_CURE}")
    return count


def names_in(file: Path, get: Read = read_file) -> list[str]:
    """The names that a file has labels for, as far as its form lets them be told."""
    labels = _document(file, clean(str(file)), get)
    pairs = labels.items() if isinstance(labels, dict) else labels if isinstance(labels, list) else ()
    return [str(pair[0]).replace("\\", "/") for pair in pairs if isinstance(pair, (list, tuple)) and pair]


def _document(file: Path, where: str, get: Read) -> Any:
    """What the file has under "labels"."""
    try:
        if os.path.exists(file) and os.stat(file).st_size > MOST_BYTES:
            raise DataError(f"{where} is larger than {MOST_BYTES // 2**20} MiB", _CURE)
        document = json.loads(get(file))
    except OSError as error:
        raise DataError(f"cannot read {where}: {error.strerror or error}", _CURE) from error
    except (ValueError, RecursionError, MemoryError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else clean(str(error), 200)
        raise DataError(f"{where} is no readable JSON: {reason}", _CURE) from error
    if not isinstance(document, dict) or "labels" not in document:
        raise DataError(f'{where} has no "labels"', _CURE)
    return document["labels"]


def _check_names(given: dict[str, Any], names: Sequence[str], where: str) -> None:
    known = set(names)
    absent = next((name for name in given if name not in known), None)
    if absent is not None:
        cure = (
            "unpack the images again, or take its line out of the file; to ignore the file: --set dataset.labels=false"
        )
        raise DataError(f"{where} names {clean(absent, 200)}, which is not there", cure)
    unnamed = next((name for name in names if name not in given), None)
    if unnamed is not None:
        cure = "add it or remove the image; to ignore the file: --set dataset.labels=false"
        raise DataError(f"{where} has no label for {clean(unnamed, 200)}", cure)


def _label(label: Any, name: str, where: str) -> tuple[int, int | None]:
    """(class, length of the one-hot vector or None)."""
    if isinstance(label, int) and not isinstance(label, bool) and 0 <= label < 2**31:
        return label, None
    one_hot = isinstance(label, list) and all(type(x) in (int, float) and x in (0, 1) for x in label)
    if one_hot and label.count(1) == 1:
        return label.index(1), len(label)
    cure = "give a whole number from 0, or zeros with a single one; to ignore the file: --set dataset.labels=false"
    raise DataError(f"{where} has the label {_short(label)} for {clean(name, 200)}", cure)


def _short(value: Any) -> str:
    try:
        return clean(repr(value), 80)
    except (RecursionError, ValueError):  # nested just too deeply, or a number of thousands of digits
        return "of an odd form"
