"""Real and generated images through the discriminator in one pass, with the results of two."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from ganzoo.engine.device import preserved_random_state
from ganzoo.engine.operations import any_layout

TOLERANCE = 1e-3
"""Difference of a logit, relative to the spread of all, from which one pass is not two. Statistics of the whole batch
make one of tens of per cent; the order of additions, of 1e-6.
"""


class BatchNormByHalves(TorchFunctionMode):
    """While entered, batch norm in train mode takes its statistics from each half of the batch, the first half
    first, and moves its running statistics twice: as in two passes. All other layers can take both halves at once.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is F.batch_norm:
            return _by_halves(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def _by_halves(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    arguments = running_mean, running_var, weight, bias, training, momentum, eps
    if not training or len(input) % 2:
        return F.batch_norm(input, *arguments)
    return torch.cat([F.batch_norm(half, *arguments) for half in input.chunk(2)])


Passes = Literal["one", "one by halves", "two"]
"""How D may judge real and generated images, with the results of two: "one by halves" needs BatchNormByHalves."""


@torch.no_grad()
def passes_of(
    discriminator: nn.Module, shape: tuple[int, int, int], num_classes: int, device: torch.device, batch_size: int
) -> Passes:
    """ "two" where a logit depends on the other half of the batch by other means than batch norm.

    It does where a layer like minibatch standard deviation looks at the batch. The network itself is asked, so that
    it is known of plugins' networks too: a copy whose parameters have been moved (layers may start at zero) judges
    noise `[batch_size, *shape]` twice over, in one pass and in two. `num_classes` 0: called without labels. Dropout is
    switched off for it. A network that draws random numbers by other means, or cannot be copied, gets two passes: that
    costs speed, not correctness.
    """
    random = torch.Generator().manual_seed(0)
    a, b = (torch.randn(batch_size, *shape, generator=random).to(device) for _ in range(2))
    b = 3 * b + 1
    labels = (torch.arange(2 * batch_size) % num_classes).to(device) if num_classes else None

    def judged(network: nn.Module, *parts: Tensor) -> Tensor:
        network = copy.deepcopy(network)  # a fresh one, because buffers move
        logits, at = [], 0
        with any_layout():
            for part in parts:
                logits.append(network(part, None if labels is None else labels[at : at + len(part)]).float())
                at += len(part)
        return torch.cat(logits)

    with preserved_random_state(device):
        try:
            moved = copy.deepcopy(discriminator).train()
            for module in moved.modules():
                if isinstance(module, nn.modules.dropout._DropoutNd):
                    module.eval()
            for parameter in moved.parameters():
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=random).to(parameter))
            wanted = judged(moved, a, b)
            allowed = TOLERANCE * (wanted - wanted.mean()).abs().max()
            if bool(((judged(moved, torch.cat([a, b])) - wanted).abs() <= allowed).all()):
                return "one"
            with BatchNormByHalves():
                by_halves = judged(moved, torch.cat([a, b]))
        except Exception:  # whatever is wrong, the step itself will say, or there is nothing wrong with two passes
            return "two"
    return "one by halves" if bool(((by_halves - wanted).abs() <= allowed).all()) else "two"
