"""Settings chosen by a search: out of what, by which scores, and that the comparison is of other images."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import GanZoo

from ganzoo.bench import search as searching
from ganzoo.bench.grid import Range, axes_of
from ganzoo.bench.search import search, trials_of
from ganzoo.data import Images
from ganzoo.errors import DataError, RunError, SettingError, UserError
from ganzoo.files.progress import Event, listening
from ganzoo.scoring.selection import HELD_OUT, held_out

optuna = pytest.importorskip("optuna")


def test_ranges_are_whole_or_logarithmic_as_they_are_written() -> None:
    found = axes_of(["train.g_lr=1e-5..1e-2", "train.batch_size=8..64", "train.beta1=0..0.9", "objective=hinge"],
                    ranges=True)  # fmt: skip
    assert found["objective"] == ("hinge",)
    ranges = {key: axis for key, axis in found.items() if isinstance(axis, Range)}
    assert {key: (axis.whole, axis.log, axis.said) for key, axis in ranges.items()} == {
        "train.g_lr": (False, True, "1e-05..0.01"),
        "train.batch_size": (True, False, "8..64"),
        "train.beta1": (False, False, "0..0.9"),
    }


@pytest.mark.parametrize("text", ["2..1", "1..1", "a..b", "1..", "..2", "1..nan", "0..inf", "1..2,3", "3,1..2"])
def test_what_is_no_range(text: str) -> None:
    with pytest.raises(SettingError, match=re.escape(f"train.g_lr={text} is no range of numbers")):
        axes_of(f"train.g_lr={text}", ranges=True)
    with pytest.raises(SettingError, match="has no end of values"):
        axes_of(f"train.g_lr={text}")


@pytest.mark.parametrize("share", [0.2, 0.01, 0.5])
def test_what_is_held_out_is_not_trained_on(share: float) -> None:
    pixels = torch.arange(100, dtype=torch.uint8).reshape(100, 1, 1, 1)
    whole = Images(pixels=pixels, labels=torch.arange(100), num_classes=100, sha256="whole")
    parts = [held_out(whole, share, split) for split in ("train", HELD_OUT)]
    assert len(parts[1]) == 100 * share
    assert sorted(int(value) for part in parts for value in part.pixels.flatten()) == list(range(100))
    for part in parts:
        assert part.labels is not None
        assert torch.equal(part.labels, part.pixels.flatten().long())
    assert len({whole.sha256, *(part.sha256 for part in parts)}) == 3
    assert torch.equal(held_out(whole, share, HELD_OUT).pixels, parts[1].pixels)
    with pytest.raises(DataError, match="leaves none"):
        held_out(whole, 0.001, HELD_OUT)


class Pretended:
    """In place of training: a run's FID is what `fid` says of its settings."""

    def __init__(self, fid: Callable[[Any], float | None], out: Path) -> None:
        self.fid, self.out, self.seen = fid, out, list[Any]()

    def __call__(self, chosen: Any, **_: Any) -> Sequence[Any]:
        self.seen += chosen.configs
        return [PretendedRun(self.fid(config), self.out / str(index)) for index, config in enumerate(chosen.configs)]


class PretendedRun:
    def __init__(self, fid: float | None, path: Path) -> None:
        self.path, self._result = path, None if fid is None else {"last": {"values": {"fid": fid}}}

    def read_result(self) -> dict[str, Any] | None:
        return self._result


def distance(config: Any) -> float:
    """Best at 0.01."""
    return abs(math.log10(config.train.g_lr) + 2)


def searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fid: Any, grid: Any, count: int = 12, **options: Any
) -> Any:
    pretended = Pretended(fid, tmp_path)
    monkeypatch.setattr(searching, "compete", pretended)
    said: list[Event] = []
    with listening(said.append):
        found = search(options.pop("variants", "gan"), count, grid, tmp_path,
                       {"data_root": tmp_path, "kimg": 1, **options}, concurrent=None)  # type: ignore[typeddict-item]  # fmt: skip
    document = json.loads((tmp_path / "search" / "search.json").read_text(encoding="utf-8"))
    return found, document, pretended.seen, [str(event) for event in said if event.kind == "note"]


def test_the_best_of_the_trials_is_chosen_and_all_are_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grid = ["train.g_lr=1e-6..1e-1", "train.batch_size=16,32"]
    found, document, seen, said = searched(tmp_path, monkeypatch, distance, grid, seed=7)
    [point] = found["gan"]
    trials = document["variants"]["gan"]["trials"]
    assert len(trials) == 1 + 12
    assert trials[0]["settings"] == {}
    best = min(trials, key=lambda trial: trial["fid"])
    assert point.said == best["settings"] == document["variants"]["gan"]["chosen"]
    assert best["fid"] < distance(seen[0])  # than as it is
    assert document["variants"]["gan"]["space"] == {"train.g_lr": "1e-06..0.1", "train.batch_size": ["16", "32"]}
    # Neither the images nor the seed of the comparison.
    assert {(config.eval.held_out, config.seed, config.train.scores) for config in seen} == {(0.2, 1000, "last")}
    assert any(line.startswith("search: gan with train.g_lr=") and "as it was" in line for line in said)
    again, *_ = searched(tmp_path, monkeypatch, distance, grid, seed=7)
    assert again == found


