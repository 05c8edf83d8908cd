"""What is shown before anything is done, and what ends a command with exit code 1 after it."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ganzoo.cli.main import cli
from ganzoo.config.layers import build_config
from ganzoo.errors import UserError
from ganzoo.runs.score_time import remember_speed
from ganzoo.zoo.registry import Registry

Write = Callable[..., dict[str, Any]]
Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """The command line in a folder of its own, in this process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GANZOO_DATA", str(tmp_path / "data"))

    def call(*words: str) -> Result:
        try:
            runner = CliRunner(mix_stderr=False)  # type: ignore[call-arg]  # of click 8.1
        except TypeError:
            runner = CliRunner()
        result = runner.invoke(cli, words, standalone_mode=False)
        if isinstance(result.exception, UserError):
            raise result.exception
        return result

    yield call
    left = [path for path in tmp_path.rglob("*") if "runs" not in path.relative_to(tmp_path).parts]
    assert left == [], "something was written"


def test_a_dry_run_of_what_was_never_run(run: Run, tmp_path: Path) -> None:
    text = run("train", "r3gan", "--dry-run", "--kimg", "4", "--dataset", "mnist").stdout
    assert text.startswith("would train r3gan on mnist, seed 0\n  in runs/mnist/r3gan-s0-...\n  4 kimg, ")
    assert "  train.kimg" in text
    assert "(default 500)" in text
    assert "no estimate" in text
    assert "mnist would be downloaded" in text
    assert not (tmp_path / "runs").exists()


def test_a_dry_run_estimates_from_finished_runs(run: Run, tmp_path: Path, write_run: Write) -> None:
    folder = tmp_path / "runs" / "digits" / "gan-s0-abc"
    sets = ("train.kimg=1", "train.snapshots=4")
    write_run(folder, sets=sets)  # 1,000 img/s, 2,000 images per score
    (folder / "metrics.jsonl").write_text(
        json.dumps({"images": 0, "kimg": 0.0, "values": {"fid": 1.0}, "left_out": {}, "seconds": 3.0,
                    "sample_img_per_s": 1.0, "peak_memory": 1, "protocol": "p"}) + "\n"
    )  # fmt: skip
    for place in ("snapshots", "samples"):
        (folder / place).mkdir()
    for kimg in ("000000.000", "000001.000"):
        (folder / "snapshots" / f"{kimg}.safetensors").write_bytes(b"x" * 1_000_000)
        (folder / "samples" / f"{kimg}.png").write_bytes(b"x" * 1000)
    words = ("train", "gan", "--dry-run", "--json", "--set", "train.snapshots=9", "--num-images", "4000")
    [plan] = json.loads(run(*words, "--kimg", "20").stdout)["runs"]
    assert plan["scores"] == 4  # of 0, 4, 8 and the last
    assert plan["estimate"]["train_seconds"] == pytest.approx(20.0)
    assert plan["estimate"]["score_seconds"] == pytest.approx(4 * 3.0 * 4000 / 2000)
    assert plan["estimate"]["disk_bytes"] == pytest.approx(2 * 1_000_000 + 10 * 1000, rel=0.03)  # last and best
    assert plan["estimate"]["from"] == str(folder)
    assert plan["estimate"]["made_on"] == "some CPU"
    text = run("bench", "--variants", "gan", "--seeds", "3", "--dry-run", "--kimg", "20", "--out", "runs/b").stdout
    told = "training 1:00, scoring 0:27 and, once, as long as the real images take, 1:27 in all"
    assert f"3 runs in all, one after the other: {told}" in text
    other = json.loads(run(*words, "--kimg", "20", "--set", "variant.width=7").stdout)["runs"][0]["estimate"]
    assert (other["train_seconds"], other["from"]) == (None, None)  # another network is no measure
    assert other["score_seconds"] == pytest.approx(4 * 3.0 * 4000 / 2000)  # of scores it is
    assert other["real_images_counted"] is False
    assert json.loads(run(*words, "--set", "eval.metrics=kid").stdout)["runs"][0]["estimate"]["score_seconds"] is None
    said = run("train", "gan", "--dry-run", "--set", "eval.metrics=kid", "--kimg", "20").stdout
    assert "training 0:20, scoring unknown, and not counted, disk" in said


