"""The commands as a user types them: what they print, what they leave behind, and how they refuse."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import ganzoo_in
from PIL import Image

from ganzoo.cli.main import cli
from ganzoo.errors import UserError
from ganzoo.runs.directory import RunDirectory

TINY = ["--kimg", "0.2", "--set", "train.snapshots=2", "--set", "train.batch_size=16", "--set", "eval.num_images=100"]
SMALL = ["--set", "variant.channels=4", "--set", "variant.z_dim=8"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("root")


@pytest.fixture(scope="module")
def trained(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of a conditional variant; tests only read it."""
    out = tmp_path_factory.mktemp("trained") / "run"
    call(["train", "cdcgan", *TINY, *SMALL, "--data-root", root, "--out", out])
    return out


def call(arguments: list[Any]) -> None:
    cli.main([str(argument) for argument in arguments], standalone_mode=False)


def run(*arguments: Any, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ganzoo", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, **options)


def test_train_leaves_a_complete_run_directory(trained: Path) -> None:
    directory = RunDirectory(trained)
    assert json.loads(directory.config_file.read_text())["variant"]["name"] == "cdcgan"
    environment = json.loads(directory.env_file.read_text())
    assert environment["packages"]["torch"]
    assert environment["device"] == "cpu"
    assert len(directory.samples()) == 3
    assert (trained / "real.png").exists()
    assert directory.state_file.exists()
    assert not directory.previous_state_file.exists()
    result = directory.read_result()
    assert result is not None
    kept = {round(1000 * result[name]["kimg"]) for name in ("best", "last")}
    assert [path.stem for path in directory.snapshots()] == [f"000000.{images:03d}" for images in sorted(kept)]
    assert result["status"] == "done"
    assert not list(trained.rglob("*.tmp"))


def test_config_json_gives_the_same_run_again(trained: Path, root: Path, tmp_path: Path) -> None:
    call(["train", "--config", trained / "config.json", "--data-root", root, "--out", tmp_path / "again"])
    ours, theirs = RunDirectory(trained).snapshots()[-1], RunDirectory(tmp_path / "again").snapshots()[-1]
    assert ours.read_bytes() == theirs.read_bytes()


def test_sample_puts_one_class_in_each_column(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, labels in (("a", "3,7"), ("b", "3,8")):
        call(["sample", trained, "--labels", labels, "-n", "8", "--out", tmp_path / f"{name}.png"])
    assert capsys.readouterr().out.splitlines()[0] == str(tmp_path / "a.png")
    a, b = (np.asarray(Image.open(tmp_path / f"{name}.png")) for name in "ab")
    assert a.shape == b.shape
    half = a.shape[1] // 2
    assert (a[:, :half] == b[:, :half]).all()  # class 3, same noise
    assert (a[:, half:] != b[:, half:]).any()  # class 7 against 8


def test_sample_is_reproducible_by_seed(trained: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        call(["sample", trained, "--seed", seed, "--out", tmp_path / f"{name}.png"])
    a, b, c = ((tmp_path / f"{name}.png").read_bytes() for name in "abc")
    assert a == b
    assert a != c


def test_eval_of_a_run_repeats_its_own_score(trained: Path, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call(["eval", trained, "--data-root", root, "--json"])
    document = json.loads(capsys.readouterr().out)
    result = RunDirectory(trained).read_result()
    assert result is not None
    assert document["values"] == pytest.approx(result["last"]["values"], rel=1e-6)
    assert document["protocol"] == result["protocol"]["id"]


def test_eval_of_real_images_is_near_the_floor(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same test images as a folder, as an npz and as the floor."""
    from ganzoo.data.digits import load_digits

    test = load_digits(root, "test", False)
    (tmp_path / "folder").mkdir()
    for index, image in enumerate(test.pixels):
        Image.fromarray(image[0].numpy()).save(tmp_path / "folder" / f"{index:03d}.png")
    np.savez(tmp_path / "images.npz", images=test.pixels.numpy())
    for source in ("folder", "images.npz"):
        call(["eval", tmp_path / source, "--dataset", "digits", "--data-root", root, "--json"])
        document = json.loads(capsys.readouterr().out)
        for name in ("fid", "kid", "precision", "coverage"):
            assert document["values"][name] == pytest.approx(document["floors"][0]["values"][name], rel=1e-4, abs=1e-6)


def test_film_has_a_frame_per_picture(trained: Path, tmp_path: Path) -> None:
    stray = RunDirectory(trained).pictures_dir / "._000000.000.png"  # as copies from a Mac bring along
    stray.write_bytes(b"")
    call(["film", trained, "--out", tmp_path / "film.gif", "--size", 342])
    stray.unlink()
    with Image.open(tmp_path / "film.gif") as film:
        assert film.n_frames == len(RunDirectory(trained).pictures()) >= 3
        width, height = film.size
    with Image.open(RunDirectory(trained).pictures()[0]) as grid:
        assert (width, height) == (grid.width, grid.height + 48)


def test_tensorboard_gets_losses_metrics_and_grids(root: Path, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    call(
        [
            "train",
            "gan",
            *TINY,
            "--set",
            "variant.width=4",
            "--log",
            "tensorboard",
            "--data-root",
            root,
            "--out",
            tmp_path / "run",
        ]
    )
    events = EventAccumulator(str(tmp_path / "run"))
    events.Reload()
    tags = events.Tags()
    assert {"train/d_loss", "train/g_loss", "train/d_accuracy", "metrics/fid", "speed/img_per_s"} <= set(
        tags["scalars"]
    )
    assert {"grid/fake", "grid/real"} <= set(tags["images"])
    assert events.Scalars("train/d_loss")[-1].step == 208
    assert len(events.Images("grid/fake")) == 3


def test_leaderboard_reads_what_train_wrote(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call(["leaderboard", trained.parent, "--json"])
    (table,) = json.loads(capsys.readouterr().out)
    assert [row["variant"] for row in table["rows"]] == ["real: test split", "real: train resample", "cdcgan"]
    refused(["leaderboard", trained.parent, "--sort", "fit"], "unknown column 'fit'", "fid")
    call(["leaderboard", trained.parent])
    assert "cdcgan" in capsys.readouterr().out


@pytest.fixture(scope="module")
def benched(root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], Path, str]:
    """A bench of three jobs, one of which fails: (command, out, stdout)."""
    folder = tmp_path_factory.mktemp("bench")
    (folder / "bad_gan.py").write_text(
        "from ganzoo import Variant, hookimpl\n"
        "GANZOO_API = 1\n"
        "def build(config, shape, num_classes):\n"
        "    raise RuntimeError('no such network')\n"
        "@hookimpl\n"
        "def register_variants():\n"
        "    return [Variant(name='bad-gan', target=build)]\n"
    )
    command = [
        "bench",
        "--variants",
        "bad-gan,gan,cgan",
        *TINY,
        "--set",
        "variant.gan.width=4",
        "--data-root",
        str(root),
        "--plugin",
        str(folder / "bad_gan.py"),
        "--out",
        str(folder / "out"),
    ]
    done = ganzoo_in(folder)(*command, code=1)
    return command, folder / "out", done.stdout + done.stderr


def test_a_failing_job_is_a_row_and_does_not_stop_the_others(benched: tuple[list[str], Path, str]) -> None:
    _, out, text = benched
    assert "no such network" in text
    (failure,) = out.rglob("failure.txt")
    assert "Traceback" in failure.read_text()
    rows = [line for line in text.splitlines() if " bad-gan " in line or " gan " in line or " cgan " in line]
    assert len(rows) >= 3
    assert len(list(out.rglob("result.json"))) == 2


def test_bench_does_only_what_is_missing(benched: tuple[list[str], Path, str]) -> None:
    command, out, _ = benched
    results = {path: path.stat().st_mtime_ns for path in out.rglob("result.json")}
    gone = next(path for path in results if "cgan" in path.parent.name)
    gone.unlink()
    done = ganzoo_in(out.parent)(*command, code=1)
    assert "gan seed 0 (2/3): done before" in done.stderr
    assert gone.exists()
    kept = [path for path in results if path != gone]
    assert all(path.stat().st_mtime_ns == results[path] for path in kept)


def test_bench_settings_by_variant_name_reach_that_variant_alone(benched: tuple[list[str], Path, str]) -> None:
    _, out, _ = benched
    configs = [json.loads(path.read_text()) for path in out.rglob("config.json")]
    assert {config["variant"]["name"]: config["variant"].get("width") for config in configs}["gan"] == 4
    assert {config["variant"]["name"]: config["variant"].get("width") for config in configs}["cgan"] != 4


def refused(arguments: list[Any], cause: str, cure: str = "") -> None:
    with pytest.raises(UserError) as caught:
        call(arguments)
    assert cause in caught.value.cause
    assert cure in caught.value.cure
    assert "\n" not in caught.value.cause + caught.value.cure


def make_png_folder(path: Path, count: int, size: tuple[int, int]) -> Path:
    path.mkdir(parents=True)
    for index in range(count):
        Image.new("RGB", size, (index, 100, 50)).save(path / f"{index}.png")
    return path


@pytest.mark.parametrize(
    ("arguments", "cause", "cure"),
    [
        (["train", "dcgn"], "unknown variant 'dcgn'", "dcgan"),
        (["train", "dcgan", "--dataset", "mnits"], "unknown dataset 'mnits'", "mnist"),
        (["train", "dcgan", "--objective", "hinje"], "unknown objective", "hinge"),
        (["train", "dcgan", "--features", "incepton"], "unknown feature network", "inception"),
        (["train", "dcgan", "--set", "eval.metrics=fidd"], "unknown metric 'fidd'", "fid"),
        (["train", "dcgan", "--set", "train.batchsize=3"], "unknown setting 'train.batchsize'", "train.batch_size"),
        (["train", "dcgan", "--set", "train.batch_size=lots"], "not a whole number", "whole number"),
        (["train", "dcgan", "--set", "train.batch_size"], "there is no '='", "section.key=value"),
        (["train", "dcgan", "--kimg", "0"], "out of range", "at least"),
        (["train", "dcgan", "--size", "33"], "cannot make 33x33", "--size"),
        (["train", "dcgan", "--preset", "lapdog"], "unknown preset", "laptop"),
        (["train", "dcgan", "--log", "tensorbord"], "unknown callback", "tensorboard"),
        (["train", "dcgan", "--device", "cuda:77"], "not there", "cpu"),
        (["train", "dcgan", "--device", "toaster"], "not a device", "cpu"),
        (["train", "dcgan", "--config", "/nowhere.toml"], "does not exist", ""),
        (["train"], "no variant", "ganzoo list"),
        (["bench", "--variants", "dcgan,gna"], "unknown variant 'gna'", "gan"),
        (["bench", "--device", "cuda:77"], "not there", "cpu"),
        (["list", "animals"], "unknown kind", "variants"),
        (["show", "dcgam"], "unknown name", "dcgan"),
        (["leaderboard", "/nowhere"], "does not exist", "ganzoo bench"),
        (["sample", "dcgan-of-yore"], "no run directory", "train"),
        (["film", "/nowhere"], "does not exist", ""),
        (["film", "dcgan", "--out", "dcgan.mov"], "cannot be written as .mov", ".webp, .gif or .mp4"),
        (
            ["train", "gan", "--set", "regularizer.r1.every=4"],
            "nothing is trained with the regularizer r1",
            "--regularize r1",
        ),
        (
            ["bench", "--regularize", "lecam", "--set", "regularizer.r1.every=4"],
            "nothing is trained with the regularizer r1",
            "--regularize lecam,r1",
        ),
        (["train", "mnist"], "'mnist', which is a dataset", "dcgan"),
        (["bench", "--variants", "gan dcgan"], "unknown variant 'gan dcgan'", "commas alone: gan,dcgan"),
    ],
)
def test_bad_input_is_one_line_of_cause_and_one_of_cure(
    arguments: list[str], cause: str, cure: str, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GANZOO_DATA", str(root))
    refused(arguments, cause, cure)


def test_bad_folders(root: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.txt").write_text("not an image")
    make_png_folder(tmp_path / "flat", 70, (28, 28))
    tail = ["--data-root", root, "--out", tmp_path / "run"]
    for name in ("empty", "text", "missing"):
        refused(["train", "dcgan", "--dataset", f"folder:{tmp_path / name}", *tail], str(tmp_path / name))
    tail = ["--data-root", root, "--out", tmp_path / "other"]
    flat = ["--dataset", f"folder:{tmp_path / 'flat'}", *tail]
    refused(["train", "cgan", *flat, "--set", "eval.metrics=kid"], "has no labels", "unconditional")
    refused(["train", "dcgan", "--dataset", f"folder:{tmp_path / 'flat'}", "--size", "30"], "30x30", "28")


def test_corrupt_snapshot_and_npz(trained: Path, root: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(trained, tmp_path / "run")
    last = RunDirectory(tmp_path / "run").snapshots()[-1]
    last.write_bytes(last.read_bytes()[:200])
    refused(["sample", tmp_path / "run"], "damaged", "earlier snapshot")
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 nothing")
    refused(["eval", tmp_path / "broken.npz", "--dataset", "digits", "--data-root", root], "no readable .npz")


def test_labels_that_do_not_exist(trained: Path) -> None:
    refused(["sample", trained, "--labels", "3,10"], "no class 10", "0 to 9")
    refused(["sample", trained, "--labels", "three"], "no class 'three'", "0 to 9")


def test_an_unwritable_output_directory(root: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for out in (tmp_path / "file" / "run", tmp_path / ("x" * 300)):
        refused(["train", "gan", "--data-root", root, "--out", out], "cannot write", "--out")


def test_a_full_disk_keeps_what_was_there(
    trained: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second snapshot does not fit; the same command, with space again, ends as if nothing had happened."""
    import errno
    import os

    import ganzoo.files.writing

    original = os.replace
    calls = 0

    def full(source: Any, target: Any) -> None:
        nonlocal calls
        calls += 1
        if str(target).endswith("000000.112.safetensors"):
            raise OSError(errno.ENOSPC, "No space left on device")
        original(source, target)

    out = tmp_path / "run"
    command = ["train", "cdcgan", *TINY, *SMALL, "--data-root", root, "--out", out]
    with monkeypatch.context() as patch:
        patch.setattr(ganzoo.files.writing.os, "replace", full)
        refused(command, "disk is full", "the same command continues")
    assert calls > 0
    assert not list(out.rglob("*.tmp"))
    call(command)
    assert RunDirectory(out).snapshots()[-1].read_bytes() == RunDirectory(trained).snapshots()[-1].read_bytes()


def test_user_errors_exit_with_2_and_no_traceback(tmp_path: Path) -> None:
    done = run("train", "dcgn", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert lines[0].startswith("error: unknown variant 'dcgn'")
    assert lines[1].startswith("  try: ")
    assert len(lines) == 2


def test_bugs_keep_their_traceback(tmp_path: Path) -> None:
    (tmp_path / "plugin.py").write_text(
        "from ganzoo import Variant, hookimpl\nGANZOO_API = 1\n"
        "def build(*_):\n    import no_such_module\n"
        "@hookimpl\ndef register_variants():\n    return [Variant(name='odd', target=build)]\n"
    )
    done = run("train", "odd", "--plugin", tmp_path / "plugin.py", *TINY, "--data-root", tmp_path, cwd=tmp_path)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "no_such_module" in done.stderr


def test_a_wrong_option_is_a_usage_error(tmp_path: Path) -> None:
    done = run("train", "gan", "--kimgs", "3", cwd=tmp_path)
    assert done.returncode == 2
    cause, cure = done.stderr.splitlines()
    assert cause.startswith("error: No such option")
    assert "--kimg" in cause
    assert cure.endswith("ganzoo train --help")
    assert run("--help").returncode == 0
    alone = run()
    assert "Usage:" in alone.stdout + alone.stderr


def test_a_resumed_run_hides_what_tensorboard_had_beyond(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed without a state: everything is logged again, and nothing is seen twice."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    out = tmp_path / "run"
    command = ["train", "gan", *TINY, "--set", "train.tick_kimg=0.032", "--set", "variant.width=32"]
    command += ["--set", "train.tick_seconds=0"]
    command += ["--log", "tensorboard", "--data-root", root, "--out", out]
    with monkeypatch.context() as patch:
        patch.setattr("ganzoo.engine.state.TrainState.save", lambda self, run: (_ for _ in ()).throw(SystemError))
        with pytest.raises(SystemError):
            call(command)
    call(command)
    events = EventAccumulator(str(out))
    events.Reload()
    steps = [event.step for event in events.Scalars("train/d_loss")]
    assert steps == sorted(set(steps))
    assert steps[-1] == 208


def test_a_killed_bench_leaves_no_job_behind(root: Path, tmp_path: Path) -> None:
    import os
    import signal
    import time

    command = ["bench", "--variants", "gan", "--minutes", "5", "--data-root", str(root), "--out", str(tmp_path / "out")]
    parent = subprocess.Popen(
        [sys.executable, "-m", "ganzoo", *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 120
        while not list(tmp_path.rglob("stats.jsonl")) and time.monotonic() < deadline:
            time.sleep(0.2)
        (stats,) = tmp_path.rglob("stats.jsonl")
    finally:
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
    time.sleep(3)
    size = stats.stat().st_size
    time.sleep(3)
    assert stats.stat().st_size == size


def test_a_refused_start_leaves_nothing_behind(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    refused(
        ["train", "gan", "--dataset", f"folder:{tmp_path / 'nowhere'}", "--data-root", root, "--out", out], "nowhere"
    )
    assert not out.exists()


def test_a_train_that_crashes_says_why_in_the_leaderboard(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plugin = tmp_path / "odd.py"
    plugin.write_text(
        "from ganzoo import Variant, hookimpl\nGANZOO_API = 1\n"
        "def build(config, shape, num_classes):\n    raise KeyError('dorp')\n"
        "@hookimpl\ndef register_variants():\n    return [Variant(name='odd', target=build)]\n"
    )
    with pytest.raises(KeyError):
        call(["train", "odd", "--plugin", plugin, *TINY, "--data-root", root, "--out", tmp_path / "run"])
    call(["leaderboard", tmp_path / "run"])
    assert "KeyError: 'dorp'" in capsys.readouterr().out


def test_networks_that_break_the_contract_are_named_before_training(root: Path, tmp_path: Path) -> None:
    plugin = tmp_path / "flat.py"
    plugin.write_text(
        "from torch import nn\nfrom ganzoo import Variant, hookimpl\nfrom ganzoo.gan import GAN\nGANZOO_API = 1\n"
        "class G(nn.Linear):\n    def forward(self, z, labels):\n        return super().forward(z).tanh()\n"
        "def build(config, shape, num_classes):\n"
        "    return GAN(generator=G(4, 1024), discriminator=nn.Linear(2, 1), z_dim=4)\n"
        "@hookimpl\ndef register_variants():\n    return [Variant(name='flat', target=build)]\n"
    )
    command = ["train", "flat", "--plugin", plugin, *TINY, "--data-root", root, "--out", tmp_path / "run"]
    refused(command, "the generator returns [2, 1024]", "make images of `shape`, here [1, 32, 32]")


def test_too_few_images_for_fid_are_refused_before_any_features(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_features(*arguments: Any, **options: Any) -> Any:
        raise AssertionError("features were computed")

    monkeypatch.setattr("ganzoo.scoring.scorer.reference_features", no_features)
    command = ["train", "gan", *TINY, "--set", "eval.num_images=64", "--data-root", root, "--out", tmp_path / "run"]
    refused(command, "fid needs more images than the 64 dimensions of digits", "allow_rank_deficient")


def test_too_few_images_for_fid_are_refused_before_any_is_decoded(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_images(*arguments: Any, **options: Any) -> Any:
        raise AssertionError("images were decoded")

    monkeypatch.setattr("ganzoo.data.cache._build", no_images)
    monkeypatch.setattr("ganzoo.data.cache.digest_all", no_images)
    (tmp_path / "few").mkdir()
    for index in range(64):
        Image.new("L", (32, 32), index).save(tmp_path / "few" / f"{index}.png")
    few = ["--dataset", f"folder:{tmp_path / 'few'}", "--features", "digits", "--data-root", root]
    cause = "fid needs more images than the 64 dimensions of digits, real and generated; there are"
    refused(["train", "gan", *TINY, *few, "--out", tmp_path / "run"], f"{cause} 64 real ones", "at least 65")
    refused(["bench", "--variants", "gan", *TINY, *few, "--out", tmp_path / "b"], f"{cause} 64 real ones")
    refused(["eval", tmp_path / "few", *few], f"{cause} 64 real ones")
    refused(["train", "gan", *few, "--num-images", "60", "--out", tmp_path / "run"], f"{cause} 60 generated ones")
    with pytest.raises(AssertionError, match="images were decoded"):
        call(["train", "gan", *few, "--set", "metrics.fid.allow_rank_deficient=true", "--out", tmp_path / "run"])


def test_a_folder_is_scored_on_a_random_part_and_by_the_names_of_its_classes(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Folders are sorted, often by class; class 0 of a folder need not be class 0 of the dataset."""
    from sklearn.datasets import load_digits

    source = load_digits()
    for label in (3, 7):
        (tmp_path / "images" / str(label)).mkdir(parents=True)
        for index, image in enumerate(source.images[source.target == label][:90]):
            picture = Image.fromarray((image * 15.9).astype("uint8")).resize((32, 32), Image.Resampling.BICUBIC)
            picture.save(tmp_path / "images" / str(label) / f"{index}.png")
    command = ["eval", str(tmp_path / "images"), "--dataset", "digits", "--data-root", str(root)]
    command += ["--json", "--num-images", "120"]
    cli.main([*command, "--metrics", "conditional,classes"], standalone_mode=False)
    document = json.loads(capsys.readouterr().out)
    assert document["values"]["cond_acc"] > 90
    assert document["values"]["modes"] == 2
    assert (document["images"], document["of"], document["dataset"]) == (120, 180, "digits")
    (tmp_path / "images" / "7").rename(tmp_path / "images" / "seven")
    with pytest.raises(UserError, match="not asked for by class"):
        cli.main([*command, "--metrics", "conditional"], standalone_mode=False)


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        (["--set", "eval.metrics="], "eval.metrics is empty"),
        (["--set", "eval.metrics=cas"], "not asked for by class"),
        (["--set", "eval.num_reference=50"], "needs more images than the 64 dimensions"),
    ],
)
def test_a_run_without_a_score_is_refused(arguments: list[str], cause: str, root: Path, tmp_path: Path) -> None:
    refused(["train", "gan", *arguments, "--data-root", root, "--out", tmp_path / "run"], cause)
    assert not (tmp_path / "run" / "snapshots").exists() or "cas" in arguments[1]


def test_a_folder_of_runs_is_not_scored_as_images(root: Path, tmp_path: Path) -> None:
    (tmp_path / "runs" / "a").mkdir(parents=True)
    (tmp_path / "runs" / "a" / "config.json").write_text("{}")
    refused(["eval", tmp_path / "runs", "--data-root", root], "holds runs")


@pytest.mark.parametrize(
    "damage",
    [
        {"schema": 99},
        {"last": {"values": {"fid": "abc"}}},
        {"floors": "x"},
        {"floors": [{}]},
        {"environment": {}},
        {"seed": "0"},
    ],
)
def test_damaged_results_are_named(
    damage: dict[str, Any], tmp_path: Path, write_run: Callable[..., dict[str, Any]]
) -> None:
    result = write_run(tmp_path / "run")
    (tmp_path / "run" / "result.json").write_text(json.dumps(result | damage))
    refused(["leaderboard", tmp_path], "result.json is no record of this version")


def test_a_result_of_a_newer_version_says_so(tmp_path: Path, write_run: Callable[..., dict[str, Any]]) -> None:
    result = write_run(tmp_path / "run")
    (tmp_path / "run" / "result.json").write_text(json.dumps(result | {"schema": 3}))
    refused(
        ["leaderboard", tmp_path], "reads schema 2, not 3: a newer ganzoo wrote it, so update this", "update ganzoo"
    )


def test_a_result_alone_is_not_told_to_be_in_itself(tmp_path: Path, write_run: Callable[..., dict[str, Any]]) -> None:
    write_run(tmp_path / "run")
    (tmp_path / "run" / "config.json").unlink()
    refused(["film", tmp_path / "run"], "is no run directory (it has no config.json)")
