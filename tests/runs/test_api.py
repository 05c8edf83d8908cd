"""The library's functions: what they give, and that the commands give the same."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import ganzoo
from ganzoo.runs.api import Run

PAGE = (Path(__file__).parents[2] / "docs" / "python.md").read_text(encoding="utf-8")
SMALL = {"kimg": 0.128, "num_images": 100, "sets": ("train.snapshots=1", "eval.metrics=fid", "variant.channels=4")}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, data_root: Path) -> Run:
    out = tmp_path_factory.mktemp("api") / "run"
    return ganzoo.train("cdcgan", dataset="digits", out=out, data_root=data_root, **SMALL)


def test_a_run_is_plain_data(run: Run, data_root: Path) -> None:
    assert run.result is not None
    assert run.values == run.result["last"]["values"]
    assert run.config["train"]["kimg"] == 0.128
    assert run.stats[-1]["kimg"] == 0.128
    assert [score["images"] for score in run.metrics] == [0, 128]
    assert [image.mode for image in run.samples()] == ["RGB", "RGB"]
    again = ganzoo.train("cdcgan", dataset="digits", out=run.path, data_root=data_root, **SMALL)
    assert again.result == run.result


def test_frames(run: Run) -> None:
    pytest.importorskip("pandas")
    assert list(run.to_frame()["kimg"]) == [tick["kimg"] for tick in run.stats]
    frame = ganzoo.leaderboard(run.path.parent).to_frame()
    assert list(frame[frame["kind"] == "generated"]["variant"]) == ["cdcgan"]


def test_a_frame_without_pandas_says_what_is_missing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ganzoo.UserError, match="needs pandas"):
        run.to_frame()


def test_images_are_those_of_the_command(run: Run, tmp_path: Path) -> None:
    from click.testing import CliRunner

    from ganzoo.cli.main import cli

    generator = ganzoo.load(run)
    ours = generator.sample(12, labels=[3, 5], seed=4)
    assert (ours.shape, ours.dtype) == ((12, 1, 32, 32), torch.uint8)
    file = tmp_path / "images.npz"
    words = ["sample", str(run.path), "-n", "12", "--labels", "3,5", "--seed", "4", "--out", str(file)]
    assert CliRunner().invoke(cli, words, catch_exceptions=False).exit_code == 0
    theirs = np.load(file)["arr_0"]
    assert np.array_equal(theirs.reshape(12, 32, 32), ours[:, 0].numpy())
    assert np.array_equal(np.asarray(generator.images(12, labels=[3, 5], seed=4)[11]), ours[11, 0].numpy())


def test_the_generator_is_its_network(run: Run) -> None:
    generator = ganzoo.load(run.path)
    z = torch.randn(3, generator.z_dim)
    labels = torch.tensor([1, 2, 3])
    assert torch.equal(generator(z, labels), generator.module(z, labels))
    assert (generator.shape, generator.num_classes, generator.kimg) == ((1, 32, 32), 10, 0.128)
    with pytest.raises(ganzoo.UserError, match="there is no class 10"):
        generator.sample(2, labels=[10])


def test_evaluate_gives_the_scores_of_the_run(run: Run, data_root: Path) -> None:
    document = ganzoo.evaluate(run, data_root=data_root, metrics="fid", num_images=100, device="cpu")
    assert document["values"]["fid"] == pytest.approx(run.values["fid"], rel=1e-6)


def test_mistakes_are_the_commands_own(tmp_path: Path, data_root: Path) -> None:
    with pytest.raises(ganzoo.UnknownName, match="dcgan"):
        ganzoo.train("dcgam", data_root=data_root)
    with pytest.raises(ganzoo.UserError, match="has no augmentation"):
        ganzoo.train("dcgan", regularize="cr", data_root=data_root)
    with pytest.raises(TypeError, match="there is no option 'epochs'"):
        ganzoo.train("dcgan", epochs=3)
    with pytest.raises(ganzoo.UserError, match="is no folder"):
        ganzoo.leaderboard(tmp_path / "nothing")


@pytest.mark.parametrize(
    "first", ["", "import ganzoo.bench.jobs, ganzoo.leaderboard.table", "from ganzoo.bench.api import bench"]
)
def test_rooms_can_be_called_whatever_was_imported_before(first: str) -> None:
    code = f"{first}\nimport ganzoo, inspect\nfrom ganzoo import bench, leaderboard\n"
    code += "assert callable(ganzoo.bench) and callable(ganzoo.leaderboard) and ganzoo.bench is bench\n"
    code += "assert 'seeds' in inspect.signature(bench).parameters\n"
    code += "import ganzoo.bench.speed\nassert callable(ganzoo.bench)\n"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_options_are_those_of_the_commands() -> None:
    from ganzoo.cli.main import cli
    from ganzoo.config.options import _KEYS, _LAYERS

    ours = set(inspect.signature(ganzoo.train).parameters) | {*_KEYS, *_LAYERS}
    renamed = {"plugin_files": "plugins", "config_file": "config"}
    theirs = {renamed.get(p.name, p.name) for p in cli.commands["train"].params if p.name != "as_json"}
    assert theirs <= ours


def test_the_page_runs(tmp_path: Path, data_root: Path) -> None:
    first, weights = re.findall(r"```python\n(.*?)```", PAGE, flags=re.S)
    assert len([line for line in first.splitlines() if line.strip()]) <= 10
    (tmp_path / "first.py").write_text(first)
    (tmp_path / "weights.py").write_text(weights)
    environment = {"GANZOO_DATA": str(data_root), "OMP_NUM_THREADS": "1", "PATH": "", "HOME": str(tmp_path)}
    for script in ("first.py", "weights.py"):
        done = subprocess.run(
            [sys.executable, script], cwd=tmp_path, capture_output=True, text=True, env=environment, check=False
        )
        assert done.returncode == 0, done.stderr
        if script == "first.py":
            assert "| cdcgan |" in done.stdout
            assert "+ lecam" in done.stdout
    header = json.loads((tmp_path / "runs" / "first" / "config.json").read_text())
    assert header["variant"]["channels"] == 16
