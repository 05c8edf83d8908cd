"""Records of time to quality: benchmarks/records.py, docs/records/, docs/records.md."""

from __future__ import annotations

import argparse
import copy
import importlib
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ganzoo.errors import SettingError, UserError

ROOT = Path(__file__).parents[1]


def script(name: str) -> ModuleType:
    if str(ROOT / "benchmarks") not in sys.path:
        sys.path.append(str(ROOT / "benchmarks"))  # whose files import each other
    return importlib.import_module(name)


rules, page, records = script("records_rules"), script("records_page"), script("records")
DIGITS = rules.TARGETS["digits-fid5"]
SETTINGS = rules.Settings(variant="cdcgan", kimg=8.0, sets={"train.batch_size": "32"})


def runs(*seconds: float, first: int = 0, missed: int | None = None) -> list[dict[str, Any]]:
    return [
        {"seed": seed, "reached": seed != missed, "seconds": value, "kimg": 4.0, "fid": 9.0 if seed == missed else 4.5,
         "wall": 20.0, "load": 1.0, "others": 0.1}
        for seed, value in enumerate(seconds, first)
    ]  # fmt: skip


SLOW, FAST = (10.0, 10.5, 9.5, 10.2, 9.8), (8.0, 8.4, 7.6, 8.2, 7.8)


def test_a_record_is_faster_with_p_below_a_hundredth() -> None:
    assert rules.verdict(runs(*SLOW), None) == rules.Verdict(record=True, why="the first")
    told = rules.verdict(runs(*FAST), runs(*SLOW))
    assert (told.record, told.why) == (True, "faster")
    assert told.p == pytest.approx(2.227e-5, rel=1e-3)  # t = 2 / sqrt(0.049) with 7.74 degrees of freedom
    told = rules.verdict(runs(*SLOW), runs(*FAST))
    assert (told.record, told.why) == (False, "not faster")
    assert told.p is not None
    assert told.p < 0.01
    near = (9.0, 10.4, 8.8, 9.9, 9.4)  # faster on average, p = 0.19
    told = rules.verdict(runs(*near), runs(*SLOW))
    assert not told.record
    assert told.p is not None
    assert 0.01 < told.p < 1
    assert told.why == "faster, but p is not below 0.01"


def test_every_seed_must_reach_the_target() -> None:
    for before in (None, runs(*SLOW)):
        told = rules.verdict(runs(*FAST, missed=3), before)
        assert told == rules.Verdict(record=False, why="seed 3 did not reach the target")
    for ours, theirs in ((FAST[:4], None), (FAST[:4], SLOW), (FAST, SLOW[:4])):
        told = rules.verdict(runs(*ours), None if theirs is None else runs(*theirs))
        assert told == rules.Verdict(record=False, why="not finished")
    assert rules.verdict(runs(*FAST), runs(*SLOW, missed=2)).record  # the holder's seed counts with what it had


@pytest.mark.parametrize(
    "key",
    ["eval.num_images", "eval.held_out", "eval.metrics", "features.name", "metric.fid.allow_rank_deficient", "seed",
     "dataset.size", "device", "train.until", "train.snapshots", "train.scores", "train.kimg", "train.minutes",
     "train.tick_kimg", "train", "init"],
)  # fmt: skip
def test_what_is_scored_and_when_is_no_challengers_choice(key: str) -> None:
    with pytest.raises(SettingError, match="is the same for all"):
        rules.check_settings(rules.Settings(variant="gan", kimg=8.0, sets={key: "1"}), DIGITS)


def test_a_budget_is_of_whole_intervals() -> None:
    rules.check_settings(SETTINGS, DIGITS)
    rules.check_settings(rules.Settings(variant="gan", kimg=0.75, sets={"variant.width": "8"}), DIGITS)
    for kimg in (0.1, 8.1, 0.0, -1.0):
        with pytest.raises(SettingError, match=r"no multiple of 0\.25"):
            rules.check_settings(rules.Settings(variant="gan", kimg=kimg), DIGITS)
    words = list(rules.words_of(SETTINGS, DIGITS))
    assert "train.snapshots=32" in words
    assert words[words.index("--until") + 1] == "fid=5"


