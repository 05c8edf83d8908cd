"""Downloads by pooch, one process at a time, with errors that say which files to put where. Torch-free."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
import sys
import tarfile
import uuid
import zipfile
import zlib
from collections.abc import Callable, Iterator
from http.client import HTTPException
from pathlib import Path
from typing import Any, TypeVar

from ganzoo.data.downloads import DOWNLOADS, Download, missing
from ganzoo.errors import DataError
from ganzoo.files.locks import locked
from ganzoo.files.progress import progress

T = TypeVar("T")

MIRROR = "GANZOO_MIRROR"
"""Variable that names a server which has the files under the paths that they have below a data root."""
TIMEOUT = 30.0  # seconds without a byte before a source is given up
RETRIES = 2  # of each source

# What there may be instead of files: no network, wrong digests, broken archives, full disks, missing helper packages.
_FAILURES = (
    RuntimeError,
    OSError,
    ValueError,
    ImportError,
    EOFError,
    zlib.error,
    HTTPException,
    tarfile.TarError,
    zipfile.BadZipFile,
)


class _NoPlace(DataError):
    """Nothing can be written where it is to be; another source would not help."""


def load_or_fetch(
    name: str,
    build: Callable[[], T],
    *,
    root: Path,
    download: bool,
    files: str,
    get: Callable[[], object] | None = None,
) -> T:
    """Return `build()`; where that finds no files and `download` allows to get them, get them first: by `get`, None: as
    `DOWNLOADS` says. `files` says which files to put where by hand. Raises DataError, with the reason in one line, when
    there is no way.
    """
    cure = f"put {files}, or use another dataset, for example digits or folder:PATH"
    try:
        return build()
    except _FAILURES as error:
        if not download:
            # torchvision's own words for missing files advise an argument that its users have and ours have not
            absent = isinstance(error, (RuntimeError, FileNotFoundError))
            reason = "missing or damaged files" if absent else one_line(error)
            raise DataError(f"{name} is not under {root}, and downloads are off: {reason}", cure) from error
    try:
        if get is None:
            fetch_files(name, root, again=True)
        else:
            # torchvision may print; standard output belongs to the commands' results
            with locked(root / f".{name}.lock"), contextlib.redirect_stdout(sys.stderr):
                get()
        return build()
    except _NoPlace:
        raise
    except DataError as error:
        raise DataError(error.cause, f"{cure}; or name a mirror, {MIRROR}=URL") from error
    except _FAILURES as error:
        raise DataError(f"cannot download {name}: {one_line(error)}", cure) from error


def fetch_files(
    name: str, root: Path, *, again: bool = False, mirror: str | None = None, note: Callable[[str], None] | None = None
) -> list[Path]:
    """Get what is missing of the files of `name`, one of `DOWNLOADS`, into `root`; the paths of what was got. `again`:
    damaged ones, too, and what is unpacked is unpacked anew. `mirror`: a server asked first; None: $GANZOO_MIRROR, if
    it is set. `note` is told of each source that failed while there is another.

    Raises:
        DataError: no source has them, or what they have is not what was published.
    """
    mirror = os.environ.get(MIRROR, "") if mirror is None else mirror
    try:
        with locked(root / f".{name}.lock"):  # another process may be at it
            wanted = DOWNLOADS[name] if again else missing(name, root)
            return [_fetch(name, one, root, mirror.rstrip("/"), note or (lambda line: None)) for one in wanted]
    except OSError as error:  # of the folder: those of the network are DataErrors by now
        raise _NoPlace(f"{name} cannot be put into {root}: {one_line(error)}", "choose another --data-root") from error


def _fetch(name: str, download: Download, root: Path, mirror: str, note: Callable[[str], None]) -> Path:
    import pooch
    from requests import RequestException

    sources = (*([f"{mirror}/{download.path}"] if mirror else []), *download.urls)
    path = root / download.path
    for source in sources:
        files = pooch.create(
            path=path.parent,
            base_url="",
            registry={path.name: download.digest},
            urls={path.name: source},
            retry_if_failed=RETRIES,
        )
        try:
            with _quiet(), progress(f"fetching {download.path}, kB") as show:
                getter = pooch.HTTPDownloader(timeout=TIMEOUT, chunk_size=2**16, progressbar=_Bar(show))
                files.fetch(path.name, downloader=getter)
            path.chmod(0o666 & ~_umask())  # pooch's temporary file is its owner's alone, a data root may be shared
            break
        except (RequestException, HTTPException, ValueError) as error:  # ValueError: another digest, or no such URL
            reason = f"{source}: {_reason(error)}"
            if source == sources[-1]:
                raise DataError(
                    f"cannot download {name}: {reason}",
                    f"put {path.name} into {path.parent}, or name a mirror: {MIRROR}=URL",
                ) from error
            note(f"{reason}; asking the next source")
    if download.folder is not None:
        _unpack(path, root / download.folder)
    return path


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


class _Bar:
    """What pooch tells of its progress, as our own progress is told: in thousands of bytes."""

    def __init__(self, show: Callable[[int, int], None]) -> None:
        self._show, self._done, self.total = show, 0, 0

    def update(self, size: int) -> None:
        self._done = min(self._done + size, self.total)
        self._show(self._done // 1000, self.total // 1000)

    def reset(self) -> None:
        self._done = 0

    def close(self) -> None:
        pass


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """pooch says what it does by a logger with a handler of its own, which writes between our lines."""
    import pooch

    logger = pooch.get_logger()
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _unpack(archive: Path, folder: Path) -> None:
    """Put the archive's `folder.name` in place as a whole: whoever is killed leaves none that is half full."""
    work = folder.parent / f".{folder.name}.{uuid.uuid4().hex}.tmp"
    try:
        with tarfile.open(archive) as opened:
            opened.extractall(work, filter="data")
        if folder.exists():
            shutil.rmtree(folder)
        (work / folder.name).rename(folder)
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise DataError(f"{archive} cannot be unpacked: {one_line(error)}", "delete it and fetch it again") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _reason(error: BaseException) -> str:
    """Of a failed download, without the layers of libraries that requests' messages are wrapped in."""
    response: Any = getattr(error, "response", None)
    if response is not None:
        return f"the server says {response.status_code} {response.reason}"
    if isinstance(error, ValueError) and "hash" in str(error).lower():
        return "its digest is not that of the published file"
    cause: BaseException = error
    while True:
        inner = getattr(cause, "reason", None) or next(iter(cause.args), None)
        if not isinstance(inner, BaseException):
            break
        cause = inner
    return _OBJECT.sub("", one_line(cause))


_OBJECT = re.compile(r"^<?HTTPS?Connection\(.*?\)>?: ")  # what urllib3 puts before a reason


def one_line(error: BaseException) -> str:
    """The last line of an error's message (torchvision puts the reason there), or its type."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1].strip("<>") if lines else type(error).__name__
