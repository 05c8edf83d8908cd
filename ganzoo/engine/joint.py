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
"""Relative change of a logit from which the other half is said to have had a part in it. Statistics of the whole batch
change it by tens of per cent; the order of additions by 1e-6.
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
def passes_of(discriminator: nn.Module, shape: tuple[int, int, int], num_classes: int, device: torch.device) -> Passes:
    """ "two" where a sample's logit depends on the batch's other half by other means than batch norm.

    It does where a layer like minibatch standard deviation looks at the batch. The network itself is asked, so that
    it is known of plugins' networks too: it is tried on noise of `shape` (C, H, W), and is left as it was.
    `num_classes` 0: called without labels. Dropout is switched off for it. A network that draws random numbers by
    other means, or cannot be copied, gets two passes: that costs speed, not correctness.
    """
    random = torch.Generator().manual_seed(0)
    a, b = (torch.randn(4, *shape, generator=random) for _ in range(2))
    labels = (torch.arange(8) % num_classes).to(device) if num_classes else None

    def logits(rest: Tensor) -> Tensor:
        network = copy.deepcopy(discriminator).train()  # a fresh one, because buffers move
        for module in network.modules():
            if isinstance(module, nn.modules.dropout._DropoutNd):
                module.eval()
        with any_layout():
            judged: Tensor = network(torch.cat([a, rest]).to(device), labels)[:4].float()
        return judged

    def mixes() -> bool:
        one, other = logits(b), logits(3 * b + 1)
        return not bool(((one - other).abs() <= TOLERANCE * one.abs().max()).all())

    with preserved_random_state(device):
        try:
            if not mixes():
                return "one"
            with BatchNormByHalves():
                return "two" if mixes() else "one by halves"
        except (RuntimeError, ValueError, TypeError):  # the step itself will say what is wrong
            return "two"
