"""Networks to train with a pretended backend of graphs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

from ganzoo.config.run_config import Train
from ganzoo.data import make_images, make_sampler
from ganzoo.engine.cuda.pretended import Pretended
from ganzoo.engine.device import Precision
from ganzoo.engine.replays import Iterations
from ganzoo.engine.step import Step
from ganzoo.gan import GAN
from ganzoo.objectives import Losses, gradient_penalty

CPU = torch.device("cpu")
FP32 = Precision(name="fp32", device_type="cpu")


class G(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 16))

    def forward(self, z: Tensor, labels: Tensor | None) -> Tensor:
        return torch.tanh(self.layers(z)).view(-1, 1, 4, 4)


class D(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(16, 8), nn.LeakyReLU(0.2), nn.Dropout(0.3), nn.Linear(8, 1))

    def forward(self, images: Tensor, labels: Tensor | None) -> Tensor:
        return self.layers(images.flatten(1)).squeeze(1)


LOSSES = Losses(
    d_loss=lambda real, fake: fake - real,
    g_loss=lambda fake, real: -fake,
    penalty=lambda critic, real, fake: 10 * gradient_penalty(critic, real, fake),
)


def make_step(
    backend: Pretended | None,
    *,
    critic: Callable[[], nn.Module] = D,
    losses: Losses = LOSSES,
    d_steps: int = 1,
    batch_dependent: bool = False,
    **options: Any,
) -> Step:
    torch.manual_seed(0)
    pixels = torch.randint(0, 256, (50, 1, 4, 4), dtype=torch.uint8)
    step = Step(
        gan=GAN(generator=G(), discriminator=critic(), z_dim=3, batch_dependent=batch_dependent),
        losses=losses,
        sampler=make_sampler(make_images(pixels, None), batch_size=8, device=CPU, seed=0),
        config=Train(batch_size=8, d_steps=d_steps, ema_kimg=0.1),
        num_classes=0,
        device=CPU,
        precision=FP32,
        graphs=backend,
        **options,
    )
    if backend is not None:
        backend.state, backend.statistics = step.state, step.statistics
    torch.manual_seed(1)
    return step


def advance(step: Step, to: int) -> dict[str, float]:
    """Iterations up to `to`, in the longest replays that fit, and their statistics."""
    while step.state.step < to:
        step.advance(to - step.state.step)
    assert step.state.step == to
    return step.statistics.read()


def assert_same_training(step: Step, eager: Step) -> None:
    for ours, theirs in ((step.state.gan.generator, eager.state.gan.generator),
                         (step.state.gan.discriminator, eager.state.gan.discriminator)):  # fmt: skip
        expected = theirs.state_dict()
        assert all(torch.equal(value, expected[name]) for name, value in ours.state_dict().items())
        assert not any(parameter.requires_grad or parameter.grad is not None for parameter in ours.parameters())
    for average, expected_average in zip(step.state.ema.parameters(), eager.state.ema.parameters(), strict=True):
        torch.testing.assert_close(average, expected_average, rtol=1e-5, atol=1e-6)  # its decay is in float32 there


@contextlib.contextmanager
def pretended_graphs(make_backend: Callable[[], Pretended] = Pretended) -> Iterator[list[Pretended]]:
    """Inside, a Step on the CPU has a backend of its own, as on CUDA; the list holds them, in the order of making."""
    made: list[Pretended] = []

    def backend_of(device: torch.device) -> Pretended:
        return make_backend()

    def make(**arguments: Any) -> Iterations:
        if isinstance(arguments["backend"], Pretended):
            backend = arguments["backend"]
            backend.state, backend.statistics = arguments["state"], arguments["statistics"]
            made.append(backend)
        return Iterations(**arguments)

    with (
        mock.patch("ganzoo.engine.step.cuda_graphs", backend_of),
        mock.patch("ganzoo.engine.step.Iterations", make),
    ):
        yield made
