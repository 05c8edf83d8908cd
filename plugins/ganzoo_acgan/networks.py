"""Networks and losses of ACGAN (Odena et al. 2016, arXiv:1610.09585).

The generator is DCGAN's, with the class beside the noise. The discriminator is that of appendix A: six 3x3
convolutions, every other one of stride 2, whatever the size, each but the first with batch norm, each with
LeakyReLU(0.2) and dropout; then one layer for source and class.
"""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from ganzoo import GAN, Batch, Term, VariantConfig
from ganzoo_blocks.heads import wrong
from ganzoo_blocks.shapes import Shape, init_weights, need_labels
from ganzoo_dcgan.networks import Generator

STRIDES = (2, 1, 2, 1, 2, 1)
"""Of the discriminator's convolutions; their widths double from one to the next."""


def acgan(config: VariantConfig, shape: Shape, num_classes: int) -> GAN:
    """ACGAN for images of `shape` (C, H, W). Raises UserError for a size it cannot make, and without labels."""
    need_labels("acgan", num_classes, "dcgan")
    z_dim, channels = cast(int, config["z_dim"]), cast(int, config["channels"])
    generator = Generator(z_dim, channels, shape, num_classes)
    discriminator = Discriminator(
        channels, shape, num_classes, dropout=cast(float, config["dropout"]), layer_norm=config.per_sample_critic
    )
    return GAN(
        generator=generator.apply(init_weights),
        discriminator=discriminator.apply(init_weights),
        z_dim=z_dim,
        terms=class_terms(cast(float, config["class_weight"])),
    )


class Discriminator(nn.Module):
    """x `[N,C,H,W]` -> "logits" `[N]`, "classes" `[N, num_classes]` (logits), "features" `[N, F]`, of the last map.

    It is not told the class. `layer_norm` puts layer norm for batch norm, so that samples are treated independently.
    """

    def __init__(
        self, channels: int, shape: Shape, num_classes: int, *, dropout: float, layer_norm: bool = False
    ) -> None:
        super().__init__()
        before, side = shape[0], shape[2]
        width = max(channels // 4, 1)  # 16 in the paper
        layers: list[nn.Module] = []
        for index, stride in enumerate(STRIDES):
            norm: list[nn.Module] = [nn.GroupNorm(1, width) if layer_norm else nn.BatchNorm2d(width)]
            layers += [
                nn.Conv2d(before, width, 3, stride=stride, padding=1, bias=layer_norm or not index),
                *(norm if index else []),
                nn.LeakyReLU(0.2, inplace=True),
                nn.Dropout(dropout),
            ]
            before, width, side = width, width * 2, -(-side // stride)  # a strided convolution rounds up
        self.body = nn.Sequential(*layers, nn.Flatten())
        self.source = nn.Linear(before * side * side, 1)
        self.classes = nn.Linear(before * side * side, num_classes)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        features = self.body(x)
        return {"logits": self.source(features).flatten(), "classes": self.classes(features), "features": features}


def class_terms(weight: float) -> tuple[Term, Term]:
    """What D's outputs "classes" cost. Beside the adversarial loss, D is trained on L_C of real and generated images,
    and G on that of its own: equation 3, and the sentence after it.
    """

    # L_C = E[log P(C = c | X_real)] + E[log P(C = c | X_fake)], which both maximise
    def d_loss(batch: Batch) -> Tensor:
        return wrong(batch, batch.of_real) + wrong(batch, batch.of_fake)

    def g_loss(batch: Batch) -> Tensor:
        return wrong(batch, batch.of_fake)

    return (
        Term(name="d-class", phase="D", loss=d_loss, weight=weight),
        Term(name="g-class", phase="G", loss=g_loss, weight=weight),
    )
