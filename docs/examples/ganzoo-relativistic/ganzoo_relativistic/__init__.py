"""Relativistic GAN. Torch-free, so that listing the zoo stays instant; the rest is imported on first use."""

from __future__ import annotations

from ganzoo import Objective, Setting, Variant, hookimpl

GANZOO_API = 1


@hookimpl
def register_objectives() -> list[Objective]:
    return [
        Objective(
            name="relativistic-hinge",
            target="ganzoo_relativistic.losses:relativistic_hinge",
            summary="is it more real than the other kind on average, by a margin?",
            paper="Jolicoeur-Martineau, The relativistic discriminator, 2018, arXiv:1807.00734",
        )
    ]


@hookimpl
def register_variants() -> list[Variant]:
    return [
        Variant(
            name="resnet-ragan",
            target="ganzoo_relativistic.networks:resnet_ragan",
            summary="residual blocks, spectral norm in the discriminator, a relativistic objective",
            paper="Jolicoeur-Martineau, 2018, arXiv:1807.00734; Miyato et al., 2018, arXiv:1802.05957",
            settings=(
                Setting(name="z_dim", default=128, minimum=1, doc="Length of the noise vector."),
                Setting(name="channels", default=128, minimum=1, doc="Feature maps of every block."),
            ),
            sizes=(16, 32, 64, 128),
            objective="relativistic-hinge",
            defaults={"train.beta1": 0.5, "train.beta2": 0.9},
        )
    ]
