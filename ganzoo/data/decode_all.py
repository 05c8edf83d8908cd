"""Every file of a listing decoded, in order, by several threads; and what became of them."""

from __future__ import annotations

import contextlib
import hashlib
import io
import re
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganzoo.data.contents import UNREADABLE, combine, digest_of
from ganzoo.data.decode import WHITES, Decoded, Decoding, decode_image
from ganzoo.data.facts import resized
from ganzoo.data.levels import OUTLIERS
from ganzoo.data.members import Members, Read, in_threads
from ganzoo.data.scan import Listing
from ganzoo.errors import DataError
from ganzoo.files.machine import usable_cores
from ganzoo.files.progress import OnProgress
from ganzoo.files.text import clean

_BATCH = 32  # files per task of a thread


_STALE_SECONDS = 3600.0  # a temporary folder untouched for this long belongs to a builder that was killed


class Tally:
    """What is worth telling of the images, counted while they are decoded."""

    def __init__(self, how: Decoding) -> None:
        self.how = how
        self.counts: Counter[str] = Counter()
        self.frames: Counter[str] = Counter()  # further ones, by the file's ending
        self.smallest = self.largest = (0, 0)
        self.lowest, self.highest = 255, 0
        self.within = np.zeros(len(WHITES) - 1, dtype=np.int64)
        self.cut_off = self.sampled = 0  # of 16-bit levels

    def add(self, name: str, image: Decoded) -> None:
        size, area = image.original, image.original[0] * image.original[1]
        if not self.largest[0] or area < self.smallest[0] * self.smallest[1]:
            self.smallest = size
        if area > self.largest[0] * self.largest[1]:
            self.largest = size
        fitted, enlarged, shrunk = resized(size, self.how.fit, len(image.pixels))
        self.lowest = min(self.lowest, int(image.pixels.min()))
        self.highest = max(self.highest, int(image.pixels.max()))
        self.counts.update(
            fitted=fitted,
            enlarged=enlarged,
            shrunk=shrunk,
            gray=image.gray,
            rgb=not image.gray,
            transparent=image.transparent,
            sixteen_bit=image.above is not None,
            deep_color=image.deep_color,
        )
        if image.frames > 1:
            self.frames[clean(name[name.rfind(".") :].lower())] += image.frames - 1
        if image.above is not None:
            *above, cut_off, sampled = image.above.tolist()
            self.within += np.array(above) <= OUTLIERS * sampled
            self.cut_off += cut_off
            self.sampled += sampled

    def to_dict(self) -> dict[str, Any]:
        return dict(self.counts) | {
            "frames": dict(self.frames),
            "smallest": self.smallest,
            "largest": self.largest,
            "lowest": self.lowest,
            "highest": self.highest,
            "within": self.within.tolist(),
            "cut_off": self.cut_off,
            "sampled": self.sampled,
        }


def check_classes(listing: Listing, labels: Tensor) -> None:
    """Raise DataError if a class has no image that could be read; `labels`: int64 `[N]` of those that could."""
    counts = torch.bincount(labels, minlength=listing.num_classes)
    absent = torch.nonzero(counts == 0).flatten().tolist()
    if absent:
        more = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
        where = clean(str(listing.folder))
        if listing.members is not None and listing.class_names is not None:
            what, cure = f"class {listing.class_names[absent[0]]}{more} of {where}", "add some, or leave the class out"
        elif listing.class_names is None:
            what, cure = f"class {absent[0]}{more} of {where}", "number the classes 0 to K-1, each with an image"
        else:
            what = f"the class folder {where}/{listing.class_names[absent[0]]}{more}"
            cure = "put images into it or remove it"
        raise DataError(
            f"{what} has no image that can be read", f"{cure}; or ignore the classes: --set dataset.labels=false"
        )


def digest_all(listing: Listing, show: OnProgress) -> tuple[str, int]:
    """`combine` of what the images hold now, and how many cannot be read. Reads all of them, in threads."""

    def digest(batch: Sequence[Read]) -> list[bytes]:
        return [digest_of(one) for one in batch]

    digests: list[bytes] = []
    for part in in_threads(digest, listing.source.batches(2 * _BATCH), num_workers(), "ganzoo-hash"):
        digests += part
        show(len(digests), len(listing.names))
    return combine(listing.names, digests), digests.count(UNREADABLE)


def decode_all(listing: Listing, how: Decoding) -> Iterator[tuple[bytes, Decoded | str]]:
    """For each file in order: its SHA-256, and the image or why it is broken.

    Threads, because Pillow frees the interpreter while it decodes: measured on JPEGs of 32 to 1024 pixels they are
    as fast as processes or faster, and need neither a start-up time nor a guarded `__main__`.
    """
    members = listing.members

    def decode(batch: Sequence[tuple[str, Read]]) -> list[tuple[bytes, Decoded | str]]:
        return [_decode_or_reason(name, content, how, members) for name, content in batch]

    names = iter(listing.names)
    batches = ([(next(names), content) for content in batch] for batch in listing.source.batches(_BATCH))
    for done in in_threads(decode, batches, num_workers(), "ganzoo-decode"):
        yield from done


def _decode_or_reason(name: str, content: Read, how: Decoding, members: Members | None) -> tuple[bytes, Decoded | str]:
    """Read once, for the digest and for the pixels: what is decoded is what was hashed."""
    content_digest = UNREADABLE
    last = name.rpartition("/")[2]
    try:
        data = content()
        content_digest = hashlib.sha256(data).digest()
        return content_digest, members.decode(data, how) if members else decode_image(io.BytesIO(data), how)
    except Exception as error:  # a hostile file can raise nearly anything in Pillow; each is reported by name
        text = re.sub(r"<_io\.BytesIO object at \w+>", lambda _: repr(last), str(error))
        where = str(getattr(error, "filename", None) or last)
        return content_digest, f"{type(error).__name__}: {text}".replace(where, last)


def num_workers() -> int:
    """Processors this process may use, at most 32: beyond that the interpreter lock is the limit."""
    return min(32, usable_cores())


def check_space(work: Path, needed: int) -> None:
    """Raise DataError now rather than after hours if the disk cannot hold the cache."""
    free = shutil.disk_usage(work).free
    if free < needed:
        cause = f"the image cache needs {needed / 2**20:.0f} MiB and {work.parent} has {free / 2**20:.0f} MiB left"
        raise DataError(cause, "free some space or choose another place for data with --data-root or GANZOO_DATA")


def sweep(folder: Path) -> None:
    """Remove what killed builders of this cache left behind."""
    for work in folder.parent.glob(f"{folder.name}.*.tmp"):
        with contextlib.suppress(OSError):  # it may vanish under our eyes
            newest = max(p.stat().st_mtime for p in [work, *work.iterdir()])
            if time.time() - newest > _STALE_SECONDS:
                shutil.rmtree(work, ignore_errors=True)
