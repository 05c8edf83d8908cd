"""The parts of the engine, each on its own."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ganzoo.config.run_config import Train
from ganzoo.data import make_images, make_sampler
from ganzoo.engine.device import (
    Precision,
    preserved_random_state,
    resolve_device,
    resolve_precision,
)
from ganzoo.engine.ema import Average, ema_copy, ema_decay
from ganzoo.engine.game import Game
from ganzoo.engine.moment import Shared
from ganzoo.engine.phases import make_phases, run_phase
from ganzoo.engine.statistics import Statistics
from ganzoo.engine.step import Step
from ganzoo.errors import UserError
from ganzoo.gan import GAN, VariantConfig
from ganzoo.objectives import Losses
from ganzoo.zoo.registry import Registry

CPU = torch.device("cpu")
FP32 = Precision(name="fp32", device_type="cpu")


class G(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 4)

    def forward(self, z: Tensor, labels: Tensor | None) -> Tensor:
        return torch.tanh(self.linear(z)).view(-1, 1, 2, 2)


class D(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 1)
        self.labels: list[Any] = []

    def forward(self, images: Tensor, labels: Tensor | None) -> Tensor:
        self.labels.append(labels)
        return self.linear(images.flatten(1)).squeeze(1)


LOSSES = Losses(d_loss=lambda real, fake: fake - real, g_loss=lambda fake, real: -fake)


def phases_of(losses: Losses = LOSSES, **train: Any) -> tuple[GAN, list[Any], Statistics]:
    torch.manual_seed(0)
    gan = GAN(generator=G(), discriminator=D(), z_dim=3)
    gan.generator.requires_grad_(False)
    gan.discriminator.requires_grad_(False)
    statistics = Statistics(CPU)
    return gan, make_phases(Game(gan=gan, losses=losses), Train(**train), FP32, statistics), statistics


def batch_for(gan: GAN, labels: Tensor | None = None) -> Shared:
    gan.generator.requires_grad_(True)
    z = torch.randn(5, 3)
    fake = gan.generator(z, labels)
    gan.generator.requires_grad_(False)
    return Shared(z=z, real=torch.rand(5, 1, 2, 2), made={"images": fake}, labels=labels)


def weights(module: nn.Module) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in module.parameters()]


def moved(before: list[Tensor], module: nn.Module) -> bool:
    return any(not torch.equal(a, b) for a, b in zip(before, module.parameters(), strict=True))


@pytest.mark.parametrize("index", [0, 1])
def test_a_phase_moves_its_own_module_alone_and_leaves_no_gradient(index: int) -> None:
    gan, phases, _ = phases_of()
    modules = [gan.discriminator, gan.generator]
    before = [weights(module) for module in modules]
    run_phase(phases[index], batch_for(gan))
    assert moved(before[index], modules[index])
    assert not moved(before[1 - index], modules[1 - index])
    for module in modules:
        assert all(parameter.grad is None and not parameter.requires_grad for parameter in module.parameters())


def test_the_generator_is_trained_every_d_steps() -> None:
    _, phases, _ = phases_of(d_steps=5)
    assert [(phase.name, phase.interval) for phase in phases] == [("D", 1), ("G", 5)]


def test_real_and_generated_images_carry_the_same_labels() -> None:
    gan, phases, _ = phases_of()
    labels = torch.tensor([0, 1, 2, 1, 0])
    batch = batch_for(gan, labels)
    for phase in phases:
        run_phase(phase, batch)
    assert isinstance(gan.discriminator, D)
    assert len(gan.discriminator.labels) == 3  # real, generated; generated
    assert all(seen is labels for seen in gan.discriminator.labels)


def test_weights_are_clipped_after_the_step() -> None:
    losses = Losses(d_loss=LOSSES.d_loss, g_loss=LOSSES.g_loss, weight_clip=0.01)
    gan, phases, _ = phases_of(losses, d_lr=1.0)
    run_phase(phases[0], batch_for(gan))
    assert max(float(parameter.abs().max()) for parameter in gan.discriminator.parameters()) <= 0.01
    assert max(float(parameter.abs().max()) for parameter in gan.generator.parameters()) > 0.01


def test_relativistic_losses_get_real_logits_in_the_generators_phase() -> None:
    seen: list[Tensor | None] = []

    def g_loss(fake: Tensor, real: Tensor | None) -> Tensor:
        seen.append(real)
        return -fake

    for uses in (True, False):
        losses = Losses(d_loss=LOSSES.d_loss, g_loss=g_loss, g_uses_real=uses)
        gan, phases, _ = phases_of(losses)
        run_phase(phases[1], batch_for(gan))
    assert seen[0] is not None
    assert seen[0].shape == (5,)
    assert seen[1] is None


def flattened(images: Tensor) -> Tensor:
    """As tutorials write it: `view` fails on what lies channels last, but for our own."""
    return images.view(len(images), -1)


class FlatteningD(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 8, 3, padding=1)
        self.linear = nn.Linear(8 * 64, 1)
        self.calls: list[tuple[int, bool]] = []

    def forward(self, images: Tensor, labels: Tensor | None) -> Tensor:
        self.calls.append((torch._C._len_torch_function_stack(), torch.is_autocast_enabled("cpu")))
        return self.linear(flattened(self.convolution(images))).view(-1)


class FlatG(G):
    modes = 0

    def forward(self, z: Tensor, labels: Tensor | None) -> Tensor:
        self.modes = torch._C._len_torch_function_stack()
        return torch.tanh(self.linear(z)).repeat(1, 48).view(-1, 3, 8, 8)


@pytest.mark.parametrize("name", ["fp32", "bf16"])
def test_networks_and_penalties_run_under_our_operations(name: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    outside: list[int] = []
    own = torch.optim.Adam.step

    def spy(self: Any, closure: Any = None) -> Any:
        outside.append(torch._C._len_torch_function_stack())
        return own(self, closure)

    def penalty(critic: Any, real: Tensor, fake: Tensor) -> Tensor:
        images = real.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(critic(images).sum(), images, create_graph=True)
        return flattened(gradient).square().sum(1)

    monkeypatch.setattr(torch.optim.Adam, "step", spy)
    losses = Losses(d_loss=LOSSES.d_loss, g_loss=LOSSES.g_loss, penalty=penalty)
    generator, discriminator = FlatG(), FlatteningD()
    images = make_images(torch.randint(0, 256, (16, 3, 8, 8), dtype=torch.uint8), None)
    step = Step(
        gan=GAN(generator=generator, discriminator=discriminator, z_dim=3),
        losses=losses,
        sampler=make_sampler(images, batch_size=4, device=CPU, seed=0),
        config=Train(batch_size=4, d_steps=1),
        num_classes=0,
        device=CPU,
        precision=Precision(name=name, device_type="cpu"),
    )
    discriminator.calls.clear()
    step()
    under, autocast = zip(*discriminator.calls, strict=True)
    assert all(under)
    # Of real images, of generated ones (D keeps a list of its calls, and so gets two passes), the penalty, and G.
    assert autocast == ((name == "bf16"), (name == "bf16"), False, (name == "bf16"))
    assert generator.modes
    assert outside == [0, 0]  # and optimizers do not


def test_weights_are_laid_out_for_training_and_not_for_sampling() -> None:
    steps = {}
    for plain in (False, True):
        registry = Registry.load(environ={})
        config = VariantConfig(settings={"z_dim": 8, "channels": 64}, per_sample_critic=False)
        images = make_images(torch.randint(0, 256, (8, 1, 16, 16), dtype=torch.uint8), None)
        steps[plain] = Step(
            gan=registry.variant("dcgan").load()(config, (1, 16, 16), 0),
            losses=LOSSES,
            sampler=make_sampler(images, batch_size=4, device=CPU, seed=0),
            config=Train(batch_size=4),
            num_classes=0,
            device=CPU,
            precision=FP32,
            plain=plain,
        )
    step = steps[False]
    trained = step.state.gan.generator.get_parameter("layers.4.weight")
    assert trained.stride(0) == 1
    step()
    averaged = step.averaged()
    assert averaged.get_parameter("layers.4.weight").is_contiguous(memory_format=torch.channels_last)
    assert step.state.ema.get_parameter("layers.4.weight").stride(0) == 1
    for ours, theirs in zip(averaged.parameters(), step.state.ema.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert not averaged.training
    assert steps[True].averaged() is steps[True].state.ema


def test_rmsprop_and_adam_take_their_settings() -> None:
    _, phases, _ = phases_of(optimizer="rmsprop", d_lr=3e-5, beta2=0.9)
    assert isinstance(phases[0].optimizer, torch.optim.RMSprop)
    assert phases[0].optimizer.defaults["lr"] == 3e-5
    assert phases[0].optimizer.defaults["alpha"] == 0.9
    _, phases, _ = phases_of(g_lr=7e-4, beta1=0.0, beta2=0.9)
    assert phases[1].optimizer.defaults["lr"] == 7e-4
    assert phases[1].optimizer.defaults["betas"] == (0.0, 0.9)


GAMES = [
    (spec.name, objective)
    for spec in Registry.load(environ={}).variants()
    for objective in {spec.objective: 1, "wgan-gp": 1}
    if (spec.name, objective) != ("unrolled", "wgan-gp")  # which it refuses
]
"""Every variant under its own objective and under one with a penalty; clipped weights are the same for all."""

NARROW = {"channels": 4, "width": 4, "mixed": 4, "resolution": 32}
"""Setting of a variant -> what makes its networks small."""


@pytest.mark.parametrize(("name", "objective"), [*GAMES, ("gan", "wasserstein"), ("dcgan", "wasserstein")])
def test_no_step_waits_for_the_device(name: str, objective: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Anything that turns a tensor into a Python value is a sync on CUDA, and breaks graph capture."""
    registry = Registry.load(environ={})
    spec, target = registry.variant(name), registry.objective(objective)
    size = min(spec.sizes or (16,))
    settings = {setting.name: setting.default for setting in spec.settings}
    settings |= {key: value for key, value in NARROW.items() if key in settings}
    config = VariantConfig(settings=settings, per_sample_critic=target.per_sample_gradients)
    gan = spec.load()(config, (1, size, size), 10 if spec.conditional else 0)
    losses = target.load()({setting.name: setting.default for setting in target.settings})
    pixels = torch.randint(0, 256, (16, 1, size, size), dtype=torch.uint8)
    images = make_images(pixels, torch.arange(16) % 10)
    step = Step(
        gan=gan,
        losses=losses,
        sampler=make_sampler(images, batch_size=4, device=CPU, seed=0),
        config=Train(batch_size=4),
        num_classes=10 if spec.conditional else 0,
        device=CPU,
        precision=FP32,
    )
    step()  # the first one draws the order

    def sync(self: Tensor, *arguments: Any) -> Any:
        raise AssertionError("the step reads a tensor on the host")

    with monkeypatch.context() as patch:
        for method in ("item", "tolist", "numpy", "cpu", "__bool__", "__float__", "__int__", "nonzero"):
            patch.setattr(Tensor, method, sync)
        step()


