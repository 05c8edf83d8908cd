"""`import ganzoo`: what the commands stand on, called as functions."""

from __future__ import annotations

import inspect
import json
import os
import pydoc
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ganzoo
from ganzoo.cli.main import cli
from ganzoo.config.options import RunOptions
from ganzoo.errors import UserError
from ganzoo.runs.directory import RunDirectory

TINY: dict[str, Any] = {
    "kimg": 0.2,
    "num_images": 100,
    "sets": {"train": {"snapshots": 2, "batch_size": 16, "keep": "all"}, "variant": {"channels": 4, "z_dim": 8}},
}
TINY_OPTIONS = ["--kimg", "0.2", "--num-images", "100", "--set", "train.snapshots=2", "--set", "train.batch_size=16"]
TINY_OPTIONS += ["--set", "variant.channels=4", "--set", "variant.z_dim=8", "--set", "train.keep=all"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("root")


@pytest.fixture(scope="module")
def run(root: Path, tmp_path_factory: pytest.TempPathFactory) -> ganzoo.Run:
    """A finished run of a conditional variant."""
    return ganzoo.train("cdcgan", out=tmp_path_factory.mktemp("run") / "run", data_root=root, **TINY)


def call(*arguments: Any) -> None:
    cli.main([str(argument) for argument in arguments], standalone_mode=False)


class Diary:
    def __init__(self) -> None:
        self.kimg: list[float] = []
        self.snapshots: list[int] = []
        self.results: list[dict[str, Any]] = []

    def on_status(self, status: Any) -> None:
        self.kimg.append(status.kimg)

    def on_snapshot(self, snapshot: Any) -> None:
        self.snapshots.append(snapshot.images)

    def on_end(self, result: dict[str, Any]) -> None:
        self.results.append(result)


def heard_by(lines: list[str]) -> Callable[[Any], None]:
    return lambda event: lines.append(str(event))


def test_train_is_the_command(run: ganzoo.Run, root: Path, tmp_path: Path) -> None:
    call("train", "cdcgan", *TINY_OPTIONS, "--data-root", root, "--out", tmp_path / "run")
    theirs = RunDirectory(tmp_path / "run")
    assert run.config == theirs.read_config()
    assert run.snapshots[-1].read_bytes() == theirs.snapshots()[-1].read_bytes()
    assert run.values == (theirs.read_result() or {})["last"]["values"]


def test_both_find_the_same_run(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    diary, lines = Diary(), list[str]()
    hear = heard_by(lines)
    torch.manual_seed(7)
    before = torch.get_rng_state()
    run = ganzoo.train("dcgan", data_root=root, observers=[diary], listen=hear, **TINY)
    assert torch.equal(torch.get_rng_state(), before)
    printed = capfd.readouterr()
    assert printed.out + printed.err == ""
    assert run.path.parent == Path("runs") / "digits"
    assert diary.snapshots == [0, 112, 208]
    assert diary.kimg
    assert diary.results == [run.result]
    assert any("1,437 images" in line for line in lines)
    made = run.path.joinpath("result.json").stat().st_mtime_ns
    call("train", "dcgan", *TINY_OPTIONS, "--data-root", root)
    assert [path.name for path in run.path.parent.iterdir()] == [run.path.name]
    assert run.path.joinpath("result.json").stat().st_mtime_ns == made
    assert ganzoo.Run("dcgan") == run


def test_a_run_is_plain_data(run: ganzoo.Run, root: Path) -> None:
    assert json.dumps([run.config, run.result, run.metrics, run.stats, run.environment])
    assert run.finished
    assert not run.diverged
    assert not run.failure
    assert [image.info["kimg"] for image in run.samples] == [0.0, 0.112, 0.208]
    assert run.samples[0].mode == "RGB"
    assert run.samples[0].size == run.real.size
    assert [image.info["kimg"] for image in run.neighbours] == [0.208]
    assert list(run.to_frame()["kimg"]) == [tick["kimg"] for tick in run.stats]
    scores = run.to_frame("metrics")
    assert list(scores["fid"]) == [score["values"]["fid"] for score in run.metrics]
    assert ganzoo.train(config=run.config, out=run.path, data_root=root).result == run.result
    with pytest.raises(ganzoo.UnknownName, match="neither"):
        run.to_frame("neither")
    assert f"FID {run.values['fid']:.2f}" in repr(run)


def test_what_has_no_result_says_so(tmp_path: Path, run: ganzoo.Run) -> None:
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "config.json").write_text(json.dumps(run.config))
    begun = ganzoo.Run(tmp_path / "begun")
    assert begun.result is None
    assert not begun.finished
    assert begun.values == {}
    assert "not finished" in repr(begun)
    with pytest.raises(ganzoo.RunError):
        ganzoo.Run(tmp_path / "nothing")


@pytest.mark.parametrize("labels", [None, "3,7", [3, "7"], torch.tensor([3, 7]), 5])
def test_images_are_those_of_the_command(labels: Any, run: ganzoo.Run, tmp_path: Path) -> None:
    """270 images: more than the block that a generator is called with."""
    generator = ganzoo.load(run)
    option = [] if labels is None else ["--labels", "5" if isinstance(labels, int) else "3,7"]
    call("sample", run.path, "-n", 270, "--seed", 4, *option, "--out", tmp_path / "all.npz")
    with np.load(tmp_path / "all.npz") as archive:
        theirs = torch.from_numpy(archive["arr_0"]).permute(0, 3, 1, 2)
    ours = generator.sample(270, labels, seed=4)
    assert ours.dtype == torch.uint8
    assert torch.equal(ours, theirs)
    assert torch.equal(generator.sample(3, labels, seed=4), theirs[:3])
    (image, *_) = generator.images(2, labels, seed=4)
    assert np.array_equal(np.asarray(image), theirs[0, 0].numpy())


def test_a_grid_is_that_of_the_command(run: ganzoo.Run, tmp_path: Path) -> None:
    from PIL import Image

    call("sample", run.path, "--out", tmp_path / "grid.png")
    with Image.open(tmp_path / "grid.png") as grid:
        assert np.array_equal(np.asarray(grid), np.asarray(ganzoo.load(run).grid()))


def test_a_generator_is_called_with_noise(run: ganzoo.Run) -> None:
    generator = ganzoo.load(run.snapshots[0])
    assert generator.kimg == 0
    assert ganzoo.load(run, 0.1).path == run.snapshots[1]
    z, labels = generator.z(4, seed=2), torch.arange(4)
    images = generator(z, labels)
    assert images.shape == (4, *generator.shape)
    assert not images.requires_grad
    pixels = (images * 127.5 + 127.5).round().clamp(0, 255)
    assert (pixels - generator.sample(4, [0, 1, 2, 3], seed=2)).abs().max() <= 1
    for wrong in ((z,), (z[:, :3], labels), (z, labels[:2]), (z, labels + 7), (z, labels.float()), (z.numpy(), labels)):
        with pytest.raises(ganzoo.SettingError, match=r"labels|z is"):
            generator(*wrong)
    for asked in ([10], "cat", [], 1.5):
        with pytest.raises(ganzoo.SettingError, match=r"class|labels"):
            generator.sample(1, asked)
    for count, seed in ((0, 0), ("x", 0), (1, "x")):
        with pytest.raises(ganzoo.SettingError, match=r"n=|seed="):
            generator.sample(count, seed=seed)
    with pytest.raises(ganzoo.SettingError, match="not two seeds"):
        generator.grid(interpolate=3)


def test_evaluate_is_the_command(run: ganzoo.Run, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call("eval", run.path, "--metrics", "fid,is", "--num-images", 90, "--data-root", root, "--json")
    theirs = json.loads(capsys.readouterr().out)
    found = ganzoo.evaluate(run, metrics=["fid", "is"], num_images=90, data_root=root)
    other = ("seconds", "score_peak_memory")
    ours = found.to_dict()
    assert ours.keys() == theirs.keys()
    assert all(ours[key] == theirs[key] for key in theirs if key not in other)
    assert list(found.to_frame()["fid"]) == [found.values["fid"], *(floor["values"]["fid"] for floor in found.floors)]
    part = ganzoo.evaluate(run, metrics="fid", num_images=90, sets={"eval.num_reference": 500}, data_root=root)
    assert part.protocol != found.protocol


def test_an_evaluation_shows_its_scores(run: ganzoo.Run, root: Path) -> None:
    found = ganzoo.evaluate(run, metrics="fid", num_images=90, data_root=root)
    assert repr(found).startswith(f"<Evaluation {run.path}: fid {found.values['fid']:.5g}; 90 images against digits")
    with pytest.raises(ganzoo.SettingError, match="--size is for images"):
        ganzoo.evaluate(run, reference=run.path.parent / "made.npz", size=16, data_root=root)


@pytest.mark.parametrize("concurrent", [None, 2])
def test_bench_and_leaderboard(concurrent: int | None, root: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    hear = heard_by(lines)
    (tmp_path / "bad.py").write_text(
        "from ganzoo import Variant, hookimpl\n"
        "GANZOO_API = 2\n"
        "def build(config, shape, num_classes):\n"
        "    raise RuntimeError('no such network')\n"
        "@hookimpl\n"
        "def register_variants():\n"
        "    return [Variant(name='bad', target=build)]\n"
    )
    board = ganzoo.bench(
        ["bad", "gan"], kimg=0.1, num_images=70, sets=["train.batch_size=16", "eval.metrics=fid"],
        plugins=tmp_path / "bad.py", data_root=root, out=tmp_path / "out", listen=hear,
        concurrent=concurrent,
    )  # fmt: skip
    assert [run.finished for run in board.runs] == [False, True]
    (failed,) = board.failed
    assert "no such network" in failed.failure
    assert any("no such network" in line for line in lines)
    rows = {row["variant"]: row for row in board.rows}
    assert rows["gan"]["fid"] == board.runs[1].values["fid"]
    assert "no such network" in rows["bad"]["status"]
    assert list(board.to_frame()["variant"]) == [row["variant"] for row in board.rows]
    read = ganzoo.leaderboard(tmp_path / "out")
    assert read.tables == board.tables
    assert json.loads(read.to_json()) == read.tables
    assert read.to_markdown() == board.to_markdown()
    assert set(read.runs) == set(board.runs)


@pytest.mark.parametrize(
    ("work", "cause", "cure"),
    [
        (lambda: ganzoo.train("dcgn"), "unknown variant 'dcgn'", "dcgan"),
        (lambda: ganzoo.train("dcgan", kimgs=1), "unknown argument 'kimgs' of ganzoo.train", "kimg"),
        (lambda: ganzoo.bench("gan", epochs=1), "ganzoo.bench has no argument 'epochs'", "thousands of real images"),
        (lambda: ganzoo.evaluate("gan", metric="fid"), "unknown argument 'metric' of ganzoo.evaluate", "metrics"),
        (lambda: ganzoo.bench("gan", seeds=0), "seeds=0", "at least 1"),
        (lambda: ganzoo.bench([], kimg=1), "no variant is named", "leave variants out"),
        (lambda: ganzoo.train("gan", sets={"train.batchsize": 1}), "unknown setting", "train.batch_size"),
        (lambda: ganzoo.train("gan", config="no.toml"), "no.toml does not exist", "TOML"),
        (lambda: ganzoo.train("gan", sets=3), "sets is 3", "train.batch_size"),
        (lambda: ganzoo.train("gan", config=3), "config is 3, no path", "PATH"),
        (lambda: ganzoo.train("gan", kimg="ten"), "train.kimg='ten' is not a number", "thousands"),
        (lambda: ganzoo.train("gan", dataset="digit"), "unknown dataset 'digit'", "digits"),
        (lambda: ganzoo.train("gan", dataset="folder:away"), "away does not exist", "folder of images"),
        (lambda: ganzoo.train("gan", regularize=["r3"]), "unknown regularizer 'r3'", "r1"),
        (lambda: ganzoo.train("gan", regularize=3), "regularize is 3", "as text"),
        (lambda: ganzoo.train(3), "variant is 3", "as text"),
        (lambda: ganzoo.train("gan", out=3), "out is 3, no path", "PATH"),
        (lambda: ganzoo.train("gan", plugins=3), "plugins is 3", "my_gan.py"),
        (lambda: ganzoo.train("gan", observers=[3]), "observer int has no method on_status", "on_snapshot"),
        (lambda: ganzoo.train("gan", observers=Diary()), "observers is a Diary", "[observer]"),
        (lambda: ganzoo.load("nothing.safetensors"), "nothing.safetensors does not exist", "a snapshot"),
        (lambda: ganzoo.load(None), "source is None", "PATH"),
        (lambda: ganzoo.load("gan", "last"), "snapshot='last' is not a number", "a number"),
        (lambda: ganzoo.leaderboard(["a", "b"]), "paths is ['a', 'b'], no path", "PATH"),
        (lambda: ganzoo.speed("gan", fail_on="much"), "fail_on='much' is not a number", "at most 100"),
        (lambda: ganzoo.load("nothing"), "'nothing' is no run directory", "ganzoo train VARIANT"),
        (lambda: ganzoo.leaderboard("nothing"), "nothing does not exist", "folder"),
        (lambda: ganzoo.evaluate("images"), "'images' is no run directory", "ganzoo train VARIANT"),
    ],
)
def test_errors_are_those_of_the_commands(
    work: Callable[[], object], cause: str, cure: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as caught:
        work()
    assert cause in caught.value.cause
    assert cure in caught.value.cure
    assert not list(tmp_path.iterdir())


def test_the_variants_that_have_runs_are_named(
    run: ganzoo.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runs").mkdir()
    shutil.copytree(run.path, tmp_path / "runs" / "one")
    monkeypatch.chdir(tmp_path)
    assert ganzoo.Run("cdcgan").snapshots
    with pytest.raises(ganzoo.RunError) as caught:
        ganzoo.load("cdcgn")
    cure = "did you mean cdcgan? To train one: ganzoo train VARIANT; there are runs of cdcgan"
    assert caught.value.cure == cure


def test_damage_is_told(run: ganzoo.Run, tmp_path: Path) -> None:
    shutil.copytree(run.path, tmp_path / "run")
    damaged = ganzoo.Run(tmp_path / "run")
    content = bytearray(damaged.snapshots[-1].read_bytes())
    content[-1] ^= 1
    damaged.snapshots[-1].write_bytes(content)
    with pytest.raises(ganzoo.RunError, match="SHA-256"):
        ganzoo.load(damaged)
    (damaged.path / "samples" / "000000.000.png").write_bytes(b"no picture")
    with pytest.raises(ganzoo.RunError, match="is no PNG"):
        _ = damaged.samples
    (damaged.path / "result.json").write_text("{")
    assert "damaged" in repr(damaged)
    with pytest.raises(ganzoo.RunError, match=r"result\.json"):
        _ = damaged.values


class Signals(Diary):
    """Sends one at a tick."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def on_status(self, status: Any) -> None:
        if not self.kimg:
            signal.raise_signal(self.number)
        super().on_status(status)


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_saves_the_state_and_goes_on_to_the_caller(
    name: str, run: ganzoo.Run, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number, seen, out = getattr(signal, name), list[bool](), tmp_path / "run"
    ours = signal.default_int_handler if name == "SIGINT" else lambda *_: seen.append((out / "state").exists())
    before = signal.signal(number, ours)
    ticks: dict[str, Any] = {**TINY["sets"], "train.tick_seconds": 0, "train.tick_kimg": 0.064}
    options = {**TINY, "sets": ticks, "out": out, "data_root": root}
    try:
        with pytest.raises(KeyboardInterrupt, match=f"stopped by {name}"):
            ganzoo.train("cdcgan", observers=[Signals(number)], **options)
        assert signal.getsignal(number) is ours
    finally:
        signal.signal(number, before)
    assert seen == ([] if name == "SIGINT" else [True])
    stopped = ganzoo.Run(out)
    assert not stopped.finished
    assert stopped.stats[-1]["kimg"] < 0.2
    whole = ganzoo.train("cdcgan", **options)
    assert torch.equal(ganzoo.load(whole).sample(8), ganzoo.load(run).sample(8))


def test_a_refused_start_leaves_nothing(root: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="fid needs more images"):
        ganzoo.train("gan", kimg=0.1, num_images=20, data_root=root, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_without_pandas(run: ganzoo.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UserError) as caught:
        run.to_frame()
    assert (caught.value.cause, caught.value.cure) == (
        "a frame needs pandas, which is not installed",
        "pip install pandas",
    )


def python(code: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=False, **options
    )


@pytest.mark.parametrize("room", ["bench", "leaderboard"])
@pytest.mark.parametrize(
    "imports",
    [
        "import ganzoo",
        "import ganzoo.{room}",
        "import ganzoo; ganzoo.{room}; import ganzoo.{room}.{inner}",
        "import ganzoo.{room}.{inner}; from ganzoo import {room}; assert {room} is ganzoo.{room}",
        "from ganzoo.{room}.{home} import {room} as function; import ganzoo",
        "import ganzoo.cli.main, ganzoo",
    ],
)
def test_a_room_is_a_function_in_every_order_of_imports(room: str, imports: str) -> None:
    inner, home = {"bench": ("jobs", "api"), "leaderboard": ("table", "api")}[room]
    code = imports.format(room=room, inner=inner, home=home) + (
        f"\nimport inspect, sys\nassert callable(ganzoo.{room})\nassert inspect.signature(ganzoo.{room}).parameters\n"
        f"import ganzoo.{room}.{inner}\nassert ganzoo.{room}.{inner}.__name__ == 'ganzoo.{room}.{inner}'\n"
        f"try:\n    ganzoo.{room}('nothing')\nexcept ganzoo.UserError as error:\n    assert 'nothing' in error.cause\n"
        "else:\n    raise AssertionError\nassert 'torch' not in sys.modules"
    )
    done = python(code)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["train", "bench", "speed"])
def test_help_names_every_option(name: str) -> None:
    function = getattr(ganzoo, name)
    parameters = inspect.signature(function).parameters
    assert set(RunOptions.__annotations__) <= set(parameters)
    text = pydoc.render_doc(function, renderer=pydoc.plaintext)
    assert all(f"    {option}: " in text for option in RunOptions.__annotations__)
    assert "Raises:" in text


@pytest.mark.parametrize(
    ("command", "functions"),
    [
        ("train", ["train"]),
        ("bench", ["bench", "speed"]),
        ("eval", ["evaluate"]),
        ("leaderboard", ["leaderboard"]),
        ("check", ["check"]),
    ],
)
def test_arguments_have_the_names_of_the_options(command: str, functions: list[str]) -> None:
    shorter = {"plugin_files": "plugins", "config_file": "config"}
    printing = {"as_json", "form", "columns", "check", "speed_only", "quiet", "log_format"}
    printing |= {"dry_run", "print_config"} | ({"fail_on"} if command == "train" else set())
    theirs = {shorter.get(parameter.name or "", parameter.name) for parameter in cli.commands[command].params}
    ours = {name for function in functions for name in inspect.signature(getattr(ganzoo, function)).parameters}
    told = {"listen", "observers", "stop", "began", "on_report", "registry"}
    assert theirs - printing == ours - told


SCRIPT = """
import ganzoo
ganzoo.bench("gan", kimg=0.1, num_images=70, data_root={root!r}, out="out")
"""


def test_a_script_that_starts_itself_again_is_told_so(root: Path, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT.format(root=str(root)))
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 1
    assert 'if __name__ == "__main__":' in done.stderr.splitlines()[-1]
    assert done.stderr.count("Traceback") == 1


def test_a_script_that_is_no_file_is_told_so(root: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-"], input=SCRIPT.format(root=str(root)),
        cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "put it into a file" in done.stderr.splitlines()[-1]
