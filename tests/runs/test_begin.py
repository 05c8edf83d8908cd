"""What ties a run to its images, weights and budget: digests, not paths; what is refused, continued, scored anew."""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import resource
import shutil
import struct
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save

import ganzoo.engine.step
from ganzoo.config.layers import build_config
from ganzoo.config.run_config import RunConfig, score_interval
from ganzoo.engine.schedule import Budget, Schedule
from ganzoo.engine.state import read_state
from ganzoo.engine.step import Answers
from ganzoo.errors import DataError, RunError, SettingError, UserError
from ganzoo.files.locks import exclusive
from ganzoo.files.writing import seal_holds, sealed
from ganzoo.runs.begin import shorter_run
from ganzoo.runs.directory import RunDirectory
from ganzoo.runs.evaluation import Question, evaluate_source
from ganzoo.runs.job import run_job
from ganzoo.runs.snapshots import load_snapshot, read_snapshot, snapshot_digest
from ganzoo.scoring.images import load_images
from ganzoo.scoring.protocol import is_unscored
from ganzoo.scoring.scorer import Scorer
from ganzoo.zoo.registry import Registry

SETS = (
    "dataset.color=gray",
    "variant.width=16",
    "train.batch_size=16",
    "train.tick_kimg=0.032",
    "train.tick_seconds=0",
    "train.snapshots=2",
    "train.keep=all",
    "eval.num_images=60",
    "eval.metrics=kid",
)
Config = Callable[..., RunConfig]


def discs(radius: int, seed: int = 0, n: int = 60) -> np.ndarray:
    """uint8 `[n,16,16]`: a bright disc each, on a noisy ground."""
    noise = np.random.default_rng(seed)
    rows, columns = np.mgrid[:16, :16]
    x, y = noise.uniform(5, 11, (2, n, 1, 1))
    return (((columns - x) ** 2 + (rows - y) ** 2 < radius**2) * 200 + noise.integers(0, 40, (n, 16, 16))).astype(
        "uint8"
    )


def write_npz(path: Path, radius: int, **more: np.ndarray) -> Path:
    np.savez(path, images=discs(radius), **more)
    return path


@pytest.fixture
def config_of(registry: Registry, tmp_path: Path) -> Config:
    """`config_of(path, "train.kimg=0.1", seed=1)`: a small run on an npz at `path`."""

    def make(path: Path, *sets: str, kimg: float = 0.064, seed: int = 0, init: Path | None = None) -> RunConfig:
        overrides = {"train.kimg": kimg, "seed": seed} | ({} if init is None else {"init": str(init)})
        return build_config(
            registry, variant="gan", dataset=f"npz:{path}", features="digits", sets=(*SETS, *sets), overrides=overrides
        )

    return make


def weights(path: Path) -> list[bytes]:
    """The tensors of every snapshot, as bytes."""
    return [
        b"".join(tensor.numpy().tobytes() for _, tensor in sorted(load_file(file).items()))
        for file in RunDirectory(path).snapshots()
    ]


def interrupt(registry: Registry, config: RunConfig, out: Path, root: Path) -> None:
    """Stop the run at its first trained snapshot."""

    class Stopper:
        def on_status(self, status: Any) -> None: ...

        def on_snapshot(self, snapshot: Any) -> None:
            if snapshot.images:
                raise KeyboardInterrupt

        def on_end(self, result: Any) -> None: ...

    with pytest.raises(KeyboardInterrupt):
        run_job(registry, config, out, root=root, observers=[Stopper()])


@pytest.mark.parametrize("finished", [True, False])
def test_other_images_at_the_same_path_are_refused(
    registry: Registry, config_of: Config, tmp_path: Path, finished: bool
) -> None:
    data, out = write_npz(tmp_path / "set.npz", 3), tmp_path / "run"
    if finished:
        run_job(registry, config_of(data), out, root=tmp_path)
    else:
        interrupt(registry, config_of(data), out, tmp_path)
    before = weights(out)
    write_npz(data, 6)
    with pytest.raises(RunError, match=r"trained on other images: 60 images, 16x16x1, sha256 \w{12} -> 60 images"):
        run_job(registry, config_of(data), out, root=tmp_path)
    assert weights(out) == before


