"""What networks are asked before a run: images of another range are told, critics that mix samples refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from broken_plugins import zoo

from ganzoo.config.layers import build_config
from ganzoo.config.run_config import RunConfig
from ganzoo.data import Images, make_images
from ganzoo.engine.game import Game
from ganzoo.files.reading import RECORD_BYTES, read_inside
from ganzoo.objectives import Losses
from ganzoo.runs.directory import RunDirectory
from ganzoo.runs.job import run_job
from ganzoo.runs.probing import check_samples_apart, range_warning
from ganzoo.runs.snapshots import build_gan
from ganzoo.runs.training import train
from ganzoo.zoo.calls import BrokenPlugin
from ganzoo.zoo.registry import Registry

Change = tuple[str, str]
CPU = torch.device("cpu")
LOGITS, SPEC, IMAGE = "h = self.layers(x)", "sizes=(8,)", "torch.tanh(h)"
MIXED = (LOGITS, "h = self.layers(x)\n        h = h + h.std(0)")
NEAR = (
    LOGITS,
    "h = self.layers(x)\n        h = h + torch.exp(-200 * (h[:, None] - h).abs().sum(2)).sum(1, keepdim=True)",
)
LOSSES = Losses(d_loss=lambda real, fake: fake - real, g_loss=lambda fake, real: -fake)
TERM = (
    "z_dim=6",
    "z_dim=6, terms=[Term(name='slope', phase='D', loss=lambda b: b.z.sum(), per_sample_gradients=True)]",
)


@pytest.fixture
def images() -> Images:
    random = torch.Generator().manual_seed(0)
    return make_images(torch.randint(0, 256, (32, 1, 8, 8), dtype=torch.uint8, generator=random))


def small(registry: Registry, **pieces: Any) -> RunConfig:
    """Two steps of a batch of 8, never scored."""
    overrides: dict[str, Any] = {"dataset.size": 8, "train.batch_size": 8, "train.kimg": 0.016, "train.scores": "none"}
    return build_config(registry, variant="mine", overrides=overrides, **pieces)


def asked(registry: Registry, images: Images, objective: str | None = None, regularize: str | None = None) -> None:
    config = small(registry, objective=objective, regularize=regularize)
    gan = build_gan(registry, config, images.shape, 0)
    held = {name: value.clone() for name, value in gan.discriminator.state_dict().items()}
    state = torch.get_rng_state()
    try:
        check_samples_apart(registry, config, Game(gan=gan, losses=LOSSES), images, CPU)
    finally:
        assert torch.equal(state, torch.get_rng_state())
        assert all(torch.equal(value, held[name]) for name, value in gan.discriminator.state_dict().items())
        assert all(parameter.requires_grad for parameter in gan.discriminator.parameters())


@pytest.mark.parametrize("mistake", [MIXED, NEAR], ids=["statistics", "distances"])
@pytest.mark.parametrize(
    ("pieces", "named"),
    [
        ({"objective": "wgan-gp"}, "objective 'wgan-gp'"),
        ({"regularize": "r1"}, "regularizer 'r1'"),
        ({}, "term 'slope'"),
    ],
)
def test_a_critic_that_mixes_samples_is_refused(
    mistake: Change, pieces: dict[str, str], named: str, images: Images, tmp_path: Path
) -> None:
    changes = (mistake,) if pieces else (mistake, TERM)
    with pytest.raises(BrokenPlugin, match=f"variant 'mine' of plugin .*{named} penalises gradients of single") as told:
        asked(zoo(tmp_path, *changes), images, **pieces)
    assert "config.per_sample_critic" in told.value.cure


@pytest.mark.parametrize("changes", [(), (MIXED,), (TERM,)], ids=["apart", "no penalty", "apart, with a term"])
def test_others_are_not(changes: tuple[Change, ...], images: Images, tmp_path: Path) -> None:
    asked(zoo(tmp_path, *changes), images, objective=None if changes else "wgan-gp")


def test_a_variant_that_says_so_is_believed(images: Images, tmp_path: Path) -> None:
    with pytest.raises(BrokenPlugin, match="depends on the whole batch"):
        asked(zoo(tmp_path, (SPEC, f"{SPEC}, batch_dependent=True")), images, regularize="gp")


@pytest.mark.parametrize("pieces", [{"objective": "wgan-gp"}, {"regularize": "r1"}], ids=str)
def test_one_whose_paper_penalises_the_sum_of_logits_trains(
    pieces: dict[str, str], images: Images, tmp_path: Path
) -> None:
    """And D compares the batch in the penalty as elsewhere."""
    registry = zoo(tmp_path, MIXED, ("z_dim=6", "z_dim=6, batch_dependent=True, summed_penalties=True"))
    asked(registry, images, **pieces)
    config = small(registry, **pieces)
    run_job(registry, config, tmp_path / "run", root=tmp_path, images=images, report=lambda line: None)
    assert (tmp_path / "run" / "result.json").exists()


@pytest.mark.parametrize(
    ("image", "told"),
    [
        (IMAGE, ""),
        ("torch.sigmoid(h)", "as if their range were [0, 1]"),
        ("3 * h", "outside of [-1, 1]"),
        ("0 * h", ""),
    ],
)
def test_the_range_of_images_is_told(image: str, told: str, images: Images, tmp_path: Path) -> None:
    registry = zoo(tmp_path, (IMAGE, f"({image})"))
    gan = build_gan(registry, small(registry), images.shape, 0)
    state = torch.get_rng_state()
    said = range_warning(registry, registry.variant("mine"), gan, 0)
    assert (told in said) if told else not said
    assert torch.equal(state, torch.get_rng_state())
    assert all(module.training for module in gan.generator.modules())


@pytest.mark.parametrize("image", ["torch.sigmoid(h) * 255", "h / 0"])
def test_no_range_at_all_is_refused(image: str, images: Images, tmp_path: Path) -> None:
    registry = zoo(tmp_path, (IMAGE, f"({image})"))
    gan = build_gan(registry, small(registry), images.shape, 0)
    with pytest.raises(BrokenPlugin, match="variant 'mine' of plugin 'my_gan'"):
        range_warning(registry, registry.variant("mine"), gan, 0)


@pytest.fixture
def played(images: Images, tmp_path: Path) -> Callable[..., list[str]]:
    """What a run of two steps reports."""

    def run(*changes: Change) -> list[str]:
        registry = zoo(tmp_path, *changes)
        config = small(registry)
        told: list[str] = []
        run_job(registry, config, tmp_path / "run", root=tmp_path, images=images, report=told.append)
        return told

    return run


def test_a_run_reports_the_range(played: Callable[..., list[str]]) -> None:
    assert any("as if their range were [0, 1]" in line for line in played((IMAGE, "torch.sigmoid(h)")))


def test_a_run_names_whose_loss_it_is(played: Callable[..., list[str]]) -> None:
    with pytest.raises(BrokenPlugin, match=r"variant 'mine' of plugin .*the logits that g_loss is made of"):
        played((IMAGE, "torch.tanh(h).detach()"))


def test_a_run_names_whose_term_it_is(played: Callable[..., list[str]]) -> None:
    with pytest.raises(BrokenPlugin, match=r"variant 'mine' of plugin .*the term 't' returns"):
        played(("z_dim=6", "z_dim=6, terms=[Term(name='t', phase='D', loss=lambda b: b.real)]"))


SLOPE = """
def slope(batch):
    x = batch.real.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(batch.critic(x).sum(), x, create_graph=True)
    return gradient.square().sum((1, 2, 3))

