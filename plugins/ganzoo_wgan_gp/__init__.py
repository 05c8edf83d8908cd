"""WGAN-GP: DCGAN's shapes with a layer-norm critic. Torch-free: the networks are in `ganzoo_wgan_gp.networks`."""

from __future__ import annotations

from ganzoo import Variant, found_recipes, hookimpl
from ganzoo_dcgan import SETTINGS, SIZES

GANZOO_API = 2


# The training defaults (five critic steps, Adam 1e-4 with betas 0 and 0.9) come with the objective.
@hookimpl
def register_variants() -> list[Variant]:
    return [
        Variant(
            name="wgan-gp",
            target="ganzoo_wgan_gp.networks:wgan_gp",
            summary="Wasserstein GAN with gradient penalty and a critic without batch norm",
            paper="Gulrajani et al., Improved Training of Wasserstein GANs, 2017, arXiv:1704.00028",
            settings=SETTINGS,
            sizes=SIZES,
            presets={"laptop": {"variant.channels": 16}, **found_recipes(__file__, "wgan-gp")},
            gives=("features",),
            objective="wgan-gp",
        ),
    ]
