"""Throughput alone: what is measured, what is compared, when a comparison fails."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pretended import Pretended, pretended_graphs

from ganzoo.bench import speed
from ganzoo.bench.speed import compare_speed, fast_quarter, measure_speed
from ganzoo.cli.main import cli
from ganzoo.config.layers import build_config
from ganzoo.engine.replays import LONGEST_ROUND, nothing
from ganzoo.errors import RunError, UserError
from ganzoo.files.progress import Event, Working, listening
from ganzoo.zoo.registry import Registry

SETS = ["variant.gan.width=8", "variant.cdcgan.channels=4", "variant.wgan-gp.channels=4", "train.batch_size=16"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("root")


def test_every_variant_takes_its_turn_and_all_of_a_step_is_timed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry.load(environ={})
    sets = [*SETS, "train.d_steps=2"]
    configs = [build_config(registry, variant=name, sets=sets) for name in ("gan", "cdcgan", "wgan-gp")]
    steps: dict[int, list[int]] = {}
    original = speed.Step.advance

    def counted(self: Any, room: int) -> None:
        original(self, room)
        steps.setdefault(id(self), []).append(self.state.step)

    monkeypatch.setattr(speed.Step, "advance", counted)
    monkeypatch.setattr("ganzoo.files.progress.MOMENT", 0.0)
    lines: list[str] = []
    with listening(lambda event: lines.append(str(event))):
        document = measure_speed(registry, configs, root=root, rounds=3, seconds=0.01)
    assert [row["variant"] for row in document["rows"]] == ["gan", "cdcgan", "wgan-gp"]
    assert lines[-5:-1] == [f"measuring speed: {done}/3 rounds" for done in range(4)]
    assert all(row["train_img_per_s"] > 0 < row["sample_img_per_s"] and row["spread"] >= 0 for row in document["rows"])
    assert len(steps) == 3
    wgan = list(steps.values())[2]
    assert wgan[-1] % 2 == 0  # whole generator steps, of two critic steps each
    assert document["rows"][2]["objective"] == "wgan-gp"
    assert json.loads(json.dumps(document)) == document


class Clock:
    """Time that passes where it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Costly(Pretended):
    """Seconds of a GPU whose host is slow: an eager iteration, a recording, a replay."""

    def __init__(self, clock: Clock, fails: bool) -> None:
        super().__init__()
        self._clock, self._fails = clock, fails

    def warm_up(self, work: Callable[[], None]) -> None:
        super().warm_up(work)
        self._clock.now += 0.02

    def capture(self, work: Callable[[], None], vary: Callable[[], None] = nothing) -> Callable[[], None]:
        self._clock.now += 1.0
        replay = super().capture(work)
        if self._fails:
            raise RuntimeError("operation not permitted when stream is capturing")

        def timed() -> None:
            replay()
            self._clock.now += 0.001

        return timed


