"""Inception score (Salimans et al. 2016, arXiv 1606.03498)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ganzoo.errors import Unavailable
from ganzoo.metrics.statistics import gather, require_logits, to_float64

if TYPE_CHECKING:
    from ganzoo.metrics.reference import Reference

MIN_SPLIT = 10  # images; a split of m images cannot score above m, so tiny splits say nothing


def inception_score(logits: Tensor, *, splits: int = 10, seed: int = 2020) -> tuple[float, float]:
    """Mean and (population) standard deviation of exp(E_x KL(p(y|x) || p(y))) over splits.

    The rule of the splits is torch-fidelity's: images are permuted by `numpy.random.RandomState(seed)`, and split i
    takes positions i*N//splits up to (i+1)*N//splits, so that sorted labels do not become splits of one class.

    Args:
        logits: float `[N,K]`; computed in float64 through log-softmax, so that p log p is 0 at p = 0.
        splits: number of splits.
        seed: of the permutation; torch's random state is not touched.

    Raises:
        Unavailable: a split would hold fewer than `MIN_SPLIT` images.
    """
    n = logits.shape[0]
    if n < splits * MIN_SPLIT:
        raise Unavailable(
            f"{n} images are too few for an inception score in {splits} splits of at least {MIN_SPLIT}",
            f"score at least {splits * MIN_SPLIT} images, or set fewer splits",
        )
    order = torch.from_numpy(np.random.RandomState(seed).permutation(n))
    scores = []
    for i in range(splits):
        chosen = order[i * n // splits : (i + 1) * n // splits].to(logits.device)
        log_p = to_float64(logits[chosen]).log_softmax(dim=1)  # [m,K]
        log_marginal = log_p.logsumexp(dim=0) - np.log(len(chosen))  # [K] log of mean p
        kl = (log_p.exp() * (log_p - log_marginal)).sum(dim=1)
        scores.append(float(kl.mean().exp()))
    return float(np.mean(scores)), float(np.std(scores))


class InceptionScore:
    """Inception score of "logits", between 1 and the number of classes, higher is better. Keys: "is", "is_std".

    `splits`: number of splits; `seed`: of the permutation. The reference is not looked at.
    """

    def __init__(self, *, splits: int = 10, seed: int = 2020) -> None:
        self.splits = splits
        self.fewest = splits * MIN_SPLIT
        self.seed = seed
        self._logits: list[Tensor] = []

    def update(self, features: Mapping[str, Tensor], labels: Tensor | None = None) -> None:
        """Add "logits" float32 `[n,K]` of generated images.

        Raises:
            UserError: the feature network gives no logits.
        """
        self._logits.append(require_logits(features.get("logits"), "the inception score"))

    def compute(self, reference: Reference) -> dict[str, float]:
        """The score of the generated images.

        Raises:
            Unavailable: too few images.
            UserError: NaN or infinity in the logits.
        """
        score, std = inception_score(gather(self._logits, "logits"), splits=self.splits, seed=self.seed)
        return {"is": score, "is_std": std}
