"""What is computed otherwise than torch does it, against torch in double precision."""

from __future__ import annotations

import torch
from torch import Tensor


def error(ours: Tensor, exact: Tensor) -> float:
    return float(((ours - exact).abs().max() / exact.abs().max()).detach())


def check(ours: Tensor, exact: Tensor, inputs: list[Tensor], tolerance: float) -> None:
    """Values, gradients, and gradients of gradients, as a gradient penalty takes them."""
    assert ours.shape == exact.shape
    assert error(ours, exact) < tolerance
    upstream = torch.randn_like(exact)
    upstreams = upstream.float().requires_grad_(), upstream.requires_grad_()
    first = torch.autograd.grad(ours, inputs, upstreams[0], create_graph=True)
    wanted = torch.autograd.grad(exact, inputs, upstreams[1], create_graph=True)
    for got, want in zip(first, wanted, strict=True):
        assert error(got, want) < tolerance
    for index in range(2):  # of the gradient to the images, and of that to the weights
        ours_again, exact_again = first[index].square().sum(), wanted[index].square().sum()
        of = inputs[1 - index]
        second = torch.autograd.grad(ours_again, [of, upstreams[0]], retain_graph=True)
        wanted_second = torch.autograd.grad(exact_again, [of, upstreams[1]], retain_graph=True)
        for got, want in zip(second, wanted_second, strict=True):
            assert error(got, want) < tolerance


def tensors(*shapes: tuple[int, ...]) -> list[Tensor]:
    torch.manual_seed(0)
    return [torch.randn(shape, requires_grad=True) for shape in shapes]
