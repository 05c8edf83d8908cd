"""Kinds of images for which authors of variants choose settings: `presets={"laptop@rgb-64": {...}}`.

What is good for a thousand digits is not what is good for photographs. A family is told by what is known of a dataset
before it is loaded; a folder of images belongs to one once `--size` says how large they are to be.
"""

from __future__ import annotations

from collections.abc import Mapping

from ganzoo.zoo.specs import Dataset

SMALL = 32
"""Largest side, in pixels, of the families ending in 32."""

FAMILIES: Mapping[str, str] = {
    "digits": "ganzoo's own 1,437 digits",
    "gray-32": "gray images of up to 32 pixels, as MNIST's",
    "gray-64": "larger gray images",
    "rgb-32": "colour images of up to 32 pixels, as CIFAR-10's",
    "rgb-64": "larger colour images, as faces of 64 pixels",
}


def family_of(dataset: Dataset, size: int | None = None, color: str | None = None) -> str | None:
    """The dataset's own, or that of images brought to `size` and `color`, the settings of any dataset; None: not known
    before it is loaded.

    Where a dataset names its family, that holds at its natural size and colour alone.
    """
    channels = dataset.channels if color is None else {"gray": 1, "rgb": 3}[color]
    side = dataset.size if size is None else size
    if dataset.family is not None and (side, channels) == (dataset.size, dataset.channels):
        return dataset.family
    if side is None or channels is None:
        return None
    return f"{'gray' if channels == 1 else 'rgb'}-{32 if side <= SMALL else 64}"


def recipe_names(preset: str, family: str | None) -> tuple[str, ...]:
    """The keys of `Variant.presets` that count, later ones over earlier ones."""
    return (preset,) if family is None else (preset, f"{preset}@{family}")
