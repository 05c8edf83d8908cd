"""Where each file lies in a tar file, found once. Torch-free."""

from __future__ import annotations

import contextlib
import hashlib
import os
import posixpath
import tarfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from ganzoo.data.contents import RACY_SECONDS, numbers
from ganzoo.data.counted import listing_kept
from ganzoo.errors import DataError
from ganzoo.files.progress import working
from ganzoo.files.text import clean

_COMPRESSED = {b"\x1f\x8b": "gunzip", b"BZh": "bunzip2", b"\xfd7zXZ": "unxz", b"\x28\xb5\x2f\xfd": "unzstd"}


_BLOCK = 512  # bytes; a block of zeros is the mark of the end
_PADDING = 2**20  # bytes behind that mark in which another tar file would begin, had one been put there


class Index(msgspec.Struct):
    """Regular files of a tar file, in its order, and links to them; a name that comes twice is that of the later one.
    Names are those that unpacking gives: without a leading /, and without what comes before and in "..".
    """

    stamp: list[int]  # `numbers` of the tar file
    names: list[str]
    places: list[tuple[int, int]]  # first byte and length of each
    astray: list[str]  # links to what is not in it


def index_of(file: Path, kept: Path) -> Index:
    """What the tar file holds. `kept`: folder of indices of earlier calls, which hold while the file is the same.

    Raises:
        DataError: it is compressed, damaged, cut short, or no tar file.
    """
    shown = clean(str(file))
    began = time.time()
    try:
        found = os.stat(file)
        with file.open("rb") as opened:
            start = opened.read(6)
    except OSError as error:
        raise DataError(f"cannot read {shown}: {error.strerror or error}", "check its permissions") from error
    command = next((command for magic, command in _COMPRESSED.items() if start.startswith(magic)), None)
    if command is not None:
        cause = f"{shown} is compressed, and in such a file no image can be read without all before it"
        raise DataError(cause, f"unpack the outer layer: {command} {clean(file.name)}; images are compressed anyway")
    stamp = list(numbers(found))
    record = kept / f"{hashlib.sha256(os.fsencode(file)).hexdigest()[:24]}.json"
    with contextlib.suppress(OSError, msgspec.MsgspecError):
        known = msgspec.json.decode(record.read_bytes(), type=Index)
        if known.stamp == stamp:
            return known
    index = Index(stamp, *_listed(file, shown))
    if found.st_ctime < began - RACY_SECONDS and listing_kept():
        with contextlib.suppress(OSError, UnicodeError):  # listed again next time
            record.parent.mkdir(parents=True, exist_ok=True)
            temporary = record.with_name(f".{record.name}.{os.getpid()}.tmp")
            temporary.write_bytes(msgspec.json.encode(index))
            temporary.replace(record)
    return index


def _listed(file: Path, shown: str) -> tuple[list[str], list[tuple[int, int]], list[str]]:
    places: dict[str, tuple[int, int]] = {}
    links: dict[str, str] = {}
    size = file.stat().st_size
    try:
        with tarfile.open(file, "r:") as archive, working(f"listing {clean(file.name)[-24:]}"):
            for member in archive:
                archive.members = []  # type: ignore[attr-defined]  # else it keeps a kilobyte for each
                name = _unpacked(member.name)
                if not name or member.isdir():
                    continue
                if member.islnk():  # the same file under another name
                    target = _unpacked(member.linkname)
                    _put(name, links, target) if target not in places else _put(name, places, places[target])
                elif member.issym():
                    _put(name, links, posixpath.normpath(posixpath.join(posixpath.dirname(name), member.linkname)))
                elif member.isreg() and not member.issparse():
                    if member.offset_data + member.size > size:
                        raise tarfile.ReadError(f"{member.name} goes beyond its end")
                    links.pop(name, None)
                    _put(name, places, (member.offset_data, member.size))
            end = archive.offset
        _check_end(file, end, shown)
    except (tarfile.TarError, OSError, ValueError, EOFError) as error:
        if not places and not tarfile_like(file):
            raise DataError(f"{shown} is no tar file", "give one, or use folder:PATH for a folder of images") from error
        cause = f"{shown} is damaged or cut short after {len(places):,} files ({clean(str(error), 200)})"
        raise DataError(cause, "copy or download it again") from error
    found = {name: _followed(name, links) for name in links}
    places |= {name: places[target] for name, target in found.items() if target in places}
    return list(places), list(places.values()), [name for name, target in found.items() if target not in places]


def _unpacked(name: str) -> str:
    """Where unpacking puts a file of that name: "./a//b" -> "a/b", "/a" -> "a", "../a" -> "a" (as GNU tar has it)."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    while ".." in parts:
        del parts[: parts.index("..") + 1]
    return "/".join(parts)


def _put(name: str, into: dict[str, Any], value: Any) -> None:
    """As the last: of several of a name, the later one counts."""
    into.pop(name, None)
    into[name] = value


def _followed(name: str, links: Mapping[str, str]) -> str:
    for _ in range(40):  # more are a circle
        if name not in links:
            return name
        name = links[name]
    return name


def _check_end(file: Path, end: int, shown: str) -> None:
    """tarfile takes any block that is no header for the end, and no block as well: a file that was cut between two
    images, or is damaged in a header, would be a smaller one.

    Raises:
        ReadError: the list does not end at the mark of its end.
        DataError: it goes on behind that.
    """
    with file.open("rb") as opened:
        opened.seek(end)
        if opened.read(_BLOCK) != bytes(_BLOCK):
            raise tarfile.ReadError("what comes then is no header, and no mark of the end")
        behind = opened.read(_PADDING)
        first = len(behind) - len(behind.lstrip(b"\0"))
        if behind[first // _BLOCK * _BLOCK :][257:262] == b"ustar":
            cause = f"{shown} is several tar files, one behind the other, as cat puts them"
            raise DataError(cause, "give each as a file of its own, in a folder")


def tarfile_like(file: Path) -> bool:
    """Whether it begins as a tar file does."""
    try:
        with file.open("rb") as opened:
            return opened.read(512)[257:262] == b"ustar"
    except OSError:
        return False
