"""SAGAN: self-attention, and spectral norm in both networks. Torch-free: see `ganzoo_sagan.networks`."""

from __future__ import annotations

from typing import Any

from ganzoo import Setting, Variant, found_recipes, hookimpl
from ganzoo_blocks import RESNET_LAPTOP, RESNET_SETTINGS, SIZES

GANZOO_API = 2

KNOWN: dict[str, Any] = {
    "paper": "Zhang et al., Self-Attention Generative Adversarial Networks, 2018, arXiv:1805.08318",
    "settings": (
        *RESNET_SETTINGS,
        Setting(
            name="attention",
            default=None,
            type=int,
            minimum=4,
            doc="Side, in pixels, of the maps that attend to themselves, in G and D; none: 32, or the largest below it "
            "that is not the image itself.",
        ),
    ),
    "sizes": SIZES,
    "objective": "hinge",
    "gives": ("features",),
    # Section 4: betas 0 and 0.9, one update of D for each of G, the learning rates of section 3.2's two time scales.
    "defaults": {
        "train.g_lr": 1e-4,
        "train.d_lr": 4e-4,
        "train.beta1": 0.0,
        "train.beta2": 0.9,
        "train.d_steps": 1,
    },
}


@hookimpl
def register_variants() -> list[Variant]:
    return [
        Variant(
            name="sagan",
            target="ganzoo_sagan.networks:sagan",
            summary="residual networks with self-attention, spectrally normalised on both sides, told the class",
            conditional=True,
            presets={"laptop": RESNET_LAPTOP, **found_recipes(__file__, "sagan")},
            **KNOWN,
        ),
        Variant(
            name="sagan-unconditional",
            target="ganzoo_sagan.networks:sagan_unconditional",
            summary="SAGAN for images without labels",
            presets={"laptop": RESNET_LAPTOP, **found_recipes(__file__, "sagan-unconditional")},
            **KNOWN,
        ),
    ]
