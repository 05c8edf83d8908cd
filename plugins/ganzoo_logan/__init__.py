"""LOGAN: noise that takes a step of its own before it is used. Torch-free: see `ganzoo_logan.networks`."""

from __future__ import annotations

from ganzoo import Setting, Variant, found_recipes, hookimpl
from ganzoo_blocks import SIZES
from ganzoo_sngan import SETTINGS

GANZOO_API = 2


@hookimpl
def register_variants() -> list[Variant]:
    return [
        Variant(
            name="logan",
            target="ganzoo_logan.networks:logan",
            summary="the noise is moved to where D likes its images better, before both players learn from it",
            paper="Wu et al., LOGAN: Latent Optimisation for Generative Adversarial Networks, 2019, arXiv:1912.00953",
            settings=(
                *SETTINGS,
                Setting(
                    name="norm",
                    default="spectral",
                    choices=("spectral", "layer"),
                    doc="Of D: spectral, on SNGAN's convolutions, or layer, on DCGAN's, which are cheaper.",
                ),
                Setting(
                    name="natural",
                    default=True,
                    doc="Whether the noise takes a step of natural gradient descent; false: of gradient descent.",
                ),
                Setting(name="step", default=0.9, minimum=0.0, doc="Size of the step (alpha); 0 for none, an SNGAN."),
                Setting(
                    name="damping",
                    default=5.0,
                    minimum=1e-6,
                    doc="What is added to the squared length of the gradient in a natural step (beta).",
                ),
                Setting(
                    name="share",
                    default=0.8,
                    minimum=0.0,
                    maximum=1.0,
                    doc="Share of a batch's noise, drawn at each step, that is moved; the rest stays.",
                ),
                Setting(
                    name="step_weight",
                    default=1.0,
                    minimum=0.0,
                    doc="Weight of the squared length of the step in the losses of both players (w_r).",
                ),
            ),
            sizes=SIZES,
            objective="hinge",
            gives=("features",),
            # Four passes of G and six of D, most of them differentiated twice: fewer convolutions.
            presets={"laptop": {"variant.channels": 16, "variant.norm": "layer"}, **found_recipes(__file__, "logan")},
        ),
    ]
