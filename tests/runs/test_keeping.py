"""What stays of a run: `train.keep`; that nothing is lost whenever a run is killed; `ganzoo clean`."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from ganzoo.config.kept import kept_of
from ganzoo.config.layers import build_config
from ganzoo.config.run_config import RunConfig
from ganzoo.engine.loop import Snapshot
from ganzoo.errors import RunError, SettingError
from ganzoo.runs import keeping
from ganzoo.runs.directory import RunDirectory
from ganzoo.runs.integrity import check_runs
from ganzoo.runs.job import run_job
from ganzoo.scoring.scorer import Scorer
from ganzoo.zoo.registry import Registry

TINY = (
    "variant.width=16",
    "train.batch_size=16",
    "train.tick_seconds=0",
    "train.snapshots=5",
    "train.pictures=0",
    "eval.num_images=80",
    "eval.num_reference=80",
    "eval.every=1",
    "eval.metrics=fid",
)
FIDS = {0: 90.0, 32: 50.0, 64: 20.0, 96: 30.0, 128: 40.0, 160: 35.0, 192: 30.0, 224: 10.0}
"""Of each snapshot, by its number of images: the best of 160 images is neither the first nor the last."""

Config = Callable[..., RunConfig]


@pytest.fixture
def config_of(registry: Registry) -> Config:
    def make(keep: str = "last,best,state", *sets: str, kimg: float = 0.16) -> RunConfig:
        overrides = {"train.kimg": kimg}
        return build_config(
            registry, variant="gan", dataset="digits", sets=(*TINY, f"train.keep={keep}", *sets), overrides=overrides
        )

    return make


@pytest.fixture(autouse=True)
def known_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    """FIDs of `FIDS` in place of the measured ones, by what the generator says of itself: tests are of files."""
    original = Scorer.score_generator
    steps: list[int] = []

    def scored(self: Scorer, generator: Any, *arguments: Any, **options: Any) -> Any:
        score = original(self, generator, *arguments, **options)
        score.values["fid"] = FIDS[steps[-1] if arguments[1] == "scoring" else 0]
        return score

    from ganzoo.runs.snapshot_taker import SnapshotTaker

    take = SnapshotTaker._take

    def taking(self: SnapshotTaker, *, images: int, **options: Any) -> Any:
        steps.append(images)
        return take(self, images=images, **options)

    monkeypatch.setattr(Scorer, "score_generator", scored)
    monkeypatch.setattr(SnapshotTaker, "_take", taking)


def files(path: Path) -> dict[str, bytes]:
    """Snapshots and grids, whose bytes have no time in them; names of states."""
    run = RunDirectory(path)
    found = {file.name: file.read_bytes() for file in (*run.snapshots(), *run.samples())}
    return found | {file.name: b"" for file in sorted((path / "state").iterdir())}


def kept(path: Path) -> list[int]:
    return [keeping.images_of(file) for file in RunDirectory(path).snapshots()]


def states(path: Path) -> list[str]:
    return sorted(file.name for file in (path / "state").iterdir())


@pytest.mark.parametrize(
    ("keep", "snapshots", "left"),
    [
        ("all", [0, 32, 64, 96, 128, 160], ["latest.pt", "previous.pt"]),
        ("last,best,state", [64, 160], ["latest.pt"]),
        ("last,best", [64, 160], []),
        ("last", [160], []),
    ],
)
def test_what_stays_of_a_finished_run(
    keep: str,
    snapshots: list[int],
    left: list[str],
    registry: Registry,
    config_of: Config,
    data_root: Path,
    tmp_path: Path,
) -> None:
    result = run_job(registry, config_of(keep), tmp_path / "run", root=data_root)
    assert (kept(tmp_path / "run"), states(tmp_path / "run")) == (snapshots, left)
    assert result["best"]["images"] == 64
    assert [line["images"] for line in RunDirectory(tmp_path / "run").metrics()] == [0, 32, 64, 96, 128, 160]
    assert len(RunDirectory(tmp_path / "run").samples()) == 6  # grids of all
    (checked,) = check_runs([tmp_path / "run"])
    assert (checked.snapshots, checked.problems) == (len(snapshots), ())


def test_a_run_at_work_has_no_more_snapshots_than_it_needs(
    registry: Registry, config_of: Config, data_root: Path, tmp_path: Path
) -> None:
    seen = []

    class Watcher:
        def on_status(self, status: Any) -> None: ...

        def on_snapshot(self, snapshot: Snapshot) -> None:
            seen.append(kept(tmp_path / "run"))

        def on_end(self, result: Any) -> None: ...

    run_job(registry, config_of("last,best,state"), tmp_path / "run", root=data_root, observers=[Watcher()])
    # The best that only the state before knows of stays one snapshot longer: 32, when 64 has become the best.
    assert seen == [[0], [0, 32], [0, 32, 64], [0, 32, 64, 96], [0, 64, 96, 128], [0, 64, 128, 160]]


def test_what_stays_is_no_part_of_what_a_run_is(
    registry: Registry, config_of: Config, data_root: Path, tmp_path: Path
) -> None:
    one, other = config_of("all"), config_of("last")
    assert one.identity() == other.identity()
    assert one.training_identity() == other.training_identity()
    run_job(registry, one, tmp_path / "run", root=data_root)
    again = run_job(registry, other, tmp_path / "run", root=data_root)  # found finished
    assert again["config"]["train"]["keep"] == "all"


class Killed(BaseException):
    """What a kill is to a test: nothing after it is done."""


@contextlib.contextmanager
def writes(monkeypatch: pytest.MonkeyPatch, at: int | None) -> Iterator[list[str]]:
    """What is written and removed below a run, in order; number `at` is not done, nor is anything after it."""
    done: list[str] = []
    dead = False

    def counted(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal dead
            target = Path(arguments[-1])
            if target.name.endswith(".tmp") or target.parent.name not in ("snapshots", "state", "run"):
                return original(*arguments, **options)
            if dead or len(done) == at:
                dead = True
                raise Killed
            done.append(f"{original.__name__} {target.name}")
            return original(*arguments, **options)

        return call

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", counted(os.replace))
        patch.setattr(Path, "unlink", counted(Path.unlink))
        yield done


def test_a_run_that_is_killed_at_any_removal_loses_nothing(
    registry: Registry, config_of: Config, data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of("last,best")
    whole = tmp_path / "whole" / "run"
    with writes(monkeypatch, None) as done:
        run_job(registry, config, whole, root=data_root)
    removals = [
        n for n, what in enumerate(done) if what.startswith("unlink") and what.endswith((".safetensors", ".pt"))
    ]
    assert [done[n].split()[1] for n in removals] == [
        "000000.032.safetensors",  # as 64 is better, and the state before knows it, too
        "000000.096.safetensors",
        "000000.000.safetensors",
        "000000.128.safetensors",
        "previous.pt",
        "latest.pt",
    ]
    for at in sorted({n + offset for n in removals for offset in (0, 1)}):  # before it, and after it
        if at == len(done):
            continue
        out = tmp_path / str(at) / "run"
        with writes(monkeypatch, at), pytest.raises(Killed):
            run_job(registry, config, out, root=data_root)
        torch.manual_seed(999)
        run_job(registry, config, out, root=data_root)
        ours, theirs = files(out), files(whole)
        left = {"latest.pt", "previous.pt"} & ours.keys()
        assert not left or RunDirectory(out).read_result() is not None  # it was finished, and needed nothing more
        assert {name: ours[name] for name in ours.keys() - left} == theirs, done[at]
        assert RunDirectory(out).metrics()[-1]["values"] == RunDirectory(whole).metrics()[-1]["values"]


def test_the_state_before_the_latest_has_all_that_it_needs(
    registry: Registry, config_of: Config, data_root: Path, tmp_path: Path
) -> None:
    """Killed behind each snapshot, and the latest state is damaged: the run is done again from the one before."""
    config = config_of("last,best")
    run_job(registry, config, tmp_path / "whole", root=data_root)
    for images in (64, 96, 128):

        class Stopper:
            def on_status(self, status: Any) -> None:
                if status.images > images:  # noqa: B023
                    raise Killed

            def on_snapshot(self, snapshot: Any) -> None: ...

            def on_end(self, result: Any) -> None: ...

        out = tmp_path / str(images)
        with pytest.raises(Killed):
            run_job(registry, config, out, root=data_root, observers=[Stopper()])
        run = RunDirectory(out)
        before = [line for line in run.metrics() if line["images"] < images]
        assert keeping.best_images(before) <= set(kept(out))
        run.state_file.write_bytes(b"damaged")
        run_job(registry, config, out, root=data_root)
        assert files(out) == files(tmp_path / "whole")


def test_a_longer_run_keeps_what_one_of_that_length_does(
    registry: Registry, config_of: Config, data_root: Path, tmp_path: Path
) -> None:
    sets = ("train.snapshots=7",)
    run_job(registry, config_of(kimg=0.16), tmp_path / "run", root=data_root)
    run_job(registry, config_of(kimg=0.224), tmp_path / "run", root=data_root)
    run_job(registry, config_of("last,best,state", *sets, kimg=0.224), tmp_path / "whole", root=data_root)
    assert kept(tmp_path / "run") == [224]  # which is the best now
    from safetensors.torch import load_file

    ours, theirs = (load_file(RunDirectory(tmp_path / name).snapshots()[-1]) for name in ("run", "whole"))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        ("all", "last,best,state", True),
        ("last,best,state", "last,state", True),
        ("last,best,state", "last,best", False),  # of snapshots nothing goes
        ("all", "all", False),
        ("last,state", "last,best,state", False),
    ],
)
def test_a_longer_command_that_keeps_less_says_what_goes(
    before: str, now: str, said: bool, registry: Registry, config_of: Config, data_root: Path, tmp_path: Path
) -> None:
    told: list[str] = []
    run_job(registry, config_of(before), tmp_path / "run", root=data_root, report=told.append)
    assert not [line for line in told if " kept " in line]
    run_job(registry, config_of(now, kimg=0.224), tmp_path / "run", root=data_root, report=told.append)
    lines = [line for line in told if " kept " in line]
    assert len(lines) == said
    if lines:
        assert f"kept {before}, and keeps {now} from now on: trained snapshots that are none of these go" in lines[0]
        assert f"--set train.keep={before} keeps them" in lines[0]


@pytest.mark.parametrize(("before", "error"), [("bogus", None), (None, None), (5, "train.keep")])
def test_what_a_damaged_config_says_of_it_is_no_fault_of_the_command(
    before: Any, error: str | None, registry: Registry, config_of: Config, data_root: Path, tmp_path: Path
) -> None:
    run_job(registry, config_of(), tmp_path / "run", root=data_root)
    file = tmp_path / "run" / "config.json"
    config = json.loads(file.read_text())
    config["train"]["keep"] = before
    file.write_text(json.dumps(config))
    with contextlib.nullcontext() if error is None else pytest.raises(RunError, match=error):
        run_job(registry, config_of(kimg=0.224), tmp_path / "run", root=data_root)


def test_a_run_whose_state_was_not_kept_says_so_and_stays_as_it_is(
    registry: Registry, config_of: Config, data_root: Path, tmp_path: Path
) -> None:
    run_job(registry, config_of("last,best"), tmp_path / "run", root=data_root)
    before = {file: file.read_bytes() for file in (tmp_path / "run").rglob("*") if file.is_file()}
    with pytest.raises(RunError, match="no saved state to continue from: it was not kept") as caught:
        run_job(registry, config_of("last,best", kimg=0.224), tmp_path / "run", root=data_root)
    assert "--init" in caught.value.cure
    assert "train.keep=last,best,state" in caught.value.cure
    assert {file: file.read_bytes() for file in before} == before


def test_a_run_whose_length_is_part_of_it_says_why(
    registry: Registry, config_of: Config, data_root: Path, tmp_path: Path
) -> None:
    falling = ("train.schedule=linear",)
    run_job(registry, config_of("last", *falling), tmp_path / "run", root=data_root)
    with pytest.raises(RunError, match=r"train\.kimg: 0\.16 -> 0\.224") as caught:
        run_job(registry, config_of("last", *falling, kimg=0.224), tmp_path / "run", root=data_root)
    assert "its length is part of it" in caught.value.cure


@pytest.mark.parametrize("text", ["", "best", "state", "best,state", "all,last", "last,worst", "none"])
def test_what_is_no_choice(text: str) -> None:
    with pytest.raises(SettingError, match="neither all nor a choice with last in it"):
        kept_of(text)


def test_choices() -> None:
    assert kept_of(" Last, best") == {"last", "best"}
    assert kept_of("ALL") == {"all"}