@pytest.mark.parametrize("finished", [True, False])
def test_the_same_images_elsewhere_go_on(registry: Registry, config_of: Config, tmp_path: Path, finished: bool) -> None:
    data, out = write_npz(tmp_path / "set.npz", 3), tmp_path / "run"
    whole = run_job(registry, config_of(data), tmp_path / "whole", root=tmp_path)
    if finished:
        run_job(registry, config_of(data), out, root=tmp_path)
    else:
        interrupt(registry, config_of(data), out, tmp_path)
    (tmp_path / "elsewhere").mkdir()
    moved = shutil.move(data, tmp_path / "elsewhere" / "renamed.npz")
    result = run_job(registry, config_of(Path(moved)), out, root=tmp_path)
    assert result["last"]["values"] == whole["last"]["values"]
    assert weights(out) == weights(tmp_path / "whole")
    assert result["data"]["train"]["sha256"] == whole["data"]["train"]["sha256"]
    assert result["data"]["train"]["images"] == 60


def test_other_test_images_are_another_protocol_and_the_run_is_scored_again(
    registry: Registry, config_of: Config, tmp_path: Path
) -> None:
    data, out = write_npz(tmp_path / "set.npz", 3, test_images=discs(3, seed=1)), tmp_path / "run"
    config = config_of(data, "eval.metrics=kid,memorisation")
    first = run_job(registry, config, out, root=tmp_path)
    before = weights(out)
    write_npz(data, 3, test_images=discs(6, seed=1))
    told: list[str] = []
    second = run_job(registry, config, out, root=tmp_path, report=told.append)
    assert any("test images have changed" in line for line in told)
    assert weights(out) == before
    assert first["protocol"]["id"] != second["protocol"]["id"]
    assert second["data"]["test"]["sha256"] == second["protocol"]["test_sha256"] != first["protocol"]["test_sha256"]


def test_a_bench_gives_other_images_another_folder(ganzoo: Callable[..., Any], tmp_path: Path) -> None:
    sets = [part for text in (*SETS, "train.snapshots=1") for part in ("--set", text)]
    command = [
        "bench",
        "--variants",
        "gan",
        "--dataset",
        "npz:set.npz",
        "--features",
        "digits",
        "--kimg",
        "0.032",
        *sets,
    ]
    command += ["--data-root", "root", "--out", "bench"]
    for radius in (3, 6, 6):
        write_npz(tmp_path / "set.npz", radius)
        done = ganzoo(*command)
    assert "done before" in done.stderr
    results = [json.loads(file.read_text()) for file in (tmp_path / "bench" / "npz").glob("gan-s0-*/result.json")]
    assert len({result["data"]["train"]["sha256"] for result in results}) == len(results) == 2


