"""The loop that tutorials write: fp32, eager, its losses read and logged at each step. With a DataLoader, which takes
images through torchvision transforms one by one, in workers or in the process itself; or on images that lie on the
device as floats; or on those and compiled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import torch
from PIL import Image
from popular import SIDES
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from ganzoo.config.run_config import RunConfig
from ganzoo.runs.snapshots import build_gan
from ganzoo.zoo.registry import Registry

IMAGES = 60_000
SIZE = 32

Work = Callable[[int], None]
"""A warm loop, to be told how many iterations."""


def side_of(config: RunConfig) -> int:
    """Pixels along a side of the images that a variant is compared with."""
    return SIDES.get(config.variant.name, SIZE)


class Drawings(Dataset[Tensor]):
    """As torchvision's MNIST gives them: 28x28 arrays become PIL images and go through the transforms one by one."""

    def __init__(self, side: int) -> None:
        self.images = np.random.default_rng(0).integers(0, 256, (IMAGES, 28, 28), dtype=np.uint8)
        self.transform = transforms.Compose(
            [transforms.Resize(side), transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))]
        )

    def __len__(self) -> int:
        return IMAGES

    def __getitem__(self, index: int) -> Tensor:
        image: Tensor = self.transform(Image.fromarray(self.images[index]))
        return image


def endless(loader: DataLoader[Tensor]) -> Iterator[Tensor]:
    while True:
        yield from loader


def logits(said: Tensor | Mapping[str, Tensor]) -> Tensor:
    """Of a discriminator that returns more than its logits, as ours do, those alone."""
    return said if isinstance(said, Tensor) else said["logits"]


def tutorial_gan(
    config: RunConfig, generator: nn.Module, discriminator: nn.Module, z_dim: int, device: torch.device
) -> Callable[[Tensor], None]:
    """A step as in PyTorch's DCGAN tutorial: D on real, D on fake, then G through D."""
    d_adam, g_adam = optimizers(config, generator, discriminator)
    log: dict[str, list[float]] = {"d": [], "g": [], "d_x": [], "d_g": []}

    def step(real: Tensor) -> None:
        real = real.to(device)
        ones, zeros = torch.ones(len(real), device=device), torch.zeros(len(real), device=device)
        discriminator.zero_grad()
        output = logits(discriminator(real, None))
        d_real = F.binary_cross_entropy_with_logits(output, ones)
        d_real.backward()
        log["d_x"].append(output.sigmoid().mean().item())
        fake = generator(torch.randn(len(real), z_dim, device=device), None)
        output = logits(discriminator(fake.detach(), None))
        d_fake = F.binary_cross_entropy_with_logits(output, zeros)
        d_fake.backward()
        log["d"].append((d_real + d_fake).item())
        d_adam.step()
        generator.zero_grad()
        output = logits(discriminator(fake, None))
        g_loss = F.binary_cross_entropy_with_logits(output, ones)
        g_loss.backward()
        log["d_g"].append(output.sigmoid().mean().item())
        log["g"].append(g_loss.item())
        g_adam.step()

    return step


def popular_gan(
    config: RunConfig, generator: nn.Module, discriminator: nn.Module, z_dim: int, device: torch.device
) -> Callable[[Tensor], None]:
    """A step as in the most copied scripts: G first, through a D that gathers gradients which nobody reads; then D on
    real and on fake images, whose losses are averaged.
    """
    d_adam, g_adam = optimizers(config, generator, discriminator)
    log: dict[str, list[float]] = {"d": [], "g": []}

    def step(real: Tensor) -> None:
        valid, fake = torch.ones(len(real), device=device), torch.zeros(len(real), device=device)
        real = real.to(device)
        g_adam.zero_grad()
        z = torch.tensor(np.random.normal(0, 1, (len(real), z_dim)), dtype=torch.float32, device=device)
        made = generator(z, None)
        g_loss = F.binary_cross_entropy(discriminator(made, None).sigmoid(), valid)
        g_loss.backward()
        g_adam.step()
        d_adam.zero_grad()
        of_real = F.binary_cross_entropy(discriminator(real, None).sigmoid(), valid)
        of_fake = F.binary_cross_entropy(discriminator(made.detach(), None).sigmoid(), fake)
        d_loss = (of_real + of_fake) / 2
        d_loss.backward()
        d_adam.step()
        log["d"].append(d_loss.item())
        log["g"].append(g_loss.item())

    return step