@pytest.mark.parametrize(
    ("d_steps", "fails", "per_replay", "steps"),
    # A round of 0.025 s: 25 replays; or 1.25 eager iterations, of which a generator step takes d_steps
    [(1, False, 4, 100), (3, False, 6, 150), (LONGEST_ROUND + 1, False, 1, LONGEST_ROUND + 1), (3, True, 1, 3)],
)
def test_rounds_are_replays_and_as_many_as_replays_fill_them(
    d_steps: int, fails: bool, per_replay: int, steps: int, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither sized by eager iterations, nor with a warm-up or a recording in the first, nor cut into short replays."""
    clock = Clock()

    def sampled(*arguments: Any, **options: Any) -> Iterator[Any]:
        clock.now += 0.01
        yield

    original = speed.Step.advance

    def advance(step: Any, room: int) -> None:
        (backend,) = made
        before = len(backend.events)
        original(step, room)
        if len(backend.events) == before:  # a recording has failed before, and the backend is not asked any more
            backend.events.append("eager")
            clock.now += 0.02

    monkeypatch.setattr("ganzoo.files.progress.MOMENT", 0.0)
    monkeypatch.setattr(speed, "generate", sampled)
    monkeypatch.setattr(speed.Step, "advance", advance)
    marks: list[int] = []
    counted: list[int] = []

    def listen(event: Event) -> None:
        if isinstance(event, Working) and event.unit == "rounds" and event.done < 3:
            (backend,) = made
            marks.append(len(backend.events))
            counted.append(backend.state.step)

    registry = Registry.load(environ={})
    sets = ["variant.width=4", "train.batch_size=4", f"train.d_steps={d_steps}"]
    config = build_config(registry, variant="gan", sets=sets)
    with pretended_graphs(lambda: Costly(clock, fails)) as made, listening(listen):
        document = measure_speed(registry, [config], root=root, rounds=3, seconds=0.025, clock=clock)
    (backend,) = made
    assert backend.events.count("capture") > 0
    assert set(backend.events[marks[0] :]) == {"eager" if fails else "replay"}
    assert counted[1] - counted[0] == counted[2] - counted[1] == steps
    assert marks[1] - marks[0] == steps // per_replay
    per_iteration = 0.02 if fails else 0.001 / per_replay
    assert document["rows"][0]["train_img_per_s"] == pytest.approx(4 / per_iteration)


def test_a_round_that_was_disturbed_does_not_count() -> None:
    assert fast_quarter([1.0, 1.0, 1.1, 9.0, 1.0, 7.0]) == pytest.approx(1.0)
    assert fast_quarter([3.0]) == 3.0


def document(**speeds: float) -> dict[str, Any]:
    rows = [
        {"variant": name, "objective": "o", "dataset": "d", "batch_size": 8, "parameters": 9, "train_img_per_s": value,
         "sample_img_per_s": 10.0, "spread": 0.0}
        for name, value in speeds.items()
    ]  # fmt: skip
    environment = {"device_name": "a CPU", "precision": "fp32", "packages": {"torch": "2"}}
    return {"schema": 1, "environment": environment, "rounds": 1, "seconds": 1.0, "rows": rows}


def test_ratios_are_now_over_before() -> None:
    (row,) = compare_speed(document(a=50.0, new=1.0), document(a=100.0, old=1.0))
    assert (row["variant"], row["train_ratio"], row["sample_ratio"]) == ("a", 0.5, 1.0)
    other = document(a=1.0)
    other["rows"][0]["batch_size"] = 16
    for before in (other, document(b=1.0)):
        with pytest.raises(RunError):
            compare_speed(document(a=1.0), before)


@pytest.mark.parametrize(
    ("before", "fail_on", "fails"), [(100.0, "10%", False), (120.0, "10%", True), (120.0, "20", False)]
)
def test_a_slower_variant_fails_the_comparison(
    before: float, fail_on: str, fails: bool, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(speed, "measure_speed", lambda *arguments, **settings: document(gan=100.0))
    earlier = tmp_path / "earlier.json"
    earlier.write_text(json.dumps(document(gan=before)))
    command = ["bench", "--variants", "gan", "--data-root", str(root), "--out", str(tmp_path / "out")]
    command += ["--speed-only", "--compare", str(earlier), "--fail-on", fail_on]
    if fails:
        with pytest.raises(SystemExit) as stopped:
            cli.main(command, standalone_mode=False)
        assert stopped.value.code == 1
    else:
        cli.main(command, standalone_mode=False)
    printed = capsys.readouterr()
    assert [f"{100 / before:.2f}x", "1.00x"] == printed.out.splitlines()[1].split()[-2:]
    assert ("slower than in" in printed.err) == fails
    assert json.loads((tmp_path / "out" / "speed.json").read_text()) == document(gan=100.0)


def test_other_conditions_and_missing_variants_are_told(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(speed, "measure_speed", lambda *arguments, **settings: document(gan=100.0))
    before = document(gan=100.0, gone=1.0)
    before["environment"] |= {"precision": "bf16", "packages": {"torch": "1"}}
    earlier = tmp_path / "earlier.json"
    earlier.write_text(json.dumps(before))
    command = ["bench", "--variants", "gan", "--data-root", str(root), "--out", str(tmp_path / "out")]
    cli.main([*command, "--compare", str(earlier)], standalone_mode=False)
    told = [line for line in capsys.readouterr().err.splitlines() if "not the code alone" in line]
    assert [line.split(": ", 1)[1] for line in told] == [
        "precision: bf16 before, fp32 now",
        "torch: 1 before, 2 now",
        "gone was measured before, and is not now",
    ]


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (None, "does not exist"),
        ("{", "is no JSON"),
        ("[]", "is no record"),
        ('{"a": 1}', "is no record"),
        ('{"schema": 1, "rows": [{"variant": "gan"}], "environment": {}}', "is no record of this version: rows"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_it_is_measured(
    content: str | None, match: str, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speed, "measure_speed", lambda *arguments, **settings: pytest.fail("measured"))
    file = tmp_path / "earlier.json"
    if content is not None:
        file.write_text(content)
    command = ["bench", "--variants", "gan", "--data-root", str(root), "--compare", str(file)]
    with pytest.raises(RunError, match=match):
        cli.main(command, standalone_mode=False)


def test_what_is_compared_with_is_not_overwritten(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "measure_speed", lambda *arguments, **settings: pytest.fail("measured"))
    file = tmp_path / "speed.json"
    file.write_text(json.dumps(document(gan=1.0)))
    command = ["bench", "--variants", "gan", "--data-root", str(root), "--out", str(tmp_path), "--compare", str(file)]
    with pytest.raises(RunError, match="would be overwritten"):
        cli.main(command, standalone_mode=False)
    assert json.loads(file.read_text()) == document(gan=1.0)


def test_a_gate_without_a_comparison_is_refused() -> None:
    with pytest.raises(UserError, match="--fail-on needs"):
        cli.main(["bench", "--speed-only", "--fail-on", "5%"], standalone_mode=False)
