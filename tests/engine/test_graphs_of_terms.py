"""Terms, memories and moving rates under pretended graphs: captured is what is due, and trained as eagerly."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from combined import COMBINATIONS, REGULARIZERS, assert_equal, everything, step_of
from pretended import Pretended, advance

from ganzoo.engine.step import Step

WAYS = [(1, 4), (2, 1), (3, 4), (1, 1), (2, 4), (3, 1)]
"""d_steps, and iterations per replay."""

REGULARIZED = [
    (name, every, *WAYS[(2 * index + (every > 1)) % len(WAYS)])
    for index, name in enumerate(REGULARIZERS)
    for every in (1, 4)
    if (name, every) != ("top-k", 4)
]

OTHERS: dict[str, dict[str, Any]] = {
    "schedules": {"variant": "wgan-gp", "objective": "hinge", "sets": ["train.d_schedule=linear",
                                                                       "train.g_schedule=cosine"]},
    "warm-up": {"variant": "wgan-gp", "objective": "hinge", "sets": ["train.warmup_kimg=0.1"]},
    "ada": {"augment": "ada", "sets": ["augmentation.ada.kimg=0.05"]},
    "began": {"variant": "began"},
    "bigan": {"variant": "bigan"},
    "infogan": {"variant": "infogan", "regularize": "r1"},
}  # fmt: skip


def due_names(step: Step, number: int, d_steps: int) -> tuple[str, ...]:
    """Worked out from what the settings say, not by the engine's own arithmetic."""
    names = []
    for phase in step.state.phases:
        interval = d_steps if phase.name == "G" else 1
        if number % interval == 0:
            terms = [term.name for term in phase.terms if (number // interval) % term.every == 0]
            names.append("+".join([phase.name, *terms]))
    return tuple(names)


def trained_both_ways(combination: dict[str, Any], d_steps: int, per_replay: int, steps: int) -> None:
    options = combination | {"sets": [*combination.get("sets", []), f"train.d_steps={d_steps}"]}
    backend = Pretended()
    step = step_of(backend=backend, per_replay=per_replay, **options)
    ours = advance(step, steps)
    random = torch.get_rng_state()
    eager = step_of(**options)
    theirs = advance(eager, steps)
    assert torch.equal(torch.get_rng_state(), random)  # and what comes next is drawn alike
    assert step.execution == "graphs", step.execution

    period = math.lcm(*(phase.period for phase in step.state.phases))
    expected = [due_names(step, number, d_steps) for number in range(1, period + 1)]
    assert step._iterations is not None
    captured = step._iterations._graphs
    assert {pattern for key in captured for pattern in key} == set(expected)
    assert step.longest == (1 if per_replay == 1 else -(-per_replay // period) * period)
    rounds = {key for key in captured if len(key) > 1}
    assert rounds == ({tuple(expected) * (step.longest // period)} if step.longest > 1 else set())
    assert backend.events.count("capture") == len(captured)

    assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-6)
    if any(phase.rate is not None for phase in step.state.phases):  # rates are float32 in a graph
        for name, value in everything(eager).items():
            torch.testing.assert_close(everything(step)[name], value, rtol=1e-4, atol=1e-5)
    else:
        mine, other = (
            {name: value for name, value in everything(one).items() if not name.startswith("ema.")}
            for one in (step, eager)
        )  # whose decay is float32 in a graph
        assert_equal(mine, other)


@pytest.mark.parametrize(("name", "every", "d_steps", "per_replay"), REGULARIZED)
def test_a_regularizer(name: str, every: int, d_steps: int, per_replay: int) -> None:
    combination = COMBINATIONS[name] | {"sets": [f"regularizer.{name}.every={every}"]}
    trained_both_ways(combination, d_steps, per_replay, steps=5 * 4 * d_steps)


@pytest.mark.parametrize(("d_steps", "per_replay"), WAYS[:3])
@pytest.mark.parametrize("name", OTHERS)
def test_what_moves_from_step_to_step(name: str, d_steps: int, per_replay: int) -> None:
    trained_both_ways(OTHERS[name], d_steps, per_replay, steps=24)


def test_top_ks_progress_moves_in_a_graph() -> None:
    """The number that its captured iterations read is written anew before each."""
    backend = Pretended()
    step = step_of(backend=backend, regularize="top-k")
    assert step._iterations is not None
    progress: list[float] = []
    while step.state.step < 50:
        step.advance(50 - step.state.step)
        progress.append(float(step._iterations._buffers[0]._numbers["progress"]))
    assert progress == sorted(progress)
    assert progress[0] == 0.0
    assert progress[-1] > 0.9
    assert step.execution == "graphs"


def test_adas_p_and_begans_k_move_in_replays() -> None:
    for combination, name in ((OTHERS["ada"], "ada.p"), (OTHERS["began"], "objective.k")):
        backend = Pretended()
        step = step_of(backend=backend, **combination)
        advance(step, 16)
        before = float(step.statistics.kept()[name])
        events = len(backend.events)
        advance(step, 32)
        assert set(backend.events[events:]) == {"replay"}
        assert float(step.statistics.kept()[name]) != before
