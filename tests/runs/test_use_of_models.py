"""A model is used like a run: sampled, scored, loaded, started from; and which of the two was taken is said."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ganzoo
from ganzoo.cli.main import cli
from ganzoo.config.layers import build_config, from_dict
from ganzoo.config.options import config_of
from ganzoo.errors import UserError
from ganzoo.runs.command import command_of
from ganzoo.runs.snapshots import build_gan, read_snapshot, save_snapshot
from ganzoo.runs.sources import find_source
from ganzoo.zoo.models import read_index
from ganzoo.zoo.registry import Registry

MODELS = Registry.load(environ={}).models()


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data_root: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GANZOO_DATA", str(data_root))


@pytest.fixture
def make_run(registry: Registry, write_run: Callable[..., Any]) -> Callable[..., Path]:
    """`make_run("cdcgan", kimg=8)`: a finished run under runs/ of a generator as it begins."""

    def make(variant: str, name: str = "mine", dataset: str = "digits", images: int = 8000) -> Path:
        run = Path("runs") / name
        sets = ("variant.channels=8", "variant.z_dim=8", "eval.num_images=100", "eval.metrics=fid,kid")
        config = build_config(registry, variant=variant, dataset=dataset, sets=sets)
        write_run(run, variant, changes={"config": config.to_dict()})
        (run / "config.json").write_text(json.dumps(config.to_dict()))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            generator = build_gan(registry, config, (1, 32, 32), 10).generator
        file = run / "snapshots" / f"{images // 1000:06d}.000.safetensors"
        save_snapshot(file, generator, config, shape=(1, 32, 32), num_classes=10, images=images)
        return run

    return make


def said(capsys: pytest.CaptureFixture[str], *arguments: Any) -> list[str]:
    cli.main([str(argument) for argument in arguments], standalone_mode=False)
    return capsys.readouterr().out.splitlines()


def refused(cause: str, cure: str, *arguments: Any) -> None:
    with pytest.raises(UserError) as caught:
        cli.main([str(argument) for argument in arguments], standalone_mode=False)
    assert cause in caught.value.cause
    assert cure in caught.value.cure
    assert "\n" not in caught.value.cause + caught.value.cure


@pytest.mark.parametrize("name", [model.name for model in MODELS])
def test_each_makes_images(name: str, registry: Registry) -> None:
    generator = ganzoo.load(name)
    assert generator.model == name
    known = read_index(generator.path.parent)[name]
    assert list(generator.shape) == known["shape"]
    assert generator.conditional == known["conditional"]
    assert {parameter.dtype for parameter in generator.module.parameters()} == {torch.float32}
    assert sum(parameter.numel() for parameter in generator.module.parameters()) == known["parameters"]
    labels = torch.arange(10) if generator.conditional else None
    images = generator(generator.z(10), labels)
    assert images.shape == (10, *generator.shape)
    assert -1 <= images.min() < images.max() <= 1
    assert images.std(0).mean() > 0.05  # they differ
    asked = command_of(registry, from_dict(registry, known["config"]))
    assert asked == known["command"]


def test_a_variant_without_a_run_is_its_model(capsys: pytest.CaptureFixture[str]) -> None:
    path, line = said(capsys, "sample", "dcgan", "-n", 4)
    assert path == "dcgan@digits.png"
    assert Path(path).stat().st_size > 100
    assert line.startswith("model: dcgan@digits (there is no such run under runs/), ")
    assert "FID" in line
    same = said(capsys, "sample", "dcgan@digits", "-n", 4, "--out", "same.png")
    assert same[1].startswith("model: dcgan@digits, ")
    assert Path("same.png").read_bytes() == Path(path).read_bytes()


def test_a_run_comes_before_the_model(make_run: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    make_run("dcgan")
    path, line = said(capsys, "sample", "dcgan", "-n", 4)
    run = Path("runs/mine").resolve()
    assert (path, line) == (str(run / "samples.png"), f"run: {run}, 8 kimg")
    assert said(capsys, "sample", "dcgan@digits", "-n", 4)[1].startswith("model: dcgan@digits, ")
    assert said(capsys, "sample", "runs/mine", "-n", 4) == ["runs/mine/samples.png"]
    assert ganzoo.load("dcgan").model is None


def test_the_dataset_chooses(make_run: Callable[..., Path], registry: Registry) -> None:
    make_run("dcgan", "fashion", dataset="fashion-mnist")
    fashion = Path("runs/fashion").resolve()
    assert find_source(registry, "dcgan").place == fashion
    assert find_source(registry, "dcgan", dataset="fashion-mnist").place == fashion
    assert find_source(registry, "dcgan", dataset="digits").name == "dcgan@digits"
    none = "neither a run of a variant of that name on kmnist"
    refused(none, "ganzoo train dcgan --dataset kmnist; models", "sample", "dcgan", "--dataset", "kmnist")
    for one in ("runs/fashion", "dcgan@digits"):
        refused("--dataset chooses among", "leave --dataset out", "sample", one, "--dataset", "digits")


def test_a_folder_is_named_as_it_was_trained_with_or_as_leaderboards_print_it(
    make_run: Callable[..., Path], registry: Registry
) -> None:
    runs = []
    for name in ("cats", "dogs"):
        folder = Path("photos") / name
        folder.mkdir(parents=True)
        runs.append(make_run("dcgan", name, dataset=f"folder:{folder}").resolve())
    cats, dogs = runs
    for told in (
        "folder:cats",
        "folder:photos/cats",
        f"folder:{Path('photos/cats').resolve()}",
        "folder:photos/../photos/cats",
    ):
        assert find_source(registry, "dcgan", dataset=told).place == cats
    assert find_source(registry, "dcgan", dataset="folder:dogs").place == dogs
    Path("link").symlink_to("photos/cats")
    assert find_source(registry, "dcgan", dataset="folder:./link/").place == cats
    Path("elsewhere/dogs").mkdir(parents=True)  # newer, and called the same
    other = make_run("dcgan", "others", dataset="folder:elsewhere/dogs").resolve()
    assert find_source(registry, "dcgan", dataset="folder:photos/dogs").place == dogs
    assert find_source(registry, "dcgan", dataset="folder:elsewhere/dogs").place == other
    make_run("dcgan", "digits")
    refused("on digits: under", "train one", "sample", "dcgan", "--dataset", "digits:")
    assert find_source(registry, "dcgan", dataset="folder").place in (*runs, other)
    for told in ("folder:photos", "npz:cats", "folder:"):
        refused(f"on {told} under", "train one", "sample", "dcgan", "--dataset", told)


def test_what_runs_know_models_know(capsys: pytest.CaptureFixture[str]) -> None:
    columns = said(capsys, "sample", "cdcgan@digits", "--labels", "0,3,7", "-n", 6, "--out", "x.npz")
    assert columns[0] == "x.npz"
    assert columns[2:] == ["classes: 0, 3, 7"]
    with np.load("x.npz") as archive:
        assert archive["arr_1"].tolist() == [0, 3, 7] * 2
    said(capsys, "sample", "cdcgan@digits", "--interpolate", "0:1", "-n", 1, "--steps", 3, "--out", "y.png")
    refused("--snapshot chooses one of a run's", "ganzoo train cdcgan", "sample", "cdcgan@digits", "--snapshot", 5)
    refused("--snapshot chooses one of a run's", "ganzoo train cdcgan", "sample", "cdcgan", "--snapshot", 5)
    refused("there is no model dcgan@mnist", "dcgan@digits", "sample", "dcgan@mnist")
    refused("unknown model 'dcgn@digits'", "did you mean dcgan@digits", "sample", "dcgn@digits")
    refused("'dcgn' is no run directory, and no variant is called so", "did you mean dcgan?", "sample", "dcgn")
    refused("which is weights alone", "train one: ganzoo train dcgan --dataset digits", "film", "dcgan@digits")


def test_a_model_is_scored_like_a_run() -> None:
    options: dict[str, Any] = {"metrics": "kid", "num_images": 250}
    found = ganzoo.evaluate("cdcgan@digits", **options)
    assert found.source == "cdcgan@digits"
    assert found.dataset == "digits"
    assert found.snapshot is not None
    assert found.snapshot.startswith("cdcgan@digits.safetensors, ")
    again = ganzoo.evaluate(ganzoo.load("cdcgan@digits").path, **options)
    assert (again.values, again.protocol) == (found.values, found.protocol)


def test_a_run_starts_from_a_model(registry: Registry) -> None:
    sets = ["train.scores=none", "train.snapshots=1", "train.batch_size=16", "train.keep=all"]
    run = ganzoo.train("dcgan", init="dcgan@digits", kimg=0.1, sets=sets)
    assert run.result is not None
    assert run.result["init"]["run"] == "dcgan@digits"
    assert not run.result["init"]["discriminator"]
    _, begun = read_snapshot(run.snapshots[0])
    _, theirs = read_snapshot(find_source(registry, "dcgan@digits").file)
    assert begun.keys() == theirs.keys()
    assert all(torch.equal(begun[name], tensor.to(begun[name].dtype)) for name, tensor in theirs.items())
    assert ganzoo.train("dcgan", init="dcgan@digits", kimg=0.1, sets=sets) == run
    refused("there is no model gan@faces", "gan", "train", "gan", "--init", "gan@faces", "--kimg", "0.1")


@pytest.mark.parametrize("dtype", ["fp16", "bf16"])
def test_a_run_becomes_a_model(
    dtype: str, make_run: Callable[..., Path], registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run("cdcgan")
    path, line, _ = said(capsys, "export", run, "--out", "box", "--dtype", dtype)
    assert path == "box/cdcgan@digits.safetensors"
    assert line.startswith("cdcgan@digits: FID ")
    known = read_index(Path("box"))["cdcgan@digits"]
    assert (known["kimg"], known["dtype"], known["snapshot"]) == (8.0, dtype, "last")
    assert known["protocol"]["generated_count"] == 100
    _, before = read_snapshot(next((run / "snapshots").iterdir()))
    _, after = read_snapshot(Path(path))
    kind = {"fp16": torch.float16, "bf16": torch.bfloat16}[dtype]
    for name, tensor in before.items():
        assert torch.equal(after[name], tensor.to(kind) if tensor.is_floating_point() else tensor)
    words = known["command"].split()[2:]
    options = dict(zip((word.removeprefix("--") for word in words[1::2]), words[2::2], strict=True))
    sets = [text for word, text in zip(words[1::2], words[2::2], strict=True) if word == "--set"]
    asked = config_of(registry, words[0], {"dataset": options["dataset"], "kimg": float(options["kimg"]), "sets": sets})
    assert asked.identity() == from_dict(registry, known["config"]).identity()
    said(capsys, "export", run, "--out", "box", "--name", "cdcgan@small")
    assert list(read_index(Path("box"))) == ["cdcgan@digits", "cdcgan@small"]
    Path("plugin.py").write_text(
        "import pathlib, ganzoo\nGANZOO_API = 2\n@ganzoo.hookimpl\ndef register_models():\n"
        "    return ganzoo.models_in(pathlib.Path(__file__).parent / 'box')\n"
    )
    shutil.move("box/cdcgan@digits.safetensors", "elsewhere")  # ganzoo's own is of that name
    index = json.loads(Path("box/index.json").read_text())
    del index["models"]["cdcgan@digits"]
    Path("box/index.json").write_text(json.dumps(index))
    lines = said(capsys, "sample", "cdcgan@small", "-n", 4, "--plugin", "plugin.py")
    assert lines[0] == "cdcgan@small.png"
    assert ganzoo.load("cdcgan", dataset="small", plugins="plugin.py").model == "cdcgan@small"
    Path("box/cdcgan@small.safetensors").write_bytes(b"x")
    refused("cdcgan@small is damaged: the SHA-256 of", "reinstall", "sample", "cdcgan@small", "--plugin", "plugin.py")


def test_models_have_a_card(
    make_run: Callable[..., Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said(capsys, "export", make_run("cdcgan"), make_run("dcgan", "other"), "--out", "box")
    text = Path("box/README.md").read_text(encoding="utf-8")
    head, body = text.removeprefix("---\n").split("\n---\n", 1)
    assert "library_name: ganzoo" in head.splitlines()
    assert head.endswith("datasets:\n- digits")
    assert "pipeline_tag" not in head  # not all of them make images without being told more
    for name, known in read_index(Path("box")).items():
        about = body.split(f"\n## {name}\n")[1].split("\n## ")[0]
        classes = ", of 10 classes to choose from" if name == "cdcgan@digits" else ""
        assert f"- Makes: 32x32 pixels, gray{classes}.\n" in about
        assert f"`{known['command']}`" in about
        assert f"FID {known['values']['fid']:.2f}, KID" in about
        assert "100 images against 1437 of the train split, as `digits` sees them" in about
        assert "arXiv:1511.06434" in about
    monkeypatch.chdir("box")
    exec(body.split("```python\n")[1].split("```")[0])  # what it tells to do
    (command,) = (line.split() for line in body.splitlines() if line.startswith("    ganzoo sample "))
    assert said(capsys, *command[1:], "--out", "card.png")[0] == "card.png"
    monkeypatch.chdir("..")
    Path("box/README.md").write_text("mine")
    said(capsys, "export", Path("runs/other"), "--out", "box")
    assert Path("box/README.md").read_text() == "mine"


def test_a_model_stays_until_there_is_another(make_run: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: Any, **more: Any) -> None:
        raise UserError("the images hold NaN", "train it again")

    monkeypatch.setattr("ganzoo.runs.export.evaluate_source", broken)
    Path("box").mkdir()
    Path("box/dcgan@digits.safetensors").write_bytes(b"earlier")
    refused("hold NaN", "train it again", "export", make_run("dcgan"), "--out", "box")
    assert [path.name for path in Path("box").iterdir()] == ["dcgan@digits.safetensors"]
    assert Path("box/dcgan@digits.safetensors").read_bytes() == b"earlier"


def test_what_cannot_be_exported(make_run: Callable[..., Path]) -> None:
    run = make_run("dcgan")
    refused("cannot be called 'faces'", "--name dcgan@LABEL", "export", run, "--out", "box", "--name", "faces")
    refused("cannot be called 'gan@x'", "--name dcgan@LABEL", "export", run, "--out", "box", "--name", "gan@x")
    refused("--name is of one model", "one by one", "export", run, run, "--out", "box", "--name", "dcgan@x")
    (run / "result.json").unlink()
    refused("has no result yet", "finished", "export", run, "--out", "box")
    assert not Path("box").exists()
