"""Which discriminators may judge real and generated images in one pass."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import ganzoo.engine.step
from ganzoo.config.layers import build_config
from ganzoo.data import make_images, make_sampler
from ganzoo.engine.device import resolve_precision
from ganzoo.engine.probes.joint import BatchNormByHalves, passes_of
from ganzoo.engine.step import Step
from ganzoo.gan import VariantConfig
from ganzoo.runs.snapshots import build_gan
from ganzoo.zoo.registry import Registry

CPU = torch.device("cpu")
SHAPE = (1, 32, 32)


def batch(size: int, kind: str = "noise") -> Tensor:
    """Images [size,1,32,32] in [-1, 1]: white noise, or disks on black as a data set might have."""
    random = torch.Generator().manual_seed(1)
    if kind == "noise":
        return 2 * torch.rand(size, *SHAPE, generator=random) - 1
    radius = torch.rand(size, 1, 1, 1, generator=random)
    line = torch.linspace(-1, 1, 32)
    return 1 - 2 * (line[:, None] ** 2 + line**2 > radius).float()


@pytest.mark.parametrize("kind", ["noise", "disks"])
@pytest.mark.parametrize(
    ("name", "per_sample", "passes"),
    [
        ("gan", False, "one"),  # dropout, no norm
        ("cgan", False, "one"),
        ("dcgan", False, "one by halves"),  # batch norm
        ("dcgan", True, "one"),  # layer norm
        ("cdcgan", False, "one by halves"),
        ("wgan-gp", False, "one"),
        ("upsample-dcgan", False, "one by halves"),
    ],
)
def test_the_zoo(name: str, per_sample: bool, passes: str, kind: str) -> None:
    spec = Registry.load(environ={}).variant(name)
    settings = {setting.name: setting.default for setting in spec.settings}
    settings |= {key: 8 for key in ("channels", "width") if key in settings}
    classes = 10 if spec.conditional else 0
    gan = spec.load()(VariantConfig(settings=settings, per_sample_critic=per_sample), SHAPE, classes)
    before = {key: value.clone() for key, value in gan.discriminator.state_dict().items()}
    random = torch.get_rng_state()
    assert passes_of(gan.discriminator, batch(6, kind), torch.arange(6) % 10 if classes else None) == passes
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
def test_whatever_cannot_be_told_gets_two_passes(network: nn.Module) -> None:
    assert passes_of(network, batch(6), None) == "two"


def test_batch_norm_by_halves_is_two_passes() -> None:
    torch.manual_seed(0)
    layers = [nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.LazyLinear(1)) for _ in range(2)]
    a, b = torch.randn(4, 1, 5, 5), 3 * torch.randn(4, 1, 5, 5) + 1
    for network in layers:
        network(a)
    one, two = layers
    one.load_state_dict(two.state_dict())
    expected = torch.cat([two(a), two(b)])
    with BatchNormByHalves():
        got = one(torch.cat([a, b]))
    torch.testing.assert_close(got, expected)
    mixed = one(torch.cat([a, b]))
    assert not torch.allclose(mixed, expected, rtol=0.01)
    for logits in (got, expected):
        logits.square().sum().backward()
    for name, parameter in one.named_parameters():
        torch.testing.assert_close(parameter.grad, two.get_parameter(name).grad, rtol=1e-4, atol=1e-5)


def test_running_statistics_move_as_in_two_passes() -> None:
    one, two = nn.BatchNorm2d(2), nn.BatchNorm2d(2)
    a, b = torch.randn(4, 2, 3, 3), 3 * torch.randn(4, 2, 3, 3) + 1
    two(a), two(b)
    with BatchNormByHalves():
        one(torch.cat([a, b]))
    torch.testing.assert_close(one.running_mean, two.running_mean)
    torch.testing.assert_close(one.running_var, two.running_var)


def test_in_eval_mode_nothing_changes() -> None:
    norm = nn.BatchNorm2d(2).eval()
    x = torch.randn(4, 2, 3, 3)
    with BatchNormByHalves():
        assert torch.equal(norm(x), x / (1 + norm.eps) ** 0.5)


class ZeroAtFirst(nn.Module):
    """All logits are 0 before training, whatever the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(1)
        self.last = nn.Linear(1, 1)
        nn.init.zeros_(self.last.weight)

    def forward(self, x: Tensor, labels: Tensor | None) -> Tensor:
        return self.last(torch.relu(self.norm(x)).mean((2, 3))).flatten()


class SpreadOfFours(nn.Module):
    """Minibatch standard deviation of groups of four: in batches of six, one group has images of both halves."""

    def forward(self, x: Tensor, labels: Tensor | None) -> Tensor:
        means = x.mean((1, 2, 3))
        return means + torch.cat([group.std().expand(len(group)) for group in means.split(4)])


def test_the_network_is_asked_away_from_its_start_and_at_the_batch_of_the_run() -> None:
    assert passes_of(ZeroAtFirst(), batch(6), None) == "one by halves"
    assert passes_of(SpreadOfFours(), batch(6), None) == "two"
    assert passes_of(SpreadOfFours(), batch(8), None) == "one"


@pytest.mark.parametrize("variant", ["dcgan", "cdcgan"])
def test_a_step_with_one_pass_is_the_step_with_two(variant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry.load(environ={})
    config = build_config(registry, variant=variant, sets=["train.batch_size=8", "variant.channels=8"])
    images = make_images(torch.randint(0, 256, (40, 1, 16, 16), dtype=torch.uint8), torch.arange(40) % 4)
    conditional = registry.variant(variant).conditional
    read: list[dict[str, float]] = []
    for passes in (None, "two"):
        if passes:
            monkeypatch.setattr(ganzoo.engine.step, "passes_of", lambda *arguments: "two")
        torch.manual_seed(0)
        step = Step(
            gan=build_gan(registry, config, images.shape, 4),
            losses=registry.objective("non-saturating").load()({"real_label": 1.0}),
            sampler=make_sampler(images, batch_size=8, device=CPU, seed=0),
            config=config.train,
            num_classes=4 if conditional else 0,
            device=CPU,
            precision=resolve_precision("fp32", CPU),
        )
        for _ in range(3):
            step()
        read.append(step.statistics.read())
    assert read[0] == pytest.approx(read[1], rel=1e-4)
