"""One dataset in several files: which files a path means, and which of them are for training. Torch-free."""

from __future__ import annotations

import glob
import itertools
import re
from collections.abc import Sequence
from pathlib import Path

from ganzoo.data.splits import Ambiguous, find_splits
from ganzoo.errors import DataError
from ganzoo.files.text import clean

_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
_MOST = 100_000  # files that a range may name


def files_at(path: Path, ending: str) -> list[Path]:
    """The files that `path` means, sorted: one; those of a folder and below that end in `ending`; those that a pattern
    matches, of * and ? as a shell has them, or of ranges as WebDatasets have them: shard-{0000..0009}.tar.

    Raises:
        DataError: there is none, or one of a range is missing.
    """
    shown = clean(str(path))
    if path.is_file():
        return [path]
    if path.is_dir():
        found = sorted(file for file in path.rglob(f"*{ending}") if file.is_file() and not file.name.startswith("."))
        if not found:
            raise DataError(f"{shown} holds no {ending} file", f"give a {ending} file, or a folder of some")
        return found
    if path.exists():
        raise DataError(f"{shown} is no regular file", f"give a {ending} file, a folder of some, or a pattern")
    text = str(path)
    if _RANGE.search(text):
        found = [Path(name) for name in _expanded(text, shown)]
        missing = next((file for file in found if not file.is_file()), None)
        if missing is not None:
            cause = f"{clean(str(missing))}, one of {len(found):,} files of {clean(path.name)}, does not exist"
            raise DataError(cause, "copy it there, or give the range of those that are there")
        return found
    if glob.has_magic(text):
        found = sorted(Path(name) for name in glob.glob(text) if Path(name).is_file())
        if not found:
            raise DataError(f"no file matches {shown}", f"give a {ending} file, a folder of some, or another pattern")
        return found
    raise DataError(f"{shown} does not exist", f"give a {ending} file, a folder of some, or a pattern in quotes")


def _expanded(text: str, shown: str) -> list[str]:
    parts = _RANGE.split(text)  # text, from, to, text, from, to, ..., text
    ranges = []
    for start, end in zip(parts[1::3], parts[2::3], strict=True):
        numbers = range(int(start), int(end) + 1)
        if not 0 < len(numbers) <= _MOST:
            cure = "give a smaller range" if numbers else "give the lower number first"
            raise DataError(f"{shown} has a range of {len(numbers):,} files", cure)
        ranges.append([str(number).zfill(len(start)) for number in numbers])
    if len(list(itertools.islice(itertools.product(*ranges), _MOST + 1))) > _MOST:
        raise DataError(f"{shown} means more than {_MOST:,} files", "give a smaller range")
    texts = parts[0::3]
    return [
        texts[0] + "".join(number + rest for number, rest in zip(chosen, texts[1:], strict=True))
        for chosen in itertools.product(*ranges)
    ]


def splits_of(files: Sequence[Path], shown: str) -> tuple[list[Path], list[Path] | None]:
    """The files of training and of test images, by their names as folders have them ("train-00000-of-00002", "test"),
    or by the folders that they lie in; None where nothing is for testing.

    Raises:
        DataError: which are meant cannot be told.
    """
    for words in ({file: _word(file.name) for file in files}, {file: file.parent.name for file in files}):
        try:
            train, test = find_splits(set(words.values()))
        except Ambiguous as error:
            names = " and ".join(clean(name, 200) for name in error.args)
            raise DataError(
                f"{shown} has files of {names}, which of them are meant cannot be told", "give the others another place"
            ) from None
        if train is not None:
            chosen = [[file for file, word in words.items() if word == split] for split in (train, test)]
            return chosen[0], chosen[1] or None
    return list(files), None


def _word(name: str) -> str:
    """ "train-00000-of-00002.parquet" -> "train"."""
    parts = re.split(r"[\W_]+", name.partition(".")[0])
    return "_".join(part for part in parts if part and not part.isdigit() and part != "of")
