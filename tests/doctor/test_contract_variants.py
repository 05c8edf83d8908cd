"""`ganzoo check` of variants: one that is right, and one mistake per check."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from broken_plugins import zoo

from ganzoo.doctor.contract.case import Case, make_case
from ganzoo.doctor.contract.findings import Finding
from ganzoo.doctor.contract.gradients import check_gradients
from ganzoo.doctor.contract.networks import check_networks
from ganzoo.doctor.contract.run import check
from ganzoo.doctor.contract.training import check_training

Group = Callable[[Case], Iterable[Finding]]


def test_a_sound_variant_passes_every_check(tmp_path: Path) -> None:
    verdict = check("mine", registry=zoo(tmp_path))
    verdict.raise_if_failed()
    assert {finding.status for finding in verdict.reports[0].findings} == {"ok"}, verdict.lines()
    assert "register_variants in plugin 'my_gan'" in verdict.lines()[0]


BODY, LOGITS = "h = self.layers(z)", "h = self.layers(x)"
RETURN = "return self.last(h).flatten()"
NETWORKS = [
    ("shapes", "FAILED", "returns [8, 1] for a batch of 8", (RETURN, "return self.last(h) if self.training else self.last(h).flatten()")),  # noqa: E501
    ("shapes", "FAILED", "say z_dim=6", ("z_dim=6", "z_dim=7")),
    ("shapes", "FAILED", "say conditional=True", (LOGITS, "h = self.layers(x) + labels.float()[:, None]")),
    ("shapes", "FAILED", "called as (z, labels)", ("forward(self, z, labels)", "forward(self, z)")),
    ("shapes", "FAILED", "'energy'", ("sizes=(8,)", "sizes=(8,), gives=('energy',)")),
    ("shapes", "FAILED", "my_gan.py, line", (LOGITS, "h = self.layers(x[:, :, :7])")),
    ("shapes", "FAILED", "writes into its x", (LOGITS, "x.data.mul_(0.5)\n        h = self.layers(x)")),
    ("shapes", "FAILED", "writes into its z", (BODY, "h = self.layers(z.mul_(0.5) if self.training else z)")),
    ("range of images", "warning", "between", ("torch.tanh(h)", "5 * h")),
    ("range of images", "FAILED", "between", ("torch.tanh(h)", "255 * h")),
    ("range of images", "warning", "[0, 1]", ("torch.tanh(h)", "torch.sigmoid(h)")),
    ("range of logits", "warning", "probabilities", (RETURN, "return torch.sigmoid(self.last(h)).flatten()")),
    ("samples apart", "FAILED", "gradient penalties", (LOGITS, "h = self.layers(x)\n        h = h - h.mean(0)")),
    ("samples apart", "FAILED", "batch norm", ("nn.LeakyReLU(0.2)", "nn.BatchNorm1d(12)")),
    ("samples apart", "FAILED", "nothing says so", (LOGITS, "h = self.layers(x)\n        h = h + h.std(0)"), ("sizes=(8,)", "sizes=(8,), per_sample_critic=False")),  # noqa: E501
    ("samples apart", "FAILED", "differentiates D", (LOGITS, "h = self.layers(x)\n        h = h + h.std(0)"), ("sizes=(8,)", "sizes=(8,), per_sample_critic=False, batch_dependent=True"), ("z_dim=6", "z_dim=6, terms=[Term(name='t', phase='D', loss=lambda b: b.critic(b.real), per_sample_gradients=True)]")),  # noqa: E501
    ("shapes", "FAILED", "say channels= in the spec", ("unflatten(1, self.shape)", "unflatten(1, (1, 8, 8))"), ("nn.Linear(12, shape[0] * shape[1] * shape[2])", "nn.Linear(12, 64)")),  # noqa: E501
    ("shapes", "FAILED", "say in the spec which sizes=", ("sizes=(8,), channels=(1, 3)", "channels=(1,)"), ("unflatten(1, self.shape)", "unflatten(1, (1, 8, 8))"), ("nn.Linear(12, shape[0] * shape[1] * shape[2])", "nn.Linear(12, 64)")),  # noqa: E501
    ("shapes", "FAILED", "room for num_classes", ("sizes=(8,)", "sizes=(8,), conditional=True"), (LOGITS, "h = self.layers(x) + torch.eye(10)[labels].sum()")),  # noqa: E501
    ("shapes", "FAILED", "write default=12 for the setting 'width'", ("sizes=(8,)", "sizes=(8,), settings=(Setting(name='width', default=12.0, doc='x'),)"), ("return GAN(", "nn.Linear(config['width'], 1)\n    return GAN(")),  # noqa: E501
    ("random numbers", "FAILED", "another seed gives the same", ("return GAN(", "torch.manual_seed(0)\n    return GAN(")),  # noqa: E501
    ("random numbers", "FAILED", "the same seed gives other", ("self.last = nn.Linear(12, 1)", "self.last = nn.Linear(12, 1)\n        nn.init.constant_(self.last.weight, random.random())")),  # noqa: E501
    ("random numbers", "FAILED", "the discriminator seeds", (LOGITS, "torch.manual_seed(0)\n        h = self.layers(x)")),  # noqa: E501
    ("random numbers", "FAILED", "the generator draws from", (BODY, "h = self.layers(z) * random.random()")),
    ("prior", "FAILED", "another z for the same noise", ("z_dim=6", "z_dim=6, prior=torch.rand_like")),
    ("prior", "FAILED", "depends on the other rows", ("z_dim=6", "z_dim=6, prior=lambda z: z - z.mean(0)")),
    ("inputs", "FAILED", "whatever z is", (BODY, "h = self.layers(0 * z)")),
    ("inputs", "FAILED", "whatever the images are", (LOGITS, "h = self.layers(0 * x)")),
    ("inputs", "FAILED", "whatever the labels are", ("sizes=(8,)", "sizes=(8,), conditional=True")),
    ("eval mode", "FAILED", "'seen' changes with each call", ("self.shape, self.count = shape, 0", "self.shape, self.count = shape, 0\n        self.register_buffer('seen', torch.zeros(()))"), (BODY, "self.seen += 1\n        h = self.layers(z)")),  # noqa: E501
    ("eval mode", "FAILED", "in eval mode", (BODY, "h = self.layers(z)\n        h = h - h.mean(0)")),
]  # fmt: skip
GRADIENTS = [
    ("gradients", "FAILED", "discriminator.last.weight", (RETURN, "return h.mean(1)")),
    ("gradients", "warning", "0 throughout", (RETURN, "return h.mean(1) + 0 * self.last(h).flatten()")),
    ("gradients", "FAILED", "logits that g_loss is made of", ("return torch.tanh(h)", "return torch.tanh(h).detach()")),
    ("gradients", "warning", "asks for no gradients", ("self.last = nn.Linear(12, 1)", "self.last = nn.Linear(12, 1)\n        self.last.bias.requires_grad_(False)")),  # noqa: E501
    ("device", "FAILED", "my_gan.py, line", (BODY, "h = self.layers(z + torch.ones(6))")),
    ("terms", "FAILED", "per_sample_gradients=True", ("z_dim=6", "z_dim=6, terms=[Term(name='t', phase='D', loss=slope)]")),  # noqa: E501
    ("terms", "FAILED", "returns", ("z_dim=6", "z_dim=6, terms=[Term(name='t', phase='D', loss=lambda b: b.real)]")),
    ("terms", "FAILED", "moves nothing", ("z_dim=6", "z_dim=6, terms=[Term(name='t', phase='D', loss=lambda b: b.fake.mean())]")),  # noqa: E501
    ("terms", "FAILED", "not finite", ("z_dim=6", "z_dim=6, terms=[Term(name='t', phase='D', loss=lambda b: (b.of_real['logits'] * 0 - 1).log())]")),  # noqa: E501
    ("gradients", "FAILED", "phase 'E'", ("z_dim=6", "z_dim=6, terms=[Term(name='t', phase='E', loss=lambda b: b.adversarial)]")),  # noqa: E501
]  # fmt: skip
TRAINING = [
    ("no waiting", "FAILED", "my_gan.py, line", (BODY, "h = self.layers(z) * (2.0 if h_is_large(self, z) else 1.0)")),
    ("no waiting", "FAILED", "chosen by a mask", (LOGITS, "h = self.layers(x) + x[x > 0].mean()")),
    ("no waiting", "FAILED", "one_hot without num_classes", ("sizes=(8,)", "sizes=(8,), conditional=True"), (BODY, "h = self.layers(z) * torch.nn.functional.one_hot(labels).sum()")),  # noqa: E501
    ("graphs", "warning", "changes with each call", (BODY, "self.count += 1\n        h = self.layers(z) * self.count")),
    ("resume", "FAILED", "other weights", (LOGITS, "self.count += 1\n        h = self.layers(x) * (self.count % 7)")),
    ("bf16", "FAILED", "bfloat16", (RETURN, "s = self.last(h).flatten()\n        return s / (s.dtype == torch.float32)")),  # noqa: E501
]  # fmt: skip
HELPER = """
import random
def h_is_large(self, z):
    return bool(z.mean() > 0)
