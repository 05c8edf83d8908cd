"""Targets: a run stops at the first snapshot that is good enough, and says when that was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from ganzoo.cli.main import cli
from ganzoo.config.layers import build_config
from ganzoo.config.run_config import RunConfig
from ganzoo.config.target import Target, parse_target
from ganzoo.engine import energy
from ganzoo.engine.energy import EnergyMeter
from ganzoo.errors import SettingError, UserError
from ganzoo.leaderboard.table import make_tables
from ganzoo.leaderboard.words import notes
from ganzoo.runs.directory import RunDirectory
from ganzoo.runs.job import run_job
from ganzoo.zoo.registry import Registry

BETTER = {"fid": False, "is": True}
SETS = ["variant.width=8", "train.batch_size=16", "train.kimg=0.32", "train.snapshots=4", "eval.num_images=100"]


def test_targets_are_reached_from_the_right_side() -> None:
    assert parse_target("fid=10", BETTER) == Target(metric="fid", value=10.0, higher_is_better=False)
    low, high = parse_target(" fid = 1e1", BETTER), parse_target("is=2.5", BETTER)
    assert (low.reached({"fid": 10.0}), low.reached({"fid": 10.1}), low.reached({"is": 0.0})) == (True, False, False)
    assert (high.reached({"is": 2.5}), high.reached({"is": 2.4}), high.reached({})) == (True, False, False)


@pytest.mark.parametrize(
    ("text", "cause"),
    [("fid", "not a target"), ("fid=", "not a target"), ("fid=nan", "not a target"), ("fid<10", "not a target"),
     ("fdi=10", "unknown score 'fdi'"), ("cond_std=1", "unknown score")],
)  # fmt: skip
def test_a_wrong_target_is_refused_before_anything_is_trained(text: str, cause: str) -> None:
    with pytest.raises(UserError, match=cause):
        build_config(Registry.load(environ={}), variant="gan", sets=[f"train.until={text}"])


def config_of(registry: Registry, *sets: str) -> RunConfig:
    return build_config(registry, variant="gan", sets=[*SETS, "eval.metrics=fid", "eval.every=1", *sets])


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.load(environ={})


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("root")


def test_a_run_ends_where_its_target_is_reached(registry: Registry, root: Path, tmp_path: Path) -> None:
    whole = run_job(registry, config_of(registry), tmp_path / "whole", root=root)
    fids = [(record["images"], record["values"]["fid"]) for record in RunDirectory(tmp_path / "whole").metrics()]
    assert whole["until"] is None
    assert len(fids) == 5
    value = min(fid for _, fid in fids[1:4])
    first = next(i for i, fid in fids[1:] if fid <= value)
    result = run_job(registry, config_of(registry, f"train.until=fid={value}"), tmp_path / "until", root=root)
    until = result["until"]
    assert (until["metric"], until["value"], until["reached"]) == ("fid", value, True)
    assert until["kimg"] * 1000 == result["last"]["images"] == first < 320
    assert 0 < until["seconds"] == result["seconds"]["train"] < result["seconds"]["wall"]
    assert result["status"] == "done"
    out_of_reach = run_job(registry, config_of(registry, "train.until=fid=-1"), tmp_path / "never", root=root)
    assert out_of_reach["until"]["reached"] is False
    assert out_of_reach["kimg"] == whole["kimg"]
    (table,) = make_tables([RunDirectory(tmp_path / name) for name in ("until", "never")], "time_to")
    times = [row.numbers["time_to"] for row in table.rows if row.kind == "generated"]
    assert times[0] is not None
    assert times[0].mean == until["seconds"]
    assert times[1] is None
    assert f"target: fid={value:g}" in notes(table)


def test_a_run_killed_after_the_score_that_ended_it_stops_there(registry: Registry, root: Path, tmp_path: Path) -> None:
    class Stopper:
        def on_status(self, status: Any) -> None: ...

        def on_snapshot(self, snapshot: Any) -> None:
            if snapshot.images:
                raise KeyboardInterrupt

        def on_end(self, result: dict[str, Any]) -> None: ...

    config = config_of(registry, "train.until=fid=1e9")
    with pytest.raises(KeyboardInterrupt):
        run_job(registry, config, tmp_path / "run", root=root, observers=[Stopper()])
    result = run_job(registry, config, tmp_path / "run", root=root)
    assert result["until"]["reached"]
    assert result["last"]["images"] == result["kimg"] * 1000 == 80
    assert result["joules"] is None


def test_the_option_scores_every_snapshot(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sets = [part for text in [*SETS, "eval.metrics=fid"] for part in ("--set", text)]
    command = ["train", "gan", *sets, "--until", "fid=-1", "--data-root", str(root), "--out", str(tmp_path / "run")]
    cli.main(command, standalone_mode=False)
    assert "target: fid=-1" in capsys.readouterr().out
    assert len(RunDirectory(tmp_path / "run").metrics()) == 5
    with pytest.raises(SettingError):
        cli.main(["train", "gan", "--until", "soon"], standalone_mode=False)


def test_energy_is_counted_between_start_and_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("intel-rapl:0", "intel-rapl:1", "intel-rapl:0:0"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "max_energy_range_uj").write_text("10000000\n")

    def count(*microjoules: int) -> None:
        for index, value in enumerate(microjoules):
            (tmp_path / f"intel-rapl:{index}" / "energy_uj").write_text(f"{value}\n")
        (tmp_path / "intel-rapl:0:0" / "energy_uj").write_text("7\n")

    count(1_000_000, 9_000_000)
    reader = energy._package_counter(tmp_path)
    assert reader is not None
    monkeypatch.setattr(energy, "_package_counter", lambda: reader)
    meter = EnergyMeter(torch.device("cpu"))
    meter.start()
    count(1_500_000, 500_000)  # the second counter has begun again
    meter.stop()
    assert meter.joules == pytest.approx(0.5 + 1.5)
    count(9_000_000, 600_000)  # while it was not counting
    meter.start()
    count(9_100_000, 600_000)
    meter.stop()
    assert meter.joules == pytest.approx(2.1)


def test_a_device_that_does_not_tell_has_no_energy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert energy._package_counter(tmp_path / "nowhere") is None
    (tmp_path / "intel-rapl:0").mkdir()  # without a readable counter
    assert energy._package_counter(tmp_path) is None
    monkeypatch.setattr(energy, "_package_counter", lambda: None)
    meter = EnergyMeter(torch.device("cpu"))
    meter.start()
    meter.stop()
    assert meter.joules is None
