"""Images to numbers: extract features once, let every metric see them, compare with a cached reference."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from ganzoo.errors import Unavailable, UserError
from ganzoo.files.progress import working
from ganzoo.metrics.extract import Extractor, checked_features, extract_features, scoring
from ganzoo.metrics.reference import Reference, reference_features

__all__ = ["Extractor", "Metric", "Reference", "evaluate", "extract_features", "reference_features"]


class Metric(Protocol):
    """What a metric spec's target returns. It may have an attribute `fewest`, the number of generated images below
    which it has no number whatever they are: then a run that could not be scored is refused before it is trained.
    """

    def update(self, features: Mapping[str, Tensor], labels: Tensor | None) -> None:
        """Add a batch of generated images: "pool", perhaps "logits", the images themselves as "pixels" (uint8
        `[n,C,H,W]`), and the classes they were asked for, int64 `[n]`.
        """

    def compute(self, reference: Reference) -> dict[str, float]:
        """The numbers, once all batches are in.

        Raises:
            Unavailable: these images are too few, or lack what this metric needs; the other metrics go on.
            UserError: anything that makes the whole score meaningless.
        """


def evaluate(
    metrics: Mapping[str, Metric],
    batches: Iterable[tuple[Tensor, Tensor | None]],
    extractor: Extractor,
    reference: Reference,
    *,
    device: torch.device,
    on_batch: Callable[[int], object] | None = None,
    on_unavailable: Callable[[str, Unavailable], object] | None = None,
    declared: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, float]:
    """Score generated images with every metric, in one pass; torch's random state is left as it was.

    Args:
        metrics: name -> fresh metric object.
        batches: of uint8 `[n,C,H,W]` images and the classes they were asked for, int64 `[n]` or None. May be a
            generator that makes them as they are asked for: it runs without gradients, and what it draws from torch's
            global random state is undone too.
        extractor: the feature network, the same as the reference's.
        reference: features of real images.
        device: where the network is; features stay there until the numbers are made.
        on_batch: called with the number of images just done.
        on_unavailable: called with the name of a metric these images have no number for, and why; None: it is raised.
        declared: metric -> the keys that its spec says; a metric that is not there, or has none, may compute any.

    Returns:
        Every key of every metric that has one; a value that is not finite is left out like a metric, with its name.

    Raises:
        UserError: no images, a bad output of the network, two metrics with one key, or what a metric refuses.
    """
    count = 0
    values: dict[str, float] = {}
    owners: dict[str, str] = {}
    going = dict(metrics)

    def leave_out(name: str, error: Unavailable) -> None:
        if on_unavailable is None:
            raise error
        on_unavailable(name, error)
        del going[name]

    with scoring(extractor, device):
        for pixels, labels in batches:
            if labels is not None and labels.shape != pixels.shape[:1]:
                raise UserError(
                    f"labels of shape {list(labels.shape)} for {len(pixels)} images", "give one class per image"
                )
            features = checked_features(extractor, pixels.to(device))
            found, expected = features["pool"].shape[1], reference.pool.shape[1]
            if found != expected:
                raise UserError(
                    f"{found} features per generated image, {expected} per reference image",
                    "take both with the same feature network",
                )
            for name in list(going):
                try:
                    going[name].update({**features, "pixels": pixels}, labels)
                except Unavailable as error:
                    leave_out(name, error)
            count += len(pixels)
            if on_batch is not None:
                on_batch(len(pixels))
        if count == 0:
            raise UserError("there are no generated images to score", "generate at least one")
        for name, metric in list(going.items()):
            try:
                with working(f"computing {name}"):
                    computed = metric.compute(reference)
            except Unavailable as error:
                leave_out(name, error)
                continue
            for key, value in numbers_of(name, computed, (declared or {}).get(name, ())).items():
                if not math.isfinite(value) and on_unavailable is not None:
                    on_unavailable(name, Unavailable(f"{key} is {value}", "look at the generated images"))
                    continue
                if key in owners:
                    raise UserError(
                        f"metrics '{owners[key]}' and '{name}' both compute '{key}'", "leave one of them out"
                    )
                owners[key] = name
                values[key] = value
    return values


def numbers_of(name: str, computed: Any, keys: Sequence[str]) -> dict[str, float]:
    """What a metric's `compute` returned, as plain numbers. `keys`: those that its spec says, (): any. Keys with a
    dot, such as those of single classes, need not be among them.

    Raises:
        UserError: something else than a mapping of the keys to numbers.
    """
    cure = f"compute must return {{{', '.join(f'{key!r}: number' for key in keys) or 'name: number'}}}"
    if not isinstance(computed, Mapping):
        raise UserError(f"metric '{name}' computed a {type(computed).__name__}, not a dict of numbers", cure)
    values = {}
    for key, value in computed.items():
        if not isinstance(key, str) or (keys and key not in keys and "." not in key):
            raise UserError(
                f"metric '{name}' computed {key!r}, and the keys of its spec are {', '.join(keys)}", "mend one of them"
            )
        try:
            if isinstance(value, Tensor):
                value = value.detach()
            values[key] = float(value)
        except (TypeError, ValueError, RuntimeError):
            raise UserError(
                f"metric '{name}' computed {key!r} as a {type(value).__name__}, not a number", cure
            ) from None
    return values
