"""What holds of every regularizer: its spec, its shapes, whom it moves, what it keeps, that it never waits."""

from __future__ import annotations

import copy
import subprocess
import sys
from typing import Any

import pytest
import torch
from regularized import SPECS, D, batch_for, terms_of
from torch import Tensor, nn

from ganzoo import Term
from ganzoo.config.settings import check

NAMES = list(SPECS)
CASES = [pytest.param(name, at, id=f"{name}-{at}") for name in NAMES for at in range(len(terms_of(name)))]
WITH_MEMORY = {"lecam", "path-length"}


def case(name: str, at: int) -> Term:
    settings = {"phases": "both"} if name == "orthogonal" else {}
    return terms_of(name, **settings)[at]


def test_the_regularizers_of_the_literature_are_registered() -> None:
    assert NAMES == [
        "gp", "gp-lp", "r1", "r2", "dragan", "cr", "bcr", "zcr", "lecam", "feature-matching", "top-k", "path-length",
        "orthogonal",
    ]  # fmt: skip


def test_their_package_does_not_import_torch() -> None:
    code = "import sys, ganzoo_regularizers as p; p.register_regularizers(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", NAMES)
def test_specs_are_complete_and_agree_with_their_terms(name: str) -> None:
    spec = SPECS[name]
    assert spec.summary
    assert "arXiv" in spec.paper
    for setting in spec.settings:
        assert setting.doc.endswith(".")
        assert check(setting, setting.default, setting.name) == setting.default
        assert setting.name not in ("weight", "every")  # the engine's
    terms = terms_of(name)
    assert any(term.per_sample_gradients for term in terms) == spec.per_sample_gradients
    assert len({term.name for term in terms}) == len(terms)
    assert {term.progress for term in terms} == {name == "top-k"}


def test_weights_and_intervals_are_the_papers() -> None:
    assert {name: spec.weight for name, spec in SPECS.items()} == {
        "gp": 10, "gp-lp": 10, "r1": 10, "r2": 10, "dragan": 10, "cr": 10, "bcr": 10, "zcr": 5, "lecam": 0.3,
        "feature-matching": 1, "top-k": 1, "path-length": 2, "orthogonal": 1e-4,
    }  # fmt: skip
    assert {name for name, spec in SPECS.items() if spec.every != 1} == {"path-length"}
    assert [term.weight for term in terms_of("zcr")] == [1, 0.1]  # 5 and 0.5
    assert [term.weight for term in terms_of("bcr", fake_weight=0.5)] == [1, 0.5]


@pytest.mark.parametrize(("name", "at"), CASES)
@pytest.mark.parametrize("scale", [1.0, 1e5], ids=["usual", "huge"])
def test_losses_are_float32_and_finite_and_so_are_their_gradients(name: str, at: int, scale: float) -> None:
    term = case(name, at)
    batch = batch_for(term.phase, scale=scale)
    loss = term.loss(batch)
    assert loss.dtype == torch.float32
    assert tuple(loss.shape) == {"feature-matching": (), "orthogonal": (), "path-length": (3,)}.get(name, (6,))
    assert loss.isfinite().all()
    loss.mean().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in batch.network.parameters())


@pytest.mark.parametrize(("name", "at"), CASES)
def test_losses_move_the_player_whose_they_are(name: str, at: int) -> None:
    term = case(name, at)
    batch = batch_for(term.phase, scale=20)  # the gradients of a small one cost nothing under gp-lp
    term.loss(batch).mean().backward()
    moved = [p for p in batch.network.parameters() if p.grad is not None and p.grad.ne(0).any()]
    assert moved
    if term.phase == "D":
        assert all(p.grad is None for p in batch._generator.parameters())  # type: ignore[union-attr]


@pytest.mark.parametrize(("name", "at"), CASES)
def test_losses_never_wait_for_the_device(name: str, at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    term = case(name, at)
    batch = batch_for(term.phase)

    def sync(self: Tensor, *arguments: Any, **options: Any) -> Any:
        raise AssertionError("the loss reads a tensor on the host")

    with monkeypatch.context() as patch:
        for method in ("item", "tolist", "numpy", "cpu", "__bool__", "__float__", "__int__", "__index__", "nonzero"):
            patch.setattr(Tensor, method, sync)
        term.loss(batch).mean().backward()


@pytest.mark.parametrize(("name", "at"), CASES)
def test_all_that_is_kept_between_steps_is_in_buffers(name: str, at: int) -> None:
    """Saved after two steps, a term made anew and one that was copied take the third as the first one does."""
    first, again = case(name, at), case(name, at)
    for seed in (1, 2):
        first.loss(batch_for(first.phase, seed=seed))
    copied = copy.deepcopy(first)
    assert isinstance(first.loss, nn.Module) == (name in WITH_MEMORY)
    if isinstance(first.loss, nn.Module):
        assert isinstance(again.loss, nn.Module)
        state = {key: value.clone() for key, value in first.loss.state_dict().items()}
        assert all(value.ne(0).all() for value in state.values())
        addresses = [buffer.data_ptr() for buffer in first.loss.buffers()]
        again.loss.load_state_dict(state)
    losses = [term.loss(batch_for(term.phase, seed=3)) for term in (first, copied, again)]
    assert losses[0].equal(losses[1])
    assert losses[0].equal(losses[2])
    if isinstance(first.loss, nn.Module):
        assert [buffer.data_ptr() for buffer in first.loss.buffers()] == addresses  # written in place
        assert all(buffer.grad_fn is None for buffer in first.loss.buffers())


@pytest.mark.parametrize("name", [name for name in NAMES if SPECS[name].per_sample_gradients])
def test_penalties_are_float32_under_autocast(name: str) -> None:
    (term,) = terms_of(name)
    seen: list[torch.dtype] = []

    class Watched(D):
        def forward(self, x: Tensor, labels: Tensor | None) -> dict[str, Tensor]:
            made = super().forward(x, labels)
            seen.extend(output.dtype for output in made.values())
            return made

    losses = []
    network = Watched()
    for enabled in (False, True):
        batch = batch_for("D", discriminator=network)
        batch.made  # noqa: B018  # G's images, outside
        torch.manual_seed(4)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            losses.append(term.loss(batch))
    assert set(seen) == {torch.float32}
    assert losses[0].equal(losses[1])
