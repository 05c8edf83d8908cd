"""Images to numbers: extract features once, let every metric see them, compare with a cached reference."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

import torch
from torch import Tensor

from ganzoo.errors import Unavailable, UserError
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

    Returns:
        Every key of every metric that has one.

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
                computed = metric.compute(reference)
            except Unavailable as error:
                leave_out(name, error)
                continue
            for key, value in computed.items():
                if key in owners:
                    raise UserError(
                        f"metrics '{owners[key]}' and '{name}' both compute '{key}'", "leave one of them out"
                    )
                owners[key] = name
                values[key] = float(value)
    return values