def test_more_trials_begin_with_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grid = "train.g_lr=1e-6..1e-1"
    few, many = (searched(tmp_path, monkeypatch, distance, grid, count)[1]["variants"]["gan"]["trials"]
                 for count in (8, 10))  # fmt: skip
    assert many[: len(few)] == few
    assert (len(few), len(many)) == (1 + 8, 1 + 10)


def test_a_variant_stays_as_it_is_where_nothing_is_better(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found, document, _, said = searched(
        tmp_path, monkeypatch, lambda config: None if config.train.g_lr == 0.5 else 1.0, "train.g_lr=0.4,0.5", 4
    )
    assert [point.label for point in found["gan"]] == [""]
    assert "search: gan stays as it is: FID 1 is the lowest" in said[-1]
    assert {trial["fid"] for trial in document["variants"]["gan"]["trials"] if trial["settings"]} <= {1.0, None}


def test_each_variant_searches_what_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grid = ["variant.channels=8,16", "train.g_lr=1e-4..1e-2"]
    found, document, *_ = searched(tmp_path, monkeypatch, distance, grid, 4, variants="gan,dcgan")
    spaces = {name: sorted(one["space"]) for name, one in document["variants"].items()}
    assert spaces == {"gan": ["train.g_lr"], "dcgan": ["train.g_lr", "variant.channels"]}
    assert set(found) == {"gan", "dcgan"}


@pytest.mark.parametrize(
    ("grid", "options", "message"),
    [
        (None, {}, "nothing to choose from"),
        ("train.g_lr=1e-4..1e-2", {"until": "fid=5"}, "leave one of them out|ends runs before"),
        ("variant.chanels=8,16", {}, "unknown setting 'variant.chanels'"),
        ("train.g_lr=0.001", {}, "makes no difference to gan"),
        ("train.g_lr=-1..1", {}, "train.g_lr=-1"),
        ("train.g_lr=1e-4..1e-2", {"sets": ["train.until=fid=5"]}, "ends runs before"),
        ("train.g_lr=1e-4..1e-2", {"sets": ["eval.held_out=0"]}, "images that its trials have been trained on"),
        ("train.g_lr=1e-4..1e-2", {"config": {"eval": {"held_out": 0.0}}, "sets": {"eval.held_out": 0}}, "trained on"),
    ],
)
def test_what_cannot_be_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, grid: Any, options: Any, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        searched(tmp_path, monkeypatch, distance, grid, **options)


def test_trials_without_any_score_end_the_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RunError, match="no trial has a score") as error:
        searched(tmp_path, monkeypatch, lambda config: None, "train.g_lr=1e-4..1e-2")
    assert Path(error.value.cure.removeprefix("look into ")).parent == tmp_path / "search" / "digits"


def test_a_search_without_optuna(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused before anything is looked at, by a dry run, too."""
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UserError, match="Optuna is not installed") as error:
        trials_of("gan", ["train.g_lr=1e-4..1e-2"], tmp_path, {})
    assert "ganzoo[optuna]" in error.value.cure


@pytest.mark.parametrize("scored", [5, 1])
def test_a_round_without_any_score_does_not_end_a_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scored: int
) -> None:
    """The first ones have scores, all that come after them diverge."""
    begun = list[Any]()

    def fid(config: Any) -> float | None:
        begun.append(config)
        return distance(config) if len(begun) <= scored else None

    found, document, *_ = searched(tmp_path, monkeypatch, fid, "train.g_lr=1e-6..1e-1", 9)
    trials = document["variants"]["gan"]["trials"]
    assert [trial["fid"] is not None for trial in trials] == [True] * scored + [False] * (10 - scored)
    assert found["gan"][0].said == min(trials[:scored], key=lambda trial: trial["fid"])["settings"]


def test_a_bench_compares_what_was_chosen_on_all_images(ganzoo: GanZoo, tmp_path: Path) -> None:
    sets = ("train.snapshots=1", "eval.num_images=80", "train.pictures=0")
    words = [word for text in sets for word in ("--set", text)]
    chosen = ("--search", "2", "--grid", "train.g_lr=1e-3..1e-2", "--set", "eval.held_out=0.3")
    command = ("bench", "--variants", "gan", "--kimg", "0.1", *chosen, *words, "--data-root", tmp_path / "data")
    done = ganzoo(*command, "--json")
    [table] = json.loads(done.stdout)
    [row] = [row for row in table["rows"] if row["kind"] != "real"]
    assert "-train1437-" in table["protocol"]
    document = json.loads((tmp_path / "runs/bench/search/search.json").read_text(encoding="utf-8"))
    assert str(row["settings"]) == " ".join(f"{k}={v}" for k, v in document["variants"]["gan"]["chosen"].items())
    runs = [path.parent for path in (tmp_path / "runs/bench/search").rglob("result.json")]
    assert len(runs) == 3
    for run in runs:
        result = json.loads((run / "result.json").read_text(encoding="utf-8"))
        assert "-heldout431-" in result["protocol"]["id"]
        assert result["protocol"]["test_sha256"] == "none"
    again = ganzoo(*command)
    assert again.stderr.count("done before") == 4
