"""Files that others may have made: read where they are plain files, in their folder, and of a size that makes sense.

A result folder is copied from machine to machine and from person to person. Whatever lies in it, nothing outside it is
read, nothing is waited for, and no more memory is taken than the limits here say. Torch-free.
"""

from __future__ import annotations

import errno
import hashlib
import io
import itertools
import json
import os
import pickletools
import re
import stat
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from ganzoo.errors import RunError
from ganzoo.files.text import LONGEST, clean, holds_controls

MIB = 2**20

RECORD_BYTES = MIB
"""Of a JSON or TOML document. A result of a thousand classes has 0.2 MiB."""

LINES_BYTES = 16 * MIB
"""Of a file of lines: fifty thousand ticks."""

PICTURE_BYTES = 16 * MIB
PICTURE_PIXELS = 64 * 1024 * 1024
SNAPSHOT_BYTES = 240 * MIB
"""Of a generator; twice as much is in memory while it is read."""

WEIGHTS_BYTES = 2048 * MIB
DEPTH = 32
"""Lists and objects within each other."""

LARGEST = 1e100
"""Numbers beyond it are no measurements, and their squares would be no numbers."""

MOST_VALUES = 200_000
"""Of a document."""

_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_CHUNK = MIB


class Unreadable(ValueError):
    """A file that is not what it should be; the text is the end of a sentence that begins with its name."""


def read_inside(folder: Path, name: str, limit: int) -> bytes:
    """Content of the file `name`, with / between folders, below `folder`.

    Raises:
        FileNotFoundError: it is not there.
        Unreadable: it is a link, or behind one; no regular file; larger than `limit` bytes; or the system refuses.
    """
    with _regular(_open_inside(folder, name), limit) as file:
        return _bounded(file, limit)


def read_named(path: Path, limit: int) -> bytes:
    """Content of a file that the user has named, which may be a link.

    Raises:
        FileNotFoundError, Unreadable: as `read_inside`.
    """
    try:
        handle = os.open(path, _FLAGS)
    except (OSError, ValueError) as error:
        _refuse(error)
    with _regular(handle, limit) as file:
        return _bounded(file, limit)


def read_start(path: Path, most: int, limit: int) -> tuple[bytes, int]:
    """The first `most` bytes of a file that the user has named, and its size; errors as in `read_named`."""
    try:
        handle = os.open(path, _FLAGS)
    except (OSError, ValueError) as error:
        _refuse(error)
    with _regular(handle, limit) as file:
        return file.read(most), os.fstat(handle).st_size


def sha256_inside(folder: Path, name: str, limit: int = 4 * WEIGHTS_BYTES) -> str:
    """SHA-256 of a file below `folder`, in memory of 1 MiB; errors as in `read_inside`."""
    sha = hashlib.sha256()
    with _regular(_open_inside(folder, name), limit) as file:
        while chunk := file.read(_CHUNK):
            sha.update(chunk)
    return sha.hexdigest()


def is_plain(folder: Path, name: str) -> bool:
    """Whether `name` below `folder` is a regular file, reached without a link."""
    try:
        handle = _open_inside(folder, name)
    except (OSError, Unreadable):
        return False
    try:
        return stat.S_ISREG(os.fstat(handle).st_mode)
    finally:
        os.close(handle)


def _open_inside(folder: Path, name: str) -> int:
    """A descriptor of the file, got from folder to folder without following a link, where the system can do that."""
    parts = name.split("/")
    if any(part in ("", ".", "..") or "\0" in part for part in parts):
        raise Unreadable("is not a name of a file in the folder")
    try:
        if os.open not in os.supports_dir_fd or not _NO_LINK:  # Windows
            path = folder.joinpath(*parts)
            if Path(os.path.realpath(path)) != Path(os.path.realpath(folder)).joinpath(*parts):
                raise Unreadable("is a link")
            return os.open(path, _FLAGS)
        at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for part in parts[:-1]:
            try:
                below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | _NO_LINK, dir_fd=at)
            finally:
                os.close(at)
            at = below
        try:
            return os.open(parts[-1], _FLAGS | _NO_LINK, dir_fd=at)
        finally:
            os.close(at)
    except (OSError, ValueError) as error:
        _refuse(error)


