"""Runs with terms, memories and augmentations, interrupted and taken up again: the same weights bit for bit."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from combined import COMBINATIONS, REGULARIZERS, assert_equal, everything, step_of
from pretended import advance

from ganzoo.config.layers import build_config
from ganzoo.engine.stopping import Stop, Stopped
from ganzoo.errors import UserError
from ganzoo.runs.directory import RunDirectory
from ganzoo.runs.job import run_job
from ganzoo.zoo.registry import Registry

OPTIMIZERS = {
    "adam": ["train.weight_decay=0.1"],
    "adamw": ["train.weight_decay=0.1"],
    "rmsprop": ["train.momentum=0.5"],
    "sgd": ["train.momentum=0.9"],
}
SCHEDULES = {
    "linear": ["train.schedule=linear", "train.warmup_kimg=0.03"],
    "cosine": ["train.schedule=cosine", "train.warmup_kimg=0.03", "train.decay_from=0.3"],
}


def assert_goes_on(tmp_path: Path, at: tuple[int, ...], **combination: Any) -> None:
    whole = step_of(**combination)
    advance(whole, 14)
    for number in at:
        run = RunDirectory(tmp_path / str(number))
        half = step_of(**combination)
        advance(half, number)
        half.state.save(run)
        again = step_of(**combination)
        torch.manual_seed(999)
        assert again.state.load(run)
        advance(again, 14)
        assert_equal(everything(again), everything(whole))


@pytest.mark.parametrize("name", REGULARIZERS)
def test_between_two_updates_with_the_term(name: str, tmp_path: Path) -> None:
    sets = [f"regularizer.{name}.every={1 if name == 'top-k' else 3}", "train.d_steps=2"]
    assert_goes_on(tmp_path, (4, 6, 9), **(COMBINATIONS[name] | {"sets": sets}))


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_each_optimizer_under_rates_that_move(optimizer: str, schedule: str, tmp_path: Path) -> None:
    sets = [f"train.optimizer={optimizer}", *OPTIMIZERS[optimizer], *SCHEDULES[schedule]]
    assert_goes_on(tmp_path, (3, 8), sets=sets, regularize="r1")


def test_in_the_middle_of_adas_interval(tmp_path: Path) -> None:
    assert_goes_on(tmp_path, (2, 5, 7), augment="ada", sets=["augmentation.ada.kimg=0.02", "augmentation.ada.p=0.3"])


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.load(environ={})


TINY = ["variant.channels=4", "train.batch_size=16", "train.snapshots=2", "train.tick_kimg=0.048",
        "train.keep=all", "train.tick_seconds=0", "eval.num_images=100", "eval.metrics=fid"]  # fmt: skip


def test_a_job_that_was_stopped_and_killed_between_ticks(registry: Registry, data_root: Path, tmp_path: Path) -> None:
    config = build_config(
        registry,
        variant="acgan",
        regularize="r1,lecam",
        augment="ada",
        sets=[*TINY, "train.kimg=0.32", "regularizer.r1.every=4", "augmentation.ada.kimg=1", "augmentation.ada.p=0.5"],
    )
    whole, stopped = RunDirectory(tmp_path / "whole"), RunDirectory(tmp_path / "stopped")
    run_job(registry, config, whole.path, root=data_root)

    class Turns:
        runs, beside, turns = 1, 0, 0

        def __init__(self, at: int, end: Callable[[], None]) -> None:
            self.at, self.end = at, end

        def pass_on(self) -> None:
            self.turns += 1
            if self.turns == self.at:
                self.end()

        def away(self) -> contextlib.AbstractContextManager[None]:
            return contextlib.nullcontext()

    def killed() -> None:
        raise KeyboardInterrupt

    stop = Stop()
    turn = Turns(7, lambda: stop.note(signal.SIGTERM))
    with pytest.raises(Stopped):
        run_job(registry, config, stopped.path, root=data_root, turn=turn, stop=stop)
    assert torch.load(stopped.state_file, weights_only=True)["step"] == 7
    torch.manual_seed(999)
    with pytest.raises(KeyboardInterrupt):  # in step 13, of which nothing is saved, two ticks after the state that is
        run_job(registry, config, stopped.path, root=data_root, turn=Turns(6, killed))
    torch.manual_seed(999)
    result = run_job(registry, config, stopped.path, root=data_root)
    assert [file.read_bytes() for file in stopped.snapshots()] == [file.read_bytes() for file in whole.snapshots()]

    def lines(run: RunDirectory) -> list[dict[str, Any]]:
        timed = ("seconds", "img_per_s", "peak_memory")
        return [{key: value for key, value in line.items() if key not in timed} for line in run.stats()]

    assert lines(stopped) == lines(whole)
    last = lines(whole)[-1]
    assert {"ada.p", "lecam.real", "lecam.fake", "r1", "lecam"} <= last.keys()
    assert 0 < last["ada.p"] != 0.5
    assert last["lecam.real"] != last["lecam.fake"]
    assert result["status"] == "done"


@pytest.mark.parametrize("sets", [["train.schedule=linear"], ["train.warmup_kimg=0.1", "train.g_schedule=cosine"]])
def test_a_run_whose_rates_go_by_its_length_is_not_made_longer(
    sets: list[str], registry: Registry, data_root: Path, tmp_path: Path
) -> None:
    def config(*more: str) -> Any:
        return build_config(registry, variant="dcgan", sets=[*TINY, "train.scores=none", *sets, *more])

    run_job(registry, config("train.kimg=0.064"), tmp_path / "run", root=data_root)
    before = RunDirectory(tmp_path / "run").snapshots()[-1].read_bytes()
    with pytest.raises(UserError, match=r"train\.kimg") as caught:
        run_job(registry, config("train.kimg=0.128"), tmp_path / "run", root=data_root)
    assert "\n" not in str(caught.value)
    assert RunDirectory(tmp_path / "run").snapshots()[-1].read_bytes() == before
    with pytest.raises(UserError, match="which minutes cannot say") as caught:
        config("train.minutes=1")
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="which minutes cannot say"):
        build_config(registry, variant="dcgan", regularize="top-k", sets=["train.minutes=1", "train.kimg=none"])
