"""Terms, parts, memories, augmentations and moving learning rates in the engine: resumed, replayed, without waiting."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import torch
from combined import COMBINATIONS, CPU, FP32, REGISTRY, assert_equal, everything, no_waiting, step_of
from pretended import Pretended, advance
from torch import Tensor, nn

from ganzoo.config.run_config import Train
from ganzoo.data import make_images, make_sampler
from ganzoo.engine.game import Extras, Game
from ganzoo.engine.phases import make_phases
from ganzoo.engine.rates import rate_of
from ganzoo.engine.replays import WARM_UP
from ganzoo.engine.statistics import Statistics
from ganzoo.engine.step import Step
from ganzoo.errors import RunError
from ganzoo.gan import GAN, Batch, Part, Term
from ganzoo.objectives import Losses
from ganzoo.runs.directory import RunDirectory


@pytest.mark.parametrize("name", COMBINATIONS)
def test_a_run_that_is_taken_up_again_ends_as_one_that_was_not(name: str, tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    whole = step_of(**COMBINATIONS[name])
    advance(whole, 9)
    half = step_of(**COMBINATIONS[name])
    advance(half, 5)
    half.state.save(run)
    again = step_of(**COMBINATIONS[name])
    assert again.state.load(run)
    advance(again, 9)
    assert_equal(everything(again), everything(whole))


def without_dropout(combination: dict[str, Any]) -> dict[str, Any]:
    """Its mask is NumPy's on a CPU, where nothing is waited for."""
    settings = {setting.name for setting in REGISTRY.variant(combination.get("variant", "dcgan")).settings}
    more = ["variant.dropout=0"] if "dropout" in settings else []
    return combination | {"sets": [*combination.get("sets", []), *more]}


@pytest.mark.parametrize("name", COMBINATIONS)
def test_a_step_waits_for_nothing_and_moves_everything(name: str) -> None:
    step = step_of(**without_dropout(COMBINATIONS[name]))
    before = everything(step)
    with no_waiting():
        for _ in range(4):
            step()
    after = everything(step)
    still = [n for n, value in after.items() if value.is_floating_point() and torch.equal(value, before[n])]
    weights = {f"{kind}.{n}" for kind, one in (("g", step.state.gan.generator), ("d", step.state.gan.discriminator))
               for n, _ in one.named_parameters()}  # fmt: skip
    assert not weights & set(still)
    assert all(torch.isfinite(value).all() for value in after.values() if value.is_floating_point())


@pytest.mark.parametrize("name", COMBINATIONS)
def test_replays_train_as_eager_iterations_do(name: str) -> None:
    backend = Pretended()
    step, eager = step_of(backend=backend, **COMBINATIONS[name]), step_of(**COMBINATIONS[name])
    for stretch in (6, 22):
        torch.manual_seed(stretch)
        ours = advance(step, stretch)
        torch.manual_seed(stretch)
        theirs = advance(eager, stretch)
        assert ours == pytest.approx(theirs, rel=1e-5, abs=1e-6)
    assert step.execution == "graphs", step.execution
    assert "replay" in backend.events
    ours, theirs = everything(step), everything(eager)
    for key, value in ours.items():  # rates and the decay of the average are float32 in a graph
        torch.testing.assert_close(value, theirs[key], rtol=1e-4, atol=1e-5)


def test_a_term_every_fourth_update_has_a_graph_of_its_own() -> None:
    backend = Pretended()
    step = step_of(variant="gan", regularize="r1", sets=["regularizer.r1.every=4"], backend=backend)
    assert step.longest == 4
    advance(step, 40)
    assert backend.events.count("eager") <= 4 * WARM_UP + 4
    assert step.statistics.counted["r1"] == 0


