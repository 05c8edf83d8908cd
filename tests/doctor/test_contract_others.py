"""`ganzoo check` of everything but variants, and how its verdict is told."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest
import torch
from broken_plugins import zoo
from click.testing import CliRunner
from torch import Tensor, nn

import ganzoo
from ganzoo.cli.main import cli
from ganzoo.doctor.contract.augmentations import check_augmentation
from ganzoo.doctor.contract.findings import CheckFailed, Finding
from ganzoo.doctor.contract.losses import check_objective, check_regularizer
from ganzoo.doctor.contract.run import check
from ganzoo.engine.probes.independence import depends_on_others
from ganzoo.zoo.registry import Registry


def of(findings: Iterable[Finding], name: str, status: str) -> Finding:
    """The first of the check and status; those after it are not tried."""
    found = []
    for finding in findings:
        found.append(finding)
        if (finding.check, finding.status) == (name, status):
            return finding
    raise AssertionError(found)


OBJECTIVE = """
from ganzoo import Losses, Objective
@hookimpl
def register_objectives():
    return [Objective(name="own", target=lambda config: Losses({losses}))]
"""
GOOD = "d_loss=lambda r, f: (f - r).float(), g_loss=lambda f, r: -f.float()"


@pytest.mark.parametrize(
    ("losses", "told"),
    [
        ("d_loss=lambda r, f: f[:, None] - r, g_loss=lambda f, r: -f", "d_loss returns [8, 8]"),
        ("d_loss=lambda r, f: f - r, g_loss=lambda f: -f", "g_loss is called as (fake, real)"),
        ("d_loss=lambda r, f: f - r, g_loss=lambda f, r: r - f", "g_loss fails"),
        ("d_loss=lambda r, f: -torch.log(torch.sigmoid(r - f)), g_loss=lambda f, r: -f", "not finite for large"),
        ("d_loss=lambda r, f: (f - r).sum(), g_loss=lambda f, r: -f", "d_loss grows with the size of the batch"),
        ("d_loss=lambda r, f: (f - r).detach(), g_loss=lambda f, r: -f", "no gradient"),
        ("d_loss=lambda r, f: (f - r).half(), g_loss=lambda f, r: -f", "float16"),
    ],
)
def test_objectives(losses: str, told: str, tmp_path: Path) -> None:
    registry = zoo(tmp_path, more=OBJECTIVE.format(losses=losses))
    assert told in of(check_objective(registry, "own"), "losses", "FAILED").found


def test_losses_that_do_not_oppose_each_other(tmp_path: Path) -> None:
    registry = zoo(tmp_path, more=OBJECTIVE.format(losses="d_loss=lambda r, f: r - f, g_loss=lambda f, r: -f"))
    assert "the same way" in of(check_objective(registry, "own"), "losses", "warning").found


@pytest.mark.parametrize(
    ("penalty", "told"),
    [
        ("lambda c, r, f: c(r)[:, None]", "returns [8, 1]"),
        ("lambda c, r, f: c(r).square().sum()", "grows with the size of the batch"),
        ("lambda c, r, f: c(r).detach()", "has no gradient"),
        ("lambda c, r, f: (c(r) - 9).log()", "is not finite"),
        ("lambda c, r, f: ganzoo.gradient_penalty(c, r, f)", "the spec does not say so"),
    ],
)
def test_penalties(penalty: str, told: str, tmp_path: Path) -> None:
    registry = zoo(tmp_path, more="import ganzoo\n" + OBJECTIVE.format(losses=f"{GOOD}, penalty={penalty}"))
    assert told in of(check_objective(registry, "own"), "penalty", "FAILED").found


def test_a_sound_objective_is_played_with_a_built_in_variant(tmp_path: Path) -> None:
    verdict = check("own", registry=zoo(tmp_path, more=OBJECTIVE.format(losses=GOOD)))
    verdict.raise_if_failed()
    assert "tried with gan" in of(verdict.reports[0].findings, "fit", "ok").found


def test_a_regularizer_whose_spec_says_otherwise(tmp_path: Path) -> None:
    more = """
@hookimpl
def register_regularizers():
    term = Term(name="own", phase="D", loss=lambda b: b.of_real["logits"], per_sample_gradients=True)
    return [Regularizer(name="own", target=lambda config: term)]
