"""What moves the weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from ganzoo.config.run_config import Train
from ganzoo.engine.uncompiled import SGD, Adam, RMSprop

Moved = Sequence[tuple[Sequence[nn.Parameter], float]]
"""Parameters, and their learning rates."""


def make_optimizer(
    moved: Moved, train: Train, *, plain: bool = False, capturable: bool = False, moving: bool = False
) -> torch.optim.Optimizer:
    """Adam and AdamW are fused: one kernel for all parameters, on CPU and GPU alike. `plain`: one parameter after
    another, and so it is where one of them is a view with gaps, such as `nn.Parameter(big[:, 1:4])`: torch's fused
    kernel takes what lies in the gaps for the parameter's numbers, and writes there. `moving`: learning rates change
    from step to step, see `set_rates`; they are tensors where a graph holds the steps.
    """
    groups: list[dict[str, Any]] = []
    for rate in dict.fromkeys(lr for _, lr in moved):  # one group for each rate, in order
        parameters = [parameter for group, lr in moved if lr == rate for parameter in group]
        lr = torch.tensor(rate, device=parameters[0].device) if moving and capturable and parameters else rate
        groups.append({"params": parameters, "lr": lr, "initial_lr": rate})
    everything = [parameter for group in groups for parameter in group["params"]]
    plain = plain or not all(is_dense(parameter) for parameter in everything)
    lr, decay = groups[0]["lr"], train.weight_decay
    if train.optimizer == "rmsprop":
        return RMSprop(
            groups,
            lr=lr,
            alpha=train.beta2,
            eps=train.eps,
            weight_decay=decay,
            momentum=train.momentum,
            foreach=not plain,
            capturable=capturable,
        )
    if train.optimizer == "sgd":
        sgd = SGDByTensor if isinstance(lr, Tensor) else SGD
        return sgd(groups, lr=lr, momentum=train.momentum, weight_decay=decay, foreach=not plain)
    kind = Adam if plain else FusedAdam
    adam = kind(
        groups,
        lr=lr,
        betas=(train.beta1, train.beta2),
        eps=train.eps,
        weight_decay=decay,
        foreach=False if plain else None,
        fused=not plain,
        capturable=capturable,
        decoupled_weight_decay=train.optimizer == "adamw",  # which is all that sets AdamW apart
    )
    if isinstance(adam, FusedAdam) and moving and not capturable:
        adam.rates = [torch.tensor(group["lr"], dtype=torch.float64) for group in groups]
    return adam


def reads_rates(optimizer: torch.optim.Optimizer) -> bool:
    """Whether its learning rates can move although its steps are recorded on the CPU: it reads them from memory."""
    return isinstance(optimizer, FusedAdam) and bool(optimizer.rates) and not optimizer.unusual


class SGDByTensor(SGD):
    """SGD with learning rates in tensors, which are not read on the host: torch's own reads them at each step, and can
    be in no CUDA graph.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        value = None
        if closure is not None:
            with torch.enable_grad():
                value = closure()
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            if not parameters:
                continue
            moves = [parameter.grad for parameter in parameters]
            if group["weight_decay"]:
                moves = list(torch._foreach_add(moves, parameters, alpha=group["weight_decay"]))
            if group["momentum"]:
                moves = [self._averaged(one, move, group) for one, move in zip(parameters, moves, strict=True)]
            torch._foreach_add_(parameters, torch._foreach_mul(moves, -group["lr"]))
        return value

    def _averaged(self, parameter: Tensor, move: Tensor, group: dict[str, Any]) -> Tensor:
        state = self.state[parameter]
        if state.get("momentum_buffer") is None:
            state["momentum_buffer"] = move.clone()
        else:
            state["momentum_buffer"].mul_(group["momentum"]).add_(move)
        return cast(Tensor, state["momentum_buffer"])


def set_rates(optimizer: torch.optim.Optimizer, factor: float | Tensor) -> None:
    """Multiply the learning rates that it was made with. `factor`: a number, or float32 `[]` on the device, from which
    a graph that is replayed reads the value of the moment.
    """
    rates = optimizer.rates if isinstance(optimizer, FusedAdam) else []
    for index, group in enumerate(optimizer.param_groups):
        rate = group["initial_lr"] * factor
        if rates:
            rates[index].fill_(rate)
        if not isinstance(group["lr"], Tensor):
            group["lr"] = rate
        elif isinstance(rate, Tensor):
            group["lr"].copy_(rate)
        else:
            group["lr"].fill_(rate)


