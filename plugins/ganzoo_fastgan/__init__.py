"""FastGAN: for a hundred to a few thousand images. Torch-free: the networks are in `ganzoo_fastgan.networks`."""

from __future__ import annotations

from ganzoo import Setting, Variant, found_recipes, hookimpl
from ganzoo_blocks import SIZES

GANZOO_API = 2

SETTINGS = (
    Setting(name="z_dim", default=256, minimum=1, doc="Length of the noise vector."),
    Setting(
        name="channels",
        default=64,
        minimum=2,
        doc="Feature maps at 128 pixels; twice as many at 32 and 64, and doubled per halving below.",
    ),
)


@hookimpl
def register_variants() -> list[Variant]:
    return [
        Variant(
            name="fastgan",
            target="ganzoo_fastgan.networks:fastgan",
            summary="for few images: skip-layer excitation in G, and D learns to reconstruct what it sees",
            paper="Liu et al., Towards Faster and Stabilized GAN Training for High-fidelity Few-shot Image Synthesis, "
            "2021, arXiv:2101.04775",
            settings=(
                *SETTINGS,
                Setting(
                    name="reconstruction",
                    default=1.0,
                    minimum=0.0,
                    doc="Weight of D's reconstruction of real images beside the adversarial loss.",
                ),
            ),
            sizes=SIZES,
            objective="hinge",
            augmentations=("diffaug",),
            # "middle", "patches" and "seen" are what D's phase is made of.
            gives=("features", "middle", "patches", "seen"),
            # Section 4: Adam at 2e-4, batches of 8. Betas are ganzoo's own, 0.5 and 0.999.
            defaults={"train.batch_size": 8},
            presets={
                "laptop": {
                    "variant.channels": 4,
                    "variant.z_dim": 64,
                    "train.batch_size": 16,
                    "train.g_lr": 1e-3,
                    "train.d_lr": 1e-3,
                },
                **found_recipes(__file__, "fastgan"),
            },
        ),
    ]