def test_statistics_are_means_since_the_last_read() -> None:
    statistics = Statistics(CPU)
    statistics.add("loss", torch.tensor([1.0, 2.0]))
    statistics.add("loss", torch.tensor([6.0]))
    statistics.add("right", torch.tensor([True, False, True, True]))
    assert statistics.read() == {"loss": 3.0, "right": 0.75}
    assert statistics.read() == {}
    statistics.add("loss", torch.tensor([5.0]))
    assert statistics.read() == {"loss": 5.0}
    statistics.add("loss", torch.tensor([1.0]))
    statistics.count({"loss": 1})  # as if a graph had been replayed and had added 0
    assert statistics.read() == {"loss": 0.5}


def test_diversity_is_the_mean_standard_deviation_over_the_batch() -> None:
    gan, phases, statistics = phases_of()
    batch = batch_for(gan)
    run_phase(phases[0], batch)
    expected = float(batch.made["images"].detach().std(dim=0, correction=0).mean())
    assert statistics.read()["diversity"] == pytest.approx(expected, rel=1e-4)


def test_ema_half_life_is_in_images() -> None:
    decay = ema_decay(images_per_update=50, images_seen=10**9, half_life=1000, rampup=0.05)
    assert math.isclose(decay**20, 0.5)  # 20 updates of 50 images
    early = ema_decay(images_per_update=50, images_seen=2000, half_life=1000, rampup=0.05)
    assert math.isclose(early, 0.5 ** (50 / 100))  # at most 5 % of the images seen
    assert ema_decay(50, 2000, 0.0, 0.05) == 0.0


