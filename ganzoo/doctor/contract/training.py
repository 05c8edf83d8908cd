"""Checks of a case in training: as many steps as it takes to see each phase and term, by the engine's own step."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ganzoo.doctor.contract.case import Case
from ganzoo.doctor.contract.findings import FAILED, Finding, Findings, failed, guarded, ok, told, warning
from ganzoo.doctor.contract.waiting import CURE, Waited, not_read
from ganzoo.engine.cuda.pretended import Pretended
from ganzoo.engine.device import Precision
from ganzoo.engine.replays import WARM_UP
from ganzoo.engine.step import Step
from ganzoo.runs.directory import RunDirectory

STOPPED, LONGER = 11, 16
"""Steps before a run is stopped, and of the rest: what is counted in Python, up to 16, begins anew in between."""


def check_training(case: Case) -> Iterator[Finding]:
    """All of them; the rest are not tried where no step can be made."""
    first = list(guarded("training", lambda: _trains(case)))
    yield from first
    if any(finding.status == FAILED for finding in first):
        return
    yield from guarded("no waiting", lambda: _no_waiting(case))
    yield from guarded("graphs", lambda: _graphs(case))
    yield from guarded("resume", lambda: _resume(case))
    yield from guarded("bf16", lambda: _bf16(case))


def _trains(case: Case) -> Findings:
    step = case.step(known=False)
    _advance(step, case.period)
    wrong = _not_finite(step)
    if wrong:
        yield failed("training", f"{wrong} is not finite after {case.period} steps", "look at its losses and rates")
        return
    yield ok("training", f"{case.period} step{'s' if case.period > 1 else ''} of {case.spec.name}, all finite")
    different = step.answers.different
    if different is not None:
        yield warning(
            "fast engine",
            f"not used, which is slower: {different}",
            "nothing is wrong, but code that goes by how tensors lie in memory (strides, as_strided) hinders it",
        )


def _advance(step: Step, to: int) -> None:
    while step.state.step < to:
        step.advance(to - step.state.step)


def _not_finite(step: Step) -> str | None:
    values = step.statistics.read()
    found = [name for name, value in values.items() if not abs(value) < float("inf")]
    networks = {"generator": step.state.gan.generator, "discriminator": step.state.gan.discriminator}
    for network, module in {**networks, **step.state.kept}.items():
        found += [f"{network}.{name}" for name, one in module.named_parameters() if not bool(one.isfinite().all())]
    return found[0] if found else None


def _no_waiting(case: Case) -> Findings:
    step = case.step()
    _advance(step, case.period)  # the first ones make what the others find
    try:
        with not_read():
            _advance(step, 2 * case.period)
    except Waited as error:
        yield failed("no waiting", f"a step reads a tensor on the host: {told(error)}", CURE)
        return
    yield ok("no waiting", "nothing waits for the device")


def _graphs(case: Case) -> Findings:
    # How rates move is the engine's matter, and recorded iterations multiply them in float32.
    train = dataclasses.replace(
        case.config.train, schedule="constant", g_schedule=None, d_schedule=None, warmup_kimg=0.0
    )
    case = dataclasses.replace(case, config=dataclasses.replace(case.config, train=train))
    backend = Pretended()
    step = case.step(graphs=backend)
    backend.state, backend.statistics = step.state, step.statistics
    steps = (WARM_UP + 2) * case.period + 2 * step.longest
    _advance(step, steps)
    if step.execution.startswith("eager"):
        reason = step.execution.removeprefix("eager: ").partition("; in torch's own layout")[0]
        yield warning(
            "graphs",
            f"iterations cannot be recorded, and are slower on CUDA: {reason}",
            "keep what changes between steps in buffers, written in place; draw random numbers from torch; "
            "use Term.every for what is due in some steps alone",
        )
        return
    eager = case.step()
    _advance(eager, steps)
    different = _difference(step, eager, averaged=False)
    if different:
        yield failed(
            "graphs",
            f"recorded iterations train otherwise than eager ones, first at {different}",
            "Python runs once when an iteration is recorded: keep what changes in buffers, written in place",
        )
        return
    yield ok("graphs", f"{backend.events.count('replay')} replays train as eager iterations do")


def _states(step: Step) -> dict[str, dict[str, Any]]:
    gan = step.state.gan
    networks: dict[str, nn.Module] = {"generator": gan.generator, "discriminator": gan.discriminator}
    return {name: one.state_dict() for name, one in {**networks, **step.state.kept}.items()} | {
        "averaged generator": step.state.ema.state_dict()
    }


def _difference(ours: Step, theirs: Step, *, averaged: bool = True) -> str | None:
    expected = _states(theirs)
    for network, state in _states(ours).items():
        if network == "averaged generator" and not averaged:  # its decay is in float32 there
            continue
        for name, value in state.items():
            other = expected[network].get(name)
            if not isinstance(value, Tensor) or not isinstance(other, Tensor):
                continue
            if not torch.equal(value, other) and not (value != value).any():
                return f"'{name}' of the {network}"
    return None


def _resume(case: Case) -> Findings:
    total = STOPPED + LONGER
    whole = case.step()
    _advance(whole, total)
    with tempfile.TemporaryDirectory() as folder:
        run = RunDirectory.open(Path(folder) / "run", case.config)
        stopped = case.step()
        _advance(stopped, STOPPED)
        stopped.state.save(run)
        resumed = case.step(seed=7)
        torch.manual_seed(99)
        resumed.state.load(run)
    _advance(resumed, total)
    different = _difference(resumed, whole)
    if different:
        yield failed(
            "resume",
            f"a run that is stopped and continued has other weights than one that is not, first {different}",
            "keep what changes between steps in buffers of a module, written in place; draw random numbers from torch",
        )
        return
    yield ok("resume", f"stopped after {STOPPED} of {total} steps: the same weights, bit for bit")


def _bf16(case: Case) -> Findings:
    step = case.step(precision=Precision(name="bf16", device_type="cpu"))
    _advance(step, case.period)
    wrong = _not_finite(step)
    if wrong:
        yield failed("bf16", f"{wrong} is not finite in bfloat16", "compute what overflows in float32: x.float()")
        return
    yield ok("bf16", "finite")
