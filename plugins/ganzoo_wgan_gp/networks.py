"""Networks of WGAN-GP (Gulrajani et al. 2017, arXiv:1704.00028)."""

from __future__ import annotations

from ganzoo.gan import GAN, VariantConfig
from ganzoo_blocks.shapes import Shape
from ganzoo_dcgan.networks import convolutional_pair


def wgan_gp(config: VariantConfig, shape: Shape, num_classes: int) -> GAN:
    """DCGAN's generator against a critic with layer norm (section 4, "No critic batch normalization").

    The critic is the same under every objective. Labels are ignored. Raises UserError for a size it cannot make.
    """
    return convolutional_pair(config, shape, layer_norm=True)