def test_a_dry_run_counts_scores_that_were_measured_here(
    run: Run, tmp_path: Path, write_run: Write, registry: Registry
) -> None:
    root = tmp_path / "runs" / "data"
    words = ("train", "gan", "--dry-run", "--dataset", "mnist", "--data-root", str(root), "--num-images", "3000")
    assert "no estimate" in run(*words).stdout
    mnist = build_config(registry, variant="dcgan", dataset="mnist")
    remember_speed(root, mnist, "old CPU", 9.0)
    os.utime(next((root / "speeds").iterdir()), (1.0, 1.0))
    remember_speed(root, mnist, "some CPU", 0.01)
    remember_speed(root, build_config(registry, variant="dcgan", dataset="digits"), "some CPU", 7.0)
    (root / "speeds" / f"{next((root / 'speeds').iterdir()).name.partition('-')[0]}-x.json").write_text("[")
    text = run(*words).stdout
    assert "estimate: training unknown, and not counted, scoring 1:30 and, once, as long as the real images" in text
    assert "from scores of other runs: none of this kind has finished, made on some CPU" in text
    floor = {"name": "test split", "what": "x", "images": 9, "reference": 9, "values": {"fid": 0.5}, "left_out": []}
    write_run(tmp_path / "runs" / "mnist", changes={"config": mnist.to_dict(), "floors": [floor]})
    assert "scoring 1:30\n" in run(*words).stdout  # the features of these real images are there
    assert "most of it is" not in run(*words).stdout  # how long training takes is not known


def test_scores_that_take_longer_than_training_are_told(run: Run, tmp_path: Path, write_run: Write) -> None:
    write_run(tmp_path / "runs" / "digits" / "gan-s0-abc", sets=("train.snapshots=2",))  # 1,000 img/s
    words = ("train", "gan", "--dry-run", "--kimg", "20")

    def told(seconds: float, *more: str) -> bool:
        line = {"images": 0, "kimg": 0.0, "values": {"fid": 1.0}, "left_out": {}, "seconds": seconds,
                "sample_img_per_s": 1.0, "peak_memory": 1, "protocol": "p"}  # fmt: skip
        (tmp_path / "runs" / "digits" / "gan-s0-abc" / "metrics.jsonl").write_text(json.dumps(line) + "\n")
        text = run(*words, "--set", "train.snapshots=8", *more).stdout
        told = "most of it is scoring" in text
        assert told == ("most of it is scoring, 3 times; once, at the end: --set train.scores=last" in text)
        return told

    assert told(30.0)
    assert not told(15.0)  # a minute is not worth it
    assert not told(30.0, "--until", "fid=1")  # which needs them
    assert not told(30.0, "--set", "train.scores=last")


def test_too_few_images_for_fid_are_refused_by_the_numbers_alone(run: Run) -> None:
    with pytest.raises(UserError, match="there are 64 generated ones"):
        run("train", "gan", "--dry-run", "--num-images", "64")
    with pytest.raises(UserError, match="there are 64 generated ones"):
        run("bench", "--variants", "gan", "--dry-run", "--num-images", "64")
    assert run("train", "gan", "--dry-run", "--num-images", "64", "--set", "train.scores=none").stdout
    for command in (["train", "gan"], ["bench", "--variants", "gan"]):
        with pytest.raises(UserError, match="there are 50 real ones"):
            run(*command, "--dry-run", "--set", "eval.num_reference=50")
        with pytest.raises(UserError, match="there are 50 real ones"):
            run(*command, "--set", "eval.num_reference=50")


