"""The fused Adam against torch's plain one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from ganzoo.config.run_config import Train
from ganzoo.engine.cpu.optimizers import FusedAdam, is_dense, make_optimizer, set_rates
from ganzoo.engine.cpu.winograd import lay_out

Layout = Callable[[Tensor], Tensor]


def as_is(tensor: Tensor) -> Tensor:
    return tensor


def channels_last(tensor: Tensor) -> Tensor:
    return tensor.contiguous(memory_format=torch.channels_last)


def trained(make: Callable[[list[nn.Parameter]], Any], layout: Layout, of_gradient: Layout) -> tuple[list[Tensor], Any]:
    """Five steps of two weights and a bias whose gradient comes late."""
    random = torch.Generator().manual_seed(0)
    start = [torch.randn(8, 6, 4, 4, generator=random), torch.randn(8, 6, 4, 4, generator=random), torch.ones(7)]
    parameters = [nn.Parameter(layout(start[0])), nn.Parameter(start[1]), nn.Parameter(start[2])]
    optimizer = make(parameters)
    for step in range(5):
        gradients = [torch.randn(parameter.shape, generator=random) for parameter in parameters]
        parameters[0].grad = of_gradient(gradients[0])
        parameters[1].grad = gradients[1]
        parameters[2].grad = None if step == 0 else gradients[2]
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return [parameter.detach() for parameter in parameters], optimizer


def plain(parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    return make_optimizer([(parameters, 0.1)], Train(beta1=0.5, beta2=0.9), plain=True)


def fused(parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    return make_optimizer([(parameters, 0.1)], Train(beta1=0.5, beta2=0.9))


@pytest.mark.parametrize("of_gradient", [as_is, channels_last, lay_out])
@pytest.mark.parametrize("layout", [as_is, channels_last, lay_out])
def test_it_takes_torchs_steps_whatever_the_layout(layout: Layout, of_gradient: Layout) -> None:
    wanted, reference = trained(plain, layout, of_gradient)
    got, optimizer = trained(fused, layout, of_gradient)
    assert type(optimizer) is FusedAdam
    for ours, theirs in zip(got, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    steps = [int(state["step"]) for state in optimizer.state.values()]
    assert steps == [int(state["step"]) for state in reference.state.values()] == [5, 5, 4]


def in_groups(parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    return make_optimizer([(parameters[:1], 0.1), (parameters[1:], 0.01)], Train(beta1=0.5, beta2=0.9))


def plain_in_groups(parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    return make_optimizer([(parameters[:1], 0.1), (parameters[1:], 0.01)], Train(beta1=0.5, beta2=0.9), plain=True)


@pytest.mark.parametrize("of_gradient", [as_is, channels_last, lay_out])
@pytest.mark.parametrize("layout", [as_is, channels_last, lay_out])
def test_so_it_does_where_learning_rates_differ(layout: Layout, of_gradient: Layout) -> None:
    """As with parts that have one of their own."""
    wanted, _ = trained(plain_in_groups, layout, of_gradient)
    got, optimizer = trained(in_groups, layout, of_gradient)
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.01]
    for ours, theirs in zip(got, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_so_it_does_with_weight_decay_and_from_a_state_of_another_layout(optimizer: str) -> None:
    train = Train(optimizer=optimizer, weight_decay=0.1)
    weights: list[list[Tensor]] = []
    for how, before, after in ((True, as_is, as_is), (False, lay_out, channels_last), (False, channels_last, lay_out)):

        def make(parameters: list[nn.Parameter], how: bool = how) -> torch.optim.Optimizer:
            return make_optimizer([(parameters, 0.1)], train, plain=how)

        saved, first = trained(make, before, after)
        parameters = [nn.Parameter(after(saved[0])), nn.Parameter(saved[1]), nn.Parameter(saved[2])]
        second = make(parameters)
        second.load_state_dict(first.state_dict())
        for parameter in parameters:
            parameter.grad = torch.linspace(-1, 1, parameter.numel()).view(parameter.shape)
        second.step()
        weights.append([parameter.detach() for parameter in parameters])
    for ours in weights[1:]:
        for one, wanted in zip(ours, weights[0], strict=True):
            torch.testing.assert_close(one, wanted, rtol=1e-5, atol=1e-6)


def test_adamw_is_torchs_adamw() -> None:
    train = Train(optimizer="adamw", weight_decay=0.1, beta1=0.5, beta2=0.9)
    ours, _ = trained(lambda parameters: make_optimizer([(parameters, 0.1)], train), as_is, as_is)
    theirs, _ = trained(
        lambda parameters: torch.optim.AdamW(parameters, lr=0.1, betas=(0.5, 0.9), weight_decay=0.1, fused=True),
        as_is,
        as_is,
    )
    assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))


def test_torchs_own_is_called_only_to_make_the_state(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    own = torch.optim.Adam.step

    def spy(self: Any, closure: Any = None) -> Any:
        calls.append(1)
        return own(self, closure)

    monkeypatch.setattr(torch.optim.Adam, "step", spy)
    trained(fused, lay_out, lay_out)
    assert len(calls) == 2  # and once more for the one that comes late


@pytest.mark.parametrize("option", [{"amsgrad": True}, {"maximize": True}, {"weight_decay": 0.1}])
def test_options_are_torchs(option: dict[str, Any]) -> None:
    results = []
    for make in (FusedAdam, torch.optim.Adam):
        weight = nn.Parameter(torch.arange(1.0, 4.0))
        optimizer = make([weight], lr=0.1, fused=True, **option)
        for step in range(3):
            weight.grad = torch.full((3,), 1.0 - step)
            optimizer.step()
        results.append(weight.detach())
    assert torch.equal(*results)


def test_a_closure_is_torchs() -> None:
    weight = nn.Parameter(torch.ones(3))
    optimizer = FusedAdam([weight], lr=0.1, fused=True)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = weight.sum()
        loss.backward()
        return loss

    assert optimizer.step(closure) == 3
    assert optimizer.step(closure).item() == pytest.approx(2.7)


@pytest.mark.parametrize(("before", "after"), [(channels_last, lay_out), (lay_out, as_is), (as_is, channels_last)])
def test_a_state_saved_under_another_layout_goes_on(before: Layout, after: Layout) -> None:
    weights: list[list[Tensor]] = []
    for of_saved, of_loaded, make in ((before, after, fused), (as_is, as_is, plain)):
        saved, optimizer = trained(make, of_saved, of_saved)
        parameters = [nn.Parameter(of_loaded(saved[0])), nn.Parameter(saved[1]), nn.Parameter(saved[2])]
        loaded = make(parameters)
        loaded.load_state_dict(optimizer.state_dict())
        for seed in range(2):
            random = torch.Generator().manual_seed(seed)
            for parameter in parameters:
                parameter.grad = torch.empty_like(parameter).copy_(torch.randn(parameter.shape, generator=random))
            loaded.step()
        weights.append([parameter.detach() for parameter in parameters])
    for ours, theirs in zip(*weights, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_its_state_goes_on_in_torchs_adam() -> None:
    _, optimizer = trained(fused, channels_last, channels_last)
    weights = [
        nn.Parameter(torch.zeros(8, 6, 4, 4)),
        nn.Parameter(torch.zeros(8, 6, 4, 4)),
        nn.Parameter(torch.ones(7)),
    ]
    other = torch.optim.Adam(weights)
    other.load_state_dict(optimizer.state_dict())
    for weight, state in zip(weights, optimizer.state.values(), strict=True):
        assert torch.equal(other.state[weight]["exp_avg"], state["exp_avg"])


def test_a_parameter_with_gaps_is_stepped_and_its_neighbours_are_not() -> None:
    """torch's fused kernel takes what lies in the gaps for the parameter's numbers."""
    results = []
    for how in (True, False):
        whole = torch.arange(40.0).view(4, 10) / 40
        parameter = nn.Parameter(whole[:, 1:4])
        optimizer = make_optimizer([([parameter, nn.Parameter(torch.ones(3))], 0.1)], Train(), plain=how)
        for step in range(3):
            parameter.grad = torch.linspace(-1, 1, 12).view(4, 3) * (step + 1)
            optimizer.step()
        results.append(whole)
    assert torch.equal(*results)
    untouched = torch.arange(40.0).view(4, 10) / 40
    for columns in (slice(0, 1), slice(4, None)):
        assert torch.equal(results[1][:, columns], untouched[:, columns])
    assert not torch.equal(results[1][:, 1:4], untouched[:, 1:4])


@pytest.mark.parametrize(
    ("tensor", "dense"),
    [
        (torch.zeros(3, 4), True),
        (torch.zeros(3, 4).T, True),
        (torch.zeros(2, 3, 4, 4).contiguous(memory_format=torch.channels_last), True),
        (lay_out(torch.zeros(2, 3, 4, 4)), True),
        (torch.zeros(()), True),
        (torch.zeros(3, 0), True),
        (torch.zeros(3, 1)[:, :1], True),
        (torch.zeros(3, 4)[:, 1:], False),
        (torch.zeros(8)[::2], False),
        (torch.zeros(1).expand(3), False),
    ],
)
def test_what_is_dense(tensor: Tensor, dense: bool) -> None:
    assert is_dense(tensor) is dense


class NothingRead(TorchDispatchMode):
    """Numbers of tensors that are read on the host are noticed below Python, too."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert func is not torch.ops.aten._local_scalar_dense.default, "a number was read on the host"
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("settings", [{}, {"momentum": 0.9}, {"momentum": 0.9, "weight_decay": 0.1}])
def test_sgd_with_a_rate_that_moves_is_torchs_and_reads_nothing(settings: dict[str, float]) -> None:
    start, gradients = torch.linspace(-1, 1, 12).view(3, 4), torch.randn(4, 3, 4, generator=torch.manual_seed(0))
    ends = []
    for capturable in (True, False):
        parameter = nn.Parameter(start.clone())
        train = Train(optimizer="sgd", **settings)
        optimizer = make_optimizer([([parameter], 0.1)], train, capturable=capturable, moving=True)
        assert isinstance(optimizer.param_groups[0]["lr"], Tensor) is capturable
        for step, gradient in enumerate(gradients):
            parameter.grad = gradient.clone()
            set_rates(optimizer, torch.tensor(1 - step / 4) if capturable else 1 - step / 4)
            with NothingRead() if capturable else contextlib.nullcontext():
                optimizer.step()
        ends.append(parameter.detach())
    torch.testing.assert_close(*ends)
    assert not torch.equal(ends[0], start)
