"""Whether a discriminator mixes the samples of a batch: asked of the network itself, for plugins' networks too."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from ganzoo.engine.device import preserved_random_state

TOLERANCE = 1e-3
"""Relative change of a logit from which other samples are said to have had a part in it. Batch norm changes it by tens
of per cent; the order of additions by 1e-6.
"""


@torch.no_grad()
def mixes_samples(
    discriminator: nn.Module, shape: tuple[int, int, int], num_classes: int, device: torch.device
) -> bool:
    """True if in train mode a sample's logit depends on the rest of its batch, as it does with batch norm.

    The network is tried on noise of `shape` (C, H, W), and is left as it was. `num_classes` 0: called without labels.
    Dropout is switched off for it. A network that draws random numbers by other means, or cannot be copied, is taken to
    mix: that costs speed, not correctness.
    """
    random = torch.Generator().manual_seed(0)
    a, b = (torch.randn(4, *shape, generator=random) for _ in range(2))
    labels = (torch.arange(8) % num_classes).to(device) if num_classes else None

    def logits(rest: Tensor) -> Tensor:
        network = copy.deepcopy(discriminator).train()  # a fresh one, because buffers move
        for module in network.modules():
            if isinstance(module, nn.modules.dropout._DropoutNd):
                module.eval()
        logits: Tensor = network(torch.cat([a, rest]).to(device), labels)[:4].float()
        return logits

    with preserved_random_state(device):
        try:
            one, other = logits(b), logits(3 * b + 1)
        except (RuntimeError, ValueError, TypeError):  # the step itself will say what is wrong
            return True
    return not bool(((one - other).abs() <= TOLERANCE * one.abs().max()).all())