def test_a_dry_run_knows_what_is_there(run: Run, tmp_path: Path, write_run: Write) -> None:
    write_run(tmp_path / "runs" / "digits" / "gan-s0-abc")
    assert run("train", "gan", "--dry-run").stdout.startswith("is finished: gan on digits, seed 0")
    assert run("train", "gan", "--dry-run", "--seed", "1").stdout.startswith("would train gan")
    assert run("train", "gan", "--dry-run", "--set", "train.g_lr=0.1").stdout.startswith("would train gan")
    (tmp_path / "runs" / "digits" / "gan-s0-abc" / "result.json").unlink()
    assert run("train", "gan", "--dry-run").stdout.startswith("would continue gan")


def test_a_bench_that_is_not_run_says_what_it_leaves_out(run: Run) -> None:
    result = run("bench", "--variants", "all", "--objective", "wgan-gp", "--dry-run", "--json")
    assert "is left out" in result.stderr
    assert len(json.loads(result.stdout)["runs"]) > 1
    with pytest.raises(UserError, match="unknown variant"):
        run("bench", "--variants", "gna", "--dry-run")


def test_what_a_search_holds_out_is_no_part_of_what_it_compares(run: Run) -> None:
    pytest.importorskip("optuna", reason="the extra 'optuna' is not installed")
    command = ("bench", "--variants", "gan", "--grid", "train.g_lr=1e-4..1e-2", "--search", "2", "--kimg", "2")
    result = run(*command, "--set", "eval.held_out=0.3", "--dry-run")
    assert "3 trials of each would be run before" in result.stderr
    assert "eval.held_out" not in result.stdout + result.stderr


def test_a_printed_config_is_the_whole_config(run: Run, tmp_path: Path) -> None:
    text = run("train", "wgan-gp", "--print-config", "--seed", "5").stdout
    document = tomllib.loads(text)
    assert (document["variant"]["name"], document["seed"]) == ("wgan-gp", 5)
    file = tmp_path / "runs" / "a.toml"
    file.parent.mkdir()
    file.write_text(text)
    assert run("train", "--config", str(file), "--print-config").stdout == text
    assert json.loads(run("train", "--config", str(file), "--print-config", "--json").stdout)["seed"] == 5


def test_conditions_are_refused_before_anything_is_trained(run: Run) -> None:
    for command in (["train", "gan"], ["bench", "--variants", "gan"]):
        with pytest.raises(UserError, match="unknown score 'fdi'"):
            run(*command, "--fail-on", "fdi>3")
    with pytest.raises(UserError, match="is no condition"):
        run("train", "gan", "--fail-on", "10%")
    with pytest.raises(UserError, match="needs something to compare with"):
        run("bench", "--fail-on", "10%")
    with pytest.raises(UserError, match="is of scores, and nothing is trained"):
        run("bench", "--speed-only", "--fail-on", "fid>3")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 0, ""),
        (["--fail-on", "fid>12"], 0, ""),
        (["--fail-on", "fid>12", "--fail-on", "fid>9"], 1, "fails on fid>9: fid is 10"),
        (["--fail-on", "kid<0.1"], 1, "fails on kid<0.1: kid is 0.01"),
        (["--fail-on", "recall<0.1"], 1, "fails on recall<0.1: recall has no number"),
        (["--until", "fid=1"], 0, "fid=1 was not reached: 10 at 1 kimg"),
    ],
)
def test_the_last_score_decides(
    run: Run,
    tmp_path: Path,
    write_run: Write,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    code: int,
    said: str,
) -> None:
    """Of a run that is there: training is not what is tested."""
    until = {"metric": "fid", "value": 1.0, "reached": False, "seconds": 1.0, "kimg": 1.0, "joules": None}
    write_run(tmp_path / "runs" / "a", changes={"until": until if "--until" in words else None})
    from ganzoo.runs.run import Run as Finished

    monkeypatch.setattr("ganzoo.runs.training.train", lambda *names, **options: Finished(tmp_path / "runs" / "a"))
    result = run("train", "gan", *words)
    assert isinstance(result.exception, SystemExit) == (code == 1)
    assert said in result.stderr
    assert bool(result.stderr) == bool(said)
    board = run("train", "gan", *words, "--json")
    assert board.exit_code == code


