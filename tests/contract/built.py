"""A variant of a spec, built narrow."""

from __future__ import annotations

from ganzoo import GAN, Value, Variant, VariantConfig

CLASSES = 3


def built(
    spec: Variant, size: int = 28, colors: int = 1, *, per_sample: bool = False, classes: int = CLASSES, **own: Value
) -> GAN:
    known = {setting.name: setting.default for setting in spec.settings}
    assert not own.keys() - known.keys()
    config = VariantConfig(settings=known | own, per_sample_critic=per_sample)
    return spec.load()(config, (colors, size, size), classes)
