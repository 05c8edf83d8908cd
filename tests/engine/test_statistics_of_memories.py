"""What memories keep is told at ticks; D's accuracy where logits are compared; who may read the run's progress."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from combined import REGISTRY, step_of
from pretended import advance
from torch import Tensor, nn

from ganzoo.config.layers import build_config
from ganzoo.config.run_config import Train
from ganzoo.data import make_images, make_sampler
from ganzoo.engine.device import Precision
from ganzoo.engine.statistics import Statistics
from ganzoo.engine.step import Step
from ganzoo.errors import RunError
from ganzoo.gan import GAN, Batch, Term
from ganzoo.objectives import Losses
from ganzoo.runs.directory import RunDirectory
from ganzoo.runs.job import run_job
from ganzoo.runs.losses import make_losses
from ganzoo.runs.snapshots import build_extras, build_gan
from ganzoo.zoo.calls import BrokenPlugin
from ganzoo.zoo.plugins import Plugin
from ganzoo.zoo.registry import Registry
from ganzoo.zoo.specs import Objective, Regularizer, Spec, Variant

CPU = torch.device("cpu")


class Kept(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(0.5))
        self.register_buffer("least", torch.tensor(torch.inf))
        self.register_buffer("updates", torch.tensor(3))
        self.register_buffer("each", torch.zeros(4))


def test_buffers_of_one_floating_point_number_are_read_along_in_one_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = Kept()
    statistics = Statistics(CPU, {"mine": memory})
    assert statistics.read() == {}  # nothing has been trained
    statistics.add("loss", torch.tensor([1.0, 2.0]))
    copies: list[int] = []
    original = Tensor.tolist
    monkeypatch.setattr(Tensor, "tolist", lambda self: copies.append(self.numel()) or original(self))
    monkeypatch.setattr(Tensor, "item", None)
    assert statistics.read() == {"loss": 1.5, "mine.mean": 0.5, "mine.least": torch.inf}
    assert copies == [3]
    with torch.no_grad():
        memory.get_buffer("mean").fill_(0.25)
    statistics.add("loss", torch.tensor([4.0]))
    assert statistics.read()["mine.mean"] == 0.25


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"variant": "began"}, {"objective.k"}),
        ({"augment": "ada"}, {"ada.p", "ada.signs", "ada.seen"}),
        ({"regularize": "lecam,path-length"}, {"lecam.real", "lecam.fake", "path-length.mean"}),
        ({"regularize": "r1"}, set()),
    ],
)
def test_of_the_zoo(options: dict[str, Any], names: set[str]) -> None:
    step = step_of(**options)
    read = advance(step, 8)
    assert {name for name in read if "." in name} == names
    assert {name: read[name] for name in names} == {name: float(step.statistics.kept()[name]) for name in names}


def test_a_memory_that_is_infinite_is_no_divergence(data_root: Path, tmp_path: Path) -> None:
    def losses(settings: Any) -> Losses:
        return Losses(d_loss=lambda real, fake: fake - real, g_loss=lambda fake, real: -fake, memory=Kept())

    ours = plugin(objectives=Objective(name="mine", target=losses))
    sets = ["variant.width=4", "train.kimg=0.064", "train.batch_size=16", "train.snapshots=1", "train.scores=none"]
    config = build_config(ours, variant="gan", objective="mine", dataset="digits", sets=sets)
    result = run_job(ours, config, tmp_path, root=data_root)
    assert result["status"] == "done"
    last = RunDirectory(tmp_path).stats()[-1]
    assert last["objective.mean"] == 0.5
    assert last.get("objective.least") is None


def of_logits(real: Tensor, fake: Tensor, **losses: Any) -> float:
    """d_accuracy of a D that says these."""

    class D(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bias = nn.Parameter(torch.zeros(()))

        def forward(self, x: Tensor, labels: Tensor | None) -> Tensor:
            return (real if bool(x.max() > 0) else fake) + 0 * self.bias

    class G(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.level = nn.Parameter(torch.tensor(-1.0))

        def forward(self, z: Tensor, labels: Tensor | None) -> Tensor:
            return self.level.expand(len(z), 1, 2, 2)

    step = Step(
        gan=GAN(generator=G(), discriminator=D(), z_dim=2, batch_dependent=True),
        losses=Losses(d_loss=lambda r, f: f - r, g_loss=lambda f, r: -f, **losses),
        sampler=make_sampler(make_images(torch.full((8, 1, 2, 2), 255).byte()), batch_size=4, device=CPU, seed=0),
        config=Train(batch_size=4, d_steps=2),
        num_classes=0,
        device=CPU,
        precision=Precision(name="fp32", device_type="cpu"),
        plain=True,
    )
    step()
    return step.statistics.read()["d_accuracy"]


@pytest.mark.parametrize(("options", "expected"), [({}, 0.5), ({"paired": True}, 0.75), ({"g_uses_real": True}, 0.75)])
def test_where_logits_are_compared_accuracy_is_of_pairs(options: dict[str, Any], expected: float) -> None:
    real, fake = torch.tensor([-1.0, -2.0, -3.0, -4.0]), torch.tensor([-2.0, -3.0, -4.0, -3.5])
    assert of_logits(real, fake, **options) == expected


def test_which_objectives_compare() -> None:
    paired = {
        spec.name
        for spec in REGISTRY.all("objectives")
        for losses in [spec.load()({setting.name: setting.default for setting in spec.settings})]
        if losses.paired or losses.g_uses_real
    }
    assert paired == {"relativistic-average", "relativistic-pairing", "began", "ebgan"}


def plugin(**specs: Spec) -> Registry:
    ours = Plugin(name="ours", origin="ours.py", module="ours")
    ours.specs = {kind: [spec] for kind, spec in specs.items()}
    return Registry([*REGISTRY.plugins, ours])


def read_progress(batch: Batch) -> Tensor:
    return batch.real.new_zeros(len(batch.real)) + batch.progress


@pytest.mark.parametrize("said", [False, True])
@pytest.mark.parametrize("kind", ["variants", "objectives", "regularizers"])
def test_a_spec_has_to_say_that_a_term_reads_progress(kind: str, said: bool) -> None:
    term = Term(name="late", phase="D", loss=read_progress, progress=True)

    def gan(config: Any, shape: Any, num_classes: int) -> GAN:
        return GAN(generator=nn.Linear(2, 64), discriminator=nn.Linear(64, 1), z_dim=2, terms=[term])

    def losses(settings: Any) -> Losses:
        return Losses(d_loss=lambda real, fake: fake, g_loss=lambda fake, real: fake, terms=[term])

    specs: dict[str, Spec] = {
        "variants": Variant(name="mine", target=gan, progress=said),
        "objectives": Objective(name="mine", target=losses, progress=said),
        "regularizers": Regularizer(name="mine", target=lambda settings: term, progress=said),
    }
    ours = plugin(**{kind: specs[kind]})
    options = {"variants": {"variant": "mine"}, "objectives": {"variant": "gan", "objective": "mine"},
               "regularizers": {"variant": "gan", "regularize": "mine"}}  # fmt: skip
    config = build_config(ours, dataset="digits", **options[kind])
    assert config.fixed_length is said

    def build() -> None:
        build_gan(ours, config, (1, 8, 8), 0)
        make_losses(ours, ours.objective(config.objective.name), config.objective.settings)
        build_extras(ours, config, (1, 8, 8))

    if said:
        build()
        return
    with pytest.raises(
        BrokenPlugin, match=r"'mine' of plugin 'ours' .*'late' says progress=True, and its spec"
    ) as caught:
        build()
    assert "\n" not in str(caught.value)


def test_a_term_that_reads_progress_has_to_say_so() -> None:
    for said in (True, False):
        step = step_of(variant="gan", terms=[Term(name="late", phase="D", loss=read_progress, progress=said)])
        if said:
            assert advance(step, 2)["late"] > 0
        else:
            with pytest.raises(RunError, match=r"reads batch\.progress, and no term says so"):
                step()
