"""ACGAN: a discriminator that classifies as well. Torch-free: the networks are in `ganzoo_acgan.networks`."""

from __future__ import annotations

from ganzoo import Setting, Variant, found_recipes, hookimpl
from ganzoo_dcgan import SETTINGS, SIZES

GANZOO_API = 2


# Trained as the paper has it with ganzoo's own defaults: Adam, 2e-4, betas 0.5 and 0.999.
@hookimpl
def register_variants() -> list[Variant]:
    return [
        Variant(
            name="acgan",
            target="ganzoo_acgan.networks:acgan",
            summary="class-conditional DCGAN generator against a discriminator that also names the class",
            paper="Odena et al., Conditional Image Synthesis with Auxiliary Classifier GANs, 2016, arXiv:1610.09585",
            settings=(
                *SETTINGS,
                Setting(
                    name="dropout",
                    default=0.5,
                    minimum=0.0,
                    maximum=0.9,
                    doc="Share of the discriminator's activations dropped in training, per layer.",
                ),
                Setting(
                    name="class_weight",
                    default=1.0,
                    minimum=0.0,
                    doc="Weight of the class losses beside the adversarial loss.",
                ),
            ),
            conditional=True,
            sizes=SIZES,
            gives=("classes", "features"),
            # Half of so few feature maps is more than a short run can do without.
            presets={
                "laptop": {
                    "variant.channels": 16,
                    "variant.dropout": 0.2,
                    "train.g_lr": 1e-3,
                    "train.d_lr": 1e-3,
                },
                **found_recipes(__file__, "acgan"),
            },
        ),
    ]
