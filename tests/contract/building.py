"""Variants of contract 2, built narrow, and what gradients reached."""

from __future__ import annotations

import torch
from fake_batch import FakeBatch
from torch import Tensor, nn

import ganzoo_acgan
import ganzoo_began
import ganzoo_bigan
import ganzoo_ebgan
import ganzoo_fastgan
import ganzoo_infogan
import ganzoo_logan
import ganzoo_losses
import ganzoo_projected_gan
import ganzoo_r3gan
import ganzoo_unrolled
import ganzoo_vaegan
from ganzoo import GAN, Value, Variant, VariantConfig

PLUGINS = (
    ganzoo_acgan,
    ganzoo_infogan,
    ganzoo_began,
    ganzoo_bigan,
    ganzoo_losses,
    ganzoo_ebgan,
    ganzoo_vaegan,
    ganzoo_logan,
    ganzoo_unrolled,
    ganzoo_r3gan,
    ganzoo_fastgan,
    ganzoo_projected_gan,
)
SPECS: dict[str, Variant] = {spec.name: spec for plugin in PLUGINS for spec in plugin.register_variants()}
NARROW: dict[str, Value] = {"channels": 4, "width": 8, "dropout": 0.0, "mixed": 4, "resolution": 32}
CLASSES = 3


def build(
    name: str, size: int = 28, colors: int = 1, *, per_sample: bool = False, classes: int = CLASSES, **settings: Value
) -> GAN:
    known = {setting.name: setting.default for setting in SPECS[name].settings}
    assert not settings.keys() - known.keys()
    chosen = {key: value for key, value in (NARROW | settings).items() if key in known}
    return SPECS[name].load()(
        VariantConfig(settings=known | chosen, per_sample_critic=per_sample), (colors, size, size), classes
    )


def inputs(gan: GAN, size: int = 28, colors: int = 1, count: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    """Images in [-1, 1], noise of the prior, labels."""
    images = torch.rand(count, colors, size, size) * 2 - 1
    return images, gan.prior(torch.randn(count, gan.z_dim)), torch.arange(count) % CLASSES


def batch_of(
    gan: GAN, real: Tensor, z: Tensor, labels: Tensor | None = None, *, phase: str, moves: tuple[str, ...] = ()
) -> FakeBatch:
    """One batch in a phase that moves `moves`, or what goes with D or G: nothing else gets gradients."""
    networks = {"generator": gan.generator, "discriminator": gan.discriminator}
    networks |= {name: part.module for name, part in gan.parts.items()}
    own = {"D": "discriminator", "G": "generator"}.get(phase, phase)
    moved = set(moves) or {own, *(name for name, part in gan.parts.items() if part.phase == phase)}
    for name, network in networks.items():
        network.requires_grad_(name in moved)
    return FakeBatch(
        real=real,
        discriminator=gan.discriminator,
        generator=gan.generator,
        z=z,
        labels=labels,
        phase=phase,
        parts={name: part.module for name, part in gan.parts.items()},
    )


def reached(module: nn.Module) -> set[str]:
    """Names of the parameters with a gradient that is finite, and not 0 everywhere."""
    return {
        name
        for name, parameter in module.named_parameters()
        if parameter.grad is not None and parameter.grad.isfinite().all() and parameter.grad.ne(0).any()
    }


def every(module: nn.Module) -> set[str]:
    return {name for name, _ in module.named_parameters()}
