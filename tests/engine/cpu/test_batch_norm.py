"""Batch norm as the fast engine computes it, against torch's in double precision."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganzoo.engine.cpu.batch_norm import by_halves, rows_of, statistics
from ganzoo.engine.cpu.operations import fast_operations


def error(ours: Tensor, exact: Tensor) -> float:
    return float(((ours - exact).abs().max() / exact.abs().max()).detach())


def images(*shape: int) -> Tensor:
    """As they are behind a ReLU, channels last where they are images."""
    x = torch.randn(*shape, generator=torch.Generator().manual_seed(0)).relu()
    return x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield
    torch.set_num_threads(before)


SHAPES = [(64, 16, 32, 32), (128, 4, 64, 64), (7, 5, 9, 11), (513, 3, 1, 1), (2, 3, 1, 1), (64, 16), (20_001, 3)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_statistics_are_right_whatever_the_number_of_threads(shape: tuple[int, ...], threads: None) -> None:
    x = images(*shape)
    mean, var = statistics(rows_of(x))
    exact = rows_of(x).double()
    assert error(mean, exact.mean(0)) < 1e-6
    assert error(var, exact.var(0, correction=0)) < 5e-6  # torch's own, for the second shape: 4e-3 on one thread


def test_a_channel_of_one_constant_has_no_variance() -> None:
    _, var = statistics(rows_of(torch.full((64, 2, 64, 64), 0.7).contiguous(memory_format=torch.channels_last)))
    assert float(var.max()) < 1e-9


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("shape", [(128, 4, 64, 64), (9, 5, 7, 8), (5000, 6)], ids=str)
def test_values_running_statistics_and_gradients_are_torchs(shape: tuple[int, ...], affine: bool) -> None:
    kind = nn.BatchNorm2d if len(shape) == 4 else nn.BatchNorm1d
    torch.manual_seed(0)
    layer = kind(shape[1], affine=affine)
    if affine:
        nn.init.normal_(layer.weight)
        nn.init.normal_(layer.bias)
    exact_layer = copy.deepcopy(layer).double()
    x = images(*shape).requires_grad_()
    exact_x = x.detach().double().requires_grad_()
    upstream = torch.randn(shape).requires_grad_()
    with fast_operations():
        y = layer(x)
    exact = exact_layer(exact_x)
    assert y.shape == exact.shape
    assert error(y, exact) < 2e-6
    for name, value in exact_layer.named_buffers():
        assert error(layer.get_buffer(name).double(), value) < 1e-6
    of, exact_of = [x, *layer.parameters()], [exact_x, *exact_layer.parameters()]
    first = torch.autograd.grad(y, of, upstream, create_graph=True)
    wanted = torch.autograd.grad(exact, exact_of, upstream.double(), create_graph=True)
    for ours, theirs in zip(first, wanted, strict=True):
        assert error(ours, theirs) < 5e-4  # sums of a gradient are torch's own
    for ours, theirs in zip(
        torch.autograd.grad(first[0].square().sum(), of[: 1 + affine]),
        torch.autograd.grad(wanted[0].square().sum(), exact_of[: 1 + affine]),
        strict=True,
    ):
        assert error(ours, theirs) < 1e-4


@pytest.mark.parametrize("halves", [1, 2])
def test_a_half_by_itself_is_a_pass_by_itself(halves: int) -> None:
    layer = nn.BatchNorm2d(4)
    x = images(32, 4, 16, 16)
    x[16:] = 3 * x[16:] + 1
    exact_layer = copy.deepcopy(layer).double()
    exact = torch.cat([exact_layer(part) for part in x.double().chunk(halves)])
    x.requires_grad_()
    with fast_operations(halves=halves == 2):
        y = layer(x)
    assert error(y, exact) < 2e-6
    assert error(layer.running_var.double(), exact_layer.running_var) < 1e-6  # type: ignore[union-attr, arg-type]
    (gradient,) = torch.autograd.grad(y.square()[:, :, ::2].sum(), x)
    (wanted,) = torch.autograd.grad(exact_of(x, halves).square()[:, :, ::2].sum(), x)
    assert error(gradient, wanted) < 1e-4


def exact_of(x: Tensor, halves: int) -> Tensor:
    return torch.cat([F.batch_norm(part.double(), None, None, training=True) for part in x.chunk(halves)])


def test_an_odd_batch_has_no_halves() -> None:
    layer = nn.BatchNorm2d(4, track_running_stats=False)
    x = images(5, 4, 8, 8)
    with fast_operations(halves=True):
        torch.testing.assert_close(layer(x), by_halves(x, None, None, layer.weight, layer.bias, True))


def test_what_is_not_ours_is_torchs() -> None:
    layer = nn.BatchNorm2d(3)
    x = images(4, 3, 5, 5)
    with fast_operations():
        with pytest.raises(ValueError, match="more than 1 value per channel"):
            layer(images(1, 3, 1, 1))
        with pytest.raises(RuntimeError):
            layer(images(4, 2, 5, 5))
        assert layer.double()(x.double()).dtype == torch.float64
        layer.float().eval()
        torch.testing.assert_close(layer(x), F.batch_norm(x, layer.running_mean, layer.running_var))
        cumulative = nn.BatchNorm2d(3, momentum=None)
        for _ in range(2):
            cumulative(x)
    assert cumulative.running_mean is not None
    torch.testing.assert_close(cumulative.running_mean, x.mean((0, 2, 3)))