def result() -> dict[str, Any]:
    """One of the published leaderboard's, as if it had been run for the record."""
    file = ROOT / "docs" / "results" / "digits" / "cdcgan" / "0" / "result.json"
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    found["config"]["train"] |= {"kimg": 8.0, "snapshots": 32, "scores": "every"}
    found["config"]["eval"]["every"] = 1
    found["environment"] |= {"device": "AMD EPYC, 2 threads", "concurrent": 1}
    found["budgets"] = [{"kimg": 8.0, "minutes": None, "snapshots": 32}]
    found["until"] = {"metric": "fid", "value": 5.0, "reached": True, "seconds": 4.25, "kimg": 5.0, "joules": None}
    found["last"]["values"]["fid"] = 4.7
    return found


def test_the_protocol_is_the_published_leaderboards() -> None:
    one = rules.evidence(result(), DIGITS, SETTINGS, 0)
    assert one["reached"]
    assert (one["seconds"], one["kimg"], one["fid"]) == (4.25, 5.0, 4.7)


LIES: dict[str, tuple[tuple[str, ...], Any]] = {
    "protocol": (("protocol", "id"), "digits-32x32x1-train1437-gen200-digits-last-ema-00000000"),
    "target": (("until", "value"), 6.0),
    "seed": (("seed",), 1),
    "variant": (("config", "variant", "name"), "gan"),
    "kimg": (("config", "train", "kimg"), 16.0),
    "snapshots": (("config", "train", "snapshots"), 320),
    "scores": (("config", "eval", "every"), 2),
    "held out": (("config", "eval", "held_out"), 0.5),
    "initial weights": (("config", "init"), "runs/digits/cdcgan-s0"),
    "times begun": (("budgets",), [{"kimg": 4.0, "snapshots": 16}, {"kimg": 8.0, "snapshots": 16}]),
    "runs at once": (("environment", "concurrent"), 2),
    "processes": (("environment", "ranks"), 2),
    "threads": (("environment", "device"), "AMD EPYC, 12 threads"),
}


@pytest.mark.parametrize("what", LIES)
def test_a_run_that_is_not_what_the_rules_ask_for_is_refused(what: str) -> None:
    (*path, last), lie = LIES[what]
    told = result()
    inner = told
    for key in path:
        inner = inner[key]
    inner[last] = lie
    with pytest.raises(UserError, match=f"has {what} "):
        rules.evidence(told, DIGITS, SETTINGS, 0)


def test_only_a_score_reaches_the_target() -> None:
    told = result()
    told["last"]["values"]["fid"] = 5.2
    with pytest.raises(UserError, match=r"its score is 5\.2"):
        rules.evidence(told, DIGITS, SETTINGS, 0)
    told["until"]["reached"] = False
    assert not rules.evidence(told, DIGITS, SETTINGS, 0)["reached"]
    told = result() | {"diverged": "weights of G not finite at 5.0 kimg", "last": None}
    assert not rules.evidence(told, DIGITS, SETTINGS, 0)["reached"]


