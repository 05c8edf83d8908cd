"""ReACGAN: classes told apart on a sphere. Torch-free: the networks are in `ganzoo_reacgan.networks`."""

from __future__ import annotations

from ganzoo import Setting, Variant, found_recipes, hookimpl
from ganzoo_blocks import HEADED_LAPTOP, RESNET_SETTINGS, SIZES

GANZOO_API = 2


@hookimpl
def register_variants() -> list[Variant]:
    return [
        Variant(
            name="reacgan",
            target="ganzoo_reacgan.networks:reacgan",
            summary="D places images on a sphere, near their class and away from others, and ignores those well placed",
            paper="Kang et al., Rebooting ACGAN: Auxiliary Classifier GANs with Stable Training, 2021, "
            "arXiv:2111.01118",
            settings=(
                *RESNET_SETTINGS,
                Setting(name="embedding", default=512, minimum=2, doc="Components of the embedding of an image."),
                Setting(
                    name="easy_positive",
                    default=0.98,
                    minimum=-1.0,
                    maximum=1.0,
                    doc="Cosine of an image and its class from which on they are near enough (m_p).",
                ),
                Setting(
                    name="easy_negative",
                    default=0.02,
                    minimum=-1.0,
                    maximum=1.0,
                    doc="Cosine of images of two classes up to which they are far enough apart (m_n).",
                ),
                Setting(name="temperature", default=0.5, minimum=0.01, doc="What cosines are divided by (tau)."),
                Setting(
                    name="class_weight",
                    default=0.5,
                    minimum=0.0,
                    doc="Weight of the class losses beside the adversarial loss (lambda).",
                ),
            ),
            conditional=True,
            sizes=SIZES,
            objective="hinge",
            gives=("classes", "embedding", "features"),
            # For CIFAR-10: Adam with betas 0.5 and 0.999, which are ganzoo's own, five updates of D for each of G.
            defaults={"train.d_steps": 5},
            presets={
                "laptop": {**HEADED_LAPTOP, "variant.embedding": 64, "variant.class_weight": 1.0},
                **found_recipes(__file__, "reacgan"),
            },
        ),
    ]