class Tiny(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.layer = nn.Linear(inputs, outputs)

    def forward(self, x: Tensor, *others: Any) -> Tensor:
        return self.layer(x.flatten(1))


class G(Tiny):
    def forward(self, z: Tensor, labels: Tensor | None) -> dict[str, Tensor]:  # type: ignore[override]
        return {"images": torch.tanh(super().forward(z)).view(-1, 1, 2, 2), "w": 2 * z}


class D(Tiny):
    def forward(self, x: Tensor, labels: Tensor | None) -> Tensor:  # type: ignore[override]
        return super().forward(x)[:, 0]


LOSSES = Losses(d_loss=lambda real, fake: fake - real, g_loss=lambda fake, real: -fake)


def tiny(*terms: Term, parts: dict[str, Part] | None = None, losses: Losses = LOSSES, **train: Any) -> Step:
    torch.manual_seed(0)
    images = make_images(torch.randint(0, 256, (20, 1, 2, 2), dtype=torch.uint8))
    return Step(
        gan=GAN(generator=G(3, 4), discriminator=D(4, 1), z_dim=3, parts=parts or {}, terms=terms),
        losses=losses,
        sampler=make_sampler(images, batch_size=5, device=CPU, seed=0),
        config=Train(batch_size=5, **train),
        num_classes=0,
        device=CPU,
        precision=FP32,
        plain=True,
    )


def calls_everything(batch: Batch) -> Tensor:
    z = batch.z.clone().requires_grad_()
    made = batch.generate(z)
    images = batch.real.clone().requires_grad_()
    encoded = batch.parts["encoder"](images)
    said = (
        batch.judge(made["images"])["logits"] + batch.critic(images) + batch.of_fake["logits"] + batch.of_real["logits"]
    )
    # A gradient that is differentiated again: by then nothing else may have its own gradients on.
    (by_z,) = torch.autograd.grad(made["images"].sum(), z, create_graph=True)
    ahead = {name: weight - 0.1 * weight.square() for name, weight in batch.weights.items()}
    said = said + by_z.square().sum(1) + batch.judge(made["images"], weights=ahead)["logits"]
    return said + encoded.sum(1) + made["w"].sum(1) + batch.fake.flatten(1).sum(1) + batch.progress


@pytest.mark.parametrize("phase", ["D", "G", "encoder"])
def test_only_what_a_phase_moves_gets_gradients_whatever_a_term_calls(phase: str) -> None:
    encoder = Tiny(4, 3)
    kind = "own" if phase == "encoder" else "G"
    term = Term(name="all", phase=phase, loss=calls_everything, progress=True)
    step = tiny(term, parts={"encoder": Part(module=encoder, phase=kind, lr=0.01)}, kimg=1.0)
    modules = {"D": step.state.gan.discriminator, "G": step.state.gan.generator, "encoder": encoder}
    found: dict[str, set[str]] = {}
    for one in step.state.phases:
        original = one.optimizer.step

        def watch(*arguments: Any, name: str = one.name, original: Any = original) -> Any:
            found[name] = {key for key, m in modules.items() if any(p.grad is not None for p in m.parameters())}
            return original(*arguments)

        one.optimizer.step = watch  # type: ignore[method-assign]
    step()
    assert found["D"] == {"D"}
    assert found["G"] == ({"G", "encoder"} if phase == "G" else {"G"})
    assert found.get("encoder", {"encoder"}) == {"encoder"}
    assert all(p.grad is None and not p.requires_grad for m in modules.values() for p in m.parameters())


def test_d_judges_with_the_weights_that_it_is_given() -> None:
    seen: list[tuple[Tensor, Tensor, Tensor]] = []

    def loss(batch: Batch) -> Tensor:
        weights = batch.weights
        same = batch.judge(batch.fake, weights=weights)["logits"]
        doubled = batch.judge(batch.fake, weights={name: 2 * weight for name, weight in weights.items()})["logits"]
        gradients = torch.autograd.grad(same.sum(), list(weights.values()), create_graph=True)
        assert gradients[0].requires_grad  # of the layer's weight: it is G's phase: they go on to the images
        seen.append((batch.of_fake["logits"].detach(), same.detach(), doubled.detach()))
        return doubled

    step = tiny(Term(name="ahead", phase="G", loss=loss))
    step()
    ((own, same, doubled),) = seen
    torch.testing.assert_close(same, own)
    torch.testing.assert_close(doubled, 2 * own)


def test_each_part_moves_in_its_own_phase_alone_with_terms_of_all_phases() -> None:
    """In steps with and without an update of G."""
    parts = {
        "encoder": Part(module=Tiny(4, 3), phase="own"),
        "head": Part(module=Tiny(4, 3), phase="D"),
        "style": Part(module=Tiny(4, 3), phase="G", lr=0.01),
    }

    def loss(batch: Batch) -> Tensor:
        heads = sum(batch.parts[name](batch.fake).sum(1) for name in ("head", "style"))
        return calls_everything(batch) + heads

    terms = [Term(name=f"of-{phase.lower()}", phase=phase, loss=loss, progress=True) for phase in ("D", "encoder", "G")]
    step = tiny(*terms, parts=parts, kimg=1.0, d_steps=2)
    gan = step.state.gan
    modules = {"D": gan.discriminator, "G": gan.generator, **{name: part.module for name, part in parts.items()}}
    found: list[tuple[str, set[str]]] = []
    for phase in step.state.phases:
        original = phase.optimizer.step

        def watch(*arguments: Any, name: str = phase.name, original: Any = original) -> Any:
            reached = {key for key, m in modules.items() if any(p.grad is not None for p in m.parameters())}
            found.append((name, reached))
            return original(*arguments)

        phase.optimizer.step = watch  # type: ignore[method-assign]
    step()
    assert found == [("D", {"D", "head"}), ("encoder", {"encoder"})]
    step()
    assert found[2:] == [("D", {"D", "head"}), ("encoder", {"encoder"}), ("G", {"G", "style"})]
    assert [group["lr"] for group in step.state.phases[-1].optimizer.param_groups] == [2e-4, 0.01]


def test_a_part_has_its_own_learning_rate() -> None:
    encoder = Tiny(4, 3)
    step = tiny(parts={"encoder": Part(module=encoder, phase="G", lr=0.5)}, g_lr=0.1, d_lr=0.2)
    groups = {phase.name: [group["lr"] for group in phase.optimizer.param_groups] for phase in step.state.phases}
    assert groups == {"D": [0.2], "G": [0.1, 0.5]}


def test_weights_and_intervals_multiply_what_a_term_says() -> None:
    one = Term(name="one", phase="D", loss=lambda batch: batch.real.new_ones(5), weight=3.0, every=2)
    whole = Term(name="whole", phase="D", loss=lambda batch: batch.real.new_ones(()), weight=0.5)
    step = tiny(one, whole)
    phase = step.state.phases[0]
    losses: list[Tensor] = []
    original = phase.loss
    object.__setattr__(phase, "loss", lambda moment, terms: losses.append(original(moment, terms)) or losses[-1])
    for _ in range(2):
        step()
    assert step.statistics.counted == {**step.statistics.counted, "one": 5, "whole": 2}
    values = step.statistics.read()
    assert (values["one"], values["whole"]) == (3.0, 0.5)
    said = values["d_loss"]
    assert float((losses[0].mean() + losses[1].mean()).detach() / 2) == pytest.approx(said + 0.5 + 3.0, rel=1e-4)


@pytest.mark.parametrize(
    ("terms", "losses", "message"),
    [
        ([Term(name="a", phase="E", loss=lambda b: b.real)], LOSSES, "'a' is of a phase 'E', which there is not"),
        ([Term(name="a", phase="D", loss=lambda b: b.z[:, 0])] * 2, LOSSES, "two terms of the loss are called 'a'"),
        ([Term(name="a", phase="D", loss=lambda b: b.z)], LOSSES, r"term 'a' returns \[5, 3\], expected"),
        ([], Losses(d_loss=lambda r, f: f[:, None] - r, g_loss=LOSSES.g_loss), r"d_loss is \[5, 5\] for logits \[5\]"),
        ([Term(name="a", phase="G", loss=lambda b: b.z[:, :1])], LOSSES, r"term 'a' returns \[5, 1\], expected"),
        ([Term(name="a", phase="G", loss=lambda b: (b.z, b.z))], LOSSES, "term 'a' returns tuple, expected"),  # type: ignore[arg-type, return-value]
        ([], Losses(d_loss=lambda r, f: f[:, None], g_loss=LOSSES.g_loss), r"d_loss is \[5, 1\] for logits \[5\]"),
        ([], Losses(d_loss=LOSSES.d_loss, g_loss=lambda f, r: f[:, None]), r"g_loss is \[5, 1\] for logits \[5\]"),
        ([], Losses(d_loss=LOSSES.d_loss, g_loss=LOSSES.g_loss, penalty=lambda c, r, f: c(r)[:, None]),
         r"penalty is \[5, 1\] for logits \[5\]"),
        ([], Losses(d_loss=LOSSES.d_loss, g_loss=lambda f, r: (f, f)), "g_loss is tuple for logits"),
    ],
)  # fmt: skip
def test_what_is_no_loss_is_refused(terms: list[Term], losses: Losses, message: str) -> None:
    with pytest.raises(RunError, match=message) as caught:
        tiny(*terms, losses=losses)()
    assert "\n" not in str(caught.value)


def test_a_phase_that_moves_nothing_known_is_refused() -> None:
    parts = {"e": Part(module=Tiny(4, 3), phase="H")}
    gan = GAN(generator=G(3, 4), discriminator=D(4, 1), z_dim=3, parts=parts)
    with pytest.raises(RunError, match="the part 'e' is moved by a phase 'H'"):
        make_phases(Game(gan=gan, losses=LOSSES, extras=Extras()), Train(), FP32, Statistics(CPU))


def test_rates_rise_fall_and_end_where_they_should() -> None:
    train = Train(kimg=0.1, batch_size=10, schedule="linear", warmup_kimg=0.02, g_schedule="cosine", decay_from=0.5)
    d, g = rate_of(train, "D"), rate_of(train, "G")
    assert d is not None
    assert g is not None
    assert [d(1), d(2), d(6)] == [0.5, 1.0, 1.0]
    assert d(8) == pytest.approx(1 - 20 / 50)
    assert 0 < d(10) < d(9) < 1
    assert g(8) == pytest.approx((1 + torch.cos(torch.tensor(torch.pi * 20 / 50)).item()) / 2)
    assert rate_of(Train(), "G") is None


def test_a_saved_state_is_readable_without_pickles(tmp_path: Path) -> None:
    step = step_of(**COMBINATIONS["everything"])
    advance(step, 3)
    run = RunDirectory(tmp_path)
    step.state.save(run)
    document = torch.load(io.BytesIO(run.state_file.read_bytes()), weights_only=True)
    assert set(document["kept"]) == {"lecam", "ada", "flip"}
