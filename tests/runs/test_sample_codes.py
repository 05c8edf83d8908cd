"""`ganzoo sample --code`, `--sweep` and `--truncation`; and one law of z wherever images are made."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ganzoo.cli.main import cli
from ganzoo.config.layers import build_config
from ganzoo.errors import SettingError, UserError
from ganzoo.gan import Codes, Normal
from ganzoo.runs.codes import choose_codes, parse_codes
from ganzoo.runs.sampling import open_source, plan_samples
from ganzoo.runs.snapshots import build_gan, save_snapshot
from ganzoo.runs.truncation import knows_truncation
from ganzoo.scoring.generation import SCORE_SEED
from ganzoo.scoring.noise import noise
from ganzoo.zoo.registry import Registry

PRIOR = Codes(noise=2, categorical=(3, 2), continuous=2, low=0.0, high=0.5)  # of 9 components

TOY = """
import recorded
import torch
from torch import nn

from ganzoo import GAN, Codes, Variant, hookimpl

GANZOO_API = 2


class Generator(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.shape = shape
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, z, labels, truncation: float = 1.0):
        recorded.seen.append((z.clone(), self.training, truncation))
        size = self.shape[0] * self.shape[1] * self.shape[2]
        return (z.repeat(1, size // z.shape[1] + 1)[:, :size].view(-1, *self.shape) * truncation + self.weight).tanh()


def build(config, shape, num_classes):
    discriminator = nn.Sequential(nn.Flatten(), nn.LazyLinear(1), nn.Flatten(0))
    discriminator(torch.zeros(2, *shape))

    class Discriminator(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = discriminator

        def forward(self, x, labels):
            return self.layers(x)

    prior = Codes(noise=2, categorical=(3, 2), continuous=2, low=0.0, high=0.5)
    return GAN(generator=Generator(shape), discriminator=Discriminator(), z_dim=9, prior=prior)


@hookimpl
def register_variants():
    return [Variant(name="toy", target=build, conditional=CONDITIONAL)]
"""


@pytest.fixture(scope="module")
def infogan(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A snapshot of infogan as it begins: code 1 has 3 classes, codes 2 and 3 lie between -1 and 1."""
    file = tmp_path_factory.mktemp("infogan") / "000000.000.safetensors"
    sets = ["variant.channels=8", "variant.noise=4", "variant.categories=3"]
    config = build_config(registry, variant="infogan", sets=sets)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        generator = build_gan(registry, config, (1, 32, 32), 0).generator
    for parameter in generator.parameters():
        parameter.detach().mul_(3)
    save_snapshot(file, generator, config, shape=(1, 32, 32), num_classes=0, images=0)
    return file


def sample(*arguments: Any) -> None:
    cli.main(["sample", *map(str, arguments)], standalone_mode=False)


def refused(cause: str, cure: str, *arguments: Any) -> None:
    with pytest.raises(UserError) as caught:
        sample(*arguments)
    assert cause in caught.value.cause
    assert cure in caught.value.cure
    assert "\n" not in caught.value.cause + caught.value.cure


def z_of(codes: dict[int, float], sweep: int | None, numbers: list[int], steps: int | None = None) -> torch.Tensor:
    return choose_codes(PRIOR, "toy", codes, sweep, steps).inputs(5, None)(torch.tensor(numbers))[0]


def test_a_row_has_one_noise_and_all_classes_of_the_swept_code() -> None:
    z = z_of({2: 1, 4: 0.25}, None, list(range(3, 12)))  # rows 1 to 3, of three classes
    expected = PRIOR(noise(5, 1, 3, 9)).repeat_interleave(3, 0)
    expected[:, 2:5] = torch.eye(3).repeat(3, 1)
    expected[:, 5:7] = torch.tensor([0.0, 1.0])
    expected[:, 8] = 0.25
    assert torch.equal(z, expected)


def test_a_continuous_code_goes_from_low_to_high() -> None:
    z = z_of({}, 3, list(range(10)), steps=5)
    assert z[:5, 7].tolist() == [0.0, 0.125, 0.25, 0.375, 0.5]
    assert torch.equal(z[5:, 7], z[:5, 7])
    assert torch.equal(z[:5, [0, 1, 2, 3, 4, 5, 6, 8]], z[:1, [0, 1, 2, 3, 4, 5, 6, 8]].expand(5, 8))
    assert not torch.equal(z[0], z[5])
    assert len(choose_codes(PRIOR, "toy", {1: 0.0}, 4, None).values) == 8


def test_where_all_codes_are_fixed_images_are_each_for_themselves() -> None:
    z = z_of({1: 2, 2: 0, 3: 0.5, 4: 0}, None, [4, 5])
    assert torch.equal(z[:, :2], noise(5, 4, 2, 9)[:, :2])
    assert z[:, 2:].tolist() == [[0, 0, 1, 1, 0, 0.5, 0]] * 2


@pytest.mark.parametrize(
    ("codes", "sweep", "steps", "cause", "cure"),
    [
        ({5: 0.0}, None, None, "no code 5", "1 with classes 0 to 2, 2 with classes 0 to 1, 3 to 4 from 0 to 0.5"),
        ({}, 9, None, "no code 9", "codes are 1"),
        ({}, 0, None, "no code 0", "codes are 1"),
        ({1: 3.0}, None, None, "code 1 has no class 3", "0 to 2"),
        ({1: 0.5}, None, None, "code 1 has no class 0.5", "0 to 2"),
        ({2: -1.0}, None, None, "code 2 has no class -1", "0 to 1"),
        ({3: 0.6}, None, None, "code 3 is never 0.6", "between 0 and 0.5"),
        ({1: 1.0}, 1, None, "both fixed and swept", "choose another"),
        ({}, 1, 4, "--steps has no effect: code 1", "leave --steps out"),
        ({1: 0.0, 2: 0.0, 3: 0.0, 4: 0.0}, None, 4, "all codes are fixed", "leave --steps out"),
    ],
)
def test_codes_that_are_none(
    codes: dict[int, float], sweep: int | None, steps: int | None, cause: str, cure: str
) -> None:
    with pytest.raises(SettingError) as caught:
        choose_codes(PRIOR, "toy", codes, sweep, steps)
    assert cause in caught.value.cause
    assert cure in caught.value.cure


def test_other_priors_have_no_codes(registry: Registry) -> None:
    for prior in (Normal(), Codes(noise=3)):
        with pytest.raises(SettingError, match="codes"):
            choose_codes(prior, "toy", {1: 0.0}, None, None)


def test_codes_are_numbers_and_values() -> None:
    assert parse_codes(["2=5", "10=-0.5", "3=1e-1"]) == {2: 5.0, 10: -0.5, 3: 0.1}
    for text in ("2", "=5", "2=", "x=1", "2=a", "0=1", "-1=1", "2=nan", "2=inf", "²=1", "1=2=3"):
        with pytest.raises(SettingError, match="write it as 2=5"):
            parse_codes([text])
    with pytest.raises(SettingError, match="given twice"):
        parse_codes(["2=5", "02=6"])


def test_a_grid_of_codes(infogan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sample(infogan, "--code", "2=0.5", "-n", 2, "--out", tmp_path / "grid.png")
    assert capsys.readouterr().out.splitlines()[1] == "code 2 = 0.5; columns: code 1 from 0 to 2"
    sample(infogan, "--code", "2=0.5", "-n", 2, "--out", tmp_path / "all.npz")
    assert capsys.readouterr().out.splitlines()[1] == "code 2 = 0.5; images, in turn: code 1 from 0 to 2"
    pixels = np.load(tmp_path / "all.npz")["arr_0"]  # [6,32,32,1]
    assert len(np.unique(pixels.reshape(6, -1), axis=0)) == 6
    with Image.open(tmp_path / "grid.png") as image:
        grid = np.asarray(image.convert("L"))
    scale = grid.shape[1] // (3 * 34 + 2)
    assert grid.shape == (scale * (2 * 34 + 2), scale * (3 * 34 + 2))
    for index in range(6):
        top, left = 2 + 34 * (index // 3), 2 + 34 * (index % 3)
        assert np.array_equal(grid[::scale, ::scale][top : top + 32, left : left + 32], pixels[index, :, :, 0])


def test_image_i_of_codes_does_not_depend_on_the_count(infogan: Path, tmp_path: Path) -> None:
    for n in (3, 100):  # rows: of 3 images, so that the second takes two blocks
        sample(infogan, "--sweep", 1, "--seed", 3, "-n", n, "--out", tmp_path / f"{n}.npz")
    assert np.array_equal(np.load(tmp_path / "3.npz")["arr_0"], np.load(tmp_path / "100.npz")["arr_0"][:9])


def test_what_does_not_go_together(infogan: Path, tmp_path: Path) -> None:
    out = ("--out", tmp_path / "x.png")
    refused("--interpolate changes all codes", "leave --code", infogan, "--interpolate", "0:1", "--code", "1=0", *out)
    refused("--steps are those of --interpolate and --sweep", "", infogan, "--steps", 3, *out)
    refused("variant 'infogan' knows no truncation", "leave --truncation out", infogan, "--truncation", 0.5, *out)
    refused("there is no code 4", "codes are 1 with classes 0 to 2", infogan, "--code", "4=0", *out)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def toy(
    data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[bool], tuple[Path, Path, list[Any]]]:
    """`toy(conditional)`: a plugin's file, a run that it trained, and all that its generator was called with."""

    def train(conditional: bool) -> tuple[Path, Path, list[Any]]:
        seen: list[Any] = []
        monkeypatch.setitem(sys.modules, "recorded", SimpleNamespace(seen=seen))
        plugin, run = tmp_path / "toy.py", tmp_path / "run"
        plugin.write_text(TOY.replace("CONDITIONAL", str(conditional)))
        command = ["train", "toy", "--plugin", plugin, "--kimg", "0.3", "--data-root", data_root, "--out", run]
        sets = ["train.snapshots=1", "train.batch_size=32", "eval.num_images=300", "eval.metrics=kid"]
        command += [part for text in sets for part in ("--set", text)]
        cli.main([str(part) for part in command], standalone_mode=False)
        assert json.loads((run / "result.json").read_text())["status"] == "done"
        return plugin, run, seen

    return train


def rows(z: torch.Tensor) -> set[tuple[float, ...]]:
    return {tuple(row) for row in z.tolist()}


@pytest.mark.parametrize("conditional", [False, True])
def test_one_law_in_training_grids_scores_and_samples(
    conditional: bool, toy: Callable[[bool], tuple[Path, Path, list[Any]]], tmp_path: Path
) -> None:
    plugin, run, seen = toy(conditional)
    trained = torch.cat([z for z, training, _ in seen if training and len(z) == 32])
    assert len(trained) >= 300
    evaluated = rows(torch.cat([z for z, training, _ in seen if not training]))
    assert rows(PRIOR(noise(0, 0, 8, 9))) <= evaluated  # the grids: conditional, one for each row
    assert rows(PRIOR(noise(SCORE_SEED, 0, 300, 9))) <= evaluated
    seen.clear()
    sample(run, "--plugin", plugin, "--seed", 7, "-n", 20, "--out", tmp_path / "x.png")
    sampled = torch.cat([z for z, _, _ in seen])
    assert rows(PRIOR(noise(7, 0, 20, 9))) <= rows(sampled)
    for z in (trained, torch.tensor(sorted(evaluated)), sampled):
        for at, classes in ((2, 3), (5, 2)):
            one_hot = z[:, at : at + classes]
            assert torch.equal(one_hot.sort(1).values, torch.eye(classes)[-1].expand(len(z), classes))
            assert bool(one_hot.any(0).all())
        assert float(z[:, 7:].min()) >= 0.0
        assert float(z[:, 7:].max()) <= 0.5
        assert float(z[:, 7:].std()) == pytest.approx(0.5 / 12**0.5, rel=0.2)


def test_truncation_reaches_the_generator(
    toy: Callable[[bool], tuple[Path, Path, list[Any]]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plugin, run, seen = toy(False)
    assert {psi for _, _, psi in seen} == {1.0}
    seen.clear()
    capsys.readouterr()
    sample(run, "--plugin", plugin, "--truncation", 0.25, "-n", 5, "--out", tmp_path / "near.npz")
    assert {psi for _, _, psi in seen} == {0.25}
    assert capsys.readouterr().out.splitlines()[1] == "truncation 0.25"
    sample(run, "--plugin", plugin, "-n", 5, "--out", tmp_path / "far.npz")
    near, far = (np.load(tmp_path / f"{name}.npz")["arr_0"].astype(float) for name in ("near", "far"))
    assert near.std() < 0.5 * far.std()
    refused("nan is no number", "0.7", run, "--plugin", plugin, "--truncation", "nan", "--out", tmp_path / "x.png")


def test_who_knows_truncation() -> None:
    class Star(torch.nn.Module):
        def forward(self, *truncation: float) -> None: ...

    class Keyword(torch.nn.Module):
        def forward(self, z: torch.Tensor, labels: None, *, truncation: float = 1.0) -> None: ...

    assert not knows_truncation(Star())
    assert not knows_truncation(torch.nn.Identity())
    assert knows_truncation(Keyword())


def test_classes_take_turns_with_the_rows_of_codes(
    toy: Callable[[bool], tuple[Path, Path, list[Any]]], capsys: pytest.CaptureFixture[str]
) -> None:
    plugin, run, _ = toy(True)
    registry = Registry.load([plugin])
    samples = plan_samples(open_source(registry, str(run)), labels="4,7", codes={2: 1.0}, count=3)
    assert (samples.count, samples.columns, samples.by_row) == (9, 3, True)
    _, labels = samples.inputs(torch.arange(9))
    assert labels is not None
    assert labels.tolist() == [4, 4, 4, 7, 7, 7, 4, 4, 4]
    fixed = plan_samples(open_source(registry, str(run)), labels="4,7", codes={1: 0.0, 2: 1.0, 3: 0.0, 4: 0.0})
    assert (fixed.count, fixed.columns, fixed.by_row) == (16, 4, False)  # two of each class beside each other
    _, labels = fixed.inputs(torch.arange(4))
    assert labels is not None
    assert labels.tolist() == [4, 7, 4, 7]
