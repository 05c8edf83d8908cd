"""Networks that are not the same in one pass as in two, or keep something that is not, and some that only look so."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
from pretended import make_step
from torch import Tensor, nn
from torch.nn import functional as F

import ganzoo.engine.step
from ganzoo import Variant
from ganzoo.config.layers import build_config
from ganzoo.engine.probes.joint import _Asked, _others, passes_of
from ganzoo.gan import GAN
from ganzoo.runs.snapshots import build_gan
from ganzoo.zoo.registry import Registry

SHAPE = (1, 8, 8)


class Judge(nn.Module):
    """Logits of features that are the images themselves, `mixed` in some way."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Sequential(nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(64, 1))

    def mixed(self, x: Tensor, labels: Tensor | None) -> Tensor:
        return x

    def forward(self, x: Tensor, labels: Tensor | None) -> Tensor:
        logits: Tensor = self.last(self.mixed(x, labels))
        return logits.squeeze(1)


class RunningScale(Judge):
    def __init__(self, momentum: float) -> None:
        super().__init__()
        self.register_buffer("scale", torch.ones(()))
        self.scale: Tensor
        self.momentum = momentum

    def mixed(self, x: Tensor, labels: Tensor | None) -> Tensor:
        self.scale.lerp_(x.detach().std(), self.momentum)
        return x / self.scale


class RunningCentre(Judge):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(SHAPE))
        self.centre: Tensor

    def mixed(self, x: Tensor, labels: Tensor | None) -> Tensor:
        self.centre.lerp_(x.detach().mean(0), 0.001)
        return x - self.centre


class OfClasses(Judge):
    """Less the mean of the images of the same class."""

    def mixed(self, x: Tensor, labels: Tensor | None) -> Tensor:
        assert labels is not None
        alike = (labels[:, None] == labels).to(x.dtype)
        return x - (alike @ x.flatten(1) / alike.sum(1, keepdim=True)).view_as(x)


class OfImages(Judge):
    """Mixes images between -1 and 1 alone, as augmentations do that check their input."""

    def mixed(self, x: Tensor, labels: Tensor | None) -> Tensor:
        inside = (x.abs() <= 1).flatten(1).all(1)[:, None, None, None]
        return torch.where(inside, 0.9 * x + 0.1 * x.mean(0), x)


class OfMean(Judge):
    def mixed(self, x: Tensor, labels: Tensor | None) -> Tensor:
        return x + 1e-3 * x.mean(0)


class Faded(Judge):
    """Minibatch standard deviation, faded in over 20,000 calls."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))
        self.calls: Tensor

    def mixed(self, x: Tensor, labels: Tensor | None) -> Tensor:
        self.calls += 1
        return x + (self.calls / 20_000).clamp(max=1) * x.std(0, unbiased=False).mean()


class Counts(Judge):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))
        self.calls: Tensor

    def mixed(self, x: Tensor, labels: Tensor | None) -> Tensor:
        self.calls += 1
        return x


class CountsInPython(Judge):
    def __init__(self) -> None:
        super().__init__()
        self.seen = {"calls": [0]}

    def mixed(self, x: Tensor, labels: Tensor | None) -> Tensor:
        self.seen["calls"][0] += 1
        return x * (1.0 if self.seen["calls"][0] < 1000 else 0.5)


calls = 0


class CountsInAGlobal(Judge):
    def mixed(self, x: Tensor, labels: Tensor | None) -> Tensor:
        global calls
        calls += 1
        return x * (1.0 if calls < 1000 else 0.5)


class MinibatchDiscrimination(Judge):
    """Salimans et al. 2016, arXiv 1606.03498: o_i = sum_j exp(-||M_i - M_j||_1)."""

    def __init__(self) -> None:
        super().__init__()
        self.kernels = nn.Parameter(torch.randn(64, 5, 16))
        self.weight = nn.Parameter(torch.randn(5))

    def mixed(self, x: Tensor, labels: Tensor | None) -> Tensor:
        features = torch.einsum("nf,fbc->nbc", x.flatten(1), self.kernels)
        others = torch.exp(-(features[:, None] - features).abs().sum(3)).sum(1)  # [N,5]
        return x + (others @ self.weight)[:, None, None, None]


class BatchRenorm(nn.Module):
    """Ioffe 2017, arXiv 1702.03275: normalises by running statistics and corrects within bounds."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(1))
        self.register_buffer("deviation", torch.ones(1))
        self.mean: Tensor
        self.deviation: Tensor

    def forward(self, x: Tensor) -> Tensor:
        deviation, mean = torch.std_mean(x, (0, 2, 3))
        r = (deviation / self.deviation).clamp(1 / 3, 3).detach()
        d = ((mean - self.mean) / self.deviation).clamp(-5, 5).detach()
        self.mean.lerp_(mean.detach(), 0.1)
        self.deviation.lerp_(deviation.detach(), 0.1)
        return ((x.movedim(1, -1) - mean) / deviation * r + d).movedim(-1, 1)


