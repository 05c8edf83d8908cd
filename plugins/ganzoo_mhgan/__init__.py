"""MHGAN: one classifier of real classes and generated images. Torch-free: the networks are in
`ganzoo_mhgan.networks`.
"""

from __future__ import annotations

from ganzoo import Objective, Setting, Variant, found_recipes, hookimpl
from ganzoo_blocks import HEADED_LAPTOP, RESNET_SETTINGS, SIZES

GANZOO_API = 2

PAPER = "Kavalerov et al., cGANs with Multi-Hinge Loss, 2019, arXiv:1912.04216"


@hookimpl
def register_variants() -> list[Variant]:
    return [
        Variant(
            name="mhgan",
            target="ganzoo_mhgan.networks:mhgan",
            summary="D is a classifier of the classes and of generated images, whose margins are the logits",
            paper=PAPER,
            settings=(
                *RESNET_SETTINGS,
                Setting(
                    name="margin_weight",
                    default=0.05,
                    minimum=0.0,
                    doc="Weight of the objective in G's loss, beside that of mean features.",
                ),
                Setting(
                    name="feature_weight",
                    default=1.0,
                    minimum=0.0,
                    doc="Weight in G's loss of the mean features' distance between real and generated images.",
                ),
            ),
            conditional=True,
            sizes=SIZES,
            objective="multi-hinge",
            gives=("classes", "features", "scores"),
            # For CIFAR-10, as BigGAN there: Adam, 2e-4, betas 0 and 0.999, four updates of D for each of G.
            defaults={"train.beta1": 0.0, "train.d_steps": 4},
            presets={"laptop": {**HEADED_LAPTOP, "variant.margin_weight": 1.0}, **found_recipes(__file__, "mhgan")},
        ),
    ]


@hookimpl
def register_objectives() -> list[Objective]:
    return [
        Objective(
            name="multi-hinge",
            target="ganzoo_mhgan.networks:multi_hinge",
            summary="hinge on both sides: what G makes costs nothing beyond a logit of 1, either",
            paper=PAPER,
        ),
    ]
