"""What becomes of a snapshot: when it is scored, and what is refused before anything is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from ganzoo.config.layers import build_config
from ganzoo.config.run_config import RunConfig
from ganzoo.errors import UserError
from ganzoo.runs.directory import RunDirectory
from ganzoo.runs.job import run_job
from ganzoo.runs.snapshots import load_snapshot
from ganzoo.scoring.images import load_images
from ganzoo.scoring.scorer import Scorer
from ganzoo.zoo.registry import Registry

TINY = [
    "variant.channels=4",
    "variant.z_dim=8",
    "train.batch_size=16",
    "train.kimg=0.32",
    "train.tick_kimg=0.048",
    "train.snapshots=4",
    "eval.num_images=100",
    "eval.every=2",
    "eval.metrics=fid,conditional",
]


class Quiet:
    def on_status(self, status: Any) -> None: ...

    def on_snapshot(self, snapshot: Any) -> None: ...

    def on_end(self, result: dict[str, Any]) -> None: ...


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("root")


def config_of(registry: Registry, *sets: str) -> RunConfig:
    return build_config(registry, variant="upsample-dcgan", dataset="digits", sets=[*TINY, *sets])


def test_the_untrained_generator_is_scored_from_its_file_with_the_first_trained_one(
    registry: Registry, root: Path, tmp_path: Path
) -> None:
    config = config_of(registry)
    run = RunDirectory(tmp_path / "run")
    scores: list[int] = []

    class Watcher(Quiet):
        def on_status(self, status: Any) -> None:
            scores.append(len(run.metrics()))

    result = run_job(registry, config, run.path, root=root, observers=[Watcher()])
    assert scores[0] == 0
    assert run.metrics()[0]["images"] == 0
    loaded = load_snapshot(run.snapshot_file(0), registry, torch.device("cpu"))
    images = load_images(registry, config, root, "train")
    scorer = Scorer(registry, config, images, root=root, device=torch.device("cpu"))
    assert result["untrained"]["values"] == scorer.score_generator(loaded.generator, loaded.z_dim).values


def test_a_run_that_diverges_before_its_first_score_has_one_of_the_untrained_generator(
    registry: Registry, root: Path, tmp_path: Path
) -> None:
    config = config_of(registry, "train.g_lr=1e30", "train.d_lr=1e30", "train.snapshots=1")
    result = run_job(registry, config, tmp_path / "run", root=root)
    assert result["diverged"]
    assert result["last"] is None
    assert result["untrained"]["values"]["fid"] > 0


def test_a_lost_snapshot_of_the_untrained_generator_costs_its_score_alone(
    registry: Registry, root: Path, tmp_path: Path
) -> None:
    config, run = config_of(registry), RunDirectory(tmp_path / "run")
    told: list[str] = []

    class Loses(Quiet):
        def on_status(self, status: Any) -> None:
            run.snapshot_file(0).unlink(missing_ok=True)

    result = run_job(registry, config, run.path, root=root, observers=[Loses()], report=told.append)
    assert result["untrained"] is None
    assert result["last"]["values"]["fid"] > 0
    assert any("the untrained generator is not scored" in line for line in told)


def test_scores_that_no_generator_could_have_are_refused_before_training(
    registry: Registry, root: Path, tmp_path: Path
) -> None:
    for sets, words in (
        (["eval.metrics=conditional"], "not asked for by class"),
        (["eval.metrics=prdc", "metrics.prdc.nearest_k=200"], "needs at least 201 images, there are 100"),
        (["eval.metrics=is", "metrics.is.splits=60"], "needs at least"),
    ):
        with pytest.raises(UserError, match=words):
            run_job(registry, config_of(registry, *sets), tmp_path / "run", root=root)
        assert not RunDirectory(tmp_path / "run").snapshots()
