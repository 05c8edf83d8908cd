"""Terms of a network as a function: how G stretches its latent space, and what its layers' weights are like."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ganzoo import Batch, Term, Value
from ganzoo.objectives import NORM_EPS


class PathLength(nn.Module):
    """Batch of G's phase -> float32 `[M]`: (||J_w^T y|| - a)^2, Karras et al. 2020, equation 4.

    y ~ N(0, I) in the space of images, divided by the square root of their height times width; J_w the Jacobian of the
    images by G's output "w", `[M, w_dim]` or `[M, layers, w_dim]`, whose squared lengths are averaged over the layers,
    or by z where G has no such output. Of the first M = N / shrink z of the batch. The moving average of lengths, a, is
    a buffer, float32 `[]`, 0 at first; it is moved by the batch before it is compared with it, as in the authors' code.
    """

    mean: Tensor

    def __init__(self, decay: float, shrink: int) -> None:
        super().__init__()
        self.decay, self.shrink = decay, shrink
        self.register_buffer("mean", torch.zeros(()))

    def forward(self, batch: Batch) -> Tensor:
        z = batch.z[: max(1, batch.z.shape[0] // self.shrink)].detach().requires_grad_()
        made = batch.generate(z)
        images, start = made["images"].float(), made.get("w", z)
        noise = torch.randn_like(images) / math.sqrt(images.shape[2] * images.shape[3])
        (gradient,) = torch.autograd.grad((images * noise).sum(), start, create_graph=True)
        by_layer = gradient.float().square().reshape(z.shape[0], -1, gradient.shape[-1]).sum(2)
        lengths = (by_layer.mean(1) + NORM_EPS).sqrt()
        with torch.no_grad():
            self.mean.lerp_(lengths.mean(), 1 - self.decay)
        return (lengths - self.mean).square()


def path_length(config: Mapping[str, Value]) -> Term:
    """Path length regularization: `PathLength`."""
    module = PathLength(cast(float, config["decay"]), cast(int, config["shrink"]))
    return Term(name="path-length", phase="G", loss=module)


def orthogonal(config: Mapping[str, Value]) -> Sequence[Term]:
    """Brock et al. 2018, equation 3, of each layer: ||W W^T - diag(W W^T)||_F^2, the rows of W being its filters.
    float32 `[]`, the sum over all weights of two and more dimensions but embeddings, whose rows are no filters.
    """
    phases = ("G", "D") if config["phases"] == "both" else (cast(str, config["phases"]),)
    return [Term(name=f"orthogonal-{phase.lower()}", phase=phase, loss=_inner_products) for phase in phases]


def _inner_products(batch: Batch) -> Tensor:
    with torch.autocast(device_type=batch.real.device.type, enabled=False):
        losses = [_off_diagonal(filters) for filters in _filters(batch.network)]
        return torch.stack(losses).sum() if losses else batch.real.new_zeros(())


def _filters(network: nn.Module) -> Iterator[Tensor]:
    """Each weight as a matrix with one filter per row. Of a weight that is computed from another, as under spectral
    norm, the one that is learned; of several, as under weight norm, the largest.
    """
    for module in network.modules():
        if isinstance(module, nn.Embedding | parametrize.ParametrizationList):
            continue  # of a list of parametrizations, below, the layer says what its rows are
        transposed = isinstance(module, nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d)
        learned = list(module.parameters(recurse=False))
        if parametrize.is_parametrized(module):
            made = cast(nn.ModuleDict, module.parametrizations).values()
            learned += [max(one.parameters(recurse=False), key=Tensor.numel) for one in made]
        for weight in learned:
            if weight.ndim >= 2:
                yield (weight.transpose(0, 1) if transposed else weight).flatten(1).float()


def _off_diagonal(filters: Tensor) -> Tensor:
    rows, columns = filters.shape
    if rows <= columns:
        return (filters @ filters.T).fill_diagonal_(0).square().sum()
    # ||W W^T||_F = ||W^T W||_F, the smaller matrix: a layer from z may have thousands of rows.
    return (filters.T @ filters).square().sum() - filters.square().sum(1).square().sum()
