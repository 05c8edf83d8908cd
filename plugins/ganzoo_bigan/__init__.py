"""BiGAN: an encoder beside the generator. Torch-free: the networks are in `ganzoo_bigan.networks`."""

from __future__ import annotations

from ganzoo import Setting, Variant, found_recipes, hookimpl
from ganzoo_dcgan import SETTINGS, SIZES

GANZOO_API = 2


@hookimpl
def register_variants() -> list[Variant]:
    return [
        Variant(
            name="bigan",
            target="ganzoo_bigan.networks:bigan",
            summary="generator and encoder against a discriminator of pairs of image and noise",
            paper="Donahue et al., Adversarial Feature Learning, 2016, arXiv:1605.09782",
            settings=(
                Setting(name="z_dim", default=50, minimum=1, doc="Length of the noise, and of the encoder's output."),
                *(setting for setting in SETTINGS if setting.name == "channels"),
                Setting(name="width", default=512, minimum=1, doc="Units of the layers in which image and noise meet."),
            ),
            sizes=SIZES,
            per_sample_critic=False,  # a penalty on D's gradient at images alone would not bound it on pairs
            judges_images=False,
            gives=("features",),
            presets={
                "laptop": {"variant.channels": 16, "variant.width": 128, "train.g_lr": 1e-3, "train.d_lr": 5e-4},
                **found_recipes(__file__, "bigan"),
            },
        ),
    ]
