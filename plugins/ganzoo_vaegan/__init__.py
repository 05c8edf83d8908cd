"""VAE/GAN: an autoencoder that is compared in D's features. Torch-free: see `ganzoo_vaegan.networks`."""

from __future__ import annotations

from ganzoo import Setting, Variant, found_recipes, hookimpl
from ganzoo_dcgan import SETTINGS, SIZES

GANZOO_API = 2


@hookimpl
def register_variants() -> list[Variant]:
    return [
        Variant(
            name="vaegan",
            target="ganzoo_vaegan.networks:vaegan",
            summary="a variational autoencoder whose decoder is the generator, and whose error is one of D's features",
            paper="Larsen et al., Autoencoding beyond pixels using a learned similarity metric, 2015, arXiv:1512.09300",
            settings=(
                Setting(name="z_dim", default=128, minimum=1, doc="Length of the noise, and of the encoder's code."),
                *(setting for setting in SETTINGS if setting.name == "channels"),
                Setting(
                    name="gamma",
                    default=1e-3,
                    minimum=0.0,
                    doc="Weight of the reconstruction beside the adversarial loss in G's update; the encoder's is 1.",
                ),
            ),
            sizes=SIZES,
            gives=("features",),
            # Section 4: RMSprop, 3e-4, batches of 64.
            defaults={"train.optimizer": "rmsprop", "train.g_lr": 3e-4, "train.d_lr": 3e-4, "train.batch_size": 64},
            presets={
                "laptop": {
                    "variant.channels": 16,
                    "variant.z_dim": 32,
                    "train.optimizer": "adam",
                    "train.g_lr": 1e-3,
                    "train.d_lr": 5e-4,
                    "train.batch_size": 32,
                },
                **found_recipes(__file__, "vaegan"),
            },
        ),
    ]
