"""ADC-GAN: a classifier that also tells real from generated. Torch-free: the networks are in
`ganzoo_adcgan.networks`.
"""

from __future__ import annotations

from ganzoo import Setting, Variant, found_recipes, hookimpl
from ganzoo_blocks import HEADED_LAPTOP, RESNET_SETTINGS, SIZES

GANZOO_API = 2


@hookimpl
def register_variants() -> list[Variant]:
    return [
        Variant(
            name="adcgan",
            target="ganzoo_adcgan.networks:adcgan",
            summary="D also tells real and generated images of each class apart, by a softmax of twice as many classes",
            paper="Hou et al., Conditional GANs with Auxiliary Discriminative Classifier, 2021, arXiv:2107.10060",
            settings=(
                *RESNET_SETTINGS,
                Setting(
                    name="class_weight",
                    default=1.0,
                    minimum=0.0,
                    doc="Weight of the classifier's losses beside the adversarial loss (lambda).",
                ),
            ),
            conditional=True,
            sizes=SIZES,
            objective="hinge",
            gives=("classes", "features", "pairs"),
            # For CIFAR-10, as BigGAN there: Adam, 2e-4, betas 0 and 0.999, four updates of D for each of G.
            defaults={"train.beta1": 0.0, "train.d_steps": 4},
            presets={"laptop": HEADED_LAPTOP, **found_recipes(__file__, "adcgan")},
        ),
    ]