@pytest.mark.parametrize("decay", [0.75, torch.tensor(0.75)], ids=["number", "tensor"])
def test_ema_averages_parameters_and_copies_buffers(decay: float | Tensor) -> None:
    module = nn.BatchNorm1d(2)
    average = ema_copy(module)
    averaging = Average(average, module)
    module.running_mean = torch.zeros(2)  # a network may replace its buffers
    with torch.no_grad():
        module.weight.fill_(3.0)
        module.running_mean.fill_(5.0)  # type: ignore[union-attr]
        module.num_batches_tracked.fill_(7)  # type: ignore[union-attr]
    averaging.update(decay)
    assert torch.equal(average.weight, torch.full((2,), 1.5))  # 0.75 * 1 + 0.25 * 3
    assert torch.equal(average.running_mean, torch.full((2,), 5.0))
    assert average.num_batches_tracked == 7
    assert not average.training
    assert not any(parameter.requires_grad for parameter in average.parameters())


def test_random_state_is_given_back() -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    with preserved_random_state(CPU):
        torch.rand(100)
        torch.manual_seed(7)
    assert torch.equal(torch.rand(3), expected)


def test_devices_that_are_not_there_are_refused() -> None:
    assert resolve_device("cpu") == CPU
    with pytest.raises(UserError, match="not there"):
        resolve_device("cuda:99")
    with pytest.raises(UserError, match="not a device"):
        resolve_device("gpu")


