"""The engine beside the loop that tutorials write: same networks, same batch, same machine, one run.

`python benchmarks/baseline.py` prints a Markdown table (`--json`: the rows as JSON). The baseline trains in fp32 and
eagerly, takes its images through torchvision transforms in a DataLoader with two workers, and reads and logs its losses
at each step. The two loops are timed in turn, `--rounds` times for `--seconds` each, and the medians are compared.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from ganzoo.config import RunConfig
from ganzoo.data import make_images
from ganzoo.data.sampler import make_sampler
from ganzoo.engine.device import resolve_device, resolve_precision, synchronize
from ganzoo.engine.step import Step
from ganzoo.environment import device_name
from ganzoo.layers import build_config
from ganzoo.registry import Registry
from ganzoo.snapshots import build_gan

IMAGES = 60_000
SIZE = 32


class Drawings(Dataset[Tensor]):
    """As torchvision's MNIST gives them: 28x28 arrays become PIL images and go through the transforms one by one."""

    def __init__(self) -> None:
        self.images = np.random.default_rng(0).integers(0, 256, (IMAGES, 28, 28), dtype=np.uint8)
        self.transform = transforms.Compose(
            [transforms.Resize(SIZE), transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))]
        )

    def __len__(self) -> int:
        return IMAGES

    def __getitem__(self, index: int) -> Tensor:
        image: Tensor = self.transform(Image.fromarray(self.images[index]))
        return image


def endless(loader: DataLoader[Tensor]) -> Iterator[Tensor]:
    while True:
        yield from loader


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
        output = discriminator(real, None)
        d_real = F.binary_cross_entropy_with_logits(output, ones)
        d_real.backward()
        log["d_x"].append(output.sigmoid().mean().item())
        fake = generator(torch.randn(len(real), z_dim, device=device), None)
        output = discriminator(fake.detach(), None)
        d_fake = F.binary_cross_entropy_with_logits(output, zeros)
        d_fake.backward()
        log["d"].append((d_real + d_fake).item())
        d_adam.step()
        generator.zero_grad()
        output = discriminator(fake, None)
        g_loss = F.binary_cross_entropy_with_logits(output, ones)
        g_loss.backward()
        log["d_g"].append(output.sigmoid().mean().item())
        log["g"].append(g_loss.item())
        g_adam.step()

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
        output = critic(between, None)
        gradients = torch.autograd.grad(output, between, torch.ones_like(output), create_graph=True)[0]
        penalty = ((gradients.view(len(real), -1).norm(2, dim=1) - 1) ** 2).mean()
        d_loss = critic(fake, None).mean() - critic(real, None).mean() + 10 * penalty
        d_loss.backward()
        d_adam.step()
        log["d"].append(d_loss.item())
        steps += 1
        if steps % config.train.d_steps == 0:
            generator.zero_grad()
            g_loss = -critic(generator(torch.randn(len(real), z_dim, device=device), None), None).mean()
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


def baseline(registry: Registry, config: RunConfig, device: torch.device) -> Callable[[], None]:
    """One step of the tutorial's loop."""
    torch.manual_seed(0)
    gan = build_gan(registry, config, (1, SIZE, SIZE), 0)
    generator, discriminator = gan.generator.to(device), gan.discriminator.to(device)
    make = tutorial_wgan_gp if config.objective.name == "wgan-gp" else tutorial_gan
    step = make(config, generator, discriminator, gan.z_dim, device)
    loader = DataLoader(Drawings(), batch_size=config.train.batch_size, shuffle=True, num_workers=2, drop_last=True)
    batches = endless(loader)
    return lambda: step(next(batches))


def engine(registry: Registry, config: RunConfig, device: torch.device) -> Callable[[], None]:
    """One step of ours, with all that belongs to it: data, phases, statistics, EMA."""
    torch.manual_seed(0)
    gan = build_gan(registry, config, (1, SIZE, SIZE), 0)
    random = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (IMAGES, 1, SIZE, SIZE), dtype=torch.uint8, generator=random)
    return Step(
        gan=gan,
        losses=registry.objective(config.objective.name).load()(config.objective.settings),
        sampler=make_sampler(make_images(pixels, None), batch_size=config.train.batch_size, device=device, seed=0),
        config=config.train,
        num_classes=0,
        device=device,
        precision=resolve_precision(config.precision, device),
    )


def speed(step: Callable[[], None], batch: int, seconds: float, device: torch.device) -> float:
    """Real images per second."""
    for _ in range(3):
        step()
    synchronize(device)
    started, steps = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        for _ in range(5):  # a multiple of wgan-gp's five critic steps
            step()
        steps += 5
        if device.type == "cuda" and steps % 500 == 0:
            synchronize(device)
    synchronize(device)
    return steps * batch / (time.perf_counter() - started)


def compare(variant: str, options: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    registry = Registry.load()
    overrides: dict[str, Any] = {"train.batch_size": options.batch, "precision": options.precision}
    config = build_config(registry, variant=variant, preset="standard", overrides=overrides)
    steps = {"baseline": baseline(registry, config, device), "engine": engine(registry, config, device)}
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(options.rounds):
        for name, step in steps.items():
            taken[name].append(speed(step, options.batch, options.seconds, device))
    medians = {name: statistics.median(values) for name, values in taken.items()}
    ratios = [ours / theirs for ours, theirs in zip(taken["engine"], taken["baseline"], strict=True)]
    return {"variant": variant, **medians, "ratio": medians["engine"] / medians["baseline"], "ratios": ratios}


def main() -> int:
    parser = argparse.ArgumentParser(description="ganzoo's engine beside the loop that tutorials write.")
    parser.add_argument("--variants", default="gan,dcgan,wgan-gp", metavar="A,B")
    parser.add_argument("--batch", type=int, default=64, metavar="N", help="real images per step")
    parser.add_argument("--seconds", type=float, default=10.0, metavar="S", help="of each timing")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="timings of each loop, in turn")
    parser.add_argument("--precision", default="auto", help="of the engine: auto, fp32 or bf16")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    device = resolve_device(options.device)
    torch.set_flush_denormal(True)  # for both, and before torch starts its threads
    rows = [compare(variant, options, device) for variant in options.variants.split(",")]
    conditions = {"device": device_name(device), "torch": torch.__version__, "batch": options.batch}
    if options.json:
        print(json.dumps({**conditions, "seconds": options.seconds, "rows": rows}, indent=1))
        return 0
    print("| variant | baseline img/s | engine img/s | ratio | ratios of the rounds |\n|---|---:|---:|---:|---|")
    for row in rows:
        each = ", ".join(f"{ratio:.2f}" for ratio in row["ratios"])
        print(f"| {row['variant']} | {row['baseline']:,.0f} | {row['engine']:,.0f} | {row['ratio']:.2f} | {each} |")
    print(f"\n{conditions['device']}, torch {conditions['torch']}, batch {options.batch}, {SIZE}x{SIZE} grey, "
          f"{options.rounds} rounds of {options.seconds:g} s")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
