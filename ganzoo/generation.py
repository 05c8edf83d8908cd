"""The images that are scored: the same noise and labels for every generator, the model left as it was."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ganzoo.data import to_uint8
from ganzoo.engine.operations import any_layout
from ganzoo.metrics.statistics import require_finite

SCORE_SEED = 20_140_610
"""Seed of the noise and labels that are scored: the same for every generator."""


def score_noise(n: int, z_dim: int, seed: int) -> Tensor:
    """float32 `[n, z_dim]` ~ N(0, I) on the CPU. Drawn in blocks of fixed size, because what torch draws depends on how
    much is asked for at once: image i gets the same noise whatever the batch size.
    """
    random = torch.Generator().manual_seed(seed)
    return torch.cat([torch.randn(min(250, n - at), z_dim, generator=random) for at in range(0, n, 250)])


@torch.no_grad()
def generate(
    generator: nn.Module, z_dim: int, n: int, *, labels: Tensor | None, seed: int, batch_size: int, device: torch.device
) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Yield (uint8 `[B,C,H,W]` on the device, int64 `[B]` on the device or None) until `n` images are made.

    Noise is drawn on the CPU, so that it is the same on every device. Training flags and torch's random state are left
    as they were.
    """
    noise = score_noise(n, z_dim, seed)
    with evaluating(generator):
        for start in range(0, n, batch_size):
            size = min(batch_size, n - start)
            z = noise[start : start + size].to(device)
            part = None if labels is None else labels[start : start + size].to(device)
            yield _images(generator, z, part), part


@torch.no_grad()
def generate_at(
    generator: nn.Module,
    z_dim: int,
    n: int,
    index: Tensor,
    *,
    labels: Tensor | None,
    seed: int,
    device: torch.device,
) -> Tensor:
    """Of the images that `generate` makes, those at `index` (int64 `[k]`): uint8 `[k,C,H,W]` on the device."""
    z = score_noise(n, z_dim, seed)[index].to(device)
    with evaluating(generator):
        return _images(generator, z, None if labels is None else labels[index].to(device))


def _images(generator: nn.Module, z: Tensor, labels: Tensor | None) -> Tensor:
    with any_layout():
        return quantised(generator(z, labels))


def quantised(images: Tensor) -> Tensor:
    """`to_uint8`, which would turn NaN into black.

    Raises:
        UserError: the images hold NaN or infinity.
    """
    require_finite(images, "generated images")
    return to_uint8(images)


@contextlib.contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """In eval mode; afterwards each module's training flag is as it was."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