MOMENTS = {"exp_avg", "exp_avg_sq"}
UNUSUAL = ("amsgrad", "maximize", "weight_decay", "differentiable", "decoupled_weight_decay")  # torch's options


class FusedAdam(Adam):
    """torch's fused Adam, on CPUs without its copy of every gradient that is not contiguous, and right where layouts
    differ: torch's kernel pairs numbers as they lie in memory, and is wrong for a gradient that was set by hand, or for
    a state that was saved when weights were laid out in another way. Its state is torch's, in the parameters' layout.

    `rates`: float64 `[]`, a learning rate for each group, which is the group's own: on CPUs, where rates move, they are
    read from here, so that a recording of its steps finds those of the moment.
    """

    rates: Sequence[Tensor] = ()

    @property
    def unusual(self) -> bool:
        """Whether its steps are left to torch's."""
        return any(group[name] for group in self.param_groups for name in UNUSUAL)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """As torch's; what is out of the ordinary, such as the first step, which makes the state, is left to it."""
        groups = self.param_groups
        usual = not self.unusual
        moved: list[list[Tensor]] = [[one for one in group["params"] if one.grad is not None] for group in groups]
        parameters = [parameter for of_group in moved for parameter in of_group]
        if closure is not None or not all(is_dense_on_cpu(parameter.grad) for parameter in parameters):
            return super().step(closure)
        with torch.no_grad():
            for parameter in parameters:
                parameter.grad = laid_out_as(parameter, parameter.grad)
            if not usual or not parameters or not all(self.state[parameter] for parameter in parameters):
                return super().step()
            for index, (group, of_group) in enumerate(zip(groups, moved, strict=True)):
                if of_group:
                    self._step(group, of_group, self.rates[index] if self.rates else group["lr"])
        return None

    def _step(self, group: dict[str, Any], parameters: list[Tensor], rate: float | Tensor) -> None:
        """Of parameters of one group, all of which have a gradient of their layout, and a state."""
        states = [self.state[parameter] for parameter in parameters]
        steps = [state["step"] for state in states]
        together = [
            in_memory_order(parameter, parameter.grad, state["exp_avg"], state["exp_avg_sq"])
            for parameter, state in zip(parameters, states, strict=True)
        ]
        weights, gradients, means, squares = (list(tensors) for tensors in zip(*together, strict=True))
        beta1, beta2 = group["betas"]
        torch._foreach_add_(steps, 1)
        torch._fused_adam_(
            weights,
            gradients,
            means,
            squares,
            [],
            steps,
            lr=rate,
            beta1=beta1,
            beta2=beta2,
            weight_decay=0.0,
            eps=group["eps"],
            amsgrad=False,
            maximize=False,
        )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        for parameter, state in self.state.items():
            for name in MOMENTS & state.keys():
                state[name] = laid_out_as(parameter, state[name])


def is_dense_on_cpu(gradient: Tensor | None) -> bool:
    return gradient is not None and gradient.layout == torch.strided and gradient.device.type == "cpu"


def is_dense(tensor: Tensor) -> bool:
    """Whether its numbers fill a stretch of memory, in any order and each once."""
    expected = 1
    for stride, size in sorted((tensor.stride(d), tensor.shape[d]) for d in range(tensor.ndim) if tensor.shape[d] > 1):
        if stride != expected:
            return False
        expected *= size
    return True


def laid_out_as(parameter: Tensor, tensor: Tensor | None) -> Tensor:
    """`tensor`, or a copy of it in the memory layout of `parameter`, which has its shape."""
    assert tensor is not None
    same = tensor.stride() == parameter.stride() or (tensor.is_contiguous() and parameter.is_contiguous())
    return tensor if same else torch.empty_like(parameter).copy_(tensor)


def in_memory_order(*tensors: Tensor | None) -> tuple[Tensor, ...]:
    """Tensors of one shape and layout; views of them that are contiguous, where they are dense."""
    given = tuple(tensor for tensor in tensors if tensor is not None)
    first = given[0]
    if first.is_contiguous():
        return given
    order = sorted(range(first.ndim), key=first.stride, reverse=True)
    return tuple(tensor.permute(order) for tensor in given) if first.permute(order).is_contiguous() else given