"""
    found = of(check_regularizer(zoo(tmp_path, more=more), "own"), "flags", "FAILED")
    assert "per_sample_gradients" in found.found


def test_a_regularizer_that_needs_what_it_does_not_say(tmp_path: Path) -> None:
    more = """
@hookimpl
def register_regularizers():
    term = Term(name="own", phase="D", loss=lambda b: b.of_real["features"].square().mean())
    return [Regularizer(name="own", target=lambda config: term)]
"""
    found = of(check_regularizer(zoo(tmp_path, more=more), "own"), "gradients", "FAILED")
    assert "'features' is not among what the network returns: logits" in found.found
    assert "needs" in found.cure


AUGMENTATION = """
from ganzoo import Augmentation
import random
class A(nn.Module):
    def __init__(self):
        super().__init__()
        self.count = 0
        self.register_buffer("p", torch.zeros(()))
    def forward(self, x):
        {body}
@hookimpl
def register_augmentations():
    return [Augmentation(name="own", target=lambda config, shape: A())]
"""


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ("return x[:, :, 1:]", "shapes"),
        ("return x.mul_(0.5)", "shapes"),
        ("return x - x.mean(0)", "samples apart"),
        ("return x * random.random()", "random numbers"),
        ("return x.detach() * 0.5", "derivatives"),
        ("return x * torch.rand(len(x), 1, 1, 1)", "device"),
        ("self.count += 1; return x * 0.5", "state"),
        ("self.p = self.p + 1; return x * 0.5", "state"),
        ("return x * (0.5 if x.mean() > 0 else 1.0)", "no waiting"),
    ],
)
def test_augmentations(body: str, name: str, tmp_path: Path) -> None:
    registry = zoo(tmp_path, more=AUGMENTATION.format(body=body))
    found = next(f for f in check_augmentation(registry, "own") if f.status == "FAILED")
    assert (found.check, bool(found.cure)) == (name, True)


SCORING = """
from ganzoo import Callback, Dataset, Features, Metric
from ganzoo.data import make_images
def images(root, split, download):
    random = torch.Generator().manual_seed(len(split))
    pixels = torch.randint(0, 256, (40, 1, 28, 28), dtype=torch.uint8, generator=random)
    return make_images(pixels, torch.arange(40) % 3)
class M:
    def update(self, features, labels): pass
    def compute(self, reference): return {"other": 1.0}
class Shared(M):
    sums = []
    def update(self, features, labels): self.sums.append(float(features["pool"].sum()))
    def compute(self, reference): return {"one": sum(self.sums)}
class OfBatches(M):
    def __init__(self): self.means = []
    def update(self, features, labels): self.means.append(float(features["pool"].mean()))
    def compute(self, reference): return {"one": sum(self.means)}
def drawn(root, split, download):
    return make_images(torch.randint(0, 256, (40, 1, 28, 28), dtype=torch.uint8), torch.arange(40) % 3)
class C:
    def __init__(self, run, config): pass
    def on_status(self, status): pass
    def on_end(self, result): pass
class Meddling(C):
    def on_snapshot(self, snapshot): snapshot.generator.layers[0].train()
@hookimpl
def register_datasets():
    return [Dataset(name="small", target=images, size=32), Dataset(name="few", target=images, num_classes=2),
            Dataset(name="drawn", target=drawn),
            Dataset(name="right", target=images, size=28, channels=1, num_classes=3)]
@hookimpl
def register_features():
    return [Features(name="flat", target=lambda device: lambda x: {"pool": x.float().flatten(1)[:, :5]}, dim=6),
            Features(name="noisy", target=lambda device: lambda x: {"pool": x.float()[:, 0, 0] + torch.rand(1)})]
@hookimpl
def register_metrics():
    return [Metric(name="number", target=M, keys=("one",)), Metric(name="shared", target=Shared, keys=("one",)),
            Metric(name="of-batches", target=OfBatches, keys=("one",))]
@hookimpl
def register_callbacks():
    return [Callback(name="watch", target=C), Callback(name="meddle", target=Meddling)]
