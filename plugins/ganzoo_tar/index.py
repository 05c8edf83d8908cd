"""Where each file lies in a tar file, found once. Torch-free."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tarfile
import time
from pathlib import Path

import msgspec

from ganzoo.data.contents import RACY_SECONDS, numbers
from ganzoo.errors import DataError
from ganzoo.files.progress import working
from ganzoo.files.text import clean

_COMPRESSED = {b"\x1f\x8b": "gunzip", b"BZh": "bunzip2", b"\xfd7zXZ": "unxz", b"\x28\xb5\x2f\xfd": "unzstd"}


class Index(msgspec.Struct):
    """Regular files of a tar file, in its order; a name that comes twice is that of the later one."""

    stamp: list[int]  # `numbers` of the tar file
    names: list[str]
    places: list[tuple[int, int]]  # first byte and length of each


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
    if found.st_ctime < began - RACY_SECONDS:
        with contextlib.suppress(OSError, UnicodeError):  # listed again next time
            record.parent.mkdir(parents=True, exist_ok=True)
            temporary = record.with_name(f".{record.name}.{os.getpid()}.tmp")
            temporary.write_bytes(msgspec.json.encode(index))
            temporary.replace(record)
    return index


def _listed(file: Path, shown: str) -> tuple[list[str], list[tuple[int, int]]]:
    places: dict[str, tuple[int, int]] = {}
    size = file.stat().st_size
    try:
        with tarfile.open(file, "r:") as archive, working(f"listing {clean(file.name)[-24:]}"):
            for member in archive:
                archive.members = []  # type: ignore[attr-defined]  # else it keeps a kilobyte for each
                name = member.name.lstrip("/").removeprefix("./")
                if member.islnk():  # the same file under another name
                    linked = places.get(member.linkname.lstrip("/").removeprefix("./"))
                    if linked is not None:
                        places[name] = linked
                elif member.isreg() and not member.issparse():
                    if member.offset_data + member.size > size:
                        raise tarfile.ReadError(f"{member.name} goes beyond its end")
                    places.pop(name, None)
                    places[name] = (member.offset_data, member.size)
    except (tarfile.TarError, OSError, ValueError, EOFError) as error:
        if not places and not tarfile_like(file):
            raise DataError(f"{shown} is no tar file", "give one, or use folder:PATH for a folder of images") from error
        cause = f"{shown} is damaged or cut short after {len(places):,} files ({clean(str(error), 200)})"
        raise DataError(cause, "copy or download it again") from error
    return list(places), list(places.values())


def tarfile_like(file: Path) -> bool:
    """Whether it begins as a tar file does."""
    try:
        with file.open("rb") as opened:
            return opened.read(512)[257:262] == b"ustar"
    except OSError:
        return False
