"""The conditional variants on residual networks, built narrow; and what spectral norm makes of a layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

import ganzoo_adcgan
import ganzoo_cgan_pd
import ganzoo_contragan
import ganzoo_mhgan
import ganzoo_reacgan
import ganzoo_sagan
import ganzoo_sngan
import ganzoo_tacgan
from ganzoo import GAN, Value, Variant, VariantConfig

PLUGINS = (
    ganzoo_sngan,
    ganzoo_cgan_pd,
    ganzoo_sagan,
    ganzoo_reacgan,
    ganzoo_contragan,
    ganzoo_mhgan,
    ganzoo_adcgan,
    ganzoo_tacgan,
)
SPECS: dict[str, Variant] = {spec.name: spec for plugin in PLUGINS for spec in plugin.register_variants()}
NARROW: dict[str, Value] = {"channels": 4, "z_dim": 8, "embedding": 6}
CLASSES = 3


def build(name: str, size: int = 28, colors: int = 1, *, classes: int = CLASSES, **settings: Value) -> GAN:
    known = {setting.name: setting.default for setting in SPECS[name].settings}
    assert not settings.keys() - known.keys()
    chosen = {key: value for key, value in (NARROW | settings).items() if key in known}
    return SPECS[name].load()(
        VariantConfig(settings=known | chosen, per_sample_critic=False), (colors, size, size), classes
    )


def inputs(gan: GAN, size: int = 28, colors: int = 1, count: int = 6) -> tuple[Tensor, Tensor, Tensor]:
    """Images in [-1, 1], noise of the prior, labels: 0, 1, 2, 0, ..."""
    images = torch.rand(count, colors, size, size) * 2 - 1
    return images, gan.prior(torch.randn(count, gan.z_dim)), torch.arange(count) % CLASSES


def layers_of(network: nn.Module) -> dict[str, nn.Module]:
    """Convolutions, linear layers and embeddings, without the gains and biases of batch norms."""
    kinds = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear, nn.Embedding)
    return {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, kinds) and not name.endswith((".gain", ".bias"))
    }


def sigmas(network: nn.Module, passes: int, *arguments: Tensor) -> dict[str, float]:
    """Largest singular value of each layer's weights after so many passes, by a full decomposition."""
    network.train()
    with torch.no_grad():
        for _ in range(passes):
            network(*arguments)
        network.eval()
        found = {
            name: torch.linalg.matrix_norm(layer.weight.flatten(1), 2) for name, layer in layers_of(network).items()
        }
    return {name: float(value) for name, value in found.items()}
