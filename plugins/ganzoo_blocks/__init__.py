"""Building blocks that several of the zoo's networks share. No plugin: it registers nothing.

Torch-free: the blocks are in the modules beside it, `shapes`, `norms`, `attention`, `residual`, `resnet`,
`strided` and `phases`.
"""

from __future__ import annotations

from collections.abc import Mapping

from ganzoo import Setting, Value

SIZES = (28, 32, 48, 64, 96, 128)
"""Square sizes that the residual networks of `resnet` can make."""

RESNET_SETTINGS = (
    Setting(name="z_dim", default=128, minimum=1, doc="Length of the noise vector."),
    Setting(
        name="channels",
        default=64,
        minimum=4,
        doc="Width: where maps are equally wide, D has twice as many everywhere, and G four times; where they double, "
        "both have as many at full size, and up to 16 times as many.",
    ),
    Setting(
        name="doubling",
        default=None,
        type=bool,
        doc="Whether maps get twice as wide per halving of their size; none: above 32 pixels, as in the papers.",
    ),
)
"""What `resnet`'s networks are built from: those of Miyato et al. 2018 by default."""

RESNET_LAPTOP: Mapping[str, Value] = {
    "variant.channels": 12,
    "variant.doubling": True,
    "train.batch_size": 16,
    "train.d_steps": 1,
    "train.g_lr": 2e-3,
    "train.d_lr": 2e-3,
    "train.beta1": 0.5,
    "train.beta2": 0.99,
}
"""For a short run of these networks on a small machine. At five updates of D for each of G, 32 kimg would be 200
updates of G, in which the gains and biases of its classes move so little that all classes look alike; hence as many
updates as can be had, and large ones. Widths double because narrow maps of equal widths end in too few features: at
8 kimg of digits cgan-pd made the class asked for in 99 % of its images, in 20 % with six channels of equal widths.
"""

HEADED_LAPTOP: Mapping[str, Value] = {**RESNET_LAPTOP, "train.d_lr": 5e-4, "train.beta1": 0.0}
"""The same where D has heads for classes: at G's rate its features died in short runs on digits, before the heads had
learned anything.
"""
