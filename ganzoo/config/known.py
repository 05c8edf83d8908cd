"""The settings that may be set: a spec's own, and those that all of its kind have."""

from __future__ import annotations

import dataclasses

from ganzoo.zoo.registry import Registry
from ganzoo.zoo.specs import Dataset, Regularizer, Setting, Spec

_GENERIC_DATASET = (
    Setting(
        name="size",
        default=None,
        type=int,
        minimum=4,
        maximum=1024,
        doc="square size in pixels images are brought to, with antialias; none: the natural size",
    ),
    Setting(
        name="color", default=None, type=str, choices=("gray", "rgb", None), doc="gray or rgb; none: as the data are"
    ),
    Setting(
        name="fit",
        default="crop",
        choices=("crop", "pad", "stretch"),
        doc="how images become squares: crop to the centre, pad with black (or dataset.background), or stretch",
    ),
)


def dataset_settings(spec: Dataset) -> tuple[Setting, ...]:
    """The spec's own settings, the path where it takes one, and `size`, `color` and `fit`, which all have."""
    own = {setting.name for setting in spec.settings}
    path = (Setting(name="path", default="", doc="where the images are"),) if spec.takes_path else ()
    return (*path, *spec.settings, *(setting for setting in _GENERIC_DATASET if setting.name not in own))


def settings_of_kind(registry: Registry, kind: str) -> tuple[Setting, ...]:
    """The settings of everything of a kind, as "NAME.SETTING"."""
    return tuple(
        dataclasses.replace(setting, name=f"{spec.name}.{setting.name}")
        for spec in registry.all(kind)
        for setting in settings_of_spec(spec)
    )


def settings_of_spec(spec: Spec) -> tuple[Setting, ...]:
    """The spec's own, and those that all of its kind have."""
    if isinstance(spec, Dataset):
        return dataset_settings(spec)
    if not isinstance(spec, Regularizer):
        return spec.settings
    return (
        Setting(name="weight", default=float(spec.weight), minimum=0.0, doc="factor of the loss"),
        Setting(
            name="every",
            default=spec.every,
            minimum=1,
            maximum=1024,
            doc="part of each every-th update alone, and then times this number (lazy regularisation)",
        ),
        *spec.settings,
    )
