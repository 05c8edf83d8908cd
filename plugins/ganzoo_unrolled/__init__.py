"""Unrolled GAN: G looks ahead to what D will have learned. Torch-free: see `ganzoo_unrolled.networks`."""

from __future__ import annotations

from ganzoo import Setting, Variant, found_recipes, hookimpl
from ganzoo_dcgan import SETTINGS, SIZES

GANZOO_API = 2


@hookimpl
def register_variants() -> list[Variant]:
    return [
        Variant(
            name="unrolled",
            target="ganzoo_unrolled.networks:unrolled",
            summary="DCGAN whose generator is trained against the discriminator as it will be some steps later",
            paper="Metz et al., Unrolled Generative Adversarial Networks, 2016, arXiv:1611.02163",
            settings=(
                *SETTINGS,
                Setting(
                    name="steps",
                    default=5,
                    minimum=0,
                    doc="Steps of D that G looks ahead (K); 0 for none, a DCGAN.",
                ),
                # Ten times as large, short runs on digits were noisier (FID 22 in place of 14).
                Setting(
                    name="step_size",
                    default=2e-4,
                    minimum=0.0,
                    doc="Learning rate of D in these steps, which are of plain gradient descent (eta).",
                ),
            ),
            sizes=SIZES,
            gives=("features",),
            presets={"laptop": {"variant.channels": 16, "variant.steps": 1}, **found_recipes(__file__, "unrolled")},
        ),
    ]
