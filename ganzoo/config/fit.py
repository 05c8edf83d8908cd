"""Whether what was asked for fits together."""

from __future__ import annotations

from collections.abc import Sequence

from ganzoo.config.run_config import RunConfig, dataset_label, score_interval
from ganzoo.errors import FitError, UserError
from ganzoo.zoo.registry import Registry
from ganzoo.zoo.specs import Objective, Regularizer, Variant

_LABELS = {
    "folder": "put the images into two or more class folders, side by side, and leave dataset.labels at true",
    "npz": "add an array 'labels' of class numbers to the file, of two or more classes",
}
_OTHER_LABELS = "a dataset with labels, see `ganzoo list datasets`"


def check_fit(
    variant: Variant,
    objective: Objective,
    dataset: str,
    size: int | None,
    channels: int | None,
    num_classes: int | None,
    regularizers: Sequence[Regularizer] = (),
    augmentations: Sequence[str] = (),  # their names
) -> None:
    """Whether the parts can work together. None: not known yet, so not checked.

    Raises:
        FitError: a conditional variant on unlabelled data, a size or channel count the variant cannot make, a
            gradient penalty on a critic that cannot do without batch norm, or an objective or regularizer that needs
            labels, an augmentation, a D of images alone, or what the variant's D does not return.
    """
    if variant.conditional and num_classes == 0:
        raise FitError(
            f"variant '{variant.name}' is conditional, but dataset '{dataset}' has no labels",
            f"use an unconditional variant, or {_LABELS.get(dataset.partition(':')[0], _OTHER_LABELS)}",
        )
    if size is not None and variant.sizes is not None and size not in variant.sizes:
        sizes = ", ".join(map(str, variant.sizes))
        raise FitError(f"variant '{variant.name}' cannot make {size}x{size} images", f"use --size with one of {sizes}")
    if channels is not None and channels not in variant.channels:
        raise FitError(
            f"variant '{variant.name}' cannot make images of {channels} channels", "use --set dataset.color=gray or rgb"
        )
    pieces: list[tuple[str, Objective | Regularizer]] = [("objective", objective)]
    for kind, spec in (*pieces, *(("regularizer", one) for one in regularizers)):
        if spec.per_sample_gradients and not variant.per_sample_critic:
            raise FitError(
                f"{kind} '{spec.name}' penalises per-sample gradients, which the critic of '{variant.name}' "
                "rules out: its samples are not judged one by one",
                "use an objective without gradient penalty, such as hinge"
                if kind == "objective"
                else f"leave {spec.name} out of --regularize",
            )
        for need in spec.needs:
            _check_need(kind, spec, need, variant, augmentations)


def check_config(
    registry: Registry, config: RunConfig, size: int | None, channels: int | None, num_classes: int | None
) -> None:
    """`check_fit` of all that `config` names, on images of that kind. Errors as there."""
    check_fit(
        registry.variant(config.variant.name),
        registry.objective(config.objective.name),
        dataset_label(config.dataset.name, config.dataset.settings),
        size,
        channels,
        num_classes,
        [registry.regularizer(choice.name) for choice in config.regularizers],
        [choice.name for choice in config.augmentations],
    )


def check_scores(registry: Registry, config: RunConfig) -> None:
    """`check_counts` of what a run of `config` generates, if it is scored at all."""
    if score_interval(config.train.scores, config.eval.every) is not None:
        check_counts(registry, config, config.eval.num_images, config.eval.num_reference)


def check_counts(registry: Registry, config: RunConfig, generated: int | None, real: int | None = None) -> None:
    """Whether the metrics of `config` can have numbers of so many images. None: not known yet, so not checked.

    Raises:
        UserError: one needs more images than its features have dimensions.
    """
    spec = registry.features(config.features.name)
    known = [(count, which) for count, which in ((generated, "generated"), (real, "real")) if count is not None]
    for name in config.metric_names:
        told = config.metrics.get(f"{name}.allow_rank_deficient", False)
        if known and "full-rank" in registry.metric(name).needs and not told and min(known)[0] <= spec.dim:
            count, which = min(known)
            raise UserError(
                f"{name} needs more images than the {spec.dim} dimensions of {spec.name}, real and generated; there "
                f"are {count} {which} ones",
                f"use at least {spec.dim + 1}, ask for other metrics (--set eval.metrics=kid,prdc), or --set "
                f"metrics.{name}.allow_rank_deficient=true",
            )


def _check_need(
    kind: str, spec: Objective | Regularizer, need: str, variant: Variant, augmentations: Sequence[str]
) -> None:
    if need == "labels":
        if not variant.conditional:
            raise FitError(
                f"{kind} '{spec.name}' needs labels, and variant '{variant.name}' is not conditional",
                "use a conditional variant on a dataset with labels: `ganzoo list` says which are",
            )
    elif need == "augmentation":
        if not augmentations:
            raise FitError(
                f"{kind} '{spec.name}' compares augmented images, and the run has no augmentation",
                "name one, such as --augment diffaug",
            )
    elif need == "images":
        if not variant.judges_images:
            raise FitError(
                f"{kind} '{spec.name}' shows D images alone, which that of '{variant.name}' does not judge alone",
                f"use another variant, or leave {spec.name} out",
            )
    elif need not in variant.gives:
        given = f"returns logits and {', '.join(variant.gives)}" if variant.gives else "returns logits alone"
        raise FitError(
            f"{kind} '{spec.name}' needs '{need}' of the discriminator, and that of '{variant.name}' {given}",
            f"use a variant that has '{need}' among what it gives (`ganzoo show`), or leave {spec.name} out",
        )
