"""StyleGAN2, its class-conditional sister, and both with adaptive augmentation. Torch-free: see
`ganzoo_stylegan2.networks`.
"""

from __future__ import annotations

from dataclasses import replace

from ganzoo import Setting, Variant, found_recipes, hookimpl
from ganzoo_blocks import SIZES

GANZOO_API = 2

PAPER = "Karras et al., Analyzing and Improving the Image Quality of StyleGAN, 2019, arXiv:1912.04958"
ADA = "Karras et al., Training Generative Adversarial Networks with Limited Data, 2020, arXiv:2006.06676"

SETTINGS = (
    Setting(name="z_dim", default=512, minimum=1, doc="Length of the noise vector, and of w."),
    Setting(
        name="channels", default=128, minimum=4, doc="Feature maps at full size; doubled per halving, up to `widest`."
    ),
    Setting(name="widest", default=512, minimum=4, doc="Feature maps at most."),
    Setting(name="mapping_layers", default=8, minimum=1, doc="Linear layers from z to w."),
    Setting(
        name="mixing",
        default=0.9,
        minimum=0.0,
        maximum=1.0,
        doc="Share of the images in training whose layers from some layer on get another w.",
    ),
    Setting(
        name="group",
        default=4,
        minimum=1,
        doc="Images that D compares by their standard deviation; 1: none.",
    ),
)

# Appendix B: Adam, 2e-3, betas 0 and 0.99; R1 in every 16th update of D, path lengths in every 4th of G, where lengths
# have weight 2. In the paper a lazy term has an update of its own, for which learning rate and betas are scaled by
# k / (k + 1); ganzoo adds it to the loss of an update that happens anyway, so nothing is to be scaled.
RECIPE = {
    "train.g_lr": 2e-3,
    "train.d_lr": 2e-3,
    "train.beta1": 0.0,
    "train.beta2": 0.99,
    "regularizer.r1.weight": 10.0,
    "regularizer.r1.every": 16,
    "regularizer.path-length.weight": 2.0,
    "regularizer.path-length.every": 4,
}

# Fewer layers from z to w and a weaker R1, as the authors of ADA have it for 32x32 pixels: R1's weight grows with the
# number of pixels. Equalised weights of narrow layers are scaled less, and learn in hundreds of updates at this rate.
LAPTOP = {
    "variant.z_dim": 64,
    "variant.channels": 8,
    "variant.mapping_layers": 2,
    "train.g_lr": 5e-3,
    "train.d_lr": 5e-3,
    "regularizer.r1.weight": 0.01,
}


@hookimpl
def register_variants() -> list[Variant]:
    plain = Variant(
        name="stylegan2",
        target="ganzoo_stylegan2.networks:stylegan2",
        summary="styles by modulated convolutions, images as a sum over sizes, R1 and path lengths",
        paper=PAPER,
        settings=SETTINGS,
        sizes=SIZES,
        gives=("features",),
        regularizers=("path-length", "r1"),
        defaults=RECIPE,
        presets={"laptop": LAPTOP, **found_recipes(__file__, "stylegan2")},
    )
    conditional = replace(
        plain,
        name="cstylegan2",
        target="ganzoo_stylegan2.networks:cstylegan2",
        summary="stylegan2 with the class beside the noise and projected in D",
        paper=f"{PAPER}; classes as in Karras et al., 2020, arXiv:2006.06676",
        conditional=True,
        presets={"laptop": LAPTOP, **found_recipes(__file__, "cstylegan2")},
    )
    adaptive = replace(
        plain,
        name="stylegan2-ada",
        summary="stylegan2 behind augmentations that follow the discriminator's overfitting",
        paper=ADA,
        augmentations=("ada",),
        # A run of the preset ends before the paper's speed, 0 to 1 in 500 kimg, has come anywhere.
        presets={"laptop": LAPTOP | {"augmentation.ada.kimg": 50.0}, **found_recipes(__file__, "stylegan2-ada")},
    )
    return [plain, conditional, adaptive]
