"""The hooks a plugin may implement. Each takes nothing and returns a list of frozen specs."""

from __future__ import annotations

import pluggy

from ganzoo.zoo.specs import (
    Augmentation,
    Callback,
    Dataset,
    Executor,
    Features,
    Metric,
    Model,
    Objective,
    Regularizer,
    Variant,
)

GANZOO_API = 2
"""Version of the plugin contract. A plugin module says which one it was written for: `GANZOO_API = 2`. Those of
contract 1 run unchanged; another number is refused.
"""

hookspec, hookimpl = pluggy.HookspecMarker("ganzoo"), pluggy.HookimplMarker("ganzoo")


@hookspec
def register_variants() -> list[Variant]:  # type: ignore[empty-body]
    """GAN variants: pairs of networks with a default objective and default hyper-parameters."""


@hookspec
def register_objectives() -> list[Objective]:  # type: ignore[empty-body]
    """Objectives: losses of discriminator and generator, per sample, on logits."""


@hookspec
def register_regularizers() -> list[Regularizer]:  # type: ignore[empty-body]
    """Regularizers: further losses of discriminator or generator, which see the whole batch."""


@hookspec
def register_augmentations() -> list[Augmentation]:  # type: ignore[empty-body]
    """Augmentations: what the discriminator sees instead of images, real and generated alike."""


@hookspec
def register_datasets() -> list[Dataset]:  # type: ignore[empty-body]
    """Datasets: uint8 images and, where there are any, integer labels."""


@hookspec
def register_features() -> list[Features]:  # type: ignore[empty-body]
    """Frozen feature networks in whose space metrics compare images."""


@hookspec
def register_metrics() -> list[Metric]:  # type: ignore[empty-body]
    """Metrics: numbers computed from the features of generated and real images."""


@hookspec
def register_callbacks() -> list[Callback]:  # type: ignore[empty-body]
    """Observers of a run, called at ticks and snapshots, never inside a training step."""


@hookspec
def register_models() -> list[Model]:  # type: ignore[empty-body]
    """Trained generators: weights of a variant that is in the zoo, with their scores."""


@hookspec
def register_executors() -> list[Executor]:  # type: ignore[empty-body]
    """Clusters that the jobs of a bench can be given to."""