def test_lists_and_settings_that_are_in_force(run: Run) -> None:
    assert "laptop" in run("list", "presets").stdout
    assert [one["name"] for one in json.loads(run("list", "protocols", "--json").stdout)["protocols"]] == [
        "fid50k",
        "fid10k",
    ]
    assert "--set train.kimg=500  (on digits: 32)" in run("show", "train").stdout
    assert "--set train.kimg=500\n" in run("show", "train", "--dataset", "mnist").stdout
    told = {one["name"]: one for one in json.loads(run("show", "eval", "--json").stdout)}
    assert (told["num_images"]["default"], told["num_images"]["effective"]) == (10_000, 2000)
    assert "--set variant.channels=64  (on digits: 16)" in run("show", "dcgan").stdout
    told = run("show", "r3gan", "--dataset", "fashion-mnist", "--preset", "laptop").stdout
    assert "regularizer.r1.weight=5, " in told.partition("on fashion-mnist with laptop: ")[2]
    assert "(on" not in run("show", "dcgan", "--preset", "standard").stdout.partition("on digits with")[0]
    with pytest.raises(UserError, match="unknown preset"):
        run("show", "train", "--preset", "big")
    assert "--features inception" in run("show", "fid50k").stdout


def test_a_thousand_jobs_are_planned(run: Run, tmp_path: Path, write_run: Write) -> None:
    """35 variants or so, ten settings, three seeds; finished runs tell how long and how large, and need no time."""
    same = ("train.g_lr=1e-4", "train.d_lr=1e-4")
    for seed in range(20):
        write_run(tmp_path / "runs" / "digits" / f"gan-s{seed}-abc", seed=seed, sets=same)
    grid = ("--grid", "train.g_lr=1e-4,2e-4,3e-4,4e-4,5e-4", "--grid", "train.d_lr=1e-4,2e-4")
    sets = [word for text in same for word in ("--set", text)]
    small = run("bench", "--variants", "gan", *sets, "--dry-run", "--out", "runs")
    assert small.stdout.startswith("is finished: gan")
    text = run("bench", "--variants", "all", *grid, "--dry-run", "--seeds", "3", "--out", "runs").stdout
    lines = text.splitlines()
    total = next(line for line in lines if "runs in all" in line)
    assert int(total.split()[0].replace(",", "")) >= 1000
    assert len(lines) < 60  # a line for each variant, not for each run
    (gan,) = (line for line in lines if line.startswith("gan on digits "))
    assert "30 runs of 10 settings, 3 finished" in gan
    assert "training 14:24, " in gan  # 27 runs of 32 kimg at 1,000 img/s
    assert "memory 2 MiB" in gan


def test_a_dry_run_counts_what_stays_of_a_run(run: Run, tmp_path: Path, write_run: Write) -> None:
    folder = tmp_path / "runs" / "digits" / "gan-s0-abc"
    write_run(folder, sets=("train.snapshots=2",))
    for file, size in (("snapshots/000000.000.safetensors", 1_000_000), ("samples/000000.000.png", 1000)):
        (folder / file).parent.mkdir()
        (folder / file).write_bytes(b"x" * size)

    def disk(keep: str) -> int:
        sets = ("--set", "train.snapshots=9", "--set", f"train.keep={keep}", "--set", "eval.every=1")
        [plan] = json.loads(run("train", "gan", "--dry-run", "--json", *sets).stdout)["runs"]
        return int(plan["estimate"]["disk_bytes"])

    state = 16 * 1500 + 12 * 1000  # of the parameters that the result names, as its state was not kept
    assert disk("last,best") - disk("last") == 1_000_000
    assert disk("last,best,state") - disk("last,best") == state
    assert disk("all") - disk("last,best,state") == 8 * 1_000_000 + state
