"""Building blocks that several of the zoo's networks share. No plugin: it registers nothing.

Torch-free: the blocks are in the modules beside it, `shapes`, `norms`, `attention`, `residual`, `resnet`,
`strided` and `phases`.
"""

from __future__ import annotations

from ganzoo import Setting

SIZES = (28, 32, 48, 64, 96, 128)
"""Square sizes that the residual networks of `resnet` can make."""

RESNET_SETTINGS = (
    Setting(name="z_dim", default=128, minimum=1, doc="Length of the noise vector."),
    Setting(
        name="channels",
        default=64,
        minimum=4,
        doc="Width: up to 32 pixels, D has twice as many feature maps everywhere, and G four times; above, both have "
        "as many at full size, doubled per halving up to 16 times.",
    ),
)
"""What `resnet`'s networks are built from: those of Miyato et al. 2018 by default."""
