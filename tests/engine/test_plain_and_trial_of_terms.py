"""The plain and the fast engine with terms, augmentations and parts; and that the trial before leaves no trace."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch
from combined import COMBINATIONS, CPU, REGISTRY, assert_equal, step_of
from pretended import advance
from torch import Tensor, nn

from ganzoo.config.layers import build_config
from ganzoo.config.run_config import Train
from ganzoo.engine.game import Extras, Game
from ganzoo.engine.probes.trial import Trial
from ganzoo.gan import GAN, Batch, Part, Term
from ganzoo.runs.snapshots import build_extras, build_gan

EARLY = 1e-4
"""Of a loss's size plus one, over ten steps: as in test_same_results."""

SLOW = ["train.d_lr=1e-4", "train.g_lr=1e-4"]


@pytest.mark.parametrize("name", COMBINATIONS)
def test_losses_of_ten_steps(name: str) -> None:
    combination = COMBINATIONS[name] | {"sets": [*COMBINATIONS[name].get("sets", []), *SLOW]}
    plain, fast = step_of(plain=True, **combination), step_of(plain=False, **combination)
    assert fast.answers.different is None, fast.answers.different
    read = []
    for step in (plain, fast):
        torch.manual_seed(1)
        read.append(advance(step, 10))
    theirs, ours = read
    assert ours.keys() == theirs.keys()
    errors = {key: abs(ours[key] - value) / (1 + abs(value)) for key, value in theirs.items()}
    assert max(errors.values()) <= EARLY, errors


def traces(game: Game) -> dict[str, Tensor]:
    modules = {**game.networks(), **game.kept()}
    found = {f"{name}.{key}": value.clone() for name, one in modules.items() for key, value in one.state_dict().items()}
    return found | {"torch": torch.get_rng_state(), "numpy": torch.from_numpy(np.random.get_state()[1].copy())}  # type: ignore[index, union-attr]


@pytest.mark.parametrize("name", COMBINATIONS)
def test_a_trial_leaves_everything_as_it_was(name: str) -> None:
    options = {"variant": "dcgan", **COMBINATIONS[name]}
    spec = REGISTRY.variant(options["variant"])
    sets = [*options.pop("sets", []), "train.batch_size=4", "train.kimg=1"]
    sets += [f"variant.{setting.name}=4" for setting in spec.settings if setting.name in ("width", "channels")]
    config = build_config(REGISTRY, sets=sets, **options)
    shape = (1, 16, 16) if spec.sizes is None or 16 in spec.sizes else (1, 28, 28)
    game = Game(
        gan=build_gan(REGISTRY, config, shape, 3),
        losses=REGISTRY.objective(config.objective.name).load()(config.objective.settings),
        extras=build_extras(REGISTRY, config, shape),
    )
    for module in game.networks().values():
        module.train().requires_grad_(False)
    with torch.no_grad():
        for memory in game.memories().values():
            for buffer in memory.buffers():
                if buffer.is_floating_point():
                    buffer.fill_(0.25)
    before, pythons = traces(game), random.getstate()
    trial = Trial(
        game=game,
        config=config.train,
        shape=shape,
        num_classes=3 if spec.conditional else 0,
        device=CPU,
        passes="two",
    )
    assert trial.difference() is None
    assert_equal(traces(game), before)
    assert random.getstate() == pythons
    for module in game.networks().values():
        assert all(one.grad is None and not one.requires_grad for one in module.parameters())


class Counting(nn.Module):
    """An augmentation with numbers that are no buffers, and random numbers of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.generator = torch.Generator().manual_seed(3)

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        return images + 0.1 * torch.rand(len(images), 1, 1, 1, generator=self.generator)


class Linear(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.layer = nn.Linear(inputs, outputs)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        said = self.layer(x.flatten(1))
        return said[:, 0] if said.shape[1] == 1 else torch.tanh(said).view(-1, 1, 2, 2)


def test_a_trial_puts_back_what_augmentations_keep_in_attributes() -> None:
    augmentation = Counting()
    gan = GAN(generator=Linear(3, 4), discriminator=Linear(4, 1), z_dim=3)
    game = Game(gan=gan, losses=_losses(), extras=Extras(augmentations={"counting": augmentation}))
    for module in game.networks().values():
        module.requires_grad_(False)
    before = augmentation.generator.get_state()
    assert _trial(game).difference() is None
    assert augmentation.calls == 0
    assert torch.equal(augmentation.generator.get_state(), before)


class Memory(nn.Module):
    """A term that is a method of a module, over a part of the GAN."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(()))

    def of_encoder(self, batch: Batch) -> Tensor:
        found = batch.parts["encoder"](batch.real).flatten(1).square().mean(1)
        with torch.no_grad():
            self.get_buffer("mean").lerp_(found.mean(), 0.5)
        return found


def test_a_trial_asks_terms_of_parts_and_leaves_their_memories() -> None:
    memory = Memory()
    gan = GAN(
        generator=Linear(3, 4),
        discriminator=Linear(4, 1),
        z_dim=3,
        parts={"encoder": Part(module=Linear(4, 4), phase="own")},
        terms=[Term(name="code", phase="encoder", loss=memory.of_encoder)],
    )
    game = Game(gan=gan, losses=_losses())
    for module in game.networks().values():
        module.requires_grad_(False)
    assert set(game.memories()) == {"code"}
    with torch.no_grad():
        memory.get_buffer("mean").fill_(7.0)
    assert _trial(game).difference() is None
    assert float(memory.get_buffer("mean")) == 7.0


def _losses() -> Any:
    return REGISTRY.objective("hinge").load()({})


def _trial(game: Game) -> Trial:
    return Trial(game=game, config=Train(batch_size=4), shape=(1, 2, 2), num_classes=0, device=CPU, passes="two")
