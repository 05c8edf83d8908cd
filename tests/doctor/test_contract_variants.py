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
    ("range of images", "warning", "between", ("torch.tanh(h)", "20 * h")),
    ("range of images", "warning", "[0, 1]", ("torch.tanh(h)", "torch.sigmoid(h)")),
    ("range of logits", "warning", "probabilities", (RETURN, "return torch.sigmoid(self.last(h)).flatten()")),
    ("samples apart", "FAILED", "gradient penalties", (LOGITS, "h = self.layers(x)\n        h = h - h.mean(0)")),
    ("samples apart", "FAILED", "batch norm", ("nn.LeakyReLU(0.2)", "nn.BatchNorm1d(12)")),
    ("samples apart", "FAILED", "nothing says so", (LOGITS, "h = self.layers(x)\n        h = h + h.std(0)"), ("sizes=(8,)", "sizes=(8,), per_sample_critic=False")),  # noqa: E501
    ("samples apart", "FAILED", "differentiates D", (LOGITS, "h = self.layers(x)\n        h = h + h.std(0)"), ("sizes=(8,)", "sizes=(8,), per_sample_critic=False, batch_dependent=True"), ("z_dim=6", "z_dim=6, terms=[Term(name='t', phase='D', loss=lambda b: b.critic(b.real), per_sample_gradients=True)]")),  # noqa: E501
    ("eval mode", "FAILED", "in eval mode", (BODY, "h = self.layers(z)\n        h = h - h.mean(0)")),
]  # fmt: skip
GRADIENTS = [
    ("gradients", "FAILED", "discriminator.last.weight", (RETURN, "return h.mean(1)")),
    ("gradients", "warning", "0 throughout", (RETURN, "return h.mean(1) + 0 * self.last(h).flatten()")),
    ("terms", "FAILED", "returns", ("z_dim=6", "z_dim=6, terms=[Term(name='t', phase='D', loss=lambda b: b.real)]")),
    ("terms", "FAILED", "moves nothing", ("z_dim=6", "z_dim=6, terms=[Term(name='t', phase='D', loss=lambda b: b.fake.mean())]")),  # noqa: E501
    ("terms", "FAILED", "not finite", ("z_dim=6", "z_dim=6, terms=[Term(name='t', phase='D', loss=lambda b: (b.of_real['logits'] * 0 - 1).log())]")),  # noqa: E501
    ("gradients", "FAILED", "phase 'E'", ("z_dim=6", "z_dim=6, terms=[Term(name='t', phase='E', loss=lambda b: b.adversarial)]")),  # noqa: E501
]  # fmt: skip
TRAINING = [
    ("no waiting", "FAILED", "my_gan.py, line", (BODY, "h = self.layers(z) * (2.0 if h_is_large(self, z) else 1.0)")),
    ("graphs", "warning", "changes with each call", (BODY, "self.count += 1\n        h = self.layers(z) * self.count")),
    ("resume", "FAILED", "other weights", (LOGITS, "self.count += 1\n        h = self.layers(x) * (self.count % 7)")),
    ("bf16", "FAILED", "bfloat16", (RETURN, "s = self.last(h).flatten()\n        return s / (s.dtype == torch.float32)")),  # noqa: E501
]  # fmt: skip
HELPER = "\ndef h_is_large(self, z):\n    return bool(z.mean() > 0)\n"


def assert_found(findings: Iterable[Finding], name: str, status: str, told: str) -> None:
    found = list(findings)
    one = next((f for f in found if f.check == name and f.status == status), None)
    assert one is not None, found
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


def test_a_plugin_that_loads_slowly_is_named(tmp_path: Path) -> None:
    registry = zoo(tmp_path, (RETURN, "return self.last(h)"))  # which ends the checks soon
    registry.owner("variants", "mine").seconds = 3.0
    assert_found(check("mine", registry=registry).reports[0].findings, "import time", "warning", "3.0 seconds")
