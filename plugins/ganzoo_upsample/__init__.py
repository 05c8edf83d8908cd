"""DCGAN with resize-convolutions. Torch-free: the networks are in `ganzoo_upsample.networks`."""

from __future__ import annotations

from ganzoo import Setting, Variant, found_recipes, hookimpl

GANZOO_API = 2


@hookimpl
def register_variants() -> list[Variant]:
    return [
        Variant(
            name="upsample-dcgan",
            target="ganzoo_upsample.networks:upsample_dcgan",
            summary="nearest-neighbour upsampling and convolutions, so no checkerboard; dropout in the discriminator",
            paper="Odena et al., Deconvolution and Checkerboard Artifacts, 2016, doi:10.23915/distill.00003; "
            "Radford et al., 2015, arXiv:1511.06434",
            settings=(
                Setting(name="z_dim", default=100, minimum=1, doc="Length of the noise vector."),
                Setting(
                    name="channels",
                    default=128,
                    minimum=4,
                    doc="Feature maps of the generator's smallest map; all other widths scale with it.",
                ),
                Setting(
                    name="dropout",
                    default=0.25,
                    minimum=0.0,
                    maximum=0.9,
                    doc="Share of the discriminator's activations dropped in training, per layer.",
                ),
            ),
            sizes=(28, 32, 48, 64),
            presets={
                "laptop": {"variant.channels": 32, "train.g_lr": 1e-3, "train.d_lr": 1e-3},
                **found_recipes(__file__, "upsample-dcgan"),
            },
            gives=("features",),
        ),
    ]
