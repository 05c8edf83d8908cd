"""Terms of what D said of the batch in the adversarial loss: moving averages, mean features, ranks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from ganzoo import Batch, Term, UserError, Value


class LeCam(nn.Module):
    """Batch of D's phase -> float32 `[N]`: (C(x) - alpha_F)^2 + (C(G(z)) - alpha_R)^2, Tseng et al. 2021, section 3.

    The anchors alpha_R and alpha_F, moving averages of the logits of real and of generated images, are buffers,
    float32 `[]`, 0 at first. They are moved by the batch before they are compared with it.
    """

    real: Tensor
    fake: Tensor

    def __init__(self, decay: float) -> None:
        super().__init__()
        self.decay = decay
        self.register_buffer("real", torch.zeros(()))
        self.register_buffer("fake", torch.zeros(()))

    def forward(self, batch: Batch) -> Tensor:
        real, fake = batch.of_real["logits"].float(), batch.of_fake["logits"].float()
        with torch.no_grad():
            self.real.lerp_(real.mean(), 1 - self.decay)
            self.fake.lerp_(fake.mean(), 1 - self.decay)
        return (real - self.fake).square() + (fake - self.real).square()


def lecam(config: Mapping[str, Value]) -> Term:
    """LeCam regularization: `LeCam`."""
    return Term(name="lecam", phase="D", loss=LeCam(cast(float, config["decay"])))


def feature_matching(config: Mapping[str, Value]) -> Term:
    """Salimans et al. 2016, section 3.1: ||E f(x) - E f(G(z))||^2, f being what D calls "features" `[N, ...]`. In the
    paper it takes the place of G's loss; here it is added to it. float32 `[]`.
    """

    def loss(batch: Batch) -> Tensor:
        real, fake = (said["features"].float().mean(0) for said in (batch.of_real, batch.of_fake))
        return (real.detach() - fake).square().sum()

    return Term(name="feature-matching", phase="G", loss=loss)


def top_k(config: Mapping[str, Value]) -> Term:
    """Sinha et al. 2020, algorithm 1: G's loss is its mean over the k generated images with the largest logits.

    The term is what has to be added to G's loss of each image, float32 `[N]`, so that the mean of the sum is the mean
    over those k. With a weight other than 1 the sum is so far on its way from the one mean to the other. k is N times
    `smallest` to the power of the part of the way from the start to `until`, rounded, as the paper's k decays by a
    factor per epoch.

    Raises:
        UserError: `every` is not 1, or `weight` not between 0 and 1.
    """
    smallest, until = cast(float, config["smallest"]), cast(float, config["until"])
    if config.get("every", 1) != 1 or not 0 <= cast(float, config.get("weight", 1.0)) <= 1:
        raise UserError(
            "top-k at a weight above 1, or in some updates alone, would make the images that it leaves out worse",
            "leave regularizer.top-k.every at 1, and regularizer.top-k.weight between 0 and 1",
        )

    def loss(batch: Batch) -> Tensor:
        loss, logits = batch.adversarial.float(), batch.of_fake["logits"].detach()
        count = logits.shape[0]
        done = (batch.progress / until).clamp(0, 1)
        k = (count * smallest**done).round().clamp_min(1)
        ranks = logits.argsort(descending=True, stable=True).argsort()  # 0 is the largest; as many shapes as one
        return loss * ((ranks < k) * (count / k) - 1)

    return Term(name="top-k", phase="G", loss=loss, progress=True)
