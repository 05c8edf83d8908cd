"""What D says should not change with its images' augmentation (cr, bcr), nor with a small change of z (zcr).

cr and bcr compare what D said in the adversarial loss with what it says of the same images, augmented anew. Where
augmentations are for terms alone, as in the papers, that is the papers' D(x) and D(T(x)); where the adversarial loss
sees augmented images, it is D(T(x)) and D(T'(x)), two draws of one law: images as they are, which D then never
learns from, are not asked about. Either way it is one more pass of D for each side. Losses are float32 `[N]`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor

from ganzoo import Batch, Term, Value


def cr(config: Mapping[str, Value]) -> Term:
    """Zhang et al. 2020, algorithm 1, on the logits: (D(x) - D(T(x)))^2."""
    return Term(name="cr", phase="D", loss=_of_real)


def bcr(config: Mapping[str, Value]) -> Sequence[Term]:
    """Zhao et al. 2020, algorithm 1: (D(x) - D(T(x)))^2 and (D(G(z)) - D(T(G(z))))^2."""
    return (
        Term(name="bcr-real", phase="D", loss=_of_real),
        Term(name="bcr-fake", phase="D", loss=_of_fake, weight=cast(float, config["fake_weight"])),
    )


def zcr(config: Mapping[str, Value]) -> Sequence[Term]:
    """Zhao et al. 2020, algorithm 2, T(z) = z + noise ~ N(0, sigma^2 I).

    D: (D(G(z)) - D(G(T(z))))^2, both without augmentation. G: -||G(z) - G(T(z))||^2, where the square is averaged over
    pixels, so that its weight does not depend on the image's size.
    """
    noise = cast(float, config["noise"])

    def others(batch: Batch) -> Tensor:
        return batch.generate(batch.z + noise * torch.randn_like(batch.z))["images"].float()

    def of_d(batch: Batch) -> Tensor:
        with torch.no_grad():
            images = others(batch)
        # Asked anew, because in the adversarial loss the images may have been augmented.
        near, far = (batch.judge(each, augmented=False)["logits"] for each in (batch.fake, images))
        return (near.float() - far.float()).square()

    def of_g(batch: Batch) -> Tensor:
        return -(batch.fake.float() - others(batch)).square().flatten(1).mean(1)

    return (
        Term(name="zcr-d", phase="D", loss=of_d),
        Term(name="zcr-g", phase="G", loss=of_g, weight=cast(float, config["g_weight"])),
    )


def _of_real(batch: Batch) -> Tensor:
    return _changes(batch, batch.of_real["logits"], batch.real)


def _of_fake(batch: Batch) -> Tensor:
    return _changes(batch, batch.of_fake["logits"], batch.fake)


def _changes(batch: Batch, said: Tensor, images: Tensor) -> Tensor:
    again = batch.judge(batch.augment(images), augmented=False)["logits"]
    return (said.float() - again.float()).square()
