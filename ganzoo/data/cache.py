"""Decode image files once into a memory-mapped file of uint8 pixels, and open it again later."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import logging
import os
import re
import shutil
import time
import uuid
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from ganzoo.data.contents import UNREADABLE, File, combine, digest_files, known_contents, read, remember, stamp
from ganzoo.data.decode import decode_image
from ganzoo.data.fetch import locked
from ganzoo.data.images import Images
from ganzoo.data.pixels import digest, digest_trailer
from ganzoo.data.progress import OnProgress, progress
from ganzoo.data.scan import Listing
from ganzoo.errors import DataError

FORMAT = 2  # of the cache; part of the key, so that a change of format or of decoding is a rebuild
BROKEN_LIMIT = 0.01  # share of files that may be broken
MODES = {"gray": "L", "rgb": "RGB"}

_BATCH = 32  # files per task of a thread
_STALE_SECONDS = 3600.0  # a temporary folder untouched for this long belongs to a builder that was killed

_log = logging.getLogger("ganzoo")


class _Differs(Exception):
    """An image is not of the size of the first one, and no size was asked for."""


def cached_images(
    listing: Listing,
    *,
    root: Path,
    size: int | None,
    color: str,
    on_progress: OnProgress | None = None,
) -> Images:
    """The listed images as memory-mapped `Images`: from `root/folder-cache` if they are there, else decoded into it.

    `size`: pixels of the square; None: that of all images after the centre crop, which must be one. `color`: "gray" or
    "rgb". The cache is found by the contents of the files and these settings, wherever the folder lies; see
    `ganzoo.data.contents` for what that costs. It is written under a temporary name and renamed, so builders at the
    same time, or one that is killed, do no harm. Broken images are left out and named in a warning of the logger
    "ganzoo"; above 1 % of them, or if images differ in size and `size` is None, or if the cache cannot be written, it
    is a DataError.
    """
    contents = _contents(listing, root / "folder-cache", on_progress)
    key = _key(listing, contents, size, color)
    folder = root / "folder-cache" / key
    images = _open(folder)
    if images is not None:
        return images
    try:
        with locked(folder.parent / f".{key}.lock") as held:
            images = _open(folder) if held else None  # another process may have built it meanwhile
            if images is None:
                if held:
                    _sweep(folder)
                _build(listing, contents, folder, size, color, on_progress)
                images = _open(folder)
    except OSError as error:
        where = error.filename or folder.parent
        reason = error.strerror or str(error)
        cure = "free some space or choose another place for data with --data-root or GANZOO_DATA"
        raise DataError(f"cannot write the image cache {where}: {reason}", cure) from error
    if images is None:
        raise DataError(f"the image cache {folder} vanished", "run the command again")
    return images


def _contents(listing: Listing, cache: Path, on_progress: OnProgress | None) -> str:
    """The digest of what the listed files hold: known from before, or read now."""
    record = cache / "contents" / f"{hashlib.sha256(os.fsencode(listing.folder)).hexdigest()[:32]}.json"
    stamped = stamp(listing.folder, listing.files)
    known = known_contents(record, stamped)
    if known is None:
        began = time.time()
        quiet = None if on_progress is None else lambda done, total: None  # it counts images that are decoded
        with progress(f"reading {_short(listing)}", quiet) as show:
            known = digest_files(listing.folder, listing.files, _num_workers(), show)
        with contextlib.suppress(OSError):  # read again next time; a cache that cannot be written is refused below
            remember(record, stamped, known, listing.files, began)
    return known


def _key(listing: Listing, contents: str, size: int | None, color: str) -> str:
    """32 hex digits that name the cache of these contents in these settings."""
    sha = hashlib.sha256(repr((FORMAT, size, color, listing.class_names, contents)).encode("utf-8", "surrogateescape"))
    labels = listing.labels()
    sha.update(b"" if labels is None else np.asarray(labels, dtype="<i8").tobytes())
    return sha.hexdigest()[:32]


def _short(listing: Listing) -> str:
    return "/".join(listing.folder.parts[-2:])[-24:]  # a bar has one line


def _open(folder: Path) -> Images | None:
    """Map a finished cache; None if there is none or it is damaged. Its files are read through, and their digest
    compared, when they are not those that were compared last.
    """
    try:
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        shape = tuple(meta["shape"])
        pixels = folder / "pixels.bin"
        if meta["format"] != FORMAT or pixels.stat().st_size != int(np.prod(shape)):
            return None
        # "c": copy on write, so that nothing that happens to the tensor can reach the file
        mapped = torch.from_numpy(np.memmap(pixels, dtype=np.uint8, mode="c", shape=shape))
        names = meta["class_names"]
        labels = None if names is None else torch.from_numpy(np.load(folder / "labels.npy", allow_pickle=False))
        files = _files(folder)
        if _verified(folder) != files:
            if meta["digest"] != _digest_meta(meta) or meta["sha256"] != digest(mapped, labels):
                _log.warning("the image cache %s is damaged and is made anew", folder)
                return None
            with contextlib.suppress(OSError):  # a cache that others own: compared each time
                _set_verified(folder, files)
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        return None
    return Images(
        pixels=mapped,
        labels=labels,
        num_classes=0 if names is None else len(names),
        sha256=meta["sha256"],
        class_names=None if names is None else tuple(names),
        mapped=True,
    )


def _digest_meta(meta: Mapping[str, object]) -> str:
    text = json.dumps({key: value for key, value in meta.items() if key != "digest"}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _files(folder: Path) -> list[list[object]]:
    """What tells whether a cache's files have been written to."""
    names = ("meta.json", "pixels.bin", "labels.npy")
    return [list(File.of(name, (folder / name).stat())) for name in names if (folder / name).exists()]


