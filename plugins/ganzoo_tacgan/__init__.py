"""TAC-GAN: a second classifier, of generated images alone. Torch-free: the networks are in
`ganzoo_tacgan.networks`.
"""

from __future__ import annotations

from ganzoo import Setting, Variant, found_recipes, hookimpl
from ganzoo_blocks import HEADED_LAPTOP, RESNET_SETTINGS, SIZES

GANZOO_API = 2


@hookimpl
def register_variants() -> list[Variant]:
    return [
        Variant(
            name="tacgan",
            target="ganzoo_tacgan.networks:tacgan",
            summary="ACGAN with a twin of the classifier, for which G's classes are not to be too easy",
            paper="Gong et al., Twin Auxiliary Classifiers GAN, 2019, arXiv:1907.02690",
            settings=(
                *RESNET_SETTINGS,
                Setting(
                    name="class_weight",
                    default=1.0,
                    minimum=0.0,
                    doc="Weight of both classifiers' losses beside the adversarial loss (lambda_c).",
                ),
            ),
            conditional=True,
            sizes=SIZES,
            objective="hinge",
            gives=("classes", "features", "twin"),
            # For CIFAR-100, as BigGAN there: Adam, 2e-4, betas 0 and 0.999, four updates of D for each of G.
            defaults={"train.beta1": 0.0, "train.d_steps": 4},
            presets={"laptop": HEADED_LAPTOP, **found_recipes(__file__, "tacgan")},
        ),
    ]