def build("""


@pytest.mark.parametrize(
    "change",
    [("nn.LeakyReLU(0.2)", "nn.BatchNorm1d(12)"), (SPEC, f"{SPEC}, batch_dependent=True")],
    ids=["norm", "spec"],
)
def test_a_penalty_that_says_nothing_of_itself_is_refused_where_samples_are_mixed(
    change: Change, played: Callable[..., list[str]]
) -> None:
    with pytest.raises(BrokenPlugin, match=r"variant 'mine' of plugin .*it differentiates D by its images") as told:
        played(change, ("def build(", SLOPE), ("z_dim=6", "z_dim=6, terms=[Term(name='t', phase='D', loss=slope)]"))
    assert "per_sample_gradients=True" in told.value.cure


def test_an_exception_of_the_author_s_keeps_its_traceback(images: Images, tmp_path: Path, data_root: Path) -> None:
    zoo(tmp_path, ("sizes=(8,)", "sizes=(32,)"), (LOGITS, "h = self.layers(x) if len(x) == 2 else self.nothing"))
    with pytest.raises(AttributeError):
        train("mine", plugins=tmp_path / "my_gan.py", kimg=0.1, out=tmp_path / "run", data_root=data_root,
              sets={"train.scores": "none"})  # fmt: skip
    told = read_inside(tmp_path / "run", "failure.txt", RECORD_BYTES).decode()
    assert told.startswith("AttributeError: ")
    assert "my_gan.py" in told
    assert "self.nothing" in told
    assert RunDirectory(tmp_path / "run").read_failure().startswith("AttributeError: 'D' object")
