"""Which settings of a config are not the defaults. Torch-free."""

from __future__ import annotations

from typing import Any

from ganzoo.config.known import settings_of_spec
from ganzoo.config.run_config import Eval, RunConfig, Train
from ganzoo.config.settings import settings_of
from ganzoo.zoo.registry import Registry


def changed_settings(registry: Registry, config: RunConfig) -> list[tuple[str, Any, Any]]:
    """(key, default, value) of each, whoever changed it: preset, paper, author, file or command. A regularizer that is
    the variant's own is not a change, nor is one that is not.
    """
    specs = {
        "variant": registry.variant(config.variant.name),
        "objective": registry.objective(config.objective.name),
        "dataset": registry.dataset(config.dataset.name),
        "features": registry.features(config.features.name),
    }
    found: list[tuple[str, Any, Any]] = []
    for section, spec in specs.items():
        values = getattr(config, section).settings
        found += [(f"{section}.{one.name}", one.default, values[one.name]) for one in settings_of_spec(spec)]
    for kind, chosen in (("regularizer", config.regularizers), ("augmentation", config.augmentations)):
        for choice in chosen:
            settings = settings_of_spec(registry.find_spec(kind, choice.name))
            found += [(f"{kind}.{choice.name}.{one.name}", one.default, choice.settings[one.name]) for one in settings]
    for section, kind_of in (("train", Train), ("eval", Eval)):
        values = vars(getattr(config, section))
        found += [(f"{section}.{one.name}", one.default, values[one.name]) for one in settings_of(kind_of)]
    for spec in (registry.metric(name) for name in config.metric_names):
        keys = ((f"{spec.name}.{one.name}", one.default) for one in spec.settings)
        found += [(f"metrics.{key}", default, config.metrics[key]) for key, default in keys]
    whole = RunConfig.__dataclass_fields__
    found += [
        (key, whole[key].default, getattr(config, key)) for key in ("seed", "precision", "engine", "device", "init")
    ]
    return [(key, default, value) for key, default, value in found if value != default]
