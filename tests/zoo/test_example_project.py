"""docs/examples/ganzoo-relativistic is a real package: built, installed elsewhere, and used without more ado."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2] / "docs" / "examples" / "ganzoo-relativistic"
TINY = ("--kimg", "0.2", "--num-images", "200", "--set", "train.snapshots=1")
SMALL = ("--set", "variant.resnet-ragan.channels=8", "--set", "variant.gan.width=8")
GanZoo = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a fresh environment, which sees this one's packages and has the example installed."""
    folder = tmp_path_factory.mktemp("example")
    environment = folder / "venv"
    venv.create(environment, symlinks=os.name != "nt")
    places = {"base": str(environment), "platbase": str(environment)}
    site = Path(sysconfig.get_path("purelib", "venv", places))
    # addsitedir, not a plain path, because an editable ganzoo is itself a .pth file
    parents = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (site / "parent.pth").write_text("".join(f"import site; site.addsitedir({parent!r})\n" for parent in parents))
    scripts = Path(sysconfig.get_path("scripts", "venv", places))
    python = scripts / Path(sys.executable).name
    project = shutil.copytree(PROJECT, folder / "project")  # building must leave nothing in the repository
    uv = shutil.which("uv")
    if uv is not None:
        install = [uv, "pip", "install", "--python", str(python), "--offline"]
    else:
        install = [str(python), "-m", "pip", "install", "--no-index"]
    done = subprocess.run(
        [*install, "--no-deps", "--no-build-isolation", str(project)],
        capture_output=True, text=True, cwd=folder, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return python


def test_it_is_found_and_listed(python: Path, ganzoo: GanZoo) -> None:
    plugins = ganzoo("plugins", "relativistic", python=python).stdout.splitlines()
    assert plugins[0].startswith("relativistic  loaded  ganzoo-relativistic 0.1.0")
    assert plugins[1:] == ["  variants: resnet-ragan", "  objectives: relativistic-hinge"]
    listed = ganzoo("list", python=python).stdout
    assert "resnet-ragan" in listed
    assert "relativistic-hinge" in listed
    assert "dcgan" in listed


def test_it_trains(python: Path, ganzoo: GanZoo, tmp_path: Path, data_root: Path) -> None:
    tiny = ["--kimg", "0.2", "--set", "train.snapshots=1", "--set", "eval.num_images=200", *SMALL]
    done = ganzoo("train", "resnet-ragan", *tiny, "--data-root", data_root, "--out", "run", python=python)
    assert "resnet-ragan" in done.stdout
    assert json.loads((tmp_path / "run" / "result.json").read_text())["objective"] == "relativistic-hinge"


def test_it_is_compared_with_the_zoo(python: Path, ganzoo: GanZoo, tmp_path: Path, data_root: Path) -> None:
    done = ganzoo(
        "bench", "--variants", "resnet-ragan,gan", *TINY, *SMALL, "--data-root", data_root, "--out", "bench",
        "--columns", "objective,fid", python=python,
    )  # fmt: skip
    rows = [line.split() for line in done.stdout.splitlines()]
    assert any(row[1:3] == ["resnet-ragan", "relativistic-hinge"] for row in rows)
    assert any(row[1:3] == ["gan", "non-saturating"] for row in rows)
    assert len(list((tmp_path / "bench").rglob("result.json"))) == 2


def test_it_works_with_the_other_parts_of_the_zoo(monkeypatch: pytest.MonkeyPatch) -> None:
    """The objective's equations, and networks of every size with and without a gradient penalty."""
    import torch

    from ganzoo.gan import VariantConfig

    monkeypatch.syspath_prepend(PROJECT)
    import ganzoo_relativistic
    from ganzoo_relativistic.losses import relativistic_hinge

    losses = relativistic_hinge({})
    real, fake = torch.tensor([1.0, 3.0]), torch.tensor([0.0, -2.0])
    # D, first sample: relu(1 + mean(fake) - 1) + relu(1 + 0 - mean(real)) = relu(-1) + relu(-1)
    assert losses.d_loss(real, fake).tolist() == [0.0, 0.0]
    # G, first sample: relu(1 + mean(real) - 0) + relu(1 + 1 - mean(fake)) = relu(3) + relu(3)
    assert losses.g_loss(fake, real).tolist() == [6.0, 10.0]

    (variant,) = ganzoo_relativistic.register_variants()
    for size in variant.sizes:
        config = VariantConfig(settings={"z_dim": 4, "channels": 4}, per_sample_critic=True)
        gan = variant.load()(config, (3, size, size), 0)
        images = gan.generator(torch.randn(2, 4), None)
        assert images.shape == (2, 3, size, size)
        assert images.abs().max() <= 1
        alone, both = gan.discriminator.eval()(images[:1], None), gan.discriminator.eval()(images, None)
        assert both.shape == (2,)
        torch.testing.assert_close(alone, both[:1])  # a critic that does not mix samples
    for name in [name for name in list(sys.modules) if name.startswith("ganzoo_relativistic")]:
        monkeypatch.delitem(sys.modules, name)
