"""torch's optimizers and dispatch modes without what they do for torch.compile, for which each process would first
import its compiler's front end, torch._dynamo: a second or two of the few between the command and the first step.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch.optim import Optimizer
from torch.utils._python_dispatch import TorchDispatchMode


class Watching(TorchDispatchMode):
    """A mode that is told of each kernel that torch's dispatcher calls while it is entered."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Of torch's, which would import its compiler for that."""
        return False


class Uncompiled(Optimizer):
    """To stand before one of torch's optimizers among the bases. No step of it may be part of what torch.compile
    compiles: it no longer breaks the graph.
    """

    state_dict = inspect.unwrap(Optimizer.state_dict)
    load_state_dict = inspect.unwrap(Optimizer.load_state_dict)
    zero_grad = inspect.unwrap(Optimizer.zero_grad)
    add_param_group = inspect.unwrap(Optimizer.add_param_group)

    @torch.no_grad()  # as torch's wrapper has it, unless `differentiable` is asked for, which nobody here does
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        return inspect.unwrap(super().step.__func__)(self, closure)  # type: ignore[attr-defined]


class Adam(Uncompiled, torch.optim.Adam):
    pass


class RMSprop(Uncompiled, torch.optim.RMSprop):
    pass


class SGD(Uncompiled, torch.optim.SGD):
    pass
