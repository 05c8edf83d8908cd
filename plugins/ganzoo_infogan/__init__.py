"""InfoGAN: codes that the images must keep. Torch-free: the networks are in `ganzoo_infogan.networks`."""

from __future__ import annotations

from ganzoo import Setting, Variant, found_recipes, hookimpl
from ganzoo_dcgan import SETTINGS, SIZES

GANZOO_API = 2


# The other defaults of training (Adam, betas 0.5 and 0.999, D's 2e-4) are ganzoo's own and the paper's.
@hookimpl
def register_variants() -> list[Variant]:
    return [
        Variant(
            name="infogan",
            target="ganzoo_infogan.networks:infogan",
            summary="DCGAN with categorical and continuous codes that a third network reads off the images",
            paper="Chen et al., InfoGAN: Interpretable Representation Learning by Information Maximizing Generative "
            "Adversarial Nets, 2016, arXiv:1606.03657",
            settings=(
                *(setting for setting in SETTINGS if setting.name == "channels"),
                Setting(name="noise", default=62, minimum=0, doc="Length of the noise beside the codes."),
                Setting(
                    name="categories",
                    default="10",
                    type=str,
                    doc='Number of values of each categorical code, separated by commas; "" for none of them.',
                ),
                Setting(name="continuous", default=2, minimum=0, doc="Number of continuous codes, each from -1 to 1."),
                Setting(
                    name="info_weight",
                    default=1.0,
                    minimum=0.0,
                    doc="Weight of the mutual information between categorical codes and images (lambda).",
                ),
                Setting(
                    name="continuous_weight",
                    default=0.1,
                    minimum=0.0,
                    doc="Weight of the mutual information between continuous codes and images.",
                ),
            ),
            sizes=SIZES,
            gives=("features",),
            defaults={"train.g_lr": 1e-3},
            presets={
                "laptop": {"variant.channels": 16, "train.g_lr": 1e-3, "train.d_lr": 5e-4},
                **found_recipes(__file__, "infogan"),
            },
        ),
    ]
