"""Whether a logit is of its own image alone, which gradients of each image's logit rest on: asked of the network."""

from __future__ import annotations

import contextlib
import copy

import torch
from torch import Tensor, nn

from ganzoo.engine.cpu.operations import any_layout
from ganzoo.engine.device import Precision, numerics, preserved_random_state
from ganzoo.engine.probes.reached import Reached, global_generators, put_back
from ganzoo.gan import named

OF_GRADIENTS = 1e-6
"""Gradient of the other images' logits, relative to that of its own, from which an image is looked at by them."""

OF_LOGITS = 3e-5
"""Change of a logit, relative to the spread of all, from which it is another. Rounding makes one of 1e-6."""


def depends_on_others(discriminator: nn.Module, real: Tensor, labels: Tensor | None) -> bool:
    """Whether a logit depends on other images of the batch, in train mode: by batch norm, minibatch statistics, or
    however. Dropout is switched off. `real`: float32 `[N,C,H,W]` in [-1, 1], N from 2, on any device; `labels`: int64
    `[N]`, None where the network is called without.

    Copies of the network are asked, as it is built and with parameters that have been moved (layers may start at zero):
    of images as they are, and of near copies of one another, which layers that compare images react to. A network that
    cannot be copied, or that fails, is not said to depend: the run itself will tell.
    """
    held, generators = Reached({"discriminator": discriminator}, real.device.type), global_generators(real.device.type)
    ieee = Precision(name="fp32", device_type=real.device.type)
    near = real[:1] + 1e-3 * torch.randn(real.shape, generator=torch.Generator().manual_seed(0)).to(real)
    with preserved_random_state(real.device), numerics(real.device, ieee, penalised=True), any_layout():
        for images, moved in ((real, False), (real, True), (near.clamp(-1, 1), True)):
            try:
                with contextlib.suppress(Exception):
                    if _depends(discriminator, images, labels, moved=moved):
                        return True
            finally:
                put_back((*held.undo, *(undo for _, undo in generators.values())))
    return False


def _depends(discriminator: nn.Module, images: Tensor, labels: Tensor | None, *, moved: bool) -> bool:
    """Every second image is asked about: by the gradient of its logit with respect to the others, and by its logit when
    the others are exchanged.
    """
    network = _copy(discriminator, images.device, moved=moved)
    again = copy.deepcopy(network)  # spectral norm, for one, moves at each call
    x = images.clone().requires_grad_()
    with torch.enable_grad():
        said = _logits(network, x, labels)
        (gradient,) = torch.autograd.grad(said[::2].sum(), x)
    own, others = gradient[::2].abs().max(), gradient[1::2].abs().max()
    if bool(others > OF_GRADIENTS * own):
        return True
    exchanged = images.clone()
    exchanged[1::2] = images[1::2].flip(-1) * 0.7 + 0.1
    with torch.no_grad():
        difference = (_logits(again, exchanged, labels)[::2] - said[::2]).abs().max()
    spread = (said - said.mean()).abs().max()
    return bool(difference > OF_LOGITS * spread + 4 * torch.finfo(torch.float32).eps * said.abs().max())


def _copy(discriminator: nn.Module, device: torch.device, *, moved: bool) -> nn.Module:
    network = copy.deepcopy(discriminator).to(device).train()
    for module in network.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.eval()
    random = torch.Generator().manual_seed(1)
    for parameter in network.parameters():
        parameter.requires_grad_(False)
        if moved:
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=random).to(parameter))
    return network


def _logits(network: nn.Module, images: Tensor, labels: Tensor | None) -> Tensor:
    torch.manual_seed(0)
    return named(network(images, labels), "logits")["logits"].float()