def slope(batch):
    x = batch.real.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(batch.judge(x)["logits"].sum(), x, create_graph=True)
    return gradient.square().sum((1, 2, 3))
"""


def assert_found(findings: Iterable[Finding], name: str, status: str, told: str) -> None:
    found = []
    for one in findings:  # those after it are not tried
        found.append(one)
        if (one.check, one.status) == (name, status):
            break
    else:
        raise AssertionError(found)
    assert told in one.found or told in one.cure
    assert one.cure


@pytest.mark.parametrize(
    ("group", "case"),
    [
        *((check_networks, case) for case in NETWORKS),
        *((check_gradients, case) for case in GRADIENTS),
        *((check_training, case) for case in TRAINING),
    ],
    ids=lambda value: value[0] + ": " + value[2] if isinstance(value, tuple) else "",
)
def test_a_mistake_is_named(group: Group, case: tuple[str, str, str], tmp_path: Path) -> None:
    name, status, told, *changes = case
    registry = zoo(tmp_path, *changes, more=HELPER)  # type: ignore[arg-type]
    assert_found(group(make_case(registry, "mine")), name, status, told)


def test_a_batch_that_d_compares_is_no_mistake_where_penalties_are_of_its_sum(tmp_path: Path) -> None:
    compared = (LOGITS, "h = self.layers(x)\n        h = h + h.std(0)")
    refused = make_case(zoo(tmp_path, compared, ("z_dim=6", "z_dim=6, batch_dependent=True")), "mine")
    assert_found(check_networks(refused), "samples apart", "FAILED", "would be wrong")
    term = "terms=[Term(name='t', phase='D', loss=lambda b: b.critic(b.real), per_sample_gradients=True)]"
    for more in ("", f", {term}"):
        fields = ("z_dim=6", f"z_dim=6, batch_dependent=True, summed_penalties=True{more}")
        assert {one.status for one in check_networks(make_case(zoo(tmp_path, compared, fields), "mine"))} == {"ok"}


def test_batch_norm_is_a_mistake_all_the_same(tmp_path: Path) -> None:
    changes = ("nn.LeakyReLU(0.2)", "nn.BatchNorm1d(12)"), ("z_dim=6", "z_dim=6, summed_penalties=True")
    assert_found(check_networks(make_case(zoo(tmp_path, *changes), "mine")), "samples apart", "FAILED", "batch norm")


def test_learning_rates_that_move_are_no_mistake(tmp_path: Path) -> None:
    defaults = "defaults={'train.schedule': 'cosine', 'train.warmup_kimg': 0.01}"
    case = make_case(zoo(tmp_path, ("sizes=(8,)", f"sizes=(8,), {defaults}")), "mine")
    assert case.config.train.schedule == "cosine"
    assert {finding.status for finding in check_training(case)} == {"ok"}


def test_a_plugin_that_loads_slowly_is_named(tmp_path: Path) -> None:
    registry = zoo(tmp_path, (RETURN, "return self.last(h)"))  # which ends the checks soon
    registry.owner("variants", "mine").seconds = 3.0
    assert_found(check("mine", registry=registry).reports[0].findings, "import time", "warning", "3.0 seconds")