def tutorial_wgan_gp(
    config: RunConfig, generator: nn.Module, critic: nn.Module, z_dim: int, device: torch.device
) -> Callable[[Tensor], None]:
    """A critic step with gradient penalty, and every `d_steps`th time a step of G."""
    d_adam, g_adam = optimizers(config, generator, critic)
    log: dict[str, list[float]] = {"d": [], "g": []}
    steps = 0

    def step(real: Tensor) -> None:
        nonlocal steps
        real = real.to(device)
        critic.zero_grad()
        fake = generator(torch.randn(len(real), z_dim, device=device), None).detach()
        mix = torch.rand(len(real), 1, 1, 1, device=device)
        between = (mix * real + (1 - mix) * fake).requires_grad_(True)
        output = logits(critic(between, None))
        gradients = torch.autograd.grad(output, between, torch.ones_like(output), create_graph=True)[0]
        penalty = ((gradients.view(len(real), -1).norm(2, dim=1) - 1) ** 2).mean()
        d_loss = logits(critic(fake, None)).mean() - logits(critic(real, None)).mean() + 10 * penalty
        d_loss.backward()
        d_adam.step()
        log["d"].append(d_loss.item())
        steps += 1
        if steps % config.train.d_steps == 0:
            generator.zero_grad()
            fake = generator(torch.randn(len(real), z_dim, device=device), None)
            g_loss = -logits(critic(fake, None)).mean()
            g_loss.backward()
            g_adam.step()
            log["g"].append(g_loss.item())

    return step


def optimizers(
    config: RunConfig, generator: nn.Module, discriminator: nn.Module
) -> tuple[torch.optim.Adam, torch.optim.Adam]:
    betas = (config.train.beta1, config.train.beta2)
    return (
        torch.optim.Adam(discriminator.parameters(), lr=config.train.d_lr, betas=betas),
        torch.optim.Adam(generator.parameters(), lr=config.train.g_lr, betas=betas),
    )


def tutorial_step(
    registry: Registry, config: RunConfig, device: torch.device, *, compiled: bool = False
) -> Callable[[Tensor], None]:
    """The tutorial's step, to be given real images, float32 `[N,1,side,side]` in [-1, 1]. `compiled`: networks go
    through `torch.compile`, which is what its documentation tells people to do.
    """
    torch.manual_seed(0)
    gan = build_gan(registry, config, (1, side_of(config), side_of(config)), 0)
    generator, discriminator = gan.generator.to(device), gan.discriminator.to(device)
    if compiled:
        generator, discriminator = torch.compile(generator), torch.compile(discriminator)
    make = tutorial_wgan_gp if config.objective.name == "wgan-gp" else tutorial_gan
    make = popular_gan if config.variant.name == "popular-gan" else make
    return make(config, generator, discriminator, gan.z_dim, device)


def loaded(registry: Registry, config: RunConfig, device: torch.device, *, workers: int = 2) -> Work:
    """The tutorial's loop. `workers`: of its DataLoader; 0: in the process itself, as most scripts have it."""
    step = tutorial_step(registry, config, device)
    loader = DataLoader(
        Drawings(side_of(config)),
        batch_size=config.train.batch_size,
        shuffle=True,
        num_workers=workers,
        drop_last=True,
    )
    batches = endless(loader)

    def work(iterations: int) -> None:
        for _ in range(iterations):
            step(next(batches))

    work(5)
    return work


def resident(registry: Registry, config: RunConfig, device: torch.device, *, compiled: bool = False) -> Work:
    """The tutorial's step on images that lie on the device, as floats already: nothing is decoded, nothing waits for a
    DataLoader. A batch is a random choice.
    """
    step = tutorial_step(registry, config, device, compiled=compiled)
    side = side_of(config)
    images = torch.rand(IMAGES * SIZE**2 // max(side, SIZE) ** 2, 1, side, side, device=device) * 2 - 1

    def work(iterations: int) -> None:
        for _ in range(iterations):
            step(images[torch.randint(len(images), (config.train.batch_size,), device=device)])

    work(5)
    return work
