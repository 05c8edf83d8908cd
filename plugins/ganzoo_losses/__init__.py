"""Variants that are known by their loss: LSGAN, WGAN, DRAGAN and RaGAN, on networks of the DCGAN family.

Torch-free: what networks they do not share with others is in `ganzoo_losses.networks`.
"""

from __future__ import annotations

from ganzoo import Setting, Variant, found_recipes, hookimpl
from ganzoo_blocks import SIZES as SNGAN_SIZES
from ganzoo_dcgan import SETTINGS, SIZES
from ganzoo_sngan import SETTINGS as SNGAN_SETTINGS

GANZOO_API = 2


# Where no training defaults are set, ganzoo's own are the paper's: Adam, 2e-4, beta1 0.5.
@hookimpl
def register_variants() -> list[Variant]:
    return [
        Variant(
            name="lsgan",
            target="ganzoo_losses.networks:lsgan",
            summary="DCGAN with a deeper generator, trained on squared distances",
            paper="Mao et al., Least Squares Generative Adversarial Networks, 2016, arXiv:1611.04076",
            settings=SETTINGS,
            sizes=SIZES,
            objective="least-squares",
            gives=("features",),
            presets={"laptop": {"variant.channels": 16}, **found_recipes(__file__, "lsgan")},
        ),
        Variant(
            name="wgan",
            # Section 4.2: the networks are DCGAN's. Rates, RMSprop, five steps of the critic and the clipping of its
            # weights come with the objective.
            target="ganzoo_dcgan.networks:dcgan",
            summary="DCGAN whose critic, with clipped weights, estimates the earth mover's distance",
            paper="Arjovsky et al., Wasserstein GAN, 2017, arXiv:1701.07875",
            settings=SETTINGS,
            sizes=SIZES,
            objective="wasserstein",
            gives=("features",),
            presets={"laptop": {"variant.channels": 16}, **found_recipes(__file__, "wgan")},
        ),
        Variant(
            name="dragan",
            target="ganzoo_losses.networks:dragan",
            summary="DCGAN without batch norm in D, whose gradient is penalised around real images",
            paper="Kodali et al., On Convergence and Stability of GANs, 2017, arXiv:1705.07215",
            settings=SETTINGS,
            sizes=SIZES,
            gives=("features",),
            regularizers=("dragan",),
            presets={"laptop": {"variant.channels": 16}, **found_recipes(__file__, "dragan")},
        ),
        Variant(
            name="ragan",
            target="ganzoo_losses.networks:ragan",
            summary="D, of spectral or batch norm, says how much more real an image is than those of the other side",
            paper="Jolicoeur-Martineau, The relativistic discriminator: a key element missing from standard GAN, 2018, "
            "arXiv:1807.00734",
            settings=(
                *SNGAN_SETTINGS,
                Setting(
                    name="norm",
                    default="spectral",
                    choices=("spectral", "batch"),
                    doc="Of D: spectral, on SNGAN's convolutions, or batch, on DCGAN's.",
                ),
            ),
            sizes=SNGAN_SIZES,
            objective="relativistic-average",
            gives=("features",),
            # A difference of logits has no bound: so narrow a D of spectral norm soon leaves G behind.
            presets={"laptop": {"variant.channels": 16, "variant.norm": "batch"}, **found_recipes(__file__, "ragan")},
        ),
    ]
