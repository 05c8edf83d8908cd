"""Random numbers do not depend on how an image lies in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from ganzoo.engine.cpu.draws import DRAWS, backward
from ganzoo.engine.cpu.operations import fast_operations

FILLED = {
    "bernoulli_": (0.3,),
    "cauchy_": (),
    "exponential_": (),
    "geometric_": (0.3,),
    "log_normal_": (),
    "normal_": (),
    "random_": (0, 100),
    "uniform_": (),
}
CALLS: dict[str, Callable[[Tensor], Any]] = {
    "randn_like": torch.randn_like,
    "rand_like": torch.rand_like,
    "randint_like": lambda x: torch.randint_like(x, 0, 100),
    "bernoulli": torch.bernoulli,
    "Tensor.bernoulli": lambda x: x.bernoulli(),
    "poisson": torch.poisson,
    "normal": lambda x: torch.normal(x, 1.0),
    "dropout": lambda x: F.dropout(x, 0.3),
    "torch.dropout": lambda x: torch.dropout(x, 0.3, True),
    "nn.Dropout in place": lambda x: nn.Dropout(0.3, inplace=True)(x * 1),
    "alpha_dropout": lambda x: nn.AlphaDropout(0.3)(x),
    "dropout2d": lambda x: nn.Dropout2d(0.3)(x),
    "rrelu": lambda x: nn.RReLU()(x - 0.5),
    "rrelu in place": lambda x: nn.RReLU(inplace=True)(x - 0.5),
    "gumbel_softmax": lambda x: F.gumbel_softmax(x, dim=1),
    **{name: lambda x, name=name: getattr(torch.empty_like(x), name)(*FILLED[name]) for name in FILLED},  # type: ignore[misc]
}


@pytest.mark.parametrize("gradients", [True, False])
@pytest.mark.parametrize("name", CALLS)
def test_images_channels_last_are_given_what_contiguous_ones_are(name: str, gradients: bool) -> None:
    contiguous = torch.rand(5, 4, 3, 6)
    channels_last = contiguous.contiguous(memory_format=torch.channels_last)
    found = []
    with torch.set_grad_enabled(gradients), fast_operations():
        for x in (contiguous, channels_last):
            torch.manual_seed(3)
            found.append(CALLS[name](x))
    assert torch.equal(*found)
    assert found[1].is_contiguous(memory_format=torch.channels_last)


def test_what_has_no_tensor_to_go_by_is_torchs() -> None:
    with fast_operations():
        torch.manual_seed(0)
        found = [
            torch.normal(0.0, 1.0, (2, 3)),
            torch.normal(mean=torch.zeros(3), std=torch.ones(3)),
            torch.dropout(torch.ones(8), p=0.5, train=True),
        ]
    torch.manual_seed(0)
    assert torch.equal(found[0], torch.normal(0.0, 1.0, (2, 3)))
    assert found[1].shape == (3,)
    assert set(found[2].tolist()) <= {0.0, 2.0}


@pytest.mark.parametrize(
    "wrong",
    [
        lambda x, how: how(x * 2),
        lambda x, how: how((x * 2).sum(), torch.ones(2)),
        lambda x, how: how((x * 2).sum(), inputs=[]),
    ],
)
def test_backward_refuses_what_torchs_does(wrong: Callable[[Tensor, Any], None]) -> None:
    messages = []
    for how in (backward, Tensor.backward):
        with pytest.raises(RuntimeError) as caught:
            wrong(torch.ones(3, requires_grad=True), how)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


def test_every_function_that_is_answered_is_tried() -> None:
    twice = {"nn.Dropout in place", "rrelu in place", "dropout2d"}  # the last draws per channel, and is not answered
    others = {Tensor.backward, torch.rrelu}
    assert len(DRAWS) - len(others) == len(CALLS) - len(twice)


def test_gradients_pass_through() -> None:
    x = torch.rand(5, 4, 3, 6).contiguous(memory_format=torch.channels_last).requires_grad_()
    with fast_operations():
        y = nn.RReLU(0.5, 0.5, inplace=True)(x - 2)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(gradient, torch.full_like(x, 0.5))


def test_a_reentrant_checkpoint_draws_the_same_on_the_way_back() -> None:
    """Its first pass is one without gradients under our operations, its second outside of them."""
    x = torch.ones(4, 8, 5, 5).contiguous(memory_format=torch.channels_last).requires_grad_()
    with fast_operations():
        y = checkpoint(lambda x: F.dropout(x * 1, 0.5), x, use_reentrant=True)
    backward(y.sum())
    assert torch.equal(x.grad, y.detach())  # type: ignore[arg-type]


def test_backward_is_torchs() -> None:
    def gradients(how: Callable[..., None]) -> list[Tensor | None]:
        x, w = torch.arange(3.0).requires_grad_(), torch.ones(3, requires_grad=True)
        how((x * w).sin(), torch.tensor([1.0, 2.0, 3.0]), inputs=[x])
        loss = (x * w).square().sum()
        how(loss, None, True)
        how(loss)
        return [x.grad, w.grad]

    for ours, theirs in zip(gradients(backward), gradients(Tensor.backward), strict=True):
        assert ours is not None
        assert theirs is not None
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize(
    "layer", [lambda inplace: nn.Dropout(0.0, inplace), lambda inplace: nn.Dropout(0.5, inplace).eval()]
)
def test_a_dropout_of_nothing_is_no_write_that_backward_would_refuse(
    layer: Callable[[bool], nn.Module], inplace: bool
) -> None:
    x = torch.rand(4, 6, 3, 3).contiguous(memory_format=torch.channels_last).requires_grad_()
    with fast_operations():
        out = layer(inplace)(F.leaky_relu(x * 1, 0.2, inplace=True).sigmoid())
        out.sum().backward()
    torch.testing.assert_close(out, x.detach().sigmoid())
