"""Which variants a bench compares when none is named."""

from __future__ import annotations

from collections.abc import Mapping

from ganzoo.zoo.registry import Registry

ALL = "all"
"""What to say for every variant of the zoo."""

CHOSEN: Mapping[str, str] = {
    "gan": "where it began: dense layers",
    "cgan": "the same, told the class",
    "dcgan": "convolutions: what others are measured by",
    "cdcgan": "the same, told the class",
    "lsgan": "least squares in place of the logarithm",
    "wgan-gp": "another distance, and a penalty on gradients",
    "sngan": "spectral norm in place of the penalty",
    "acgan": "a discriminator that names the class",
    "infogan": "a code that it finds out by itself",
    "stylegan2": "styles, and a penalty on gradients now and then",
}
"""Variant -> why it is among those of ganzoo that are compared when none is named. One of each idea; together they
took 7.4 minutes on digits with the two cores of an AMD EPYC.
"""


def why_chosen(registry: Registry, name: str) -> str | None:
    """Why the variant is compared when none is named; None: it is not. What others have added is always."""
    if name in CHOSEN:
        return CHOSEN[name]
    plugin = registry.owner("variants", name)
    return None if not plugin.local and plugin.origin.split()[0] == "ganzoo" else f"of your plugin {plugin.name}"


def chosen_names(registry: Registry) -> list[str]:
    """Those compared when none is named, in the zoo's order."""
    return [spec.name for spec in registry.variants() if why_chosen(registry, spec.name) is not None]
