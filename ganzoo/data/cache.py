"""Decode image files once into a memory-mapped file of uint8 pixels, and open it again later."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import shutil
import time
import uuid
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from ganzoo.data.contents import (
    ABSENT,
    combine,
    known_contents,
    remember,
    stamp,
)
from ganzoo.data.counted import Count, count_known
from ganzoo.data.decode import Decoded, Decoding
from ganzoo.data.decode_all import Tally, check_classes, check_space, decode_all, digest_all, sweep
from ganzoo.data.facts import BROKEN_KEPT, Facts
from ganzoo.data.images import Images
from ganzoo.data.levels import Levels, Source, measure, refuse_single, warnings_of
from ganzoo.data.pixels import digest, digest_trailer
from ganzoo.data.scan import Listing
from ganzoo.data.verified import files_of, set_verified, verified
from ganzoo.errors import DataError
from ganzoo.files.locks import locked
from ganzoo.files.progress import OnProgress, progress
from ganzoo.files.text import clean

FORMAT = 3  # of the cache; part of the key, so that a change of format or of decoding is a rebuild
BROKEN_LIMIT = 0.01  # share of files that may be broken
MODES = {"gray": "L", "rgb": "RGB"}


_log = logging.getLogger("ganzoo")


class _Changed(Exception):
    """Files do not hold what they held when they were hashed."""


def cached_images(
    listing: Listing,
    how: Decoding,
    *,
    split: str,
    root: Path,
    has_settings: bool = False,
    on_progress: OnProgress | None = None,
) -> Images:
    """The listed images as memory-mapped `Images`: from `root/folder-cache` if they are there, else decoded into it.

    `how.size` None: that of all images once they are squares, which must be one. `split`: of training images each class
    must have one that can be read. `has_settings`: whether the dataset has the settings `white` and `background`, for
    the cures. The cache is found by the contents of the files and these settings, wherever the folder lies; see
    `ganzoo.data.contents` for what that costs. It is written under a temporary name and renamed, so builders at the
    same time, or one that is killed, do no harm. Broken images are left out and named in a warning of the logger
    "ganzoo"; above 1 % of them, or if images differ in size and none is asked for, if all pixels have one level, or if
    the cache cannot be written, it is a DataError.
    """
    if split == "train" and listing.labels is not None:  # again once it is known which can be read
        check_classes(listing, torch.from_numpy(listing.labels))
    channels = 1 if how.mode == "L" else 3
    count_known(Count(images=len(listing.names), num_classes=listing.num_classes, size=how.size, channels=channels))
    caches = root / "folder-cache"
    record = caches / "contents" / f"{hashlib.sha256(os.fsencode(listing.folder)).hexdigest()[:24]}-{split}.json"
    contents = _contents(listing, record, on_progress)
    key = _key(listing, contents, how)
    folder = caches / key
    images = _open(folder, listing, how, has_settings)
    if images is not None:
        return images
    try:
        with locked(folder.parent / f".{key}.lock") as held:
            # another process may have built it meanwhile
            images = _open(folder, listing, how, has_settings) if held else None
            if images is None:
                if held:
                    sweep(folder)
                try:
                    _build(listing, contents, folder, how, split, has_settings, on_progress)
                except _Changed:
                    record.unlink(missing_ok=True)  # what it says of these files is not what they hold
                    cause = f"files in {clean(str(listing.folder))} were written to while they were read"
                    raise DataError(cause, "wait until they are complete, and run the command again") from None
                images = _open(folder, listing, how, has_settings)
    except OSError as error:
        where = error.filename or folder.parent
        reason = error.strerror or str(error)
        cure = "free some space or choose another place for data with --data-root or GANZOO_DATA"
        raise DataError(f"cannot write the image cache {where}: {reason}", cure) from error
    if images is None:
        raise DataError(f"the image cache {folder} vanished", "run the command again")
    return images


def _contents(listing: Listing, record: Path, on_progress: OnProgress | None) -> str:
    """The digest of what the listed files hold: known from before by `record`, or read now."""
    stamped = stamp(listing.folder, listing.names, listing.stats)
    known = known_contents(record, stamped)
    if known is None:
        began = time.time()
        quiet = None if on_progress is None else lambda done, total: None  # it counts images that are decoded
        with progress(f"reading {_short(listing)}", quiet) as show:
            known, unreadable = digest_all(listing, show)
        if unreadable > np.count_nonzero(listing.stats[:, 0] == ABSENT[0]):
            return known  # a file that is there could not be read: tried again next time
        with contextlib.suppress(OSError):  # read again next time; a cache that cannot be written is refused below
            remember(record, stamped, known, listing.stats, began)
    return known


def _key(listing: Listing, contents: str, how: Decoding) -> str:
    """32 hex digits that name the cache of these contents in these settings."""
    settings = (FORMAT, how, listing.num_classes, listing.class_names, contents)
    sha = hashlib.sha256(repr(settings).encode("utf-8", "surrogateescape"))
    sha.update(b"" if listing.labels is None else np.ascontiguousarray(listing.labels, dtype="<i8").data)
    return sha.hexdigest()[:32]


def _short(listing: Listing) -> str:
    return clean("/".join(listing.folder.parts[-2:])[-24:])  # a bar has one line


def _open(folder: Path, listing: Listing, how: Decoding, has_settings: bool) -> Images | None:
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
        labels = None
        if meta["num_classes"]:
            labels = torch.from_numpy(np.load(folder / "labels.npy", allow_pickle=False))
        files = files_of(folder)
        if verified(folder) != files:
            if meta["digest"] != _digest_meta(meta) or meta["sha256"] != digest(mapped, labels):
                _log.warning("the image cache %s is damaged and is made anew", folder)
                return None
            with contextlib.suppress(OSError):  # a cache that others own: compared each time
                set_verified(folder, files)
        names = meta["class_names"]
        facts = _facts(listing, how, has_settings, meta, labels)
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        return None
    return Images(
        pixels=mapped,
        labels=labels,
        num_classes=meta["num_classes"],
        sha256=meta["sha256"],
        class_names=None if names is None else tuple(names),
        facts=facts,
        mapped=True,
    )


def _facts(
    listing: Listing, how: Decoding, has_settings: bool, meta: Mapping[str, Any], labels: Tensor | None
) -> Facts:
    """What the listing tells, which is of now, and what was noted when the images were decoded."""
    shape, tally = meta["shape"], meta["tally"]
    levels = Levels(*tally["levels"])
    classes = None
    if labels is not None:
        names = listing.class_names or tuple(map(str, range(meta["num_classes"])))
        counts = torch.bincount(labels, minlength=len(names)).tolist()
        classes = tuple(zip(names, counts, strict=True))
    frames = tuple((f"further frames of {ending}", count) for ending, count in tally["frames"].items())
    return replace(
        listing.facts,
        images=shape[0],
        size=(shape[3], shape[2]),
        color="rgb" if shape[1] == 3 else "gray",
        smallest=tuple(tally["smallest"]),
        largest=tuple(tally["largest"]),
        original_color=" and ".join(name for name in ("gray", "rgb") if tally[name]),
        fit=how.fit,
        fitted=tally["fitted"],
        enlarged=tally["enlarged"],
        shrunk=tally["shrunk"],
        transparent=tally["transparent"],
        sixteen_bit=tally["sixteen_bit"],
        classes=classes,
        passed_over=listing.facts.passed_over + frames,
        broken_count=tally["broken_count"],
        broken=tuple(tally["broken"]),
        levels=(levels.lowest, levels.highest),
        warnings=(*listing.facts.warnings, *warnings_of(levels, _source(how, has_settings, meta))),
    )


def _source(how: Decoding, has_settings: bool, meta: Mapping[str, Any]) -> Source:
    tally = meta["tally"]
    return Source(
        has_settings=has_settings,
        images=meta["shape"][0],
        transparent=tally["transparent"],
        background=how.background,
        white=how.white,
        sixteen_bit=tally["sixteen_bit"],
        within=tally["within"],
        cut_off=tally["cut_off"] / max(1, tally["sampled"]),
        deep_color=tally["deep_color"],
    )


def _digest_meta(meta: Mapping[str, object]) -> str:
    text = json.dumps({key: value for key, value in meta.items() if key != "digest"}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _build(
    listing: Listing,
    contents: str,
    folder: Path,
    how: Decoding,
    split: str,
    has_settings: bool,
    on_progress: OnProgress | None,
) -> None:
    """Decode all files into a temporary folder and rename it to `folder`. Raises _Changed if they are not those whose
    digest is `contents`.
    """
    # not from `tempfile`, whose folders are closed to others, while a data root may be shared
    work = folder.parent / f"{folder.name}.{uuid.uuid4().hex}.tmp"
    work.mkdir(parents=True)
    try:
        with progress(f"decoding {_short(listing)}", on_progress) as show, (work / "pixels.bin").open("wb") as file:
            meta, labels, found = _decode_into(file, listing, how, show, work)
            file.flush()
            os.fsync(file.fileno())
        if found != contents:
            raise _Changed
        if split == "train" and labels is not None:
            check_classes(listing, labels)
        tally = meta["tally"]
        mapped = np.memmap(work / "pixels.bin", dtype=np.uint8, mode="c", shape=tuple(meta["shape"]))
        levels = measure(torch.from_numpy(mapped), (tally["lowest"], tally["highest"]))
        refuse_single(levels, clean(str(listing.folder)), _source(how, has_settings, meta))
        tally["levels"] = levels
        if labels is not None:
            np.save(work / "labels.npy", labels.numpy())
        meta = json.loads(json.dumps(meta))  # as it will be read: tuples are lists there
        (work / "meta.json").write_text(json.dumps(meta | {"digest": _digest_meta(meta)}), encoding="utf-8")
        set_verified(work, files_of(work))  # what was just hashed on its way into the file
        if folder.exists() and _open(folder, listing, how, has_settings) is None:
            shutil.rmtree(folder)  # a damaged one
        try:
            work.rename(folder)
        except OSError:
            # otherwise another builder was first, with the same contents
            if _open(folder, listing, how, has_settings) is None:
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _decode_into(
    file: BinaryIO, listing: Listing, how: Decoding, show: OnProgress, work: Path
) -> tuple[dict[str, Any], Tensor | None, str]:
    """Write the pixels of all sound images to `file` in order; give the cache's meta data, the labels, and the digest
    of the files' contents as they were decoded.
    """
    total = len(listing.names)
    allowed = int(total * BROKEN_LIMIT)
    sha = hashlib.sha256()
    broken: list[str] = []
    kept: list[int] = []
    digests: list[bytes] = []
    tally = Tally(how)
    first: tuple[str, int] | None = None  # name and size of the first sound image
    for i, (content_digest, result) in enumerate(decode_all(listing, how)):
        name = listing.names[i]
        digests.append(content_digest)
        if isinstance(result, Decoded):
            pixels = result.pixels
            if first is None:
                first = (name, len(pixels))
                check_space(work, pixels.nbytes * total)
            if len(pixels) != first[1]:
                cause = (
                    f"images differ in size: {clean(first[0], 200)} is {first[1]} pixels high or wide, "
                    f"{clean(name, 200)} is {len(pixels)}"
                )
                raise DataError(cause, "pass --size, for example --size 64")
            content = np.ascontiguousarray(pixels.transpose(2, 0, 1)).data
            file.write(content)
            sha.update(content)
            kept.append(i)
            tally.add(name, result)
        else:
            broken.append(clean(f"{name} ({result})", 300))
            if len(broken) > allowed and len(broken) >= min(5, total):
                break  # hopeless: no need to decode the rest
        show(i + 1, total)
    where = clean(str(listing.folder))
    if len(broken) > allowed:
        some = "; ".join(broken[:3])
        raise DataError(
            f"{len(broken)} or more of {total} images in {where} are broken: {some}",
            "remove or replace them; up to 1 % would be skipped",
        )
    assert first is not None
    if broken:
        more = f" and {len(broken) - BROKEN_KEPT} more" if len(broken) > BROKEN_KEPT else ""
        _log.warning("skipped %d broken images in %s: %s%s", len(broken), where, "; ".join(broken[:BROKEN_KEPT]), more)
    shape = (len(kept), 3 if how.mode == "RGB" else 1, first[1], first[1])
    labels = None if listing.labels is None else torch.from_numpy(listing.labels[kept])
    sha.update(digest_trailer(shape, labels))
    meta: dict[str, Any] = {
        "format": FORMAT,
        "shape": shape,
        "sha256": sha.hexdigest(),
        "num_classes": listing.num_classes,
        "class_names": listing.class_names,
        "tally": tally.to_dict() | {"broken_count": len(broken), "broken": broken[:BROKEN_KEPT]},
        "source": where,
    }
    return meta, labels, combine(listing.names, digests)
