"""The fast paths against the plain, eager one: same data, same random numbers, same training to rounding.

Training is chaotic: a difference in the seventh digit grows, in a lively game, to the second within fifty steps. So
the first ten steps are held to a tight tolerance, which a wrong formula does not pass, and the mean losses of steps
41 to 50 to a loose one. Both are relative to a loss's size plus one; docs/performance.md has what was measured.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import scipy.stats
import torch

from ganzoo.config.layers import build_config
from ganzoo.data import make_images, make_sampler
from ganzoo.engine.cpu import winograd
from ganzoo.engine.device import resolve_precision
from ganzoo.engine.moment import Moment
from ganzoo.engine.step import Step
from ganzoo.runs.job import run_job
from ganzoo.runs.snapshots import build_gan
from ganzoo.zoo.registry import Registry

CPU = torch.device("cpu")
EARLY = {"fp32": 1e-4, "bf16": 0.1}
LATE = {"fp32": 0.02, "bf16": 0.3}
REGISTRY = Registry.load(environ={})


def losses_of(variant: str, *, plain: bool, precision: str, sets: list[str]) -> list[dict[str, float]]:
    """Mean losses of steps 1 to 10 and 41 to 50."""
    config = build_config(REGISTRY, variant=variant, sets=["train.batch_size=16", *sets])
    random = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (200, 1, 16, 16), dtype=torch.uint8, generator=random)
    labels = torch.arange(200) % 10
    images = make_images(pixels.sort(dim=3).values, labels)  # something to learn
    conditional = REGISTRY.variant(variant).conditional
    torch.manual_seed(0)
    step = Step(
        gan=build_gan(REGISTRY, config, images.shape, images.num_classes),
        losses=REGISTRY.objective(config.objective.name).load()(config.objective.settings),
        sampler=make_sampler(images, batch_size=16, device=CPU, seed=0),
        config=config.train,
        num_classes=images.num_classes if conditional else 0,
        device=CPU,
        precision=resolve_precision(precision, CPU),
        plain=plain,
    )
    means: list[dict[str, float]] = []
    for _ in range(5):
        for _ in range(10):
            step()
        means.append(step.statistics.read())
    return [means[0], means[-1]]


CASES = [
    ("gan", []),
    ("cgan", []),
    # Winograd, columns and an inner product. At their own learning rates this game and wgan-gp's are so lively that
    # even the order of additions shows after fifty steps.
    ("dcgan", ["variant.channels=64", "train.d_lr=1e-4", "train.g_lr=1e-4"]),
    ("cdcgan", ["variant.channels=16"]),
    ("wgan-gp", ["variant.channels=64", "train.d_lr=1e-5", "train.g_lr=1e-5"]),
    ("upsample-dcgan", ["variant.channels=16"]),
]


@pytest.mark.parametrize(
    ("variant", "sets"),
    [
        pytest.param(*case, id=case[0], marks=[] if case[0] in ("gan", "dcgan", "wgan-gp") else [pytest.mark.slow])
        for case in CASES
    ],
)
@pytest.mark.parametrize("precision", ["fp32", pytest.param("bf16", marks=pytest.mark.slow)])
def test_losses_after_fifty_steps(variant: str, sets: list[str], precision: str) -> None:
    plain = losses_of(variant, plain=True, precision="fp32", sets=sets)
    fast = losses_of(variant, plain=False, precision=precision, sets=sets)
    for ours, theirs, tolerance in zip(fast, plain, (EARLY[precision], LATE[precision]), strict=True):
        assert ours.keys() == theirs.keys()
        errors = {name: abs(ours[name] - value) / (1 + abs(value)) for name, value in theirs.items()}
        assert max(errors.values()) <= tolerance, (tolerance, errors, theirs)


def test_losses_after_fifty_steps_with_large_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """F(4x4, 2x2), which these small batches would not choose, and `dcgan` does at its own."""
    monkeypatch.setattr(winograd, "tile_size", lambda *shape: 4)
    winograd.Maps.of.cache_clear()
    sets = dict(CASES)["wgan-gp"]
    plain = losses_of("wgan-gp", plain=True, precision="fp32", sets=sets)
    fast = losses_of("wgan-gp", plain=False, precision="fp32", sets=sets)
    winograd.Maps.of.cache_clear()
    for ours, theirs, tolerance in zip(fast, plain, (1e-3, LATE["fp32"]), strict=True):
        errors = {name: abs(ours[name] - value) / (1 + abs(value)) for name, value in theirs.items()}
        assert max(errors.values()) <= tolerance, errors


def test_the_plain_path_sees_the_same_images_and_noise() -> None:
    seen: dict[bool, list[Moment]] = {True: [], False: []}
    for plain in seen:
        config = build_config(REGISTRY, variant="gan", sets=["train.batch_size=8", "train.d_steps=1"])
        images = make_images(torch.randint(0, 256, (20, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator()))
        torch.manual_seed(0)
        step = Step(
            gan=build_gan(REGISTRY, config, images.shape, 0),
            losses=REGISTRY.objective("non-saturating").load()({"real_label": 1.0}),
            sampler=make_sampler(images, batch_size=8, device=CPU, seed=3),
            config=config.train,
            num_classes=0,
            device=CPU,
            precision=resolve_precision("fp32", CPU),
            plain=plain,
        )
        for phase in step.state.phases:
            record(phase, seen[plain])
        step()
    for ours, theirs in zip(seen[False], seen[True], strict=True):
        assert torch.equal(ours.real, theirs.real)
        torch.testing.assert_close(ours.fake, theirs.fake)
    assert len(seen[True]) == 2


def record(phase: Any, into: list[Moment]) -> None:
    loss = phase.loss

    def recorded(batch: Moment, terms: Any) -> torch.Tensor:
        into.append(batch)
        return loss(batch, terms)

    object.__setattr__(phase, "loss", recorded)


@pytest.mark.slow
def test_fid_is_the_same_within_seed_noise(tmp_path: Path) -> None:
    """Three seeds both ways, 4 kimg of digits: by Welch's test nothing is to be told from chance."""
    fids: dict[str, list[float]] = {"plain": [], "fast": []}
    for engine, values in fids.items():
        for seed in range(3):
            sets = ["variant.channels=64", "train.kimg=4", "train.snapshots=1", "eval.metrics=fid", f"engine={engine}"]
            config = build_config(
                REGISTRY,
                variant="dcgan",
                dataset="digits",
                sets=sets,
                overrides={"seed": seed, "eval.num_images": 1000},
            )
            result = run_job(REGISTRY, config, tmp_path / f"{engine}{seed}", root=tmp_path)
            values.append(result["last"]["values"]["fid"])
            untrained = result["untrained"]["values"]["fid"]
    print(fids, untrained)
    assert max(fids["fast"]) < untrained / 2
    assert scipy.stats.ttest_ind(fids["fast"], fids["plain"], equal_var=False).pvalue > 0.01, fids
