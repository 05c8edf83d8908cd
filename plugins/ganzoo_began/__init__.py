"""BEGAN: a discriminator that is an autoencoder. Torch-free: the networks are in `ganzoo_began.networks`."""

from __future__ import annotations

from ganzoo import Setting, Variant, found_recipes, hookimpl
from ganzoo_dcgan import SIZES

GANZOO_API = 2


@hookimpl
def register_variants() -> list[Variant]:
    return [
        Variant(
            name="began",
            target="ganzoo_began.networks:began",
            summary="an autoencoder judges images by how well it reconstructs them",
            paper="Berthelot et al., BEGAN: Boundary Equilibrium Generative Adversarial Networks, 2017, "
            "arXiv:1703.10717",
            settings=(
                Setting(name="z_dim", default=64, minimum=1, doc="Length of the noise, and of the autoencoder's code."),
                Setting(
                    name="channels",
                    default=64,
                    minimum=4,
                    doc="Feature maps of every decoder and of the encoder's first map; those of the encoder grow by as "
                    "many per halving.",
                ),
            ),
            sizes=SIZES,
            objective="began",
            gives=("energy",),
            # Section 4.1. The paper halves the learning rates whenever the measure of convergence stalls.
            defaults={"train.g_lr": 1e-4, "train.d_lr": 1e-4, "train.batch_size": 16},
            # In 2,000 steps k has to move faster. Digits are so easy to reconstruct that at less diversity all images
            # become the easiest one.
            presets={
                "laptop": {
                    "variant.channels": 8,
                    "variant.z_dim": 16,
                    "train.g_lr": 5e-4,
                    "train.d_lr": 1e-3,
                    "train.batch_size": 16,
                    "objective.began.gamma": 1.0,
                    "objective.began.speed": 0.05,
                },
                **found_recipes(__file__, "began"),
            },
        ),
    ]
