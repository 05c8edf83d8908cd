"""DCGAN and its class-conditional sister. Torch-free: the networks are in `ganzoo_dcgan.networks`."""

from __future__ import annotations

from ganzoo import Setting, Variant, found_recipes, hookimpl

GANZOO_API = 2

SIZES = (16, 28, 32, 48, 64, 96, 128)

SETTINGS = (
    Setting(name="z_dim", default=100, minimum=1, doc="Length of the noise vector."),
    Setting(name="channels", default=64, minimum=4, doc="Feature maps at half the image's size; doubled per halving."),
)


# Neither sets training defaults: ganzoo's own (Adam, 2e-4, betas 0.5 and 0.999) are this paper's.
@hookimpl
def register_variants() -> list[Variant]:
    return [
        Variant(
            name="dcgan",
            target="ganzoo_dcgan.networks:dcgan",
            summary="strided and transposed convolutions with batch norm",
            paper="Radford et al., Unsupervised Representation Learning with DCGANs, 2015, arXiv:1511.06434",
            settings=SETTINGS,
            sizes=SIZES,
            presets={"laptop": {"variant.channels": 16}, **found_recipes(__file__, "dcgan")},
            gives=("features",),
        ),
        Variant(
            name="cdcgan",
            target="ganzoo_dcgan.networks:cdcgan",
            summary="DCGAN with the class fed to the generator and projected in the discriminator",
            paper="Radford et al., 2015, arXiv:1511.06434; Mirza & Osindero, 2014, arXiv:1411.1784; "
            "Miyato & Koyama, cGANs with Projection Discriminator, 2018, arXiv:1802.05637",
            settings=SETTINGS,
            conditional=True,
            sizes=SIZES,
            presets={"laptop": {"variant.channels": 16}, **found_recipes(__file__, "cdcgan")},
            gives=("features",),
        ),
    ]
