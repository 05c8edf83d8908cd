"""SNGAN: the discriminator's weights divided by their spectral norms. Torch-free: see `ganzoo_sngan.networks`."""

from __future__ import annotations

from ganzoo import Setting, Variant, found_recipes, hookimpl
from ganzoo_blocks import RESNET_LAPTOP, RESNET_SETTINGS, SIZES

GANZOO_API = 2

PAPER = "Miyato et al., Spectral Normalization for Generative Adversarial Networks, 2018, arXiv:1802.05957"

SETTINGS = (
    Setting(name="z_dim", default=128, minimum=1, doc="Length of the noise vector."),
    Setting(
        name="channels",
        default=64,
        minimum=4,
        doc="Feature maps at full size in D, and at half the size in G; doubled per halving.",
    ),
)
"""Of the plain networks."""


@hookimpl
def register_variants() -> list[Variant]:
    return [
        Variant(
            name="sngan",
            target="ganzoo_sngan.networks:sngan",
            summary="convolutions with a spectrally normalised discriminator",
            paper=PAPER,
            settings=SETTINGS,
            sizes=SIZES,
            objective="hinge",
            gives=("features",),
            # Setting C of the paper's figure 1, which are DCGAN's and ganzoo's own: Adam, 2e-4, betas 0.5 and 0.999.
            presets={"laptop": {"variant.channels": 16}, **found_recipes(__file__, "sngan")},
        ),
        Variant(
            name="sngan-resnet",
            target="ganzoo_sngan.networks:sngan_resnet",
            summary="residual networks, the discriminator's spectrally normalised",
            paper=PAPER,
            settings=RESNET_SETTINGS,
            sizes=SIZES,
            objective="hinge",
            gives=("features",),
            # Appendix B.3: betas 0 and 0.9, five updates of D for each of G.
            defaults={"train.beta1": 0.0, "train.beta2": 0.9, "train.d_steps": 5},
            presets={"laptop": RESNET_LAPTOP, **found_recipes(__file__, "sngan-resnet")},
        ),
    ]
