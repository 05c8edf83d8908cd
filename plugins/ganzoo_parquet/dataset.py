"""`parquet:FILE`, images in Parquet files: columns as Hugging Face datasets write them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ganzoo.data.cache import cached_images
from ganzoo.data.contents import numbers
from ganzoo.data.errors import NoTestSplit
from ganzoo.data.facts import Facts, distinct
from ganzoo.data.folder import decoding
from ganzoo.data.images import Images
from ganzoo.data.members import Members, Read
from ganzoo.data.paths import absolute
from ganzoo.data.scan import Listing
from ganzoo.data.several import files_at, splits_of
from ganzoo.errors import DataError, UserError
from ganzoo.files.progress import OnProgress
from ganzoo.files.text import clean

_NO_LABELS = "or ignore labels: --set dataset.labels=false"


def load_parquet(
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
    image: str = "image",
    label: str = "label",
    on_progress: OnProgress | None = None,
) -> Images:
    """Images of a Parquet file, of those in a folder, or of all that a pattern names, in the order of their rows; other
    parameters as of `load_folder`.

    `image`: the column of encoded images, bytes or structs {bytes, path}. `label`: the column of labels, whole numbers
    from 0; their names come from ClassLabel in the schema's metadata, if it is there. Splits are told by the names of
    the files or of their folders: train-00000-of-00002.parquet, test-00000-of-00001.parquet.
    """
    how = decoding(size, color, fit, background, white)
    top = absolute(path)
    shown = clean(str(top))
    train, test = splits_of(files_at(top, ".parquet"), shown)
    if split == "test" and test is None:
        raise NoTestSplit(f"{shown} has no test split", "name its files test-00000.parquet, beside train-00000.parquet")
    table = _Table.of(train, image)
    trained = table.labels(label) if labels else None
    wanted = table if split == "train" else _Table.of(test or [], image)
    found = trained if split == "train" else wanted.labels(label) if trained is not None else None
    if found is None and trained is not None:
        raise DataError(f"{shown} has labels for training images alone", f"add the column {label}, {_NO_LABELS}")
    names = table.class_names(label)
    count = 0 if trained is None else len(names) if names else int(trained.max(initial=0)) + 1
    for some in (one for one in (trained, found) if one is not None):
        if some.max(initial=0) >= count or some.min(initial=0) < 0:
            wrong = int(some.min()) if some.min() < 0 else int(some.max())
            which = f"of {count} names" if names else "that training images have" if wrong >= 0 else "from 0 on"
            raise DataError(f"{shown} has the label {wrong}, which is none {which}", f"mend the column, {_NO_LABELS}")
    if trained is not None and names is None and count > max(len(trained), 1):
        cause = f"{shown} has labels up to {count - 1} for {len(trained)} images"
        raise DataError(cause, f"number the classes 0 to K-1, each with an image, {_NO_LABELS}")
    count = count if count > 1 else 0
    listing = Listing(
        folder=top,
        names=wanted.row_names(top),
        stats=np.array([numbers(file.stat()) for file in (*train, *(test or ()))], dtype=np.uint64),
        labels=found if count else None,
        num_classes=count,
        class_names=distinct(names) if count and names else None,
        facts=Facts(
            images=sum(wanted.rows),
            test_split=test is not None,
            labels_from=f"column {clean(label, 50)}" if count else None,
        ),
        members=Rows(wanted),
    )
    return cached_images(listing, how, split=split, root=root, has_settings=True, on_progress=on_progress)


@dataclass(frozen=True, kw_only=True)
class _Table:
    """Rows of one split, of any number of files."""

    files: Sequence[Path]
    rows: Sequence[int]  # of each
    column: str  # of the images
    schema: Any  # of the first file

    @classmethod
    def of(cls, files: Sequence[Path], column: str) -> _Table:
        """
        Raises:
            UserError: pyarrow is not installed.
            DataError: a file is damaged, or has no column of images, or there are no rows.
        """
        arrow = _arrow()
        rows, schema = [], None
        for file in files:
            found = _opened(file)
            with found:
                ours = found.schema_arrow
                rows.append(found.metadata.num_rows)
            _check_column(ours, column, file, arrow)
            schema = ours if schema is None else schema
        if not sum(rows):
            where = clean(str(files[0])) if len(files) == 1 else f"{len(files)} files beside {clean(str(files[0]))}"
            raise DataError(f"{where} has no rows", "give a file with images in it")
        return cls(files=files, rows=rows, column=column, schema=schema)

    def row_names(self, top: Path) -> list[str]:
        names = []
        for file, count in zip(self.files, self.rows, strict=True):
            inner = file.relative_to(top).as_posix() if file.is_relative_to(top) and file != top else file.name
            names += [f"{inner}/{row}" for row in range(count)]
        return names

    def class_names(self, column: str) -> list[str] | None:
        """Of ClassLabel, in Hugging Face's metadata of the schema; None: there are none."""
        try:
            features = json.loads((self.schema.metadata or {})[b"huggingface"])["info"]["features"]
            names = features[column]["names"]
        except (KeyError, ValueError, TypeError):
            return None
        sound = isinstance(names, list) and all(isinstance(name, str) for name in names)
        return names if sound and len(names) > 0 else None

    def labels(self, column: str) -> np.ndarray | None:
        """int64 `[N]`; None: there is no such column, and nobody asked for it by name.

        Raises:
            DataError: it holds no whole numbers, or nothing in some rows.
        """
        if column not in self.schema.names:
            if column == "label":
                return None
            others = clean(", ".join(self.schema.names), 200)
            raise DataError(f"{clean(str(self.files[0]))} has no column {clean(column)} (found: {others})",
                            f"name the one of labels: --set dataset.label=NAME, {_NO_LABELS}")  # fmt: skip
        import pyarrow as pa

        parts = []
        for file in self.files:
            with _opened(file) as found:
                if column not in found.schema_arrow.names:
                    raise DataError(f"{clean(str(file))} has no column {clean(column)}, unlike the others",
                                    f"add it, {_NO_LABELS}")  # fmt: skip
                values = _reading(file, partial(found.read, columns=[column])).column(0)
            if not pa.types.is_integer(values.type):
                cause = (
                    f"the column {clean(column)} of {clean(str(file))} holds {values.type} in place of whole numbers"
                )
                raise DataError(cause, f"number the classes from 0 (ClassLabel keeps their names), {_NO_LABELS}")
            if values.null_count:
                cause = f"the column {clean(column)} of {clean(str(file))} has no value in {values.null_count:,} rows"
                raise DataError(cause, f"fill them in, {_NO_LABELS}")
            parts.append(values.to_numpy().astype(np.int64))
        return np.concatenate(parts)


