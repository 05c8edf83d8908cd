"""How long scoring will take: what is counted, and what is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ganzoo.config.layers import build_config
from ganzoo.config.run_config import Train
from ganzoo.engine.schedule import Budget, Schedule
from ganzoo.runs.directory import RunDirectory
from ganzoo.runs.events import Event, Scored, Tick, listening
from ganzoo.runs.job import run_job
from ganzoo.runs.score_time import ScoresAhead, ScoreSpeed, known_speed, remember_speed
from ganzoo.zoo.registry import Registry


def ahead(registry: Registry, scores: list[dict[str, Any]], real: int = 0, known: float | None = None) -> ScoresAhead:
    """Of a run that scores 1,000 images at snapshots 0, 4 and 8."""
    config = build_config(registry, variant="gan", sets=["train.snapshots=8", "eval.num_images=1000"])
    speed = None if known is None else ScoreSpeed(seconds=known, device="some CPU")
    return ScoresAhead(config, lambda: list(scores), count=1000, real=lambda: real, known=speed)


def test_scores_that_are_to_come_take_what_those_before_took(registry: Registry) -> None:
    untrained, trained = {"images": 0, "seconds": 10.0}, {"images": 500, "seconds": 30.0}
    assert ahead(registry, []).seconds(0, 8) is None
    assert ahead(registry, [], known=0.01).seconds(0, 8) == pytest.approx(30.0)  # 0, 4 and 8
    assert ahead(registry, [], known=0.01).seconds(3, 8) == pytest.approx(30.0)
    assert ahead(registry, [], real=2000, known=0.01).seconds(0, 8) == pytest.approx(50.0)
    assert ahead(registry, [untrained, trained], known=9.0).seconds(4, 8) == pytest.approx(20.0)  # the median, of 8
    assert ahead(registry, [trained]).seconds(4, 8) == pytest.approx(60.0)  # 8, and the untrained one
    assert ahead(registry, [untrained, trained]).seconds(8, 8) == 0.0
    assert ahead(registry, [], known=0.01).seconds(0, 3) == pytest.approx(20.0)  # the last is always scored


def test_scores_are_read_once_for_each_snapshot(registry: Registry) -> None:
    scores: list[dict[str, Any]] = []
    one = ahead(registry, scores)
    assert one.seconds(0, 8) is None
    scores += [{"images": 0, "seconds": 10.0}, {"images": 500, "seconds": 10.0}]
    assert one.seconds(0, 8) is None
    assert one.seconds(4, 8) == pytest.approx(10.0)


@pytest.mark.parametrize(
    ("config", "first", "last"),
    [
        (Train(kimg=100, batch_size=50, snapshots=8), None, 8),
        (Train(kimg=None, minutes=2, batch_size=50, snapshots=8), None, 8),
        (Train(kimg=100, minutes=2, batch_size=50, snapshots=8), None, 8),
        (Train(kimg=250, batch_size=50, snapshots=8), Budget(steps=2000, seconds=None, snapshots=8), 20),
        (Train(kimg=10, minutes=20, batch_size=50, snapshots=8), Budget(steps=2000, seconds=60.0, snapshots=8), 1),
    ],
)
def test_the_last_snapshot_is_known_by_the_budget(config: Train, first: Budget | None, last: int) -> None:
    assert Schedule(config, first).last == last


def test_speeds_are_kept_by_network_metrics_and_device(registry: Registry, tmp_path: Path) -> None:
    def config(*sets: str) -> Any:
        return build_config(registry, variant="gan", sets=list(sets))

    remember_speed(tmp_path, config(), "one", 0.5)
    remember_speed(tmp_path, config("eval.num_images=70"), "one", 0.25)  # a number more or less is no other work
    remember_speed(tmp_path, config(), "two", 0.125)
    found = {device: known_speed(tmp_path, config(), device) for device in ("one", "two", "three")}
    assert {device: speed and speed.seconds for device, speed in found.items()} == {
        "one": 0.25, "two": 0.125, "three": None,
    }  # fmt: skip
    assert known_speed(tmp_path, config("eval.metrics=kid")) is None
    for file in (tmp_path / "speeds").iterdir():
        file.write_text('{"seconds_per_image": -1, "device": "one"}')
    assert known_speed(tmp_path, config()) is None
    (tmp_path / "file").write_text("")
    remember_speed(tmp_path / "file", config(), "one", 0.5)  # no folder: no more than an estimate is lost


def test_a_runs_ticks_say_whether_scoring_is_counted(registry: Registry, tmp_path: Path) -> None:
    sets = ["variant.width=8", "train.batch_size=16", "train.kimg=0.32", "train.tick_kimg=0.048", "train.snapshots=2",
            "train.tick_seconds=0", "eval.num_images=100", "eval.every=1", "eval.metrics=fid"]  # fmt: skip

    def told(seed: int) -> tuple[list[Tick], list[Scored]]:
        events: list[Event] = []
        config = build_config(registry, variant="gan", dataset="digits", sets=[*sets, f"seed={seed}"])
        with listening(events.append):
            run_job(registry, config, tmp_path / f"run{seed}", root=tmp_path / "root")
        assert RunDirectory(tmp_path / f"run{seed}").read_result()
        return [event for event in events if isinstance(event, Tick)], [e for e in events if isinstance(e, Scored)]

    ticks, scores = told(0)
    assert ticks[0].scoring_left is None
    assert ticks[0].left.endswith(" left without scoring")
    before = [tick for tick in ticks if tick.kimg > 0.2]
    assert before[-1].scoring_left == pytest.approx(sorted(s.seconds for s in scores[:2])[0], rel=3.0)
    assert before[-1].left.endswith(" left")
    ticks, _ = told(1)
    assert ticks[0].scoring_left == pytest.approx(3 * scores[-1].seconds, rel=0.01)  # of the run before; no real images
