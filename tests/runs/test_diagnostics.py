"""Findings: of recorded runs, good and bad; of made-up ones, at each threshold; and what becomes of them in a run."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from ganzoo.config.layers import build_config
from ganzoo.engine.loop import Status
from ganzoo.files.progress import Event, listening
from ganzoo.runs import diagnostics
from ganzoo.runs.diagnostics import PAGE, RULES, Diagnosis, Facts, replay
from ganzoo.runs.directory import RunDirectory
from ganzoo.runs.events import Diagnosed
from ganzoo.runs.job import run_job
from ganzoo.zoo.registry import Registry

HISTORIES = sorted(Path(__file__).with_name("histories").glob("*.json"))
DOCS = (Path(__file__).parents[2] / PAGE).read_text(encoding="utf-8")


def findings(facts: Facts, ticks: list[dict[str, Any]], scores: list[dict[str, Any]]) -> list[str]:
    """Rules, in the order in which they speak up as the run goes on."""
    found = replay(facts, ticks, scores)
    assert all(one["text"] and one["cure"] for one in found)
    return [one["rule"] for one in found]


@pytest.mark.parametrize("file", HISTORIES, ids=lambda file: file.stem)
def test_recorded_runs(file: Path) -> None:
    history = json.loads(file.read_text())
    found = findings(Facts(**history["facts"]), history["ticks"], history["scores"])
    assert found == history["found"]
    assert bool(found) == file.stem.startswith("bad-")


def test_the_page_says_which_runs_and_what_they_gave() -> None:
    for file in HISTORIES:
        history = json.loads(file.read_text())
        fid = history["scores"][-1]["values"]["fid"]
        row = f"| `{history['made']}` | {fid:.1f} | {', '.join(history['found']) or 'none'} |"
        assert row in DOCS.splitlines(), row


def test_the_recorded_runs_are_of_both_kinds() -> None:
    kinds = [file.stem.split("-")[0] for file in HISTORIES]
    assert kinds.count("good") >= 6
    assert kinds.count("bad") >= 6
    spoken = {rule for file in HISTORIES for rule in json.loads(file.read_text())["found"]}
    assert len(spoken) >= 8


def ticks(kimg: int, **values: Any) -> list[dict[str, Any]]:
    """One each kimg; a value that is a list is that of each of them."""
    rows = []
    for at in range(kimg):
        row = {name: value[at] if isinstance(value, list) else value for name, value in values.items()}
        rows.append({"images": 1000 * (at + 1), "kimg": at + 1.0, **row})
    return rows


def scores(*values: tuple[int, dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"images": 1000 * kimg, "kimg": float(kimg), "protocol": "p", "values": one} for kimg, one in values]


NS = Facts(objective="non-saturating", kimg=8.0, num_classes=10, numbers=1024, real_diversity=0.4)
MANY = ticks(8, d_accuracy=0.7, g_loss=1.0, d_loss=1.2, diversity=0.35)

CASES: dict[str, tuple[Facts, Any, Any, list[str]]] = {
    "d-wins": (NS, ticks(3, d_accuracy=0.985), [], ["d-wins"]),
    "d-wins, a tick below": (NS, ticks(8, d_accuracy=[1.0, 1.0, 0.98, 1.0, 1.0, 0.98, 1.0, 1.0]), [], []),
    "d-wins, two kimg": (NS, ticks(2, d_accuracy=1.0), [], []),
    "d-wins, a tenth of a long run": (Facts(objective="hinge", kimg=100.0), ticks(9, d_accuracy=1.0), [], []),
    "d-wins, now a tenth": (Facts(objective="hinge", kimg=100.0), ticks(10, d_accuracy=1.0), [], ["d-wins"]),
    "d-wins, a critic": (Facts(objective="wgan-gp", kimg=8.0), ticks(8, d_accuracy=1.0), [], []),
    "d-wins, a plugin's": (Facts(objective="mine", kimg=8.0), ticks(8, d_accuracy=1.0), [], []),
    "d-loses": (NS, ticks(3, d_accuracy=0.4), [], ["d-loses"]),
    "d-loses, chance": (NS, ticks(8, d_accuracy=0.45), [], []),
    "saturated": (Facts(objective="minimax", kimg=8.0), ticks(2, d_accuracy=0.95), [], ["saturated"]),
    "g-loss": (NS, ticks(1, g_loss=15.0), [], ["g-loss-explodes"]),
    "g-loss, less": (NS, ticks(8, g_loss=14.9), [], []),
    "g-loss, no number": (NS, ticks(8, g_loss=None), [], []),
    "critic": (Facts(objective="wasserstein", numbers=1024), ticks(1, d_loss=-64.1), [], ["critic-unbounded"]),
    "critic, below": (Facts(objective="wasserstein", numbers=1024), ticks(1, d_loss=-63.9), [], []),
    "critic, no critic": (NS, ticks(1, d_loss=-65.0), [], []),
    "not finite": (NS, ticks(1, penalty=-1e4), [], ["not-finite-soon"]),
    "not finite, less": (NS, ticks(1, penalty=9e3), [], []),
    "not finite, a memory": (NS, ticks(1, **{"objective.k": 1e9}), [], []),
    "collapse, never more": (NS, ticks(3, diversity=0.039), [], ["mode-collapse"]),
    "collapse, more": (NS, ticks(8, diversity=0.041), [], []),
    "collapse, fallen": (NS, ticks(3, diversity=[0.3, 0.3, 0.01]), [], ["mode-collapse"]),
    "collapse, at the start": (NS, ticks(3, diversity=[0.01, 0.01, 0.3]), [], []),
    "classes": (NS, MANY, scores((4, {"modes": 8.0})), ["classes-missing"]),
    "classes, nearly all": (NS, MANY, scores((4, {"modes": 9.0})), []),
    "classes, early": (NS, MANY, scores((3, {"modes": 1.0})), []),
    "classes, of a run by time": (Facts(objective="hinge", num_classes=10), MANY, scores((8, {"modes": 1.0})), []),
    "recall": (NS, MANY, scores((4, {"recall": 0.019, "precision": 0.9})), ["low-recall"]),
    "memorised": (NS, MANY, scores((1, {"memorised": 10.0})), ["memorised"]),
    "memorised, less": (NS, MANY, scores((8, {"memorised": 9.9})), []),
    "worse": (NS, MANY, scores((2, {"fid": 9.0}), (4, {"fid": 14.0}), (6, {"fid": 15.0})), ["getting-worse"]),
    "worse, once": (NS, MANY, scores((2, {"fid": 9.0}), (4, {"fid": 20.0}), (6, {"fid": 10.0})), []),
    "nothing": (NS, MANY, scores((0, {"fid": 100.0}), (4, {"fid": 60.0})), ["learns-nothing"]),
    "nothing, some": (NS, MANY, scores((0, {"fid": 100.0}), (4, {"fid": 59.0})), []),
    "ema": (Facts(objective="x", kimg=8.0, ema_rampup=None), MANY, scores((8, {"fid": 1.0})), ["ema-behind"]),
    "ema, ramped up": (Facts(objective="x", kimg=8.0), MANY, scores((8, {"fid": 1.0})), []),
    "ema, short": (Facts(objective="x", kimg=8.0, ema_rampup=None, ema_kimg=1.0), MANY, scores((8, {"fid": 1.0})), []),
    "well": (NS, MANY, scores((0, {"fid": 99.0}), (8, {"fid": 5.0, "modes": 10.0, "recall": 0.5, "memorised": 1.0})),
             []),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_thresholds(case: str) -> None:
    facts, given, scored, expected = CASES[case]
    assert findings(facts, given, scored) == expected


def test_every_rule_is_tried_and_explained() -> None:
    assert {rule for *_, expected in CASES.values() for rule in expected} == set(RULES)
    headings = re.findall(r"^## (\S+)$", DOCS, re.MULTILINE)
    assert headings == list(RULES)
    assert set(diagnostics.OF_SCORES) < set(RULES)


def test_scores_of_another_protocol_are_not_compared() -> None:
    old = [{**score, "protocol": "old"} for score in scores((0, {"fid": 10.0}), (2, {"fid": 1.0}), (4, {"fid": 1.0}))]
    diagnosis = Diagnosis(NS)
    assert diagnosis.scored([*old, *scores((0, {"fid": 100.0}), (6, {"fid": 9.0}))]) == []


def test_means_are_over_images_not_over_ticks() -> None:
    rows = [{"images": 1000, "kimg": 1.0, "g_loss": 1.0}, {"images": 1016, "kimg": 1.016, "g_loss": 100.0}]
    assert findings(NS, rows, []) == []


def test_a_finding_is_recorded_told_and_not_repeated(
    registry: Registry, data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sets = ["train.batch_size=16", "train.kimg=0.064", "train.snapshots=1", "variant.width=8", "eval.num_images=70",
            "eval.metrics=kid", "train.tick_kimg=0.016", "train.tick_seconds=0"]  # fmt: skip
    config = build_config(registry, variant="gan", dataset="digits", sets=sets)
    monkeypatch.setattr("ganzoo.runs.history.SLACK", 3000)  # windows of 3 kimg are filled at once
    original = Status.__init__

    def won(self: Status, **fields: Any) -> None:
        original(self, **{**fields, "values": {**fields["values"], "d_accuracy": 1.0}})

    monkeypatch.setattr(Status, "__init__", won)
    told: list[Event] = []
    with listening(told.append):
        result = run_job(registry, config, tmp_path / "run", root=data_root)
    run = RunDirectory(tmp_path / "run")
    (found,) = [event for event in told if isinstance(event, Diagnosed) and event.rule == "d-wins"]
    (kept,) = [one for one in run.diagnostics() if one["rule"] == "d-wins"]
    assert kept in result["diagnostics"]
    assert (kept["images"], kept["text"], kept["link"]) == (16, found.text, f"{PAGE}#d-wins")
    assert str(found) == f"{found.text}; {found.cure} ({found.link})"
    run.result_file.unlink()
    told.clear()
    with listening(told.append):  # it goes on from its last state
        run_job(registry, config, tmp_path / "run", root=data_root)
    assert not [event for event in told if isinstance(event, Diagnosed) and event.rule == "d-wins"]
    assert kept in run.diagnostics()
    run.rewind(15)
    assert kept not in run.diagnostics()


def test_others_lines_are_checked_and_cleaned(tmp_path: Path) -> None:
    good = {"images": 1, "kimg": 0.001, "rule": "r", "text": "a\x1b[2J", "cure": "c", "link": "l"}
    lines = [json.dumps(good), "{", json.dumps({**good, "text": 3}), json.dumps({"images": 1})]
    (tmp_path / "diagnostics.jsonl").write_text("\n".join(lines) + "\n")
    (found,) = RunDirectory(tmp_path).diagnostics()
    assert found["text"] == "a\ufffd[2J"
