"""Paths as they are typed, and where datasets and caches lie. Torch-free."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ganzoo.errors import SettingError, UserError
from ganzoo.files.text import clean


def check_no_path(text: str) -> None:
    """Raise UserError if what was given as the name of a dataset is a path."""
    shown = clean(text, 200)
    like_a_path = "/" in text or "\\" in text or text.startswith((".", "~")) or text.lower().endswith(".npz")
    try:
        exists = Path(text).expanduser().exists()
    except (OSError, ValueError, RuntimeError):  # no path at all
        exists = False
    if like_a_path or exists:
        kind = "npz" if text.lower().endswith(".npz") else "folder"
        raise UserError(f"unknown dataset '{shown}'", f"for images of your own say --dataset {kind}:{shown}")


def dataset_path(text: str) -> str:
    """The path from the root, without links.

    Raises:
        UserError: a text that no path can be, or that a configuration file cannot hold.
    """
    cure = "rename it, or give a link to it that has a plain name"
    try:
        path = str(Path(text).expanduser().resolve())
        path.encode()
    except UnicodeEncodeError:
        raise UserError(f"the path {clean(text, 200)} is not valid UTF-8", cure) from None
    except ValueError:
        raise UserError(f"the path {clean(text, 200)} holds a NUL", "give the path of the images") from None
    except (OSError, RuntimeError) as error:  # links in a circle; no such user
        raise UserError(f"{clean(text, 200)}: {clean(str(error), 200)}", "give the path of the images") from None
    return path


def as_path(value: Any, option: str) -> Path:
    """What `option` was given as a path. Raises SettingError."""
    try:
        return Path(value)
    except TypeError:
        raise SettingError(f"{option} is {value!r}, no path", f'give a path as text: {option}="PATH"') from None


def as_source(value: Any, option: str) -> str:
    """What `option` was given as a name or a path, as it was written: "images/" is a folder, `Path` would make it the
    name "images". Raises SettingError.
    """
    as_path(value, option)
    return os.fspath(value) or os.curdir


OLD_CACHE = Path("~/.cache/ganzoo")
"""Where earlier versions kept datasets and caches, on every system."""


def cache_root(data_root: Path | str | None = None) -> Path:
    """The folder of datasets and caches, from the root; None: $GANZOO_DATA, or where the system keeps caches.

    Raises:
        SettingError: the path is not valid UTF-8; records could not name it.
    """
    path = as_path(data_root or os.environ.get("GANZOO_DATA") or default_root(), "data_root")
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise SettingError(f"data root {str(path)!a} is not valid UTF-8", "rename the folder") from None
    return path.expanduser().absolute()


def default_root() -> Path:
    """Where the system keeps caches: `~/.cache/ganzoo` or below $XDG_CACHE_HOME on Linux, `~/Library/Caches/ganzoo` on
    macOS, `%LOCALAPPDATA%\\ganzoo\\Cache` on Windows. `OLD_CACHE` where that is not there yet, and this is.
    """
    from platformdirs import user_cache_path  # only here: most commands look for no data

    place, old = user_cache_path("ganzoo", appauthor=False), OLD_CACHE.expanduser()
    return old if old.is_dir() and not place.exists() else place