"""


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("small", "size=32, the train split has size=28"),
        ("few", "num_classes=2, the train split has num_classes=3"),
        ("flat", "dim=6"),
        ("number", "computed 'other', and the keys of its spec are one"),
        ("shared", "another number for the same images"),
        ("of-batches", "depends on how images are divided"),
        ("drawn", "other images each time"),
        ("noisy", "other features each time"),
        ("watch", "on_snapshot"),
        ("meddle", "changes the averaged generator"),
    ],
)
def test_what_scores_and_watches(name: str, told: str, tmp_path: Path) -> None:
    verdict = check(name, registry=zoo(tmp_path, more=SCORING), data_root=tmp_path)
    assert told in next(f for f in verdict.reports[0].findings if f.status == "FAILED").found


def test_a_sound_dataset(tmp_path: Path) -> None:
    check("right", registry=zoo(tmp_path, more=SCORING), data_root=tmp_path).raise_if_failed()


def test_a_dataset_that_is_not_here_is_no_failure(tmp_path: Path) -> None:
    verdict = check("mnist", registry=Registry.load(environ={}), data_root=tmp_path)
    assert verdict.ok
    assert {f.check for f in verdict.reports[0].findings if f.status == "skipped"} == {"train split", "test split"}


@pytest.mark.parametrize(
    "name",
    ["dcgan", "hinge", "r1", "diffaug", "fid", "fid-infinity", "kid", "class-fid", "cas", "digits", "tensorboard"],
)
def test_built_in_ones_keep_what_they_declare(name: str, tmp_path: Path) -> None:
    verdict = check(name, registry=Registry.load(environ={}), data_root=tmp_path)
    assert all(f.status == "ok" for report in verdict.reports for f in report.findings), verdict.lines()


def test_the_example_of_the_page_keeps_it() -> None:
    file = Path(__file__).parents[2] / "docs" / "examples" / "my_acgan.py"
    verdict = ganzoo.check("my-acgan", plugins=file)
    assert all(f.status == "ok" for f in verdict.reports[0].findings), verdict


class Near(nn.Module):
    """Minibatch discrimination: exp(-distance) underflows unless images are alike."""

    def __init__(self, others: bool) -> None:
        super().__init__()
        self.others, self.linear, self.last = others, nn.Linear(16, 4), nn.Linear(5, 1)

    def forward(self, x: Tensor, labels: Tensor | None) -> Tensor:
        h = self.linear(x.flatten(1))
        near = torch.exp(-1000 * (h[:, None] - h[None]).abs().sum(2)).sum(1, keepdim=True)
        near = near if self.others else torch.zeros_like(near)
        return self.last(torch.cat([h, near], 1)).flatten()


def test_who_depends_on_others() -> None:
    torch.manual_seed(0)
    real = torch.rand(8, 1, 4, 4) * 2 - 1
    normed = nn.Sequential(nn.Flatten(), nn.Linear(16, 4), nn.BatchNorm1d(4), nn.Linear(4, 1), nn.Flatten(0))

    class Normed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = normed

        def forward(self, x: Tensor, labels: Tensor | None) -> Tensor:
            return self.layers(x)

    before = torch.get_rng_state()
    assert depends_on_others(Near(True), real, None)
    assert not depends_on_others(Near(False), real, None)
    assert depends_on_others(Normed(), real, None)
    assert torch.equal(normed[2].running_mean, torch.zeros(4))
    torch.set_rng_state(before)


def test_the_command_and_the_line_for_pytest(tmp_path: Path) -> None:
    zoo(tmp_path, ("return self.last(h).flatten()", "return self.last(h)"))
    file = str(tmp_path / "my_gan.py")
    shown = CliRunner().invoke(cli, ["check", "mine", "--plugin", file])
    assert shown.exit_code == 1
    assert "FAILED" in shown.output
    assert "1 of 4 checks failed" in shown.output
    document = json.loads(CliRunner().invoke(cli, ["check", "mine", "--plugin", file, "--json"]).stdout)
    assert document["ok"] is False
    assert document["reports"][0]["findings"][-1]["status"] == "FAILED"
    with pytest.raises(CheckFailed, match=r"register_variants in plugin 'my_gan'"):
        ganzoo.check("mine", plugins=[file]).raise_if_failed()
    with pytest.raises(ganzoo.UnknownName):
        ganzoo.check("none-such")
    with pytest.raises(ganzoo.UserError, match="'dcgan' is no dataset, so it takes no path"):
        ganzoo.check("dcgan:here")