def _refuse(error: Exception) -> NoReturn:
    if isinstance(error, (FileNotFoundError, Unreadable)):
        raise error
    if isinstance(error, OSError) and error.errno in (errno.ELOOP, errno.EMLINK):
        raise Unreadable("is a link") from None
    if isinstance(error, OSError) and error.errno == errno.ENOTDIR:
        raise Unreadable("is behind a link, or behind what is no folder") from None
    if isinstance(error, OSError) and error.errno == errno.ENXIO:
        raise Unreadable("is no regular file") from None
    raise Unreadable(f"cannot be read ({getattr(error, 'strerror', None) or error})") from None


def _regular(handle: int, limit: int) -> io.BufferedReader:
    """The file of a descriptor, which is closed where it is none that may be read."""
    found = os.fstat(handle)
    problem = ""
    if stat.S_ISDIR(found.st_mode):
        problem = "is a folder"
    elif not stat.S_ISREG(found.st_mode):
        problem = "is no regular file"
    elif found.st_size > limit:
        problem = f"is larger than {limit / MIB:g} MiB"
    if problem:
        os.close(handle)
        raise Unreadable(problem)
    return os.fdopen(handle, "rb")


def _bounded(file: io.BufferedReader, limit: int) -> bytes:
    """What the file holds: of a file that grows meanwhile, no more than the limit."""
    try:
        # not the limit at once: to set aside a MiB for each of ten thousand records takes seconds
        data = file.read(min(limit, os.fstat(file.fileno()).st_size) + 1)
        data += file.read(limit + 1 - len(data))
    except OSError as error:
        _refuse(error)
    if len(data) > limit:
        raise Unreadable(f"is larger than {limit / MIB:g} MiB")
    return data


def decode_json(data: bytes, *, exact: bool = False) -> Any:
    """A JSON document of others: UTF-8, at most `DEPTH` deep, its texts cleaned; `exact`: as in `cleaned`.

    Raises:
        Unreadable: it is none.
    """
    try:
        document = json.loads(data.decode("utf-8"), parse_constant=_no_number, parse_int=_integer)
    except RecursionError:
        raise Unreadable("is nested too deeply") from None
    except ValueError as error:  # UnicodeDecodeError is one
        raise Unreadable(f"is no JSON ({clean(str(error), 200)})") from None
    return cleaned(document, exact=exact)


def decode_toml(data: bytes) -> dict[str, Any]:
    """A TOML document of settings, `exact` as in `cleaned`; else as `decode_json`."""
    try:
        document = tomllib.loads(data.decode("utf-8"))
    except RecursionError:
        raise Unreadable("is nested too deeply") from None
    except ValueError as error:
        raise Unreadable(f"is no TOML ({clean(str(error), 200)})") from None
    result = cleaned(document, exact=True)
    assert isinstance(result, dict)
    return result


def lines_of(data: bytes, most: int) -> Iterator[bytes]:
    """The first `most` lines of a file, blank ones left out."""
    return (line for line in itertools.islice(io.BytesIO(data), most) if line.strip())


def _no_number(token: str) -> NoReturn:
    raise ValueError(f"{token} is no number")


def _integer(text: str) -> int | float:
    """Integers of up to 300 digits; the rest as a float, which is infinite and refused where a number is expected."""
    return int(text) if len(text) <= 300 else float(text)


