"""What a step is made with brings no compiler along; optimizers do what torch's do."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch

from ganzoo.engine import uncompiled

KINDS: list[tuple[type[torch.optim.Optimizer], type[torch.optim.Optimizer], dict[str, Any]]] = [
    (uncompiled.Adam, torch.optim.Adam, {"lr": 0.1, "betas": (0.5, 0.9), "weight_decay": 0.01}),
    (uncompiled.RMSprop, torch.optim.RMSprop, {"lr": 0.1, "momentum": 0.5}),
    (uncompiled.SGD, torch.optim.SGD, {"lr": 0.1, "momentum": 0.9}),
]

PROGRAM = """
import sys
import torch
from torch import nn
from ganzoo.config.run_config import Train
from ganzoo.engine.cpu.optimizers import make_optimizer
from ganzoo.engine.cpu.threads import Products

for name in ("adam", "adamw", "rmsprop", "sgd"):
    for plain in (False, True):
        weight = nn.Parameter(torch.ones(3, 2))
        made = make_optimizer([([weight], 0.1)], Train(optimizer=name), plain=plain)
        for _ in range(2):
            made.zero_grad()
            weight.square().sum().backward()
            made.step()
        made.load_state_dict(made.state_dict())
        assert weight.max() < 1
with Products() as products:
    nn.functional.conv2d(torch.ones(1, 1, 3, 3, requires_grad=True), torch.ones(1, 1, 3, 3)).sum().backward()
assert products.count == 2
print("torch._dynamo" in sys.modules)
"""


def test_no_compiler_is_imported() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("False\n", 0), done.stderr


@pytest.mark.parametrize(("ours", "theirs", "options"), KINDS)
def test_steps_are_torchs(
    ours: type[torch.optim.Optimizer], theirs: type[torch.optim.Optimizer], options: dict[str, Any]
) -> None:
    ends: list[Any] = []
    for kind in (ours, theirs):
        generator = torch.Generator().manual_seed(0)
        weight = torch.nn.Parameter(torch.randn(4, 3, generator=generator))
        made = kind([weight], **options)
        called: list[str] = []
        made.register_step_post_hook(lambda *_, called=called: called.append("after"))

        def closure(weight: torch.nn.Parameter = weight, made: torch.optim.Optimizer = made) -> torch.Tensor:
            made.zero_grad()
            loss = weight.pow(4).sum()
            loss.backward()
            return loss

        losses = [made.step(closure).item() for _ in range(3)]
        made.add_param_group({"params": [torch.nn.Parameter(torch.ones(2))], "lr": 0.5})
        again = kind([torch.nn.Parameter(weight.detach().clone())], **options)
        again.add_param_group({"params": [torch.nn.Parameter(torch.ones(2))]})
        again.load_state_dict(made.state_dict())
        state = [value for one in again.state.values() for value in one.values() if isinstance(value, torch.Tensor)]
        ends.append((losses, called, weight.detach().clone(), state, again.param_groups[1]["lr"]))
    (losses, called, weight, state, rate), (as_losses, as_called, as_weight, as_state, as_rate) = ends
    assert losses == as_losses
    assert called == as_called == ["after"] * 3
    assert torch.equal(weight, as_weight)
    assert rate == as_rate == 0.5
    assert len(state) == len(as_state) > 0
    assert all(torch.equal(one, other) for one, other in zip(state, as_state, strict=True))
