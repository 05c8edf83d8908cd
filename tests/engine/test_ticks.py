"""When statistics are read: seldom enough for whole replays, and without a trace in what is trained."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import ganzoo.engine.step
from ganzoo.config.layers import build_config
from ganzoo.config.run_config import RunConfig, Train
from ganzoo.data import make_images, make_sampler
from ganzoo.engine.cuda.concurrent import ALONE
from ganzoo.engine.device import Precision
from ganzoo.engine.host import Host
from ganzoo.engine.inputs import Iteration
from ganzoo.engine.ledger import Ledger
from ganzoo.engine.loop import Outcome, train
from ganzoo.engine.pace import LONG, SHORT, Pace
from ganzoo.engine.replays import WARM_UP, Iterations, nothing
from ganzoo.engine.schedule import Schedule
from ganzoo.engine.state import TrainState
from ganzoo.engine.step import Step
from ganzoo.engine.stopping import Stop, Stopped
from ganzoo.runs.directory import RunDirectory
from ganzoo.runs.job import run_job
from ganzoo.runs.snapshots import build_gan
from ganzoo.zoo.registry import Registry

CPU = torch.device("cpu")
NARROW = {"gan": "variant.width=8", "dcgan": "variant.channels=4", "wgan-gp": "variant.channels=4"}


class Clock:
    """Moves when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Recorded:
    """A backend whose captures train and whose replays do nothing: what matters is how long they are."""

    after = WARM_UP

    def warm_up(self, work: Callable[[], None]) -> None:
        work()

    def capture(self, work: Callable[[], None], vary: Callable[[], None] = nothing) -> Callable[[], None]:
        work()
        return lambda: None

    def forget(self) -> None: ...


