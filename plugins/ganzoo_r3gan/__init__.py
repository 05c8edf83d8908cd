"""R3GAN: a modern baseline without tricks. Torch-free: the networks are in `ganzoo_r3gan.networks`."""

from __future__ import annotations

from ganzoo import Setting, Variant, found_recipes, hookimpl
from ganzoo_blocks import SIZES

GANZOO_API = 2


@hookimpl
def register_variants() -> list[Variant]:
    return [
        Variant(
            name="r3gan",
            target="ganzoo_r3gan.networks:r3gan",
            summary="ResNeXt blocks without normalisation, pairs of real and generated images, R1 and R2",
            paper="Huang et al., The GAN is dead; long live the GAN! A Modern GAN Baseline, 2024, arXiv:2501.05441",
            settings=(
                Setting(name="z_dim", default=64, minimum=1, doc="Length of the noise vector."),
                Setting(
                    name="channels",
                    default=256,
                    minimum=4,
                    doc="Feature maps at 32 pixels and more; three times as many up to 16 pixels.",
                ),
                Setting(name="blocks", default=2, minimum=1, doc="Residual blocks per size of map, in G and in D."),
                Setting(
                    name="group",
                    default=16,
                    minimum=1,
                    doc="Maps of a group of the 3x3 convolutions, or fewer: a divisor of their number.",
                ),
            ),
            sizes=SIZES,
            objective="relativistic-pairing",
            regularizers=("r1", "r2"),
            gives=("features",),
            # The paper's recipe for 32x32 pixels. Of its schedules, all cosines, there is that of the learning rates,
            # which fall to 0 here, and to a quarter there. gamma (0.05 to 0.005) stays at its first value, beta2 (0.9
            # to 0.99) at its last, and the average of G does not grow longer but with `train.ema_rampup`.
            defaults={
                "train.schedule": "cosine",
                "train.g_lr": 2e-4,
                "train.d_lr": 2e-4,
                "train.beta1": 0.0,
                "train.beta2": 0.99,
                "regularizer.r1.weight": 0.05,
                "regularizer.r2.weight": 0.05,
            },
            presets={
                "laptop": {
                    "variant.channels": 8,
                    "variant.blocks": 1,
                    "train.g_lr": 1e-3,
                    "train.d_lr": 1e-3,
                    "regularizer.r1.weight": 0.5,
                    "regularizer.r2.weight": 0.5,
                    # Lazily, as StyleGAN2 does: second derivatives are most of a step on a CPU.
                    "regularizer.r1.every": 4,
                    "regularizer.r2.every": 4,
                },
                **found_recipes(__file__, "r3gan"),
            },
        ),
    ]