def test_a_flipped_bit_in_a_state_is_noticed(registry: Registry, config_of: Config, tmp_path: Path) -> None:
    """Wherever it is: the state before it takes its place, and the run ends with the same weights."""
    data, out = write_npz(tmp_path / "set.npz", 3), tmp_path / "run"
    whole = run_job(registry, config_of(data), out, root=tmp_path)
    run = RunDirectory(out)
    sound, before = run.state_file.read_bytes(), weights(out)
    assert seal_holds(sound)
    places = random.Random(0).sample(range(len(sound) * 8), 200)
    for place in (*places, 0, len(sound) * 8 - 1, (len(sound) - 40) * 8, (len(sound) - 79) * 8):
        damaged = bytearray(sound)
        damaged[place // 8] ^= 1 << place % 8
        run.state_file.write_bytes(damaged)
        document, problem = read_state(run.state_file)
        assert document is None, place
        assert "damaged" in problem or "no state" in problem
    run.result_file.unlink()
    told: list[str] = []
    again = run_job(registry, config_of(data), out, root=tmp_path, report=told.append)
    assert [line for line in told if "state/latest.pt is damaged" in line and "state/previous.pt" in line]
    assert (weights(out), again["last"]["values"]) == (before, whole["last"]["values"])

    for file in (run.state_file, run.previous_state_file):
        file.write_bytes(sound[:-100])
    run.result_file.unlink()
    with pytest.raises(RunError, match=r"state/latest\.pt is damaged.*state/previous\.pt is damaged"):
        run_job(registry, config_of(data), out, root=tmp_path)


def test_the_state_of_another_run_is_not_continued(registry: Registry, config_of: Config, tmp_path: Path) -> None:
    data = write_npz(tmp_path / "set.npz", 3)
    other = write_npz(tmp_path / "other.npz", 6)
    for name, config in (
        ("seed", config_of(data, seed=1)),
        ("images", config_of(other)),
        ("lr", config_of(data, "train.g_lr=1e-3")),
    ):
        run_job(registry, config, tmp_path / name, root=tmp_path)
    out = tmp_path / "run"
    run_job(registry, config_of(data), out, root=tmp_path)
    before = weights(out)
    run = RunDirectory(out)
    for name, words in (("seed", "seed: 1 -> 0"), ("images", "images: "), ("lr", r"train\.g_lr: 0\.001 -> ")):
        run.result_file.unlink()
        shutil.copy(RunDirectory(tmp_path / name).state_file, run.state_file)
        told: list[str] = []
        run_job(registry, config_of(data), out, root=tmp_path, report=told.append)
        assert weights(out) == before
        assert any("latest.pt is of another run" in line for line in told)
        shutil.copy(RunDirectory(tmp_path / name).state_file, run.state_file)
        shutil.copy(run.state_file, run.previous_state_file)
        run.result_file.unlink()
        with pytest.raises(RunError, match=words):
            run_job(registry, config_of(data), out, root=tmp_path)
        shutil.rmtree(out)
        run_job(registry, config_of(data), out, root=tmp_path)


def test_a_state_that_holds_anything_is_refused_in_words(registry: Registry, config_of: Config, tmp_path: Path) -> None:
    """Sealed rightly, as whoever writes one can."""
    data, out = write_npz(tmp_path / "set.npz", 3), tmp_path / "run"
    run_job(registry, config_of(data), out, root=tmp_path)
    run = RunDirectory(out)
    sound = torch.load(run.state_file, weights_only=True)
    run.result_file.unlink()
    run.previous_state_file.unlink()
    odd: list[Any] = [None, "text", 7, [], {}, {"a": torch.zeros(2)}, 1e308, torch.zeros(3)]
    for key, value in [(key, value) for key in sound for value in odd] + [(key, "missing") for key in sound]:
        document = {k: v for k, v in sound.items() if k != key} | ({} if value == "missing" else {key: value})
        buffer = io.BytesIO()
        torch.save(document, buffer)
        run.state_file.write_bytes(sealed(buffer.getvalue()))
        with contextlib.suppress(RunError):  # anything else is a defect; a number of seconds may be any number
            run_job(registry, config_of(data), out, root=tmp_path)
            times = ("seconds", "wall_seconds", "spent")
            assert key in (*times, "snapshot", "snapshot_step", "step", "run", "tick"), (key, value)
            run.result_file.unlink()


def test_a_flipped_bit_in_a_snapshot_is_noticed(registry: Registry, config_of: Config, tmp_path: Path) -> None:
    data, out = write_npz(tmp_path / "set.npz", 3), tmp_path / "run"
    result = run_job(registry, config_of(data), out, root=tmp_path)
    file = RunDirectory(out).snapshots()[-1]
    sound = file.read_bytes()
    header, _ = read_snapshot(file)
    assert header["images_sha256"] == result["data"]["train"]["sha256"]
    for place in random.Random(1).sample(range(len(sound) * 8), 300):
        damaged = bytearray(sound)
        damaged[place // 8] ^= 1 << place % 8
        file.write_bytes(damaged)
        with pytest.raises(RunError, match="is damaged or not ganzoo's"):
            read_snapshot(file)
    weight = bytearray(sound)
    weight[-2] ^= 1
    file.write_bytes(weight)
    with pytest.raises(RunError, match="SHA-256"):
        load_snapshot(file, registry, torch.device("cpu"))


def test_a_snapshot_that_asks_for_much_memory_is_refused(registry: Registry, config_of: Config, tmp_path: Path) -> None:
    """Whoever writes a header may write anything, with the right digest."""
    data, out = write_npz(tmp_path / "set.npz", 3), tmp_path / "run"
    run_job(registry, config_of(data), out, root=tmp_path)
    file = RunDirectory(out).snapshots()[-1]
    document, tensors = read_snapshot(file)
    widest = next(setting for setting in registry.variant("gan").settings if setting.name == "width")
    for change in (
        {"config": {"variant": {"name": "gan", "width": int(widest.maximum or 10**9)}}},
        {"shape": [1, 9999, 9999]},
    ):
        changed = {**document, **change}
        if "config" in change:
            changed["config"] = {
                **document["config"],
                "variant": {**document["config"]["variant"], **change["config"]["variant"]},
            }
        changed["sha256"] = snapshot_digest(changed, tensors)
        file.write_bytes(save(tensors, metadata={"ganzoo": json.dumps(changed)}))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(RunError, match="does not fit variant 'gan'"):
            load_snapshot(file, registry, torch.device("cpu"))
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024  # KiB


def test_a_longer_budget_continues_a_finished_run(registry: Registry, config_of: Config, tmp_path: Path) -> None:
    """0.064 kimg with two snapshots, then 0.144: the interval stays 0.032, the end is a snapshot too."""
    data, out = write_npz(tmp_path / "set.npz", 3), tmp_path / "run"
    run_job(registry, config_of(data), out, root=tmp_path)
    first = weights(out)
    longer = run_job(registry, config_of(data, kimg=0.144), out, root=tmp_path)
    names = [file.stem for file in RunDirectory(out).snapshots()]
    assert names == [f"000000.{n:03d}" for n in (0, 32, 64, 96, 128, 144)]
    assert weights(out)[:3] == first
    assert longer["kimg"] == 0.144
    assert [budget["kimg"] for budget in longer["budgets"]] == [0.064, 0.144]

    run_job(registry, config_of(data, "train.snapshots=1", kimg=0.144), tmp_path / "whole", root=tmp_path)
    assert weights(out)[-1] == weights(tmp_path / "whole")[-1]  # as if it had been that long from the start
    stats = [[line[k] for k in ("images", "d_loss", "g_loss")] for line in RunDirectory(tmp_path / "whole").stats()]
    ours = {line["images"]: [line[k] for k in ("images", "d_loss", "g_loss")] for line in RunDirectory(out).stats()}
    assert [ours[line[0]] for line in stats[:4]] == stats[:4]

    again = run_job(registry, config_of(data, kimg=0.144), out, root=tmp_path)
    assert again["budgets"] == longer["budgets"]
    last = run_job(registry, config_of(data, kimg=0.16), out, root=tmp_path)
    assert [file.stem for file in RunDirectory(out).snapshots()][-2:] == ["000000.144", "000000.160"]
    assert len(last["budgets"]) == 3


def test_a_shorter_budget_is_refused_and_nothing_lost(registry: Registry, config_of: Config, tmp_path: Path) -> None:
    data, out = write_npz(tmp_path / "set.npz", 3), tmp_path / "run"
    run_job(registry, config_of(data), out, root=tmp_path)
    files = {file: file.read_bytes() for file in out.rglob("*") if file.is_file()}
    with pytest.raises(RunError, match=r"trained for 0\.064 kimg, more than the 0\.032 asked for") as caught:
        run_job(registry, config_of(data, kimg=0.032), out, root=tmp_path)
    assert "--snapshot" in caught.value.cure
    held = tmp_path / "held"
    shutil.copytree(out, held)
    for file in RunDirectory(held).snapshots()[:-1]:
        file.unlink()
    with pytest.raises(RunError) as caught:
        run_job(registry, config_of(data, kimg=0.032), held, root=tmp_path)
    assert caught.value.cure == "ask for more, or choose another --out"
    with pytest.raises(RunError, match=r"train\.snapshots: 2 -> 4"):
        run_job(registry, config_of(data, "train.snapshots=4"), out, root=tmp_path)
    with pytest.raises(RunError, match=r"train\.g_lr"):  # a longer budget excuses nothing else
        run_job(registry, config_of(data, "train.g_lr=0.01", kimg=0.2), out, root=tmp_path)
    assert {file: file.read_bytes() for file in files} == files


def test_an_interrupted_run_goes_on_with_a_longer_budget(registry: Registry, config_of: Config, tmp_path: Path) -> None:
    data, out = write_npz(tmp_path / "set.npz", 3), tmp_path / "run"
    interrupt(registry, config_of(data), out, tmp_path)
    result = run_job(registry, config_of(data, kimg=0.096), out, root=tmp_path)
    assert [file.stem for file in RunDirectory(out).snapshots()] == [f"000000.{n:03d}" for n in (0, 32, 64, 96)]
    assert result["status"] == "done"


@pytest.mark.parametrize(
    ("first", "now", "at", "expected"),
    [
        ((100, None, 8), (100, None, 8), (100, 0), 8),
        ((100, None, 8), (100, None, 8), (99, 0), 7),
        ((100, None, 8), (200, None, 8), (100, 0), 8),
        ((100, None, 8), (200, None, 8), (200, 0), 16),
        ((100, None, 8), (130, None, 8), (130, 0), 11),
        ((100, None, 8), (130, None, 8), (129, 0), 10),
        ((3, None, 2), (3, None, 2), (2, 0), 1),
        ((None, 1, 4), (None, 1, 4), (0, 61), 4),
        ((None, 1, 4), (None, 2, 4), (0, 60), 4),
        ((None, 1, 4), (None, 2, 4), (0, 119), 7),
        ((None, 1, 4), (100, None, 8), (50, 90), 6),
        ((100, 1, 10), (100, 1, 10), (20, 45), 7),
    ],
)
def test_snapshots_that_are_due(first: Any, now: Any, at: tuple[int, float], expected: int) -> None:
    budgets = [
        Budget(steps=steps, seconds=minutes and minutes * 60.0, snapshots=n) for steps, minutes, n in (first, now)
    ]
    from ganzoo.config.run_config import Train

    schedule = Schedule(Train())
    schedule.first, schedule.budget = budgets
    assert schedule.reached(*at) == expected


@pytest.mark.parametrize(
    ("scores", "scored"),
    [("none", []), ("last", [0.064]), ("every 1", [0, 0.032, 0.064]), ("every 2", [0, 0.064]), ("every", [0, 0.064])],
)
def test_which_snapshots_are_scored(
    registry: Registry,
    config_of: Config,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    scores: str,
    scored: list[float],
) -> None:
    features: list[int] = []
    original = Scorer._features_of
    monkeypatch.setattr(
        Scorer, "_features_of", lambda self, images, test: features.append(1) or original(self, images, test)
    )
    data, out = write_npz(tmp_path / "set.npz", 3), tmp_path / "run"
    seen: list[tuple[int, int]] = []

    class Watcher:
        def on_status(self, status: Any) -> None:
            seen.append((status.images, len(features)))

        def on_snapshot(self, snapshot: Any) -> None: ...

        def on_end(self, result: Any) -> None: ...

    config = config_of(data, f"train.scores={scores}")
    result = run_job(registry, config, out, root=tmp_path, observers=[Watcher()])
    assert [record["kimg"] for record in RunDirectory(out).metrics()] == scored
    assert len(RunDirectory(out).snapshots()) == 3
    assert seen[0][1] == 0  # no features of real images before the first step
    assert (result["last"]["values"] == {}) == (scores == "none")
    if scores == "none":
        assert is_unscored(result["protocol"]["id"])
        assert not features
        scored_now = run_job(registry, config_of(data, "train.scores=last"), out, root=tmp_path)
        assert scored_now["last"]["values"]["kid"] is not None
        assert [record["kimg"] for record in RunDirectory(out).metrics()] == [0.064]


@pytest.mark.parametrize("text", ["", "never", "every 0", "every -1", "every 1.5", "none 2", "every two", "every 1 2"])
def test_scores_of_no_snapshots(config_of: Config, tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingError, match="names no snapshots"):
        score_interval(text, 4)
    with pytest.raises(SettingError):
        config_of(tmp_path / "set.npz", f"train.scores={text}")


def test_a_target_needs_scores(config_of: Config, tmp_path: Path) -> None:
    for scores in ("none", "last"):
        with pytest.raises(SettingError, match="needs scores"):
            config_of(tmp_path / "set.npz", "train.until=kid=1", f"train.scores={scores}")


def test_a_run_starts_from_the_weights_of_another(registry: Registry, config_of: Config, tmp_path: Path) -> None:
    data, other = write_npz(tmp_path / "set.npz", 3), write_npz(tmp_path / "other.npz", 6)
    run_job(registry, config_of(data), tmp_path / "first", root=tmp_path)
    source = RunDirectory(tmp_path / "first")
    config = config_of(other, init=source.path)
    result = run_job(registry, config, tmp_path / "second", root=tmp_path)
    assert weights(tmp_path / "second")[0] == weights(tmp_path / "first")[-1]
    told = {key: result["init"][key] for key in ("run", "kimg", "discriminator")}
    assert told == {"run": "first", "kimg": 0.064, "discriminator": True}
    fresh = run_job(registry, config_of(other), tmp_path / "fresh", root=tmp_path)
    assert fresh["init"] is None
    assert weights(tmp_path / "second")[-1] != weights(tmp_path / "fresh")[-1]

    # goes on without the source, and is not begun again
    interrupt(registry, config, tmp_path / "third", tmp_path)
    shutil.move(source.path, tmp_path / "gone")
    third = run_job(registry, config, tmp_path / "third", root=tmp_path)
    assert weights(tmp_path / "third") == weights(tmp_path / "second")
    assert third["init"] == result["init"]

    snapshot = RunDirectory(tmp_path / "gone").snapshots()[-1]
    alone = run_job(registry, config_of(other, init=snapshot), tmp_path / "alone", root=tmp_path)
    assert alone["init"]["discriminator"] is False
    assert weights(tmp_path / "alone")[0] == weights(tmp_path / "gone")[-1]

    wider = config_of(other, "variant.width=32", init=snapshot)
    with pytest.raises(UserError, match=r"has other weights: .* is \[\d+, \d+\] there and \[\d+, \d+\] here"):
        run_job(registry, wider, tmp_path / "wider", root=tmp_path)
    with pytest.raises(RunError, match="does not exist"):
        run_job(registry, config_of(other, init=tmp_path / "nothing"), tmp_path / "none", root=tmp_path)


def test_runs_of_earlier_versions_go_on_and_say_what_is_not_known(
    registry: Registry, config_of: Config, tmp_path: Path
) -> None:
    """Their states have neither digest nor identity, their folders no run.json."""
    data, out = write_npz(tmp_path / "set.npz", 3), tmp_path / "run"
    whole = run_job(registry, config_of(data), tmp_path / "whole", root=tmp_path)
    interrupt(registry, config_of(data), out, tmp_path)
    run = RunDirectory(out)
    state = torch.load(run.state_file, weights_only=True)
    del state["run"]
    torch.save(state | {"schema": 1}, run.state_file)
    run.previous_state_file.unlink(missing_ok=True)
    run.record_file.unlink()
    config = json.loads(run.config_file.read_text())
    del config["train"]["scores"]
    run.config_file.write_text(json.dumps(config))
    result = run_job(registry, config_of(data), out, root=tmp_path)
    assert weights(out) == weights(tmp_path / "whole")
    assert result["not_known"] == "images"
    assert "not_known" not in whole
    # what has been recorded since then counts
    write_npz(data, 6)
    with pytest.raises(RunError, match="other images"):
        run_job(registry, config_of(data), out, root=tmp_path)


def test_train_says_and_continues(ganzoo: Callable[..., Any], tmp_path: Path) -> None:
    """Without --out, a longer budget finds the shorter run, and only that of the same images and settings."""
    write_npz(tmp_path / "set.npz", 3)
    sets = [part for text in SETS for part in ("--set", text)]
    command = ["train", "gan", "--dataset", "npz:set.npz", "--features", "digits", "--data-root", "root", *sets]
    ganzoo(*command, "--kimg", "0.032")
    ganzoo(*command, "--kimg", "0.064")
    (run,) = (tmp_path / "runs" / "npz").iterdir()
    assert len(json.loads((run / "result.json").read_text())["budgets"]) == 2
    ganzoo(*command, "--kimg", "0.064", "--set", "train.g_lr=0.001")
    assert len(list((tmp_path / "runs" / "npz").iterdir())) == 2


@pytest.mark.parametrize("change", ["engine=plain", "dataset.fit=pad"])
def test_settings_that_earlier_versions_lacked_are_compared(
    registry: Registry, config_of: Config, tmp_path: Path, change: str
) -> None:
    """Both ways: what is left out of the identity for its default counts when the stored run has another value."""
    data = write_npz(tmp_path / "set.npz", 3)
    run_job(registry, config_of(data, change), tmp_path / "run", root=tmp_path)
    with pytest.raises(RunError, match=change.partition("=")[0].replace(".", r"\.")):
        run_job(registry, config_of(data), tmp_path / "run", root=tmp_path)
    run_job(registry, config_of(data), tmp_path / "other", root=tmp_path)
    with pytest.raises(RunError, match=change.partition("=")[0].replace(".", r"\.")):
        run_job(registry, config_of(data, change), tmp_path / "other", root=tmp_path)


def test_a_run_is_not_scored_unasked_against_other_images(
    registry: Registry, config_of: Config, tmp_path: Path
) -> None:
    data = write_npz(tmp_path / "set.npz", 3)
    run_job(registry, config_of(data), tmp_path / "run", root=tmp_path)
    write_npz(data, 6)
    question = Question(source=str(tmp_path / "run"), metrics="kid", num_images=60)
    with pytest.raises(DataError, match="no longer holds the images"):
        evaluate_source(registry, question, root=tmp_path)
    asked = replace(question, dataset=f"npz:{data}")
    assert evaluate_source(registry, asked, root=tmp_path)["values"]["kid"] > 0


def test_other_initial_weights_are_another_run(registry: Registry, config_of: Config, tmp_path: Path) -> None:
    data = write_npz(tmp_path / "set.npz", 3)
    for name, seed in (("a", 1), ("b", 2)):
        run_job(registry, config_of(data, seed=seed), tmp_path / name, root=tmp_path)
    out = tmp_path / "run"
    run_job(registry, config_of(data, init=tmp_path / "a"), out, root=tmp_path)
    before = weights(out)
    for init, words in ((tmp_path / "b", "started from other weights"), (None, "started from a")):
        for kimg in (0.064, 0.128):
            with pytest.raises(RunError, match=words):
                run_job(registry, config_of(data, init=init, kimg=kimg), out, root=tmp_path)
    with pytest.raises(RunError, match="did not start from"):
        run_job(registry, config_of(data, seed=1, init=tmp_path / "b"), tmp_path / "a", root=tmp_path)
    run_job(registry, config_of(data, seed=1, kimg=0.096), tmp_path / "a", root=tmp_path)  # trained on since then
    run_job(registry, config_of(data, init=tmp_path / "a", kimg=0.096), out, root=tmp_path)
    assert weights(out)[: len(before)] == before

    # without --out, the shorter run that is continued is one of the same weights
    images = load_images(registry, config_of(data), tmp_path, "train")
    for name, init in (("gan-s0-1", tmp_path / "b"), ("gan-s0-2", None)):
        run_job(registry, config_of(data, init=init), tmp_path / "runs" / name, root=tmp_path)
    for name, init in (("gan-s0-1", tmp_path / "b"), ("gan-s0-2", None)):
        longer = config_of(data, init=init, kimg=0.128)
        found = shorter_run(tmp_path / "runs" / "gan-s0-3", registry, longer, images)
        assert found == tmp_path / "runs" / name
    assert shorter_run(tmp_path / "runs" / "gan-s0-3", registry, config_of(data, init=tmp_path / "a"), images) is None


def test_what_networks_answered_is_kept_with_the_run(
    registry: Registry, config_of: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other weights, which a run that is continued is built with first, might answer otherwise."""
    data, asked, told = write_npz(tmp_path / "set.npz", 3), list[int](), list[str]()

    def answer(*arguments: Any) -> Answers:
        asked.append(1)
        return Answers(passes="two", different="reasons")

    monkeypatch.setattr(ganzoo.engine.step, "_ask", answer)
    for kimg in (0.064, 0.128):
        result = run_job(registry, config_of(data, kimg=kimg), tmp_path / "run", root=tmp_path, report=told.append)
        assert result["environment"]["execution"] == "eager; in torch's own layout: reasons"
    assert len(asked) == 1
    assert sum("torch's own layout" in line for line in told) == 2  # of each start
    run = RunDirectory(tmp_path / "run")
    assert run.read_record()["engine"] == {"passes": "two", "different": "reasons", "flop_per_product": None}

    run.record(engine={"passes": "two", "flop_per_product": "many"})
    with pytest.raises(RunError, match="flop_per_product"):
        run_job(registry, config_of(data, kimg=0.192), run.path, root=tmp_path)


def test_a_result_without_a_state_is_not_trained_anew_in_silence(
    registry: Registry, config_of: Config, tmp_path: Path
) -> None:
    data, out = write_npz(tmp_path / "set.npz", 3), tmp_path / "run"
    run_job(registry, config_of(data), out, root=tmp_path)
    before = weights(out)
    shutil.rmtree(out / "state")
    with pytest.raises(RunError, match="no saved state to continue from"):
        run_job(registry, config_of(data, kimg=0.128), out, root=tmp_path)
    assert weights(out) == before
    run_job(registry, config_of(data), out, root=tmp_path)  # what is there is still returned


def test_a_damaged_state_never_takes_the_place_of_a_good_one(
    registry: Registry, config_of: Config, tmp_path: Path
) -> None:
    data, out = write_npz(tmp_path / "set.npz", 3), tmp_path / "run"
    run_job(registry, config_of(data), out, root=tmp_path)
    run = RunDirectory(out)
    run.result_file.unlink()
    run.state_file.write_bytes(run.state_file.read_bytes()[:1000])
    run_job(registry, config_of(data), out, root=tmp_path)
    assert all(read_state(file)[0] is not None for file in (run.state_file, run.previous_state_file))


def test_a_longer_budget_that_is_refused_changes_nothing(registry: Registry, config_of: Config, tmp_path: Path) -> None:
    data, out = write_npz(tmp_path / "set.npz", 3), tmp_path / "run"
    run_job(registry, config_of(data), out, root=tmp_path)
    files = {file: file.read_bytes() for file in out.rglob("*") if file.is_file()}
    write_npz(data, 6)
    with pytest.raises(RunError, match="other images"):
        run_job(registry, config_of(data, kimg=0.128), out, root=tmp_path)
    write_npz(data, 3)
    with exclusive(out / ".lock"), pytest.raises(UserError, match="another process is at work"):
        run_job(registry, config_of(data, kimg=0.128), out, root=tmp_path)
    assert {file: file.read_bytes() for file in files} == files


def test_folders_that_are_links_are_not_written_through(registry: Registry, config_of: Config, tmp_path: Path) -> None:
    data, out = write_npz(tmp_path / "set.npz", 3), tmp_path / "run"
    run_job(registry, config_of(data), out, root=tmp_path)
    (tmp_path / "outside").mkdir()
    for name in ("snapshots", "samples", "state"):
        shutil.move(out / name, tmp_path / f"kept-{name}")
        (out / name).symlink_to(tmp_path / "outside")
        with pytest.raises(RunError, match=f"{name} is a link"):
            run_job(registry, config_of(data, kimg=0.128), out, root=tmp_path)
        (out / name).unlink()
        shutil.move(tmp_path / f"kept-{name}", out / name)
    (out / ".lock").unlink()
    os.mkfifo(out / ".lock")
    with pytest.raises(UserError, match="no plain file"):
        run_job(registry, config_of(data, kimg=0.128), out, root=tmp_path)
    (out / ".lock").unlink()
    (out / ".lock").symlink_to(tmp_path / "outside" / "made")
    with pytest.raises(UserError, match="cannot write"):
        run_job(registry, config_of(data, kimg=0.128), out, root=tmp_path)
    assert list((tmp_path / "outside").iterdir()) == []


def test_states_that_take_more_than_they_hold_are_refused(
    registry: Registry, config_of: Config, tmp_path: Path
) -> None:
    data, out = write_npz(tmp_path / "set.npz", 3), tmp_path / "run"
    run_job(registry, config_of(data), out, root=tmp_path)
    run = RunDirectory(out)
    sound = torch.load(run.state_file, weights_only=True)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for change in (
        {"ema": {name: torch.zeros(1).expand(400_000_000) for name in sound["ema"]}},
        {"discriminator": {"a": 1}},
        {"tick": {"step": "x"}},
        {"step": -1},
        {"seconds": float("nan")},
        {"spent": {"start": -1.0}},
        {"spent": {"train": 1.0}},
        {"spent": {"start": torch.zeros(2)}},
    ):
        buffer = io.BytesIO()
        torch.save({**sound, **change}, buffer)
        run.state_file.write_bytes(sealed(buffer.getvalue()))
        assert read_state(run.state_file)[0] is None, change.keys()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(
            "archive/data.pkl", b"\x80\x02cbuiltins\nbytearray\nJ" + struct.pack("<i", 1_500_000_000) + b"\x85R."
        )
        archive.writestr("archive/version", b"3")
    run.state_file.write_bytes(buffer.getvalue())
    document, problem = read_state(run.state_file)
    assert document is None
    assert "other things than tensors" in problem
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300 * 1024  # KiB


def test_snapshots_that_take_more_than_they_hold_are_refused(tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sparse = tmp_path / "sparse.safetensors"
    with sparse.open("wb") as file:
        file.write((2).to_bytes(8, "little") + b"{}")
        file.truncate(2**31 - 1)
    header = b"[" + b"[]," * 10_000_000 + b"0]"
    deep = tmp_path / "deep.safetensors"
    deep.write_bytes(len(header).to_bytes(8, "little") + header)
    for file in (sparse, deep):
        with pytest.raises(RunError, match="damaged or not ganzoo's"):
            read_snapshot(file)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024  # KiB


def test_paths_that_only_a_run_names_are_not_read(registry: Registry, config_of: Config, tmp_path: Path) -> None:
    """A run from elsewhere may name any file; one that was trained here names what its user has named."""
    data = write_npz(tmp_path / "set.npz", 3)
    run_job(registry, config_of(data), tmp_path / "run", root=tmp_path)
    question = Question(source=str(tmp_path / "run"), metrics="kid", num_images=60)
    assert evaluate_source(registry, question, root=tmp_path)["values"]["kid"] is not None
    with pytest.raises(RunError, match="nothing has been trained here"):
        evaluate_source(registry, replace(question, sets=("eval.batch_size=10",)), root=tmp_path / "elsewhere")
    asked = replace(question, dataset=f"npz:{data}")
    assert evaluate_source(registry, asked, root=tmp_path / "elsewhere")["values"]["kid"] is not None


def test_a_state_larger_than_its_networks_is_not_read(registry: Registry, config_of: Config, tmp_path: Path) -> None:
    data, out = write_npz(tmp_path / "set.npz", 3), tmp_path / "run"
    run_job(registry, config_of(data), out, root=tmp_path)
    run = RunDirectory(out)
    run.previous_state_file.unlink()
    with run.state_file.open("r+b") as file:
        file.truncate(1_500_000_000)  # sparse
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(RunError, match="is larger than"):
        run_job(registry, config_of(data, kimg=0.128), out, root=tmp_path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024  # KiB
