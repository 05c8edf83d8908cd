"""Getting ahead what training and scoring would get when they first need it: for machines without a network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ganzoo.data.downloads import DOWNLOADS, missing, place_of
from ganzoo.data.fetch import fetch_files
from ganzoo.errors import DataError, UnknownName
from ganzoo.zoo.registry import Registry


@dataclass(frozen=True, kw_only=True)
class Fetched:
    name: str
    was_there: bool  # nothing had to be got
    places: tuple[str, ...]  # files and folders; none: it keeps them itself


def fetch(
    registry: Registry, name: str, root: Path, *, mirror: str | None = None, note: Callable[[str], None] | None = None
) -> Fetched:
    """Have the files of a dataset, or of a feature network, under `root`. `mirror` and `note` as in `fetch_files`.
    Those of plugins are loaded, and so get what they need in their own way.

    Raises:
        UnknownName: nothing is called so.
        UserError: it cannot be had.
    """
    if name in DOWNLOADS:
        before = not missing(name, root)
        if not before:
            fetch_files(name, root, mirror=mirror, note=note)
        places = {place_of(name, download, root) for download in DOWNLOADS[name]}
        return Fetched(name=name, was_there=before, places=tuple(sorted(map(str, places - {None}))))
    if registry.has("dataset", name):
        spec = registry.dataset(name)
        if spec.takes_path:
            raise DataError(f"{name} is of your own images", f"say where they are: --dataset {name}:PATH")
        _load_dataset(registry, name, root)
    elif registry.has("features", name):
        import torch

        from ganzoo.scoring.declared import load_features

        network = registry.features(name)
        settings = {setting.name: setting.default for setting in network.settings}
        load_features(registry, network, torch.device("cpu"), settings, root)
    else:
        known = {spec.name for kind in ("datasets", "features") for spec in registry.all(kind)}
        raise UnknownName("dataset or feature network", name, known)
    return Fetched(name=name, was_there=False, places=())


def _load_dataset(registry: Registry, name: str, root: Path) -> None:
    from ganzoo.config.known import dataset_settings
    from ganzoo.data import NoTestSplit
    from ganzoo.scoring.declared import load_declared

    spec = registry.dataset(name)
    settings = {setting.name: setting.default for setting in dataset_settings(spec)}
    for split in ("train", "test"):
        try:
            load_declared(registry, spec, settings, root=root, split=split, download=True)
        except NoTestSplit:
            if split == "train":
                raise


def at_hand(root: Path) -> dict[str, tuple[str, ...]]:
    """What `fetch` can get by itself -> where it is; () for what is not there."""
    return {
        name: ()
        if missing(name, root)
        else tuple(sorted({str(place_of(name, download, root)) for download in downloads}))
        for name, downloads in DOWNLOADS.items()
    }