@pytest.fixture
def lengths(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Iterations of each call, on a device with graphs."""
    found: list[int] = []

    class Counted(Iterations):
        def run(self, iterations: Sequence[Iteration]) -> None:
            found.append(len(iterations))
            super().run(iterations)

    monkeypatch.setattr(ganzoo.engine.step, "cuda_graphs", lambda device: Recorded())
    monkeypatch.setattr(ganzoo.engine.step, "Iterations", Counted)
    return found


def standard(registry: Registry, variant: str, *sets: str) -> RunConfig:
    return build_config(registry, variant=variant, preset="standard", sets=[NARROW[variant], *sets])


def trained(
    registry: Registry, config: RunConfig, path: Path, monkeypatch: pytest.MonkeyPatch, per_call: float
) -> tuple[Outcome, list[int]]:
    """Training alone, with fewer images than the config says, for the time's sake; `per_call` seconds for each call of
    `advance`. And the steps after which statistics were read.
    """
    clock, original = Clock(), Step.advance

    def advance(self: Step, room: int) -> None:
        original(self, room)
        clock.now += per_call

    monkeypatch.setattr(Step, "advance", advance)
    run = RunDirectory.open(path, config)
    pixels = torch.randint(0, 256, (600, 1, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    step = Step(
        gan=build_gan(registry, config, (1, 32, 32), 0),
        losses=registry.objective(config.objective.name).load()(config.objective.settings),
        sampler=make_sampler(make_images(pixels, None), batch_size=4, device=CPU, seed=0),
        config=config.train,
        num_classes=0,
        device=CPU,
        precision=Precision(name="fp32", device_type="cpu"),
    )
    host = Host(ledger=Ledger(clock=clock))
    outcome = train(step, run=run, take_snapshot=lambda **arguments: {}, host=host)
    return outcome, [row["images"] // config.train.batch_size for row in run.stats()]


@pytest.mark.parametrize(
    ("variant", "expected"),
    [("gan", [1] * 4 + [4] * 19), ("dcgan", [1] * 4 + [4] * 19), ("wgan-gp", [1] * 15 + [5] * 13)],
)
@pytest.mark.parametrize("per_call", [1e-4, 1.0])
def test_replays_are_whole_at_a_batch_of_512(
    registry: Registry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    lengths: list[int],
    variant: str,
    expected: list[int],
    per_call: float,
) -> None:
    """On a fast device and on a slow one, where each multiple of the interval is a tick."""
    config = standard(registry, variant, "train.batch_size=512", "train.kimg=40.96", "train.snapshots=1")
    _, ticks = trained(registry, config, tmp_path / "run", monkeypatch, per_call)
    assert lengths == expected
    longest = expected[-1]
    assert ticks == ([80 - longest, 80] if per_call < 1 else list(range(longest, 81, longest)))


def test_snapshots_cut_replays_and_ticks_do_not(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lengths: list[int]
) -> None:
    config = standard(registry, "gan", "train.batch_size=64", "train.kimg=2.56", "train.snapshots=4")  # 40 steps
    _, ticks = trained(registry, config, tmp_path / "run", monkeypatch, 1.0)
    assert ticks == [10, 16, 20, 30, 32, 40]
    to_10, to_20, to_30, to_40 = [1, 1, 1, 4, 1, 1, 1], [4, 1, 1, 4], [4, 4, 1, 1], [1, 1, 4, 4]  # aligned from 16 on
    assert lengths == [*to_10, *to_20, *to_30, *to_40]


@pytest.mark.parametrize(
    ("batch", "longest", "expected"), [(512, 1, 2), (512, 4, 4), (512, 5, 5), (64, 4, 16), (64, 5, 20), (4096, 1, 1)]
)
def test_ticks_are_whole_replays_apart(batch: int, longest: int, expected: int) -> None:
    assert Schedule(Train(batch_size=batch), longest=longest).tick_steps == expected


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0.0, list(range(1, 21))), (0.25, [3, 6, 9, 10, 13, 16, 19, 20]), (60.0, [9, 10, 19, 20])]
)
def test_ticks_are_some_time_apart_and_one_is_before_each_snapshot(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, expected: list[int]
) -> None:
    sets = ["train.batch_size=16", "train.kimg=0.32", "train.tick_kimg=0.001", "train.snapshots=2"]
    config = standard(registry, "gan", *sets, f"train.tick_seconds={seconds}")
    outcome, ticks = trained(registry, config, tmp_path / "run", monkeypatch, 0.1)
    assert ticks == expected
    assert outcome.seconds == pytest.approx(2.0)


def test_the_state_is_saved_each_minute_however_far_apart_ticks_are(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: list[int] = []
    monkeypatch.setattr(TrainState, "save", lambda self, run: saved.append(self.step))
    sets = ["train.batch_size=16", "train.kimg=0.32", "train.tick_kimg=100", "train.snapshots=1"]
    trained(registry, standard(registry, "gan", *sets), tmp_path / "run", monkeypatch, 15.0)
    assert saved == [4, 8, 12, 16, 20]


TINY = [
    "variant.width=16", "train.batch_size=16", "train.kimg=0.32", "train.tick_kimg=0.048", "train.snapshots=2",
    "train.scores=none",
]  # fmt: skip


class Draws:
    """An observer that takes random numbers, as one that samples images does."""

    def on_status(self, status: Any) -> None:
        torch.randn(3)

    def on_snapshot(self, snapshot: Any) -> None: ...

    def on_end(self, result: dict[str, Any]) -> None: ...


def last_weights(path: Path) -> dict[str, torch.Tensor]:
    return load_file(RunDirectory(path).snapshots()[-1])


def test_weights_know_nothing_of_ticks(
    registry: Registry, data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often statistics are read, whoever is told, and where a run is stopped and goes on with another number of
    seconds.
    """

    def config(seconds: float) -> RunConfig:
        return build_config(registry, variant="gan", sets=[*TINY, f"train.tick_seconds={seconds}"])

    run_job(registry, config(0), tmp_path / "often", root=data_root)
    run_job(registry, config(60), tmp_path / "seldom", root=data_root, observers=[Draws()])
    stop, original = Stop(), Step.advance

    def advance(self: Step, room: int) -> None:
        original(self, room)
        if self.state.step == 7:
            stop.requested = signal.SIGTERM

    with monkeypatch.context() as patch:
        patch.setattr(Step, "advance", advance)
        with pytest.raises(Stopped):
            run_job(registry, config(0), tmp_path / "stopped", root=data_root, stop=stop, observers=[Draws()])
    run_job(registry, config(60), tmp_path / "stopped", root=data_root)
    expected = last_weights(tmp_path / "often")
    rows = [len(RunDirectory(tmp_path / name).stats()) for name in ("often", "seldom", "stopped")]
    assert rows == [8, 4, 6]
    for name in ("seldom", "stopped"):
        assert all(torch.equal(value, expected[key]) for key, value in last_weights(tmp_path / name).items())


def test_runs_of_before_go_on(registry: Registry, data_root: Path, tmp_path: Path) -> None:
    """Neither their config nor their state knows of seconds between ticks, or what the wall clock was spent on."""
    first = build_config(registry, variant="gan", sets=TINY)
    run = RunDirectory(tmp_path / "run")
    run_job(registry, first, run.path, root=data_root)
    run.result_file.unlink()
    document = json.loads(run.config_file.read_text())
    del document["train"]["tick_seconds"]
    run.config_file.write_text(json.dumps(document))
    longer = build_config(registry, variant="gan", sets=[*TINY, "train.kimg=0.64", "train.tick_seconds=9"])
    assert run_job(registry, longer, run.path, root=data_root)["kimg"] == 0.64
    assert longer.identity().keys() == first.identity().keys()
    assert "train.tick_seconds" not in longer.identity() | longer.training_identity()


class Device:
    """Works on its own: `per_call` seconds for what one call gives it, of which the host's part is `host`."""

    def __init__(self, clock: Clock, host: float, per_call: float) -> None:
        self.clock, self.host, self.per_call = clock, host, per_call
        self.done_at, self.idle, self.marked = 0.0, 0.0, 0

    def call(self) -> None:
        self.clock.now += self.host
        self.idle += max(0.0, self.clock.now - self.done_at)
        self.done_at = max(self.done_at, self.clock.now) + self.per_call

    def mark(self) -> Callable[[], None]:
        self.marked += 1
        until = self.done_at

        def wait() -> None:
            self.clock.now = max(self.clock.now, until)

        return wait


@pytest.mark.parametrize("per_call", [5e-5, 1e-3, 4e-2, 0.5])
def test_the_host_runs_ahead_of_the_device_and_not_far(per_call: float) -> None:
    """A quarter of the calls at that speed, then slower ones, as when the first long replay comes."""
    clock = Clock()
    device = Device(clock, per_call / 50, per_call / 4)
    pace = Pace(device.mark, clock)
    calls = int(20 / per_call)
    at_first, in_the_end = 0.0, 0.0
    for call in range(calls):
        if call == calls // 4:
            device.per_call = per_call
        device.call()
        pace.tell(ALONE)
        ahead = device.done_at - clock.now
        at_first = max(at_first, ahead)
        in_the_end = max(in_the_end, ahead if call > calls // 2 else 0.0)
    assert at_first <= 8 * LONG
    assert in_the_end <= max(2 * LONG, 2 * per_call) + 1e-6
    assert device.idle <= per_call / 50 + 1e-9  # it always has the next call's work
    assert device.marked <= clock.now / SHORT + 20


def test_a_device_that_works_on_its_own_is_waited_for_between_ticks(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[int] = []
    monkeypatch.setattr("ganzoo.engine.loop.marks", lambda device, ranks: lambda: lambda: waited.append(1))
    sets = ["train.batch_size=16", "train.kimg=0.32", "train.tick_kimg=100", "train.snapshots=1"]
    _, ticks = trained(registry, standard(registry, "gan", *sets), tmp_path / "run", monkeypatch, 0.1)
    assert ticks == [20]
    assert len(waited) >= 2
