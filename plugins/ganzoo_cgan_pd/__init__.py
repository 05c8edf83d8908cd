"""cGAN with projection discriminator. Torch-free: the networks are in `ganzoo_cgan_pd.networks`."""

from __future__ import annotations

from ganzoo import Variant, found_recipes, hookimpl
from ganzoo_blocks import RESNET_LAPTOP, RESNET_SETTINGS, SIZES

GANZOO_API = 2


@hookimpl
def register_variants() -> list[Variant]:
    return [
        Variant(
            name="cgan-pd",
            target="ganzoo_cgan_pd.networks:cgan_pd",
            summary="SNGAN's residual networks with classes in G's batch norm and projected in D",
            paper="Miyato & Koyama, cGANs with Projection Discriminator, 2018, arXiv:1802.05637",
            settings=RESNET_SETTINGS,
            conditional=True,
            sizes=SIZES,
            objective="hinge",
            gives=("features",),
            # Section 5: betas 0 and 0.9, five updates of D for each of G.
            defaults={"train.beta1": 0.0, "train.beta2": 0.9, "train.d_steps": 5},
            presets={"laptop": RESNET_LAPTOP, **found_recipes(__file__, "cgan-pd")},
        ),
    ]