def _verified(folder: Path) -> object:
    """`_files` as they were when their digests were last compared."""
    try:
        return json.loads((folder / "verified.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _set_verified(folder: Path, files: list[list[object]]) -> None:
    temporary = folder / f".verified.{os.getpid()}.tmp"
    temporary.write_text(json.dumps(files), encoding="utf-8")
    temporary.replace(folder / "verified.json")


def _build(
    listing: Listing, contents: str, folder: Path, size: int | None, color: str, on_progress: OnProgress | None
) -> None:
    """Decode all files into a temporary folder and rename it to `folder`."""
    # not from `tempfile`, whose folders are closed to others, while a data root may be shared
    work = folder.parent / f"{folder.name}.{uuid.uuid4().hex}.tmp"
    work.mkdir(parents=True)
    try:
        with progress(f"decoding {_short(listing)}", on_progress) as show, (work / "pixels.bin").open("wb") as file:
            meta, labels, found = _decode_into(file, listing, size, color, show, work)
            file.flush()
            os.fsync(file.fileno())
        if found != contents:
            cause = f"files in {listing.folder} were written to while they were read"
            raise DataError(cause, "wait until they are complete, and run the command again")
        if labels is not None:
            np.save(work / "labels.npy", labels.numpy())
        meta = json.loads(json.dumps(meta))  # as it will be read: tuples are lists there
        (work / "meta.json").write_text(json.dumps(meta | {"digest": _digest_meta(meta)}), encoding="utf-8")
        _set_verified(work, _files(work))  # what was just hashed on its way into the file
        if folder.exists() and _open(folder) is None:
            shutil.rmtree(folder)  # a damaged one
        try:
            work.rename(folder)
        except OSError:
            if _open(folder) is None:  # otherwise another builder was first, with the same contents
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _decode_into(
    file: BinaryIO, listing: Listing, size: int | None, color: str, show: OnProgress, work: Path
) -> tuple[dict[str, object], Tensor | None, str]:
    """Write the pixels of all sound images to `file` in order; give the cache's meta data, the labels, and the digest
    of the files' contents as they were decoded.
    """
    total = len(listing.files)
    allowed = int(total * BROKEN_LIMIT)
    sha = hashlib.sha256()
    broken: list[str] = []
    kept: list[int] = []
    digests: list[bytes] = []
    first: tuple[str, int] | None = None  # name and size of the first sound image
    for i, (content_digest, result) in enumerate(_decode_all(listing, size, MODES[color])):
        name = listing.files[i].name
        digests.append(content_digest)
        if isinstance(result, np.ndarray):
            if first is None:
                first = (name, len(result))
                _check_space(work, result.nbytes * total)
            if len(result) != first[1]:
                cause = f"images differ in size: {first[0]} is {first[1]} pixels high or wide, {name} is {len(result)}"
                raise DataError(cause, "pass --size, for example --size 64")
            content = np.ascontiguousarray(result.transpose(2, 0, 1)).data
            file.write(content)
            sha.update(content)
            kept.append(i)
        else:
            broken.append(f"{name} ({result})")
            if len(broken) > allowed and len(broken) >= min(5, total):
                break  # hopeless: no need to decode the rest
        show(i + 1, total)
    if len(broken) > allowed:
        some = "; ".join(broken[:3])
        raise DataError(
            f"{len(broken)} or more of {total} images in {listing.folder} are broken: {some}",
            "remove or replace them; up to 1 % would be skipped",
        )
    assert first is not None
    if broken:
        _log.warning("skipped %d broken images in %s: %s", len(broken), listing.folder, "; ".join(broken))
    shape = (len(kept), 3 if color == "rgb" else 1, first[1], first[1])
    all_labels = listing.labels()
    labels = None if all_labels is None else torch.tensor([all_labels[i] for i in kept], dtype=torch.int64)
    sha.update(digest_trailer(shape, labels))
    names = listing.class_names
    meta: dict[str, object] = {
        "format": FORMAT,
        "shape": shape,
        "sha256": sha.hexdigest(),
        "class_names": names,
        "broken": broken,
        "source": str(listing.folder),
    }
    return meta, labels, combine(listing.files, digests)


def _decode_all(listing: Listing, size: int | None, mode: str) -> Iterator[tuple[bytes, np.ndarray | str]]:
    """For each file in order: its SHA-256, and pixels uint8 `[S,S,C]` or why it is broken.

    Threads, because Pillow frees the interpreter while it decodes: measured on JPEGs of 32 to 1024 pixels they are
    as fast as processes or faster, and need neither a start-up time nor a guarded `__main__`.
    """

    def decode(names: Sequence[str]) -> list[tuple[bytes, np.ndarray | str]]:
        return [_decode_or_reason(listing.folder / name, size, mode) for name in names]

    names = [file.name for file in listing.files]
    workers = _num_workers()
    with ThreadPoolExecutor(workers, thread_name_prefix="ganzoo-decode") as pool:
        pending: deque[Future[list[tuple[bytes, np.ndarray | str]]]] = deque()
        try:
            for start in range(0, len(names), _BATCH):
                pending.append(pool.submit(decode, names[start : start + _BATCH]))
                if len(pending) > 4 * workers:  # bounds the memory
                    yield from pending.popleft().result()
            while pending:
                yield from pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def _decode_or_reason(path: Path, size: int | None, mode: str) -> tuple[bytes, np.ndarray | str]:
    """Read once, for the digest and for the pixels: what is decoded is what was hashed."""
    content_digest = UNREADABLE
    try:
        data = read(str(path))
        content_digest = hashlib.sha256(data).digest()
        return content_digest, decode_image(io.BytesIO(data), size, mode)
    except Exception as error:  # a hostile file can raise nearly anything in Pillow; each is reported by name
        text = re.sub(r"<_io\.BytesIO object at \w+>", repr(path.name), str(error))
        return content_digest, f"{type(error).__name__}: {text}".replace(str(path), path.name)


def _num_workers() -> int:
    """Processors this process may use, at most 32: beyond that the interpreter lock is the limit."""
    try:
        return min(32, len(os.sched_getaffinity(0)))
    except AttributeError:  # not Linux
        return min(32, os.cpu_count() or 1)


def _check_space(work: Path, needed: int) -> None:
    """Raise DataError now rather than after hours if the disk cannot hold the cache."""
    free = shutil.disk_usage(work).free
    if free < needed:
        cause = f"the image cache needs {needed / 2**20:.0f} MiB and {work.parent} has {free / 2**20:.0f} MiB left"
        raise DataError(cause, "free some space or choose another place for data with --data-root or GANZOO_DATA")


def _sweep(folder: Path) -> None:
    """Remove what killed builders of this cache left behind."""
    for work in folder.parent.glob(f"{folder.name}.*.tmp"):
        with contextlib.suppress(OSError):  # it may vanish under our eyes
            newest = max(p.stat().st_mtime for p in [work, *work.iterdir()])
            if time.time() - newest > _STALE_SECONDS:
                shutil.rmtree(work, ignore_errors=True)
