"""Who is moved by what: of each phase and each term, which parameters get gradients."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from unittest import mock

import torch
from torch import Tensor

from ganzoo.doctor.contract.case import CPU, Case
from ganzoo.doctor.contract.differentiation import Differentiation
from ganzoo.doctor.contract.findings import Finding, Findings, failed, guarded, ok, skipped, told, warning
from ganzoo.engine.cpu.operations import Operations
from ganzoo.engine.device import Precision
from ganzoo.engine.game import Game
from ganzoo.engine.moment import Networks, Shared
from ganzoo.engine.phases import Phase, differentiate, make_phases, set_gradients
from ganzoo.engine.statistics import Statistics
from ganzoo.errors import UserError

SHOWN = 3
"""Parameters that are named in a line."""


def check_gradients(case: Case) -> Iterator[Finding]:
    yield from guarded("gradients", lambda: _gradients(case))
    yield from guarded("terms", lambda: _terms(case))
    yield from check_device(case)


@dataclass(frozen=True, kw_only=True)
class _Played:
    """A game about to be differentiated, with weights away from their start, at which whole layers may be zero."""

    game: Game
    phases: Sequence[Phase]
    shared: Shared
    names: dict[int, str]  # of all parameters, by id


def _play(case: Case, device: torch.device = CPU) -> _Played:
    game = case.game()
    random = torch.Generator().manual_seed(0)
    networks, names = game.networks(), dict[int, str]()
    for module in (*networks.values(), *game.memories().values()):
        module.to(device).train().requires_grad_(False)
    for network, module in networks.items():
        for name, parameter in module.named_parameters():
            names.setdefault(id(parameter), f"{network}.{name}")
            if device == CPU:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=random).to(parameter))
    precision, operations = Precision(name="fp32", device_type="cpu"), Operations(plain=True)
    phases = make_phases(game, case.config.train, precision, Statistics(device), operations=operations, plain=True)
    called = Networks(game, precision, operations, "two")
    torch.manual_seed(2)
    real, labels = (None if one is None else one.to(device) for one in case.real())
    assert real is not None
    z = game.gan.prior(torch.randn(len(real), game.gan.z_dim, device=device))
    set_gradients(game.gan.generator.parameters(), on=True)
    made = called.generate(z, labels)
    return _Played(game=game, phases=phases, shared=Shared(z=z, real=real, made=made, labels=labels), names=names)


def _gradients(case: Case) -> Findings:
    """Every parameter by a phase that moves it, and none by another."""
    played = _play(case)
    parameters = [one for module in played.game.networks().values() for one in module.parameters()]
    seen: dict[int, bool] = {}  # of those with a gradient, whether any number of it is not 0
    for phase in played.phases:
        set_gradients(phase.parameters, on=True)
        own = {id(parameter) for parameter in phase.parameters}
        differentiate(phase, phase.see(played.shared), phase.terms)
        strange = [one for one in parameters if one.grad is not None and id(one) not in own]
        if strange:
            yield failed(
                "gradients",
                f"phase {phase.name} gives a gradient to {_listed(played, strange)}, which it does not move",
                "do not switch requires_grad on, and share no layers: the engine says what is trained",
            )
            return
        for parameter in phase.parameters:
            if parameter.grad is not None:
                seen[id(parameter)] = seen.get(id(parameter), False) or bool(parameter.grad.ne(0).any())
        for parameter in parameters:
            parameter.grad = None
        set_gradients(phase.parameters, on=False)
    without = [one for one in parameters if id(one) not in seen]
    if without:
        yield failed(
            "gradients",
            f"no loss reaches {_listed(played, without)}: never trained",
            "use it in forward, add the term or the phase that trains it, or make it a buffer",
        )
        return
    frozen = [name for name, one in _requires_grad(case).items() if not one]
    if frozen:
        yield warning(
            "gradients",
            f"{', '.join(frozen[:SHOWN])} asks for no gradients, and is trained all the same",
            "make it a buffer: the engine switches the gradients of parameters on and off",
        )
        return
    # But for biases: differences of logits do not see D's last one, nor batch norm the one before it.
    zero = [one for one in parameters if not seen[id(one)] and not played.names[id(one)].endswith("bias")]
    if zero:
        yield warning(
            "gradients",
            f"the gradient is 0 throughout at {_listed(played, zero)}",
            "look for detach(), a ReLU that is never open, or a layer multiplied by 0",
        )
        return
    moved = [f"{phase.name} moves {len(phase.parameters)} tensors" for phase in played.phases]
    yield ok("gradients", ", ".join(moved))


def _requires_grad(case: Case) -> dict[str, bool]:
    """Of each parameter, as it is built."""
    return {
        f"{network}.{name}": parameter.requires_grad
        for network, module in case.game().networks().items()
        for name, parameter in module.named_parameters()
    }


def _listed(played: _Played, parameters: Sequence[Tensor]) -> str:
    names = [played.names[id(parameter)] for parameter in parameters]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _terms(case: Case) -> Findings:
    """Each alone: its name, its loss, whom it moves."""
    if not case.game().terms:
        return
    checked = []
    for name in [term.name for term in case.game().terms]:
        played = _play(case)
        phase, term = next((p, t) for p in played.phases for t in p.terms if t.name == name)
        set_gradients(phase.parameters, on=True)
        moment = phase.see(played.shared)
        moment.adversarial = phase.loss(moment, ())
        differentiation = Differentiation(case.shape)
        moment.judge = differentiation.shown(moment.judge)  # type: ignore[method-assign]
        moment.critic = differentiation.shown(moment.critic)  # type: ignore[method-assign]
        with differentiation.watching():
            loss = term.loss(moment)
        if not isinstance(loss, Tensor) or loss.ndim > 1 or not loss.is_floating_point():
            found = f"{loss.dtype} {list(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
            yield failed("terms", f"the term '{name}' returns {found}, expected float32 [N] or []", "mend its loss")
            return
        if not bool(loss.isfinite().all()):
            yield failed("terms", f"the term '{name}' is not finite", "guard roots, logarithms and divisions")
            return
        if not loss.requires_grad:
            yield failed(
                "terms",
                f"the term '{name}' moves nothing in phase {phase.name}",
                "name the phase whose network it differentiates, and do not detach it",
            )
            return
        gradients = torch.autograd.grad(loss.mean(), phase.parameters, allow_unused=True)
        if all(gradient is None for gradient in gradients):
            yield failed(
                "terms",
                f"the term '{name}' reaches no parameter of phase {phase.name}",
                "name the phase whose network it differentiates",
            )
            return
        if differentiation.by_images and not term.per_sample_gradients:
            yield failed(
                "terms",
                f"the term '{name}' differentiates D by its images, and does not say so",
                "say per_sample_gradients=True in the Term, and in a regularizer's spec: D must not mix samples then",
            )
            return
        checked.append(f"{name} {_shape(loss)} in {phase.name}")
    yield ok("terms", ", ".join(checked))


def check_device(case: Case) -> Iterator[Finding]:
    yield from guarded("device", lambda: _device(case))


def _device(case: Case) -> Findings:
    """Everything on torch's device without numbers: what is made on the CPU whatever the device is does not go with it,
    as on CUDA.
    """
    try:
        with mock.patch.object(torch, "autocast", return_value=contextlib.nullcontext()):  # which knows no meta
            played = _play(case, torch.device("meta"))
            for phase in played.phases:
                set_gradients(phase.parameters, on=True)
                differentiate(phase, phase.see(played.shared), phase.terms)
                set_gradients(phase.parameters, on=False)
    except Exception as error:
        if "device" not in str(error) or "meta" not in str(error) or "item()" in str(error):
            why = "another fault comes first" if isinstance(error, UserError) else type(error).__name__
            yield skipped("device", f"cannot be tried without numbers: {why}")
            return
        yield failed(
            "device",
            f"a tensor stays on the CPU wherever the networks are: {told(error)}",
            "make tensors where the input is, as torch.zeros(..., device=x.device), and constants buffers",
        )
        return
    yield ok("device", "nothing is tied to one")


def _shape(loss: Tensor) -> str:
    return "[]" if loss.ndim == 0 else f"[{len(loss)}]"
