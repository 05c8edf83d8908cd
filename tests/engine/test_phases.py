"""Phases that a variant brings, and what is asked of them before a run."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from combined import REGISTRY, assert_equal, everything, step_of
from pretended import Pretended, advance
from torch import Tensor, nn

from ganzoo import Phase, SettingError, UserError
from ganzoo.config.layers import build_config
from ganzoo.config.run_config import RunConfig
from ganzoo.engine.device import Precision
from ganzoo.engine.game import Extras, Game
from ganzoo.engine.phases import due_at, make_phases
from ganzoo.engine.state import state_limit
from ganzoo.engine.statistics import Statistics
from ganzoo.engine.step import Step
from ganzoo.errors import FitError, GameError
from ganzoo.gan import GAN, Batch, Part, Term
from ganzoo.objectives import Losses
from ganzoo.runs.directory import RunDirectory
from ganzoo.runs.terms import check_parts

CPU = torch.device("cpu")
LOSSES = Losses(d_loss=lambda real, fake: fake - real, g_loss=lambda fake, real: -fake)


class G(nn.Linear):
    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        return super().forward(z).tanh().view(-1, 1, 2, 2)


class D(nn.Linear):
    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        return super().forward(x.flatten(1)).flatten()


class Keeper(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, images: Tensor) -> Tensor:
        self.seen += 1
        return images + self.seen / 100

    def loss(self, batch: Batch) -> Tensor:
        self.seen += 2
        return batch.of_real["logits"] * self.seen


def game(losses: Losses = LOSSES, extras: Extras | None = None, **gan: Any) -> Game:
    pair = GAN(generator=G(3, 4), discriminator=D(4, 1), z_dim=3, **gan)
    return Game(gan=pair, losses=losses, extras=extras or Extras())


def phases(of: Game) -> list[Any]:
    config = build_config(REGISTRY, variant="gan", sets=["train.d_steps=1"]).train
    return make_phases(of, config, Precision(name="fp32", device_type="cpu"), Statistics(CPU))


def of_g(batch: Batch) -> Tensor:
    return -batch.of_fake["logits"]


def of_q(batch: Batch) -> Tensor:
    return batch.parts["q"](batch.fake.flatten(1)).flatten()


def own(**fields: Any) -> dict[str, Any]:
    return {"parts": {"q": Part(module=nn.Linear(4, 1), phase="own")}, **fields}


@pytest.mark.parametrize(
    ("made", "cause"),
    [
        ([Phase(name="G", moves=("generator",), loss=of_g)] * 2, "two phases are called 'G'"),
        (
            [Phase(name="G", moves=("generator",), loss=of_g), Phase(name="H", moves=("generator",), loss=of_g)],
            "the phases G and H both move the generator",
        ),
    ],
)
def test_phases_that_cannot_be(made: list[Phase], cause: str) -> None:
    with pytest.raises(UserError, match=cause):
        phases(game(phases=lambda losses: made))


def test_a_part_of_its_own_without_a_term() -> None:
    with pytest.raises(UserError, match="no term of it to be moved by"):
        phases(game(**own()))


def test_a_part_of_its_own_is_due_with_its_terms() -> None:
    made = phases(game(**own(terms=[Term(name="q", phase="q", loss=of_q, every=3)])))
    due = [[phase.name for phase, _ in due_at(made, step)] for step in (1, 2, 3, 6)]
    assert due == [["D", "G"], ["D", "G"], ["D", "q", "G"], ["D", "q", "G"]]


@pytest.mark.parametrize("name", ["generator", "discriminator", "D", "part one", 3])
def test_names_of_parts(name: Any) -> None:
    with pytest.raises(UserError, match="a part is called"):
        check_parts(REGISTRY, REGISTRY.variant("gan"), {name: Part(module=nn.Linear(4, 1), phase="D")})


def test_memories_of_one_name_are_all_kept() -> None:
    term, augmentation, objective = Keeper(), Keeper(), Keeper()
    of = game(
        dataclasses.replace(LOSSES, memory=objective),
        Extras(
            terms=[
                Term(name="noisy", phase="D", loss=term.loss),
                Term(name="objective", phase="D", loss=Keeper().loss),
            ],
            augmentations={"noisy": augmentation},
        ),
    )
    assert list(of.memories()) == ["objective", "noisy", "term objective", "augmentation noisy"]
    assert of.memories()["augmentation noisy"] is augmentation


def test_a_state_may_be_as_large_as_its_memories() -> None:
    large = nn.Module()
    large.register_buffer("queue", torch.zeros(20_000_000))
    of = game(dataclasses.replace(LOSSES, memory=large))
    assert state_limit(of.gan, of.kept().values()) > 2 * 80_000_000


def test_a_part_called_as_a_number_of_graphs_leaves_it_alone() -> None:
    def averaged(name: str, backend: Pretended | None) -> dict[str, Tensor]:
        torch.manual_seed(3)
        part = Part(module=nn.Linear(256, 1), phase="own")
        term = Term(name="q", phase=name, loss=lambda batch: batch.parts[name](batch.fake.flatten(1)).flatten())
        step = step_of(
            backend=backend,
            terms=[term],
            fields={"parts": {name: part}},
            sets=["train.schedule=linear", "train.batch_size=4"],
        )
        advance(step, 12)
        return {key: value for key, value in everything(step).items() if key.startswith("ema.")}

    ours, theirs = averaged("decay", Pretended()), averaged("decay", None)
    for key, value in theirs.items():
        torch.testing.assert_close(ours[key], value, rtol=1e-5, atol=1e-6)


class Counted(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        return images


@pytest.mark.parametrize(
    ("variant", "options"),
    [("dcgan", {"regularize": "r1"}), ("wgan-gp", {}), ("bigan", {}), ("dcgan", {"objective": "relativistic-average"})],
)
@pytest.mark.parametrize("everywhere", [True, False])
def test_augmentations_of_terms_alone(variant: str, options: dict[str, Any], everywhere: bool) -> None:
    counted = Counted()
    step = step_of(
        variant=variant, extras={"augmentations": {"counted": counted}, "adversarial": everywhere}, **options
    )
    counted.calls = 0
    advance(step, 2)
    assert (counted.calls > 0) is everywhere


def test_augmentations_for_nobody_are_refused() -> None:
    sets = ["train.augment_in=terms"]
    with pytest.raises(SettingError, match="there is none"):
        build_config(REGISTRY, variant="dcgan", augment="diffaug", sets=sets)
    build_config(REGISTRY, variant="dcgan", augment="diffaug", regularize="cr", sets=sets)


@pytest.mark.parametrize("regularize", ["cr", "bcr", "zcr"])
def test_consistency_of_a_d_that_judges_pairs_is_refused(regularize: str) -> None:
    with pytest.raises(FitError, match="shows D images alone"):
        build_config(REGISTRY, variant="bigan", regularize=regularize, augment="flip")


def test_bigan_under_least_squares_is_refused() -> None:
    with pytest.raises(UserError, match="opposite logits"):
        step_of(variant="bigan", objective="least-squares")


@pytest.mark.parametrize("objective", ["relativistic-average", "relativistic-pairing"])
def test_ada_where_0_is_no_border_is_refused(objective: str) -> None:
    with pytest.raises(UserError, match="adapts to the sign"):
        step_of(objective=objective, augment="ada")


@pytest.mark.parametrize("sets", [["regularizer.top-k.every=2"], ["regularizer.top-k.weight=2"]])
def test_top_k_that_would_climb_is_refused(sets: list[str]) -> None:
    with pytest.raises(UserError, match="would make the images that it leaves out worse"):
        step_of(regularize="top-k", sets=sets)


def test_statistics_of_ones_own_write_into_no_column() -> None:
    def loss(moment: Batch) -> Tensor:
        moment.tell("images", moment.z)
        return moment.of_real["logits"]

    step = step_of(terms=[Term(name="mine", phase="D", loss=loss)])
    with pytest.raises(GameError, match="a column of stats"):
        advance(step, 1)


def config_of(*sets: str) -> RunConfig:
    return build_config(REGISTRY, variant="gan", sets=sets)


def test_a_warm_up_goes_by_images() -> None:
    assert not config_of("train.warmup_kimg=1").fixed_length
    assert not config_of("train.schedule=linear", "train.g_schedule=constant", "train.d_schedule=constant").fixed_length
    assert config_of("train.d_schedule=cosine").fixed_length
    config_of("train.warmup_kimg=1", "train.minutes=1", "train.kimg=none")


def test_the_averages_half_life_goes_by_the_updates_of_g() -> None:
    def of_d(batch: Batch) -> Tensor:
        return batch.of_fake["logits"] - batch.of_real["logits"]

    def made(losses: Losses) -> list[Phase]:
        d = Phase(name="D", moves=("discriminator",), loss=of_d)
        return [d, Phase(name="G", moves=("generator",), loss=of_g, every=3)]

    sets = ["train.ema_rampup=1"]  # 4 images seen
    assert step_of(sets=sets)._next().decay == 0.5
    assert step_of(sets=sets, fields={"phases": made})._next().decay == 0.5**3


def test_a_memory_of_a_name_that_is_taken_goes_on(tmp_path: Path) -> None:
    def made() -> Step:
        term = Term(name="noisy", phase="D", loss=Keeper().loss)
        return step_of(terms=[term], extras={"augmentations": {"noisy": Keeper()}})

    whole = made()
    advance(whole, 6)
    half = made()
    advance(half, 3)
    half.state.save(RunDirectory(tmp_path))
    again = made()
    torch.manual_seed(999)
    assert again.state.load(RunDirectory(tmp_path))
    advance(again, 6)
    assert_equal(everything(again), everything(whole))
