"""Whether the files of a cache are still those that were checked."""

from __future__ import annotations

import json
import os
from pathlib import Path

from ganzoo.data.contents import (
    numbers,
)


def files_of(folder: Path) -> list[list[object]]:
    """What tells whether a cache's files have been written to. Without the device, which changes with the mount."""
    names = ("meta.json", "pixels.bin", "labels.npy")
    return [[name, *numbers((folder / name).stat())[:4]] for name in names if (folder / name).exists()]


def verified(folder: Path) -> object:
    """`files_of` as they were when their digests were last compared."""
    try:
        return json.loads((folder / "verified.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def set_verified(folder: Path, files: list[list[object]]) -> None:
    temporary = folder / f".verified.{os.getpid()}.tmp"
    temporary.write_text(json.dumps(files), encoding="utf-8")
    temporary.replace(folder / "verified.json")
