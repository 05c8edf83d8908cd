"""ContraGAN: images of one class attract each other. Torch-free: the networks are in `ganzoo_contragan.networks`."""

from __future__ import annotations

from ganzoo import Setting, Variant, found_recipes, hookimpl
from ganzoo_blocks import HEADED_LAPTOP, RESNET_SETTINGS, SIZES

GANZOO_API = 2


@hookimpl
def register_variants() -> list[Variant]:
    return [
        Variant(
            name="contragan",
            target="ganzoo_contragan.networks:contragan",
            summary="D places images on a sphere, near their class and the batch's other images of it",
            paper="Kang & Park, ContraGAN: Contrastive Learning for Conditional Image Generation, 2020, "
            "arXiv:2006.12681",
            settings=(
                *RESNET_SETTINGS,
                Setting(name="embedding", default=512, minimum=2, doc="Components of the embedding of an image."),
                Setting(name="temperature", default=1.0, minimum=0.01, doc="What cosines are divided by (t)."),
                Setting(
                    name="class_weight",
                    default=1.0,
                    minimum=0.0,
                    doc="Weight of the contrastive losses beside the adversarial loss (lambda).",
                ),
            ),
            conditional=True,
            sizes=SIZES,
            objective="hinge",
            gives=("classes", "embedding", "features"),
            # For CIFAR-10: Adam, 2e-4, betas 0.5 and 0.999, which are ganzoo's own, five updates of D for each of G.
            defaults={"train.d_steps": 5},
            presets={"laptop": {**HEADED_LAPTOP, "variant.embedding": 64}, **found_recipes(__file__, "contragan")},
        ),
    ]
