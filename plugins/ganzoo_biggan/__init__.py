"""BigGAN: noise and class into every block of the generator. Torch-free: the networks are in
`ganzoo_biggan.networks`.
"""

from __future__ import annotations

from ganzoo import Setting, Variant, found_recipes, hookimpl
from ganzoo_blocks import RESNET_LAPTOP, RESNET_SETTINGS, SIZES

GANZOO_API = 2

SETTINGS = (
    Setting(
        name="z_dim", default=120, minimum=8, doc="Length of the noise vector, of which each block of G gets a part."
    ),
    Setting(name="embedding", default=128, minimum=1, doc="Length of a class's vector, which all blocks share."),
    *RESNET_SETTINGS[1:],
)


@hookimpl
def register_variants() -> list[Variant]:
    return [
        Variant(
            name="biggan",
            target="ganzoo_biggan.networks:biggan",
            summary="residual networks with attention, noise and class in G's batch norms, classes projected in D",
            paper="Brock et al., Large Scale GAN Training for High Fidelity Natural Image Synthesis, 2018, "
            "arXiv:1809.11096",
            settings=SETTINGS,
            conditional=True,
            sizes=SIZES,
            objective="hinge",
            gives=("features",),
            regularizers=("orthogonal",),
            # Section 3 and appendix C: Adam, betas 0 and 0.999, 5e-5 for G and 2e-4 for D, which has two updates for
            # each of G. The paper's batches of 2048, and an average of G that is as slow as they are large, are left to
            # train.batch_size and train.ema_kimg.
            defaults={
                "train.g_lr": 5e-5,
                "train.d_lr": 2e-4,
                "train.beta1": 0.0,
                "train.beta2": 0.999,
                "train.d_steps": 2,
                "regularizer.orthogonal.weight": 1e-4,
                "regularizer.orthogonal.phases": "G",
            },
            presets={
                "laptop": {**RESNET_LAPTOP, "variant.z_dim": 64, "variant.embedding": 32},
                **found_recipes(__file__, "biggan"),
            },
        ),
    ]