class DirectBatchNorm(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.batch_norm(x, None, None, None, None, True, 0.1, 1e-5, False)


class StridedGroups(nn.Module):
    """Minibatch standard deviation in StyleGAN's order: image i with the images i + 2, i + 4, ..."""

    def forward(self, x: Tensor) -> Tensor:
        deviations = x.unflatten(0, (4, -1)).std(0).mean((1, 2, 3))
        return x + deviations.repeat(4)[:, None, None, None]


class AdjacentGroups(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        deviations = x.unflatten(0, (-1, 4)).std(1).mean((1, 2, 3))
        return x + deviations.repeat_interleave(4)[:, None, None, None]


class FunctionalDropout(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(x, 0.1)


class Normalised(nn.Module):
    """Layers of the kind in question, between two convolutions."""

    def __init__(self, layer: nn.Module, *, spectral: int = 0) -> None:
        super().__init__()
        first = nn.Conv2d(1, 4, 3, padding=1)
        if spectral:
            first = nn.utils.parametrizations.spectral_norm(first, n_power_iterations=spectral)
        self.layers = nn.Sequential(
            nn.Conv2d(1, 1, 3, padding=1), layer, first, nn.ReLU(), nn.Flatten(), nn.Linear(256, 1)
        )

    def forward(self, x: Tensor, labels: Tensor | None) -> Tensor:
        logits: Tensor = self.layers(x)
        return logits.squeeze(1)


def asked(network: Callable[[], nn.Module], size: int = 16, data: bool = True) -> str:
    """With 100 classes; data: smooth images that are bright on one side, else noise."""
    torch.manual_seed(0)
    made = network()
    images = torch.linspace(-1, 1, 8).expand(size, *SHAPE) * torch.rand(size, 1, 1, 1) if data else None
    labels = torch.randperm(100)[:size]
    return passes_of(made, 2 * torch.rand(size, *SHAPE) - 1 if images is None else images, labels)


UNLIKE: list[Callable[[], nn.Module]] = [
    lambda: RunningScale(0.01), lambda: RunningScale(0.001), lambda: RunningScale(0.0003), RunningCentre, OfClasses,
    OfImages, OfMean, Faded, Counts, CountsInPython, CountsInAGlobal, MinibatchDiscrimination,
]  # fmt: skip
NAMES = [
    "scale .01", "scale .001", "scale .0003", "centre", "of classes", "of images", "of the mean", "faded", "counts",
    "counts in Python", "counts in a global", "minibatch discrimination",
]  # fmt: skip


@pytest.mark.parametrize("data", [True, False])
@pytest.mark.parametrize("network", UNLIKE, ids=NAMES)
def test_two_passes_where_one_would_be_another_network(network: Callable[[], nn.Module], data: bool) -> None:
    assert asked(network, data=data) == "two"


@pytest.mark.parametrize("data", [True, False])
@pytest.mark.parametrize(
    ("layer", "spectral", "passes"),
    [
        (nn.Identity, 0, "one"),
        (nn.Identity, 1, "two"),
        (nn.Identity, 5, "two"),
        (StridedGroups, 0, "two"),
        (AdjacentGroups, 0, "one"),
        (DirectBatchNorm, 0, "two"),
        (BatchRenorm, 0, "two"),
        (FunctionalDropout, 0, "two"),
        (nn.Dropout, 0, "one"),
        (lambda: nn.GroupNorm(1, 1), 0, "one"),
        (lambda: nn.InstanceNorm2d(1), 0, "one"),
        (lambda: nn.InstanceNorm2d(1, track_running_stats=True), 0, "one"),
        (lambda: nn.BatchNorm2d(1), 0, "one by halves"),
        (lambda: nn.BatchNorm2d(1, momentum=None), 0, "one by halves"),
        (lambda: nn.BatchNorm2d(1, track_running_stats=False), 0, "one by halves"),
    ],
)
def test_layers_whose_passes_are_known(layer: Callable[[], nn.Module], spectral: int, passes: str, data: bool) -> None:
    assert asked(lambda: Normalised(layer(), spectral=spectral), data=data) == passes


def test_asking_leaves_no_trace() -> None:
    global calls
    calls = 3
    network = CountsInPython()
    network.draw = random.Random(0)
    before = random.getstate(), network.draw.getstate()
    network.register_forward_hook(lambda *_: (random.random(), network.draw.random()))
    asked(CountsInAGlobal)
    passes_of(network, torch.zeros(4, *SHAPE), None)
    assert calls == 3
    assert network.seen == {"calls": [0]}
    assert (random.getstate(), network.draw.getstate()) == before


@pytest.mark.parametrize(("network", "agrees"), [(Judge, True), (Counts, False), (OfMean, False)])
def test_in_float64_as_where_convolutions_round_by_the_size_of_the_batch(
    network: Callable[[], nn.Module], agrees: bool
) -> None:
    real = torch.rand(6, *SHAPE)
    pairs = [(real, _others(real, torch.Generator()))] * 2
    with torch.no_grad():
        assert _Asked(network(), pairs, None, torch.float64, lambda: None).agrees("one") is agrees


def test_a_variant_that_says_so_gets_two_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """In its spec, or in what its target returns."""
    said: list[Any] = []

    def phases(*arguments: Any, passes: str, **options: Any) -> Any:
        said.append(passes)
        return original(*arguments, passes=passes, **options)

    original = ganzoo.engine.step.make_phases
    monkeypatch.setattr(ganzoo.engine.step, "make_phases", phases)
    make_step(None)
    make_step(None, batch_dependent=True)
    assert said == ["one", "two"]


@pytest.mark.parametrize(("of_spec", "of_target"), [(False, False), (True, False), (False, True)])
def test_the_spec_and_the_target_say_whether_d_looks_at_the_batch(of_spec: bool, of_target: bool) -> None:
    def target(config: Any, shape: Any, num_classes: int) -> GAN:
        return GAN(generator=nn.Linear(2, 64), discriminator=Judge(), z_dim=2, batch_dependent=of_target)

    registry = Registry.load(environ={})
    dcgan = registry.variant("dcgan")
    config = build_config(registry, variant="dcgan")

    class Ours:
        def variant(self, name: str) -> Variant:
            return Variant(name="dcgan", target=target, batch_dependent=of_spec, settings=dcgan.settings)

        objective = staticmethod(registry.objective)

    assert build_gan(Ours(), config, SHAPE, 0).batch_dependent is (of_spec or of_target)  # type: ignore[arg-type]
