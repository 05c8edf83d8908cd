"""The original GAN and the original conditional GAN. Torch-free: the networks are in `ganzoo_gan.networks`."""

from __future__ import annotations

from ganzoo import Setting, Variant, found_recipes, hookimpl

GANZOO_API = 2

SETTINGS = (
    Setting(name="z_dim", default=100, minimum=1, doc="Length of the noise vector."),
    Setting(
        name="width", default=256, minimum=4, doc="Units of the generator's first hidden layer; doubled per layer."
    ),
    Setting(
        name="dropout",
        default=0.5,
        minimum=0.0,
        maximum=0.9,
        doc="Share of the discriminator's hidden units dropped in training.",
    ),
)


@hookimpl
def register_variants() -> list[Variant]:
    return [
        Variant(
            name="gan",
            target="ganzoo_gan.networks:gan",
            summary="two multilayer perceptrons",
            paper="Goodfellow et al., Generative Adversarial Networks, 2014, arXiv:1406.2661",
            settings=SETTINGS,
            # Found by benchmarks/search.py on digits.
            presets={
                "laptop": {
                    "variant.width": 128,
                    "train.g_lr": 2e-3,
                    "train.d_lr": 4e-3,
                    "train.beta1": 0.0,
                    "train.beta2": 0.9,
                    "train.ema_kimg": 2.0,
                },
                **found_recipes(__file__, "gan"),
            },
            gives=("features",),
        ),
        Variant(
            name="cgan",
            target="ganzoo_gan.networks:cgan",
            summary="two multilayer perceptrons that are given the class",
            paper="Mirza & Osindero, Conditional Generative Adversarial Nets, 2014, arXiv:1411.1784",
            settings=SETTINGS,
            presets={"laptop": {"variant.width": 128}, **found_recipes(__file__, "cgan")},
            gives=("features",),
            conditional=True,
        ),
    ]
