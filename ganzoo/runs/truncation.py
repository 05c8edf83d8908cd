"""Generators that know how to truncate: images nearer to the average one, of less variety (Karras et al. 2019, B)."""

from __future__ import annotations

import inspect
import math

from torch import Tensor, nn

from ganzoo.errors import SettingError
from ganzoo.gan import Outputs


class Truncated(nn.Module):
    """A generator that is always called with `truncation=psi`."""

    def __init__(self, generator: nn.Module, psi: float) -> None:
        super().__init__()
        self.generator, self.psi = generator, psi

    def forward(self, z: Tensor, labels: Tensor | None) -> Outputs:
        made: Outputs = self.generator(z, labels, truncation=self.psi)
        return made


def truncated(generator: nn.Module, psi: float, variant: str) -> Truncated:
    """`generator` with its truncation at `psi`. `variant`: its name, for errors.

    Raises:
        SettingError: its `forward` has no parameter `truncation`, or psi is not finite.
    """
    if not math.isfinite(psi):
        raise SettingError(f"--truncation {psi} is no number", "give one such as 0.7; at 1 nothing is truncated")
    if not knows_truncation(generator):
        raise SettingError(
            f"the generator of variant '{variant}' knows no truncation",
            "leave --truncation out; it is for generators whose forward has a parameter `truncation: float`",
        )
    return Truncated(generator, psi)


def knows_truncation(generator: nn.Module) -> bool:
    """Whether `forward` can be called with `truncation=`."""
    try:
        found = inspect.signature(generator.forward).parameters.get("truncation")
    except (TypeError, ValueError):  # compiled code may have no signature
        return False
    return found is not None and found.kind in (found.POSITIONAL_OR_KEYWORD, found.KEYWORD_ONLY)