def test_auto_asks_the_gpu_that_is_trained_on_for_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    current = [torch.device("cuda:0")]

    @contextlib.contextmanager
    def device(other: torch.device) -> Iterator[None]:
        current.append(other)
        yield
        current.pop()

    def supported(including_emulation: bool) -> bool:
        return current[-1].index == 1 and not including_emulation

    monkeypatch.setattr(torch.cuda, "device", device)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    assert [resolve_precision("auto", torch.device("cuda", n)).name for n in (0, 1)] == ["fp32", "bf16"]


def test_bf16_autocasts_networks_and_keeps_losses_in_fp32() -> None:
    assert resolve_precision("auto", CPU).name == "fp32"
    seen: list[torch.dtype] = []

    class Spy(D):
        def forward(self, images: Tensor, labels: Tensor | None) -> Tensor:
            logits = super().forward(images, labels)
            seen.append(logits.dtype)
            return logits

    def d_loss(real: Tensor, fake: Tensor) -> Tensor:
        seen.append(real.dtype)
        return fake - real

    gan = GAN(generator=G(), discriminator=Spy(), z_dim=3)
    losses = Losses(d_loss=d_loss, g_loss=LOSSES.g_loss)
    phases = make_phases(Game(gan=gan, losses=losses), Train(), resolve_precision("bf16", CPU), Statistics(CPU))
    run_phase(phases[0], batch_for(gan))
    assert seen == [torch.bfloat16, torch.bfloat16, torch.float32]
    assert all(parameter.dtype == torch.float32 for parameter in gan.discriminator.parameters())
