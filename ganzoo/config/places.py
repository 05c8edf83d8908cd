"""Paths of datasets as they are typed."""

from __future__ import annotations

from pathlib import Path

from ganzoo.errors import UserError
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
