"""Which discriminators may judge real and generated images in one pass."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from ganzoo.engine.mixing import mixes_samples
from ganzoo.gan import VariantConfig
from ganzoo.registry import Registry

CPU = torch.device("cpu")
SHAPE = (1, 32, 32)


@pytest.mark.parametrize(
    ("name", "per_sample", "mixes"),
    [
        ("gan", False, False),  # dropout, no norm
        ("cgan", False, False),
        ("dcgan", False, True),  # batch norm
        ("dcgan", True, False),  # layer norm
        ("cdcgan", False, True),
        ("wgan-gp", False, False),
        ("upsample-dcgan", False, True),
    ],
)
def test_the_zoo(name: str, per_sample: bool, mixes: bool) -> None:
    spec = Registry.load(environ={}).variant(name)
    settings = {setting.name: setting.default for setting in spec.settings}
    settings |= {key: 8 for key in ("channels", "width") if key in settings}
    classes = 10 if spec.conditional else 0
    gan = spec.load()(VariantConfig(settings=settings, per_sample_critic=per_sample), SHAPE, classes)
    before = {key: value.clone() for key, value in gan.discriminator.state_dict().items()}
    random = torch.get_rng_state()
    assert mixes_samples(gan.discriminator, SHAPE, classes, CPU) is mixes
    assert torch.equal(torch.get_rng_state(), random)
    after = gan.discriminator.state_dict()
    assert all(torch.equal(after[key], value) for key, value in before.items())


class Spread(nn.Module):
    """Minibatch standard deviation (Karras et al. 2018) without any norm layer to know it by."""

    def forward(self, x: Tensor, labels: Tensor | None) -> Tensor:
        return x.mean((1, 2, 3)) + x.std(dim=0).mean()


class Noisy(nn.Module):
    def forward(self, x: Tensor, labels: Tensor | None) -> Tensor:
        return nn.functional.dropout(x, 0.5, training=True).mean((1, 2, 3))


class Broken(nn.Module):
    def forward(self, x: Tensor, labels: Tensor | None) -> Tensor:
        raise RuntimeError("needs 64x64")


@pytest.mark.parametrize("network", [Spread(), Noisy(), Broken()])
def test_whatever_cannot_be_told_is_taken_to_mix(network: nn.Module) -> None:
    assert mixes_samples(network, SHAPE, 0, CPU)
