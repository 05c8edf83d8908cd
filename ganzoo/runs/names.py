"""What runs are called."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

from ganzoo.config.layers import specs_of
from ganzoo.config.run_config import RunConfig
from ganzoo.zoo.registry import Registry
from ganzoo.zoo.source import source_sha256


def beside_the_variant(registry: Registry, config: RunConfig) -> str:
    """ "+hinge+r1+diffaug": what is not the variant's own choice."""
    spec = registry.variant(config.variant.name)
    names = [] if config.objective.name == spec.objective else [config.objective.name]
    for chosen, own in ((config.regularizers, spec.regularizers), (config.augmentations, spec.augmentations)):
        if [choice.name for choice in chosen] != sorted(own):
            names += [choice.name for choice in chosen] or ["plain"]
    return "".join(f"+{name}" for name in names)


def _in_a_path(name: str) -> str:
    """What of a person's name every file system takes; the digest tells apart those of which that is the same."""
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-").lower()[:20] or "someone"


def whose_and_what(registry: Registry, config: RunConfig) -> str:
    """A folder's name before the seed: "dcgan+hinge-anna"."""
    whose = "" if config.name is None else f"-{_in_a_path(config.name)}"
    return f"{config.variant.name}{beside_the_variant(registry, config)}{whose}"


def folder_of(registry: Registry, config: RunConfig, under: Path, data: str) -> Path:
    """The folder of a run of `config` under `under`.

    Its name carries a hash of the config, of the sources of all that it trains with, and of `data`, a digest of what it
    begins with: the training images, and initial weights. The same command finds its finished runs again, and other
    settings, other images, or an edited plugin, never meet them.
    """
    text = json.dumps(config.identity(), sort_keys=True) + source_sha256(*specs_of(registry, config)) + data
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return under / config.dataset.name / f"{whose_and_what(registry, config)}-s{config.seed}-{digest}"
