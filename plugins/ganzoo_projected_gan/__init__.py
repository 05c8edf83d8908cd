"""Projected GAN: D looks at images through a pretrained network. Torch-free: see `ganzoo_projected_gan.networks`."""

from __future__ import annotations

from ganzoo import Setting, Variant, found_recipes, hookimpl
from ganzoo_blocks import SIZES
from ganzoo_fastgan import SETTINGS

GANZOO_API = 2


@hookimpl
def register_variants() -> list[Variant]:
    return [
        Variant(
            name="projected-gan",
            target="ganzoo_projected_gan.networks:projected_gan",
            summary="FastGAN's generator against four discriminators of a frozen ImageNet network's maps",
            paper="Sauer et al., Projected GANs Converge Faster, 2021, arXiv:2111.01007",
            settings=(
                *SETTINGS,
                Setting(
                    name="mixed",
                    default=64,
                    minimum=1,
                    doc="Maps of the finest scale after channels are mixed; doubled per scale.",
                ),
                Setting(
                    name="resolution",
                    default=256,
                    minimum=32,
                    maximum=1024,
                    doc="Side, in pixels, that smaller images are enlarged to before the pretrained network.",
                ),
            ),
            sizes=SIZES,
            objective="hinge",
            augmentations=("diffaug",),
            gives=("patches",),
            # Section 4: Adam at 2e-4 with betas 0 and 0.99, batches of 64.
            defaults={
                "train.g_lr": 2e-4,
                "train.d_lr": 2e-4,
                "train.beta1": 0.0,
                "train.beta2": 0.99,
                "train.batch_size": 64,
            },
            presets={
                "laptop": {
                    "variant.channels": 4,
                    "variant.z_dim": 64,
                    "variant.mixed": 16,
                    "variant.resolution": 32,
                    "train.batch_size": 16,
                    "train.g_lr": 1e-3,
                    "train.d_lr": 1e-3,
                },
                **found_recipes(__file__, "projected-gan"),
            },
        ),
    ]
