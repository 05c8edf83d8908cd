"""Networks and losses of TAC-GAN (Gong et al. 2019, arXiv:1907.02690).

The networks are the residual ones of `cgan-pd`, where the paper has BigGAN's, so that the two differ in nothing but
what D makes of classes. Both classifiers share all layers with D but their last.
"""

from __future__ import annotations

from typing import cast

from torch import Tensor

from ganzoo import GAN, Batch, Term, VariantConfig
from ganzoo_blocks.heads import headed, tell_accuracy, wrong
from ganzoo_blocks.resnet import Generator, width_of
from ganzoo_blocks.shapes import Shape, need_labels


def tacgan(config: VariantConfig, shape: Shape, num_classes: int) -> GAN:
    """TAC-GAN for images of `shape` (C, H, W). Raises UserError for a size it cannot make, and without labels."""
    need_labels("tacgan", num_classes, "sngan-resnet")
    z_dim, width = cast(int, config["z_dim"]), width_of(config)
    return GAN(
        generator=Generator(z_dim, width, shape, num_classes),
        discriminator=headed(width, shape, classes=num_classes, twin=num_classes),
        z_dim=z_dim,
        terms=class_terms(cast(float, config["class_weight"])),
    )


def class_terms(weight: float) -> tuple[Term, ...]:
    """What classes cost by the classifier C, "classes", and its twin C^mi, "twin". Beside the adversarial loss, C and G
    minimise, and C^mi maximises,

        -E log C(y | x) - E log C(y | G(z, y)) + E log C^mi(y | G(z, y)).
    """

    def d_class(batch: Batch) -> Tensor:
        return wrong(batch, batch.of_real) + wrong(batch, batch.of_fake)

    def d_twin(batch: Batch) -> Tensor:
        return wrong(batch, batch.of_fake, "twin")

    def g_class(batch: Batch) -> Tensor:
        tell_accuracy(batch, batch.of_fake)
        return wrong(batch, batch.of_fake)

    # The twin is the best classifier of generated images, so that this raises their entropy given the class, which C
    # alone would have G lower until only its easiest images are left.
    def g_twin(batch: Batch) -> Tensor:
        return -wrong(batch, batch.of_fake, "twin")

    return (
        Term(name="d-class", phase="D", loss=d_class, weight=weight),
        Term(name="d-twin", phase="D", loss=d_twin, weight=weight),
        Term(name="g-class", phase="G", loss=g_class, weight=weight),
        Term(name="g-twin", phase="G", loss=g_twin, weight=weight),
    )
