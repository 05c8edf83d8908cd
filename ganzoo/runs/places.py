"""Which paths somebody has named here to train with."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from pathlib import Path

from ganzoo.config.run_config import RunConfig
from ganzoo.errors import RunError
from ganzoo.files.writing import write_text


def remember_places(root: Path, config: RunConfig) -> None:
    """Keep, in the data root, which paths somebody has named here to train with: see `check_places`."""
    for path in _places(config).values():
        write_text(_place_file(root, path), path + "\n")


def check_places(root: Path, config: RunConfig, asked: Collection[str] = ()) -> None:
    """Refuse paths that only a run's files name: whoever made them may have meant any file of the reader's disk.
    `asked`: the settings, such as "dataset.path", whose values the user has named just now.

    Raises:
        RunError: nobody has trained here with such a path.
    """
    for setting, path in _places(config).items():
        if setting not in asked and not _place_file(root, path).exists():
            raise RunError(
                f"the run says that its data are at {path}, with which nothing has been trained here",
                "say with --dataset what to compare with, and with --set where weights of a feature network are",
            )


def _places(config: RunConfig) -> dict[str, str]:
    named = {
        "dataset.path": config.dataset.settings.get("path"),
        "features.weights": config.features.settings.get("weights"),
    }
    return {setting: str(path) for setting, path in named.items() if path}


def _place_file(root: Path, path: str) -> Path:
    return root / "places" / hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest()[:32]