def cleaned(document: Any, *, exact: bool = False) -> Any:
    """The same document with every text in it cleaned, keys as well, and numbers that are none as None.

    `exact`: of settings, which are used and not only shown: a path has to stay what it is, and may well hold a mark of
    the direction of writing or a joiner of an emoji. Text is left as it is, and controls in it are refused.

    Raises:
        Unreadable: it is nested more than `DEPTH` deep, or holds more than `MOST_VALUES` values.
    """
    left = MOST_VALUES

    def text_of(text: str, limit: int) -> str:
        if not exact:
            return clean(text, limit)
        if holds_controls(text):
            raise Unreadable(f"holds a control character, in {clean(text, 100)!r}")
        return text

    def visit(value: Any, depth: int) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise Unreadable(f"holds more than {MOST_VALUES:,} values")
        if isinstance(value, str):
            return text_of(value, LONGEST)
        if isinstance(value, (dict, list)):
            if depth == 0:
                raise Unreadable("is nested too deeply")
            if isinstance(value, dict):
                return {text_of(str(key), 200): visit(inner, depth - 1) for key, inner in value.items()}
            return [visit(inner, depth - 1) for inner in value]
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return value if abs(value) <= LARGEST else None  # not for NaN
        return value

    return visit(document, DEPTH)


def safetensors_header(data: bytes, size: int) -> dict[str, Any]:
    """The header of a safetensors file of `size` bytes that begins with `data`, which must reach over it.

    Raises:
        Unreadable: it is none, or does not tell where exactly so many bytes belong.
    """
    length = int.from_bytes(data[:8], "little")
    if not 0 < length <= min(len(data) - 8, RECORD_BYTES):
        raise Unreadable("has no header of a size that makes sense")
    try:
        header = json.loads(data[8 : 8 + length])
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError, IndexError):
        raise Unreadable("has no header") from None
    if not all(type(end) is int for end in ends) or max(ends, default=0) != size - 8 - length:
        raise Unreadable("is of another size than its header says")
    return dict(header)


def check_archive(data: bytes, limit: int = WEIGHTS_BYTES) -> None:
    """Refuse an archive of torch's that would take more memory than its file: torch stores, and never compresses.

    Raises:
        Unreadable: it is no zip archive, or holds compressed members, or members that are larger than the file.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
    except Exception as error:  # a damaged archive can raise nearly anything in zipfile
        raise Unreadable("is no archive of torch's") from error
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise Unreadable("holds compressed members")
    if sum(member.file_size for member in members) > min(limit, len(data)):
        raise Unreadable("says that it holds more than it does")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = [member.filename for member in members if member.filename.endswith("data.pkl")]
            for name in names:
                _check_pickle(archive.read(name))
    except Unreadable:
        raise
    except Exception as error:
        raise Unreadable("is no archive of torch's") from error


_TENSORS = re.compile(r"collections OrderedDict|torch\._utils _rebuild_tensor_v2|torch \w+Storage|torch\.storage \w+")


def _check_pickle(data: bytes) -> None:
    """Refuse a pickle that names anything but tensors: torch's own list of what is safe has types in it that take as
    much memory as they are told to.
    """
    for opcode, argument, _ in pickletools.genops(data):
        named = opcode.name in ("GLOBAL", "INST") and not _TENSORS.fullmatch(str(argument))
        if named or opcode.name in ("STACK_GLOBAL", "EXT1", "EXT2", "EXT4"):
            raise Unreadable(f"holds other things than tensors ({clean(str(argument), 100)})")


PNG = b"\x89PNG\r\n\x1a\n"


def read_picture(folder: Path, name: str) -> bytes:
    """A PNG file below `folder`, of a size that can be shown.

    Raises:
        FileNotFoundError, Unreadable: as `read_inside`, or it is no PNG, or of too many pixels.
    """
    data = read_inside(folder, name, PICTURE_BYTES)
    if not data.startswith(PNG) or data[12:16] != b"IHDR":
        raise Unreadable("is no PNG")
    width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    if not 0 < width * height <= PICTURE_PIXELS:
        raise Unreadable(f"has {width} x {height} pixels")
    return data


def refused(path: Path, error: Exception) -> RunError:
    """What to raise for a file that cannot be used: named, with a cure."""
    text = "does not exist" if isinstance(error, FileNotFoundError) else clean(str(error), 300)
    return RunError(f"{clean(str(path))} {text}", "delete it, or take the folder from where it came again")
