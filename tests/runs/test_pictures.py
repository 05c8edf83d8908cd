"""Pictures of training: when they are taken, what they are, and that training knows nothing of them."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ganzoo.config.layers import build_config
from ganzoo.config.run_config import RunConfig, Train
from ganzoo.engine.schedule import Schedule
from ganzoo.engine.stopping import Stop, Stopped
from ganzoo.errors import RunError
from ganzoo.runs.directory import RunDirectory, kimg_of
from ganzoo.runs.job import run_job
from ganzoo.runs.pictures import moments
from ganzoo.zoo.registry import Registry

TINY = [
    *("variant.channels=4", "variant.z_dim=8", "train.batch_size=32", "train.kimg=1.28", "train.snapshots=2"),
    *("train.scores=none", "train.tick_seconds=0", "train.tick_kimg=0.32"),
]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("root")


def config_of(registry: Registry, *sets: str, variant: str = "dcgan") -> RunConfig:
    return build_config(registry, variant=variant, dataset="digits", sets=[*TINY, *sets])


@pytest.fixture(scope="module")
def trained(registry: Registry, root: Path) -> RunDirectory:
    run = RunDirectory(root / "run")
    run_job(registry, config_of(registry), run.path, root=root)
    return run


def steps_of(schedule: Schedule, steps: int, by: int = 1) -> list[int]:
    return [step for step in range(by, steps + 1, by) if schedule.pictured(step - by, step)]


def test_they_are_so_many_to_each_doubling() -> None:
    steps = steps_of(Schedule(Train(batch_size=1, pictures=8)), 256 * 16 - 1)
    assert steps[0] == 256
    for octave in range(4):
        assert sum(256 << octave <= step < 512 << octave for step in steps) == 8
    assert max(after / before for before, after in pairwise(steps)) < 2 ** (1 / 8) + 0.01
    assert {256, 512, 1024, 2048} <= set(steps)


def test_they_do_not_go_by_the_budget_nor_by_how_steps_are_cut() -> None:
    short, long = (steps_of(Schedule(Train(batch_size=64, kimg=kimg)), 500) for kimg in (32.0, 500.0))
    assert short == long
    eight = steps_of(Schedule(Train(batch_size=64)), 500, by=8)
    assert eight == sorted({-(-step // 8) * 8 for step in short if step <= 496})
    assert steps_of(Schedule(Train(batch_size=64, pictures=0)), 500) == []


def test_a_run_has_them_native_and_grey(trained: RunDirectory) -> None:
    found = moments(trained)
    kimgs = list(found)
    assert kimgs == sorted(kimgs)
    assert kimgs[:3] == [0.0, 0.256, 0.288]
    assert {0.64, 1.28} <= set(kimgs)  # those of snapshots
    assert len(kimgs) > 15
    for file in found.values():
        with Image.open(file) as image:
            assert (image.mode, image.size) == ("L", (10 * 34 + 2, 5 * 34 + 2))
    with Image.open(found[1.28]) as picture, Image.open(trained.sample_file(1280)) as sample:
        grid = sample.convert("L").resize((sample.width // 2, sample.height // 2), Image.Resampling.NEAREST)
        assert np.array_equal(np.asarray(picture)[:170], np.asarray(grid)[:170])


def test_they_change_over_training(trained: RunDirectory) -> None:
    first, last = (np.asarray(Image.open(moments(trained)[kimg]), dtype=float) for kimg in (0.256, 1.28))
    assert np.abs(first - last).mean() > 5


@pytest.mark.parametrize("pictures", [0, 50])
def test_training_knows_nothing_of_them(pictures: int, trained: RunDirectory, registry: Registry, root: Path) -> None:
    other = RunDirectory(root / f"pictures-{pictures}")
    run_job(registry, config_of(registry, f"train.pictures={pictures}"), other.path, root=root)
    assert bool(other.pictures()) == bool(pictures)
    for snapshot in trained.snapshots()[1:]:
        ours, theirs = (run.snapshots_dir / snapshot.name for run in (trained, other))
        from safetensors.numpy import load_file

        for name, tensor in load_file(ours).items():
            assert np.array_equal(tensor, load_file(theirs)[name]), name
    ours, theirs = ([(line["images"], line["d_loss"]) for line in run.stats()] for run in (trained, other))
    assert ours == theirs


def test_a_run_that_was_stopped_has_the_same_ones(trained: RunDirectory, registry: Registry, root: Path) -> None:
    run, stop = RunDirectory(root / "stopped"), Stop()

    class Stops:
        def on_status(self, status: Any) -> None:
            if status.images == 640:
                stop.note(15)

        def on_snapshot(self, snapshot: Any) -> None: ...

        def on_end(self, result: dict[str, Any]) -> None: ...

    with pytest.raises(Stopped):
        run_job(registry, config_of(registry), run.path, root=root, observers=[Stops()], stop=stop)
    assert kimg_of(run.pictures()[-1]) < 0.7
    (run.pictures_dir / "000001.100.png").write_bytes(b"of a start that was killed beyond its last state")
    run_job(registry, config_of(registry), run.path, root=root)
    ours, theirs = ({file.name: file.read_bytes() for file in of.pictures()} for of in (trained, run))
    assert ours == theirs


def test_runs_of_before_have_the_grids_of_their_snapshots(trained: RunDirectory, tmp_path: Path) -> None:
    old = RunDirectory(tmp_path / "old")
    assert moments(old) == {}
    old.samples_dir.mkdir(parents=True)
    (old.samples_dir / "000002.500.png").write_bytes(trained.samples()[0].read_bytes())
    assert moments(old) == {2.5: old.samples_dir / "000002.500.png"}


def test_colour_stays_colour_and_large_images_have_fewer_rows(registry: Registry, root: Path, tmp_path: Path) -> None:
    config = config_of(registry, "dataset.size=64", "dataset.color=rgb", "train.kimg=0.3", "train.snapshots=1")
    run_job(registry, config, tmp_path / "run", root=root)
    for file in RunDirectory(tmp_path / "run").pictures():
        with Image.open(file) as image:
            assert (image.mode, image.size) == ("RGB", (10 * 66 + 2, 2 * 66 + 2))


def test_a_link_in_their_place_is_refused(
    trained: RunDirectory, registry: Registry, root: Path, tmp_path: Path
) -> None:
    config, out = config_of(registry), tmp_path / "run"
    RunDirectory.open(out, config)
    (out / "pictures").symlink_to(tmp_path)
    with pytest.raises(RunError, match="pictures is a link"):
        RunDirectory.open(out, config)