class Machine:
    """In place of training: seconds of each variant, and in which order they were asked for."""

    def __init__(self, **seconds: tuple[float, ...]) -> None:
        self.seconds, self.asked, self.recipe = seconds, list[tuple[str, int]](), 0.002

    def __call__(self, target: Any, settings: Any, seed: int, _: Any) -> dict[str, Any]:
        self.asked.append((settings.variant, seed))
        told = result() | {"seed": seed, "load": 1.5, "others": 0.25}
        told["config"]["variant"]["name"] = settings.variant
        told["config"]["train"]["g_lr"] = self.recipe
        seconds = self.seconds[settings.variant][seed % rules.SEEDS]
        told["until"] |= {"seconds": seconds, "reached": seconds > 0}
        return told


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty one; the page in its place. Nothing is trained."""
    monkeypatch.setattr(records, "FOLDER", tmp_path)
    monkeypatch.setattr(page, "FOLDER", tmp_path)
    monkeypatch.setattr(page, "PAGE", tmp_path / "records.md")
    monkeypatch.setattr(records, "check_committed", lambda: None)
    return tmp_path / "digits-fid5.json"


def challenge(monkeypatch: pytest.MonkeyPatch, machine: Machine, variant: str) -> None:
    monkeypatch.setattr(records, "train", machine)
    records.challenge("digits-fid5", rules.Settings(variant=variant, kimg=8.0), argparse.Namespace())


def test_a_challenger_runs_in_turn_with_the_holder(history: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(dcgan=SLOW, cdcgan=FAST, gan=(7.0, 7.1, -1.0, 7.0, 7.0))
    challenge(monkeypatch, machine, "dcgan")
    assert machine.asked == [("dcgan", seed) for seed in range(5)]
    machine.asked.clear()
    challenge(monkeypatch, machine, "gan")  # a seed of it fails: none after that one
    assert [seed for _, seed in machine.asked] == [5, 5, 6, 6, 7, 7]
    machine.asked.clear()
    challenge(monkeypatch, machine, "cdcgan")
    assert sorted(machine.asked) == [(name, seed) for name in ("cdcgan", "dcgan") for seed in range(10, 15)]
    assert [name for name, _ in machine.asked[:4]] == ["dcgan", "cdcgan", "cdcgan", "dcgan"]

    found = rules.read(history)
    assert [(one["settings"]["variant"], one["record"], one["why"]) for one in found] == [
        ("dcgan", True, "the first"), ("gan", False, "seed 7 did not reach the target"), ("cdcgan", True, "faster"),
    ]  # fmt: skip
    assert [run["seconds"] for run in found[2]["holder"]] == list(SLOW)  # of this sitting
    assert not list(rules.faults(DIGITS, found))
    assert rules.settings_of(rules.holder(found)).variant == "cdcgan"

    text = page.page()
    assert "| Digits to FID 5 | 8.00 ± 0.39 | 5.00 | `cdcgan` | " in text
    assert "| 1 | " in text.split("seed 7 did not reach")[0]  # what failed is told
    assert "the machine had other work, 0.2 of its cores" in text
    assert "seeds 10-14 8.00, 8.40, 7.60, 8.20, 7.80 s; the record beside it seeds 10-14 10.00" in text
    assert "ganzoo bench --variants cdcgan --dataset digits " in text
    assert "--seeds 5 --seed 10 --concurrent 1" in text


@pytest.mark.parametrize("broken_at", [0, 1])
def test_a_challenge_that_is_broken_off_has_used_its_seeds(
    history: Path, monkeypatch: pytest.MonkeyPatch, broken_at: int
) -> None:
    class Interrupted(Machine):
        def __call__(self, target: Any, settings: Any, seed: int, arguments: Any) -> dict[str, Any]:
            if seed == broken_at:
                raise KeyboardInterrupt
            return super().__call__(target, settings, seed, arguments)

    with pytest.raises(KeyboardInterrupt):
        challenge(monkeypatch, Interrupted(cdcgan=FAST), "cdcgan")
    (kept,) = rules.read(history)
    assert (kept["record"], kept["why"], len(kept["runs"])) == (False, "not finished", broken_at)
    machine = Machine(cdcgan=FAST)
    challenge(monkeypatch, machine, "cdcgan")
    assert [seed for _, seed in machine.asked] == list(range(5, 10))
    assert "| - | - | - | - | not finished |" in page.page()


def test_the_holder_trains_as_it_did(history: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(dcgan=SLOW, cdcgan=FAST)
    challenge(monkeypatch, machine, "dcgan")
    machine.recipe = 0.004  # another version's
    with pytest.raises(UserError, match=r"another recipe now: train\.g_lr: 0\.002 -> 0\.004"):
        challenge(monkeypatch, machine, "cdcgan")
    told = result()
    recipe = rules.recipe_of(told)
    assert recipe["train.g_lr"] == 0.002
    told["config"]["train"] |= {"pictures": 0, "eps": 1e-8}  # neither of which changes what is trained
    rules.check_recipe(recipe, rules.recipe_of(told))


def test_two_machines_or_commits_are_not_compared(history: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Moving(Machine):
        def __call__(self, target: Any, settings: Any, seed: int, arguments: Any) -> dict[str, Any]:
            told = super().__call__(target, settings, seed, arguments)
            told["environment"] |= {"git": {"commit": f"abc{seed // 3}", "dirty": False}}
            return told

    with pytest.raises(UserError, match="leave machine and code alone"):
        challenge(monkeypatch, Moving(cdcgan=FAST), "cdcgan")
    assert not rules.read(history)[0]["record"]


def test_a_history_that_does_not_follow_from_its_runs_is_found(history: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(dcgan=SLOW, cdcgan=FAST)
    challenge(monkeypatch, machine, "dcgan")
    challenge(monkeypatch, machine, "cdcgan")
    sound = rules.read(history)
    assert not list(rules.faults(DIGITS, sound))

    def told(change: Any) -> str:
        changed = copy.deepcopy(sound)
        change(changed)
        return " ".join(rules.faults(DIGITS, changed))

    assert "challenge 1 says" in told(lambda all: all[1].update(p=0.001))
    assert "challenge 1 says" in told(lambda all: all[1]["runs"][0].update(seconds=30.0))
    assert "not run beside" in told(lambda all: all[1].update(holder=None))
    assert "was scored by" in told(lambda all: all[0].update(grid=0.1))
    assert "has seeds" in told(lambda all: all[1]["runs"][0].update(seed=1000))
    assert "FID 5.1 is not 5" in told(lambda all: all[1]["runs"][2].update(fid=5.1))
    assert "is the same for all" in told(lambda all: all[0]["settings"]["sets"].update({"eval.num_images": "50"}))


def test_wrong_commands_are_told_in_two_lines(
    history: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, cause in {
        "run": "no target is named",
        "run digits-fid5": "nobody holds the record",
        "run digits-fid5 --variant gan": "there is no budget",
        "run digits-fid5 --variant gan --kimg 8 --set train.g_lr": "has no value",
        "run digits-fid5 --variant gan --kimg 8 --seeds 1000,3": "seed 3 is one of the records'",
        "challenge digits-fid5 --variant gan --kimg 8 --set eval.num_images=99": "is the same for all",
        "challenge digits-fid5 --variant gam --kimg 8": "unknown variant 'gam'",
    }.items():
        monkeypatch.setattr(sys, "argv", ["records.py", *words.split()])
        assert records.main() == 2
        told = capsys.readouterr().err
        assert cause in told
        assert told.count("\n") == 2
    assert not history.exists()


def test_seeds_of_records_are_apart_from_those_of_trials() -> None:
    assert rules.seeds_of(0) == [0, 1, 2, 3, 4]
    assert rules.seeds_of(199)[-1] == 999
    with pytest.raises(UserError, match="used all seeds below 1000"):
        rules.seeds_of(200)


def test_what_is_not_of_this_repository_holds_no_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records.check_ours(SETTINGS, DIGITS)
    monkeypatch.setattr(records, "ROOT", tmp_path)
    with pytest.raises(UserError, match="cdcgan is not of this repository"):
        records.check_ours(SETTINGS, DIGITS)


def test_the_published_records_follow_from_their_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert records.check() == 0, capsys.readouterr().out
    assert {file.stem for file in page.FOLDER.glob("*.json")} <= set(rules.TARGETS)


def test_a_run_is_trained_and_read(tmp_path: Path) -> None:
    settings = rules.Settings(variant="gan", kimg=0.25, sets={"variant.width": "16"})
    told = records.train(DIGITS, settings, 1000, argparse.Namespace(runs=tmp_path, data_root=None))
    one = records.evidence(DIGITS, settings, 1000, told)
    assert not one["reached"]
    assert one["kimg"] == pytest.approx(0.25, abs=0.032)
    assert 0 < one["seconds"] < one["wall"]
    assert one["others"] < (records.psutil.cpu_count() or 1) + 0.5
