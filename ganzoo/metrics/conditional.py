"""What a frozen classifier of the dataset's own classes sees in generated images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ganzoo.errors import UserError
from ganzoo.metrics.statistics import gather, require_finite, require_logits

if TYPE_CHECKING:
    from ganzoo.metrics.reference import Reference


def class_counts(logits: Tensor) -> Tensor:
    """logits float `[N,K]` -> how often each class is the most likely one, float64 `[K]` on the CPU."""
    return torch.bincount(logits.argmax(dim=1).cpu(), minlength=logits.shape[1]).to(torch.float64)


def class_divergence(generated: Tensor, reference: Tensor) -> float:
    """KL(generated || reference) between class histograms, in nats; 0 where the shares are equal.

    Half a count is added to every class on both sides, so that a class neither or only one has leaves it finite.

    Args:
        generated: counts `[K]`.
        reference: counts `[K]`.
    """
    p, q = generated.to(torch.float64) + 0.5, reference.to(torch.float64) + 0.5
    p, q = p / p.sum(), q / q.sum()
    return max(float((p * (p / q).log()).sum()), 0.0)


def modes_covered(generated: Tensor, reference: Tensor, *, min_share: float = 0.1) -> int:
    """Number of classes whose share of the generated images is at least `min_share` times their real share.

    Args:
        generated: counts `[K]`.
        reference: counts `[K]`; a class with none is not a mode.
        min_share: fraction of the real share; well above what a classifier's errors alone would put into a class.
    """
    p, q = generated.to(torch.float64), reference.to(torch.float64)
    enough = p * q.sum() >= min_share * q * p.sum()  # shares, multiplied out so that whole counts stay exact
    return int(((q > 0) & (p > 0) & enough).sum())


def _require_classes(found: int, num_classes: int) -> None:
    """Refuse a classifier of other classes than the dataset's.

    Raises:
        UserError: its number of classes is not `num_classes`.
    """
    if found != num_classes:
        raise UserError(
            f"the feature network knows {found} classes, the dataset has {num_classes}",
            "choose the classifier trained for this dataset, or leave this metric out",
        )


class ConditionalAccuracy:
    """Percent of generated images the frozen classifier finds in the class they were asked for, 0 to 100, higher is
    better. Key: "cond_acc".
    """

    def __init__(self) -> None:
        self._correct = 0
        self._count = 0
        self._num_classes = 0  # of the classifier

    def update(self, features: Mapping[str, Tensor], labels: Tensor | None = None) -> None:
        """Add "logits" float32 `[n,K]`, and the requested classes int64 `[n]`.

        Raises:
            UserError: no logits, no labels, or NaN in the logits.
        """
        logits = require_logits(features.get("logits"), "conditional accuracy")
        if labels is None:
            raise UserError(
                "conditional accuracy needs the labels the images were asked for", "score a conditional model"
            )
        require_finite(logits, "logits")
        self._correct += int((logits.argmax(dim=1) == labels.to(logits.device)).sum())
        self._count += len(labels)
        self._num_classes = logits.shape[1]

    def compute(self, reference: Reference) -> dict[str, float]:
        """The percentage.

        Raises:
            UserError: no images, or the classifier's classes are not the dataset's.
        """
        if self._count == 0:
            raise UserError("no images to score", "score at least one image")
        _require_classes(self._num_classes, reference.num_classes)
        return {"cond_acc": 100.0 * self._correct / self._count}


class ClassBalance:
    """Which classes the frozen classifier finds, against what it finds in the reference images. Keys: "modes", the
    number of classes covered (higher is better), and "class_kl", KL(generated || reference) between the two histograms
    of predicted classes in nats (lower is better).

    `min_share`: a class is covered when its share is at least this fraction of its share of the reference.
    """

    def __init__(self, *, min_share: float = 0.1) -> None:
        self.min_share = min_share
        self._logits: list[Tensor] = []

    def update(self, features: Mapping[str, Tensor], labels: Tensor | None = None) -> None:
        """Add "logits" float32 `[n,K]` of generated images.

        Raises:
            UserError: the feature network gives no logits.
        """
        self._logits.append(require_logits(features.get("logits"), "the class balance"))

    def compute(self, reference: Reference) -> dict[str, float]:
        """Both numbers. The reference histogram is the classifier's too, so that its errors cancel.

        Raises:
            UserError: no images, NaN in the logits, or the classifier's classes are not the dataset's.
        """
        logits = gather(self._logits, "logits")
        real_logits = require_logits(reference.logits, "the class balance")
        _require_classes(logits.shape[1], reference.num_classes)
        generated, real = class_counts(logits), class_counts(real_logits)
        return {
            "modes": float(modes_covered(generated, real, min_share=self.min_share)),
            "class_kl": class_divergence(generated, real),
        }