class Rows(Members):
    """Encoded images of a column, page after page of a mapped file, however large its row groups are."""

    def __init__(self, table: _Table) -> None:
        self.table = table

    def batches(self, size: int) -> Iterator[Sequence[Read]]:
        for file in self.table.files:
            with _opened(file) as found:
                batches = found.iter_batches(batch_size=size, columns=[self.table.column], use_threads=False)
                while (batch := _reading(file, partial(next, batches, None))) is not None:
                    cells = batch.column(0).to_pylist()  # here: what is freed in other threads, Arrow's pool keeps
                    del batch
                    yield [partial(_content, cell) for cell in cells]


def _content(found: Any) -> bytes:
    """Of a cell. ValueError: it holds no bytes."""
    data = found.get("bytes") if isinstance(found, dict) else found
    if not isinstance(data, bytes):
        path = found.get("path") if isinstance(found, dict) else None
        raise ValueError(f"it holds no bytes, only the path {path!r}" if path else "it is empty")
    return data


def _arrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise UserError("pyarrow, which reads Parquet, is not installed", "pip install 'ganzoo[parquet]'") from None
    return pyarrow


def _opened(file: Path) -> Any:
    """A pyarrow.parquet.ParquetFile, to be closed. Raises DataError: it is none."""
    arrow = _arrow()
    return _reading(file, partial(arrow.parquet.ParquetFile, file, memory_map=True, pre_buffer=False))


def _reading(file: Path, work: Any) -> Any:
    arrow = _arrow()
    try:
        return work()
    except (arrow.ArrowException, OSError, ValueError) as error:
        reason = clean(str(error).partition("\n")[0], 200)
        raise DataError(
            f"{clean(str(file))} is no readable Parquet file: {reason}", "copy or download it again"
        ) from error


def _check_column(schema: Any, column: str, file: Path, arrow: Any) -> None:
    shown, types = clean(str(file)), arrow.types
    if column not in schema.names:
        found = clean(", ".join(schema.names), 200)
        raise DataError(f"{shown} has no column {clean(column)} (found: {found})", "name it: --set dataset.image=NAME")
    kind = schema.field(column).type

    def is_bytes(one: Any) -> bool:
        return bool(types.is_binary(one) or types.is_large_binary(one))

    within = types.is_struct(kind) and any(field.name == "bytes" and is_bytes(field.type) for field in kind)
    if not (within or is_bytes(kind)):
        cause = f"the column {clean(column)} of {shown} holds {clean(str(kind), 100)} in place of encoded images"
        raise DataError(cause, "write bytes of PNG or JPEG, or a struct {bytes, path}: datasets.Image does")
