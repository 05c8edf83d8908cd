"""A plugin written for contract 1, by the paths that its pages named: it runs unchanged, with the same numbers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file

from ganzoo.config.layers import build_config
from ganzoo.runs.directory import RunDirectory
from ganzoo.runs.job import run_job
from ganzoo.zoo.registry import Registry

PLUGIN = """
import torch
from torch.nn import functional as F

from ganzoo import Objective, Setting, Variant, hookimpl
from ganzoo.gan import GAN, VariantConfig
from ganzoo.objectives import Losses, gradient_penalty
from ganzoo.specs import Value

from ganzoo_dcgan import SETTINGS
from ganzoo_dcgan import networks

GANZOO_API = 1


class Discriminator(networks.Discriminator):
    def forward(self, x, labels=None):
        return super().forward(x, labels)["logits"]


def build(config: VariantConfig, shape, num_classes):
    made = (networks.cdcgan if num_classes else networks.dcgan)(config, shape, num_classes)
    made.discriminator.__class__ = Discriminator
    return GAN(generator=made.generator, discriminator=made.discriminator, z_dim=made.z_dim)


def losses(config: dict[str, Value]) -> Losses:
    def penalty(critic, real, fake):
        return config["weight"] * gradient_penalty(critic, real, fake)

    return Losses(
        d_loss=lambda real, fake: fake.float() - real.float(),
        g_loss=lambda fake, real: -fake.float(),
        penalty=penalty,
    )


@hookimpl
def register_variants():
    width = {"train.batch_size": 32, "variant.channels": 16}
    return [
        Variant(name="before", target=build, settings=SETTINGS, defaults=width),
        Variant(name="before-conditional", target=build, settings=SETTINGS, defaults=width, conditional=True),
    ]


@hookimpl
def register_objectives():
    weight = Setting(name="weight", default=10.0, doc="Of the penalty.")
    rates = {"train.d_steps": 2, "train.g_lr": 1e-3, "train.d_lr": 1e-3, "train.beta1": 0.0, "train.beta2": 0.9}
    return [Objective(name="before-gp", target=losses, settings=(weight,), per_sample_gradients=True, defaults=rates)]
"""


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    file = tmp_path_factory.mktemp("plugin") / "before.py"
    file.write_text(PLUGIN)
    return Registry.load([file], environ={})


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (("before", "non-saturating"), ("dcgan", "non-saturating")),
        (("before-conditional", "hinge"), ("cdcgan", "hinge")),
        (("before", "before-gp"), ("dcgan", "wgan-gp")),
    ],
)
def test_the_weights_of_today(zoo: Registry, tmp_path: Path, data_root: Path, old, new) -> None:
    found = []
    for variant, objective in (old, new):
        overrides = {"train.kimg": 0.25, "train.scores": "none", "train.snapshots": 1}
        overrides |= {"train.batch_size": 32, "train.d_steps": 2, "train.g_lr": 1e-3, "train.d_lr": 1e-3}  # no recipe's
        overrides |= {"train.beta1": 0.5, "train.beta2": 0.9}
        config = build_config(zoo, variant=variant, objective=objective, overrides=overrides)
        run_job(zoo, config, tmp_path / variant, root=data_root)
        found.append(load_file(RunDirectory(tmp_path / variant).snapshots()[-1]))
    assert found[0].keys() == found[1].keys()
    assert all(found[0][name].equal(found[1][name]) for name in found[0])
    config = json.loads((tmp_path / old[0] / "config.json").read_text())
    assert config["regularizers"] == config["augmentations"] == {}
