"""EBGAN: a discriminator that is an autoencoder, and its margin loss. Torch-free: see `ganzoo_ebgan.networks`."""

from __future__ import annotations

from ganzoo import Objective, Setting, Variant, found_recipes, hookimpl
from ganzoo_dcgan import SETTINGS, SIZES

GANZOO_API = 2

PAPER = "Zhao et al., Energy-based Generative Adversarial Network, 2016, arXiv:1609.03126"


# The rest of training is ganzoo's own: Adam, 2e-4, betas 0.5 and 0.999.
@hookimpl
def register_variants() -> list[Variant]:
    return [
        Variant(
            name="ebgan",
            target="ganzoo_ebgan.networks:ebgan",
            summary="an autoencoder's error is the energy of an image; codes of generated ones are pulled apart",
            paper=PAPER,
            settings=(
                *SETTINGS,
                Setting(
                    name="pt_weight",
                    default=0.1,
                    minimum=0.0,
                    doc="Weight of the pulling-away term in G's loss (lambda_PT); 0 is the paper's EBGAN without it.",
                ),
            ),
            sizes=SIZES,
            objective="ebgan",
            gives=("energy", "features"),
            presets={"laptop": {"variant.channels": 16}, **found_recipes(__file__, "ebgan")},
        ),
    ]


@hookimpl
def register_objectives() -> list[Objective]:
    return [
        Objective(
            name="ebgan",
            target="ganzoo_ebgan.losses:ebgan",
            summary="energies of real images are lowered, those of generated ones raised up to a margin",
            paper=PAPER,
            settings=(
                Setting(
                    name="margin",
                    default=20.0,
                    minimum=0.0,
                    doc="Energy up to which D raises that of generated images (m), in the energy's own unit.",
                ),
            ),
            needs=("energy",),
        ),
    ]
