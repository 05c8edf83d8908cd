"""Augmentations of what the discriminator sees. Torch-free: the modules are beside it."""

from __future__ import annotations

from ganzoo import Augmentation, Setting, hookimpl

GANZOO_API = 2


@hookimpl
def register_augmentations() -> list[Augmentation]:
    return [
        Augmentation(
            name="flip",
            target="ganzoo_augment.flip:flip",
            summary="horizontal flips of every second image",
            paper="Karras et al., Training Generative Adversarial Networks with Limited Data, 2020, arXiv:2006.06676",
        ),
        Augmentation(
            name="instance-noise",
            target="ganzoo_augment.instance_noise:instance_noise",
            summary="noise on every image, real and generated",
            paper="Sønderby et al., Amortised MAP Inference for Image Super-resolution, 2016, arXiv:1610.04490",
            settings=(
                Setting(
                    name="deviation",
                    default=0.1,
                    minimum=0.0,
                    doc="Standard deviation, of pixels in [-1, 1]; the paper lets it fall to 0 in training.",
                ),
            ),
        ),
        Augmentation(
            name="diffaug",
            target="ganzoo_augment.diffaug:diffaug",
            summary="random colours, translations and cutouts of every image",
            paper="Zhao et al., Differentiable Augmentation for Data-Efficient GAN Training, 2020, arXiv:2006.10738",
            settings=(
                Setting(
                    name="policy",
                    default="color,translation,cutout",
                    doc="Which of color, translation and cutout, separated by commas.",
                ),
            ),
        ),
        Augmentation(
            name="ada",
            target="ganzoo_augment.ada:ada",
            summary="thirteen transformations, each with a probability that follows the discriminator's overfitting",
            paper="Karras et al., Training Generative Adversarial Networks with Limited Data, 2020, arXiv:2006.06676",
            settings=(
                Setting(
                    name="pipeline",
                    default="bgc",
                    choices=("b", "bg", "bgc", "c"),
                    doc="Which groups: b, whole pixels; g, general geometry; c, colour.",
                ),
                Setting(
                    name="target",
                    default=0.6,
                    minimum=-1.0,
                    maximum=1.0,
                    doc="Mean sign of the discriminator's logits of real images above which the probability grows.",
                ),
                Setting(
                    name="kimg",
                    default=500.0,
                    minimum=0.001,
                    optional=True,
                    doc="Thousands of real images judged in which the probability can go from 0 to 1; none: it stays.",
                ),
                Setting(
                    name="p",
                    default=0.0,
                    minimum=0.0,
                    maximum=1.0,
                    doc="Probability of each transformation at the start.",
                ),
            ),
        ),
    ]
