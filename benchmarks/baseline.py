"""The engine beside the loop that tutorials write: same networks, same batch, same machine, one run.

`python benchmarks/baseline.py` prints a Markdown table (`--json`: the rows as JSON). The baseline trains in fp32 and
eagerly, takes its images through torchvision transforms in a DataLoader with two workers, and reads and logs its losses
at each step. Each loop has a process of its own, because what the engine tells the allocator would help the other;
they are timed in turn, `--rounds` times for `--seconds` each, and a ratio is the median of the rounds' ratios, so that
a change of the machine's load meets both. `--wait passive` makes threads sleep while they wait, as `ganzoo` does unless
told otherwise, in all; `--wait default` leaves it to torch. "Plain" is the engine without its fast paths
(`--set engine=plain`); the ratio is of the engine to the baseline.
"""

from __future__ import annotations

import argparse
import functools
import json
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
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
from ganzoo.speed import advance, warm_up

IMAGES = 60_000
SIZE = 32

Work = Callable[[int], None]
"""A warm loop, to be told how many iterations."""


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


def tutorial_step(registry: Registry, config: RunConfig, device: torch.device) -> Callable[[Tensor], None]:
    """The tutorial's step, to be given real images, float32 `[N,1,SIZE,SIZE]` in [-1, 1]."""
    torch.manual_seed(0)
    gan = build_gan(registry, config, (1, SIZE, SIZE), 0)
    generator, discriminator = gan.generator.to(device), gan.discriminator.to(device)
    make = tutorial_wgan_gp if config.objective.name == "wgan-gp" else tutorial_gan
    return make(config, generator, discriminator, gan.z_dim, device)


def baseline(registry: Registry, config: RunConfig, device: torch.device, *, workers: int = 2) -> Work:
    """The tutorial's loop. `workers`: of its DataLoader."""
    step = tutorial_step(registry, config, device)
    loader = DataLoader(
        Drawings(), batch_size=config.train.batch_size, shuffle=True, num_workers=workers, drop_last=True
    )
    batches = endless(loader)

    def work(iterations: int) -> None:
        for _ in range(iterations):
            step(next(batches))

    work(5)
    return work


def resident(registry: Registry, config: RunConfig, device: torch.device) -> Work:
    """The tutorial's step on images that lie on the device, as floats already: nothing is decoded, nothing waits for a
    DataLoader. A batch is a random choice.
    """
    step = tutorial_step(registry, config, device)
    images = torch.rand(IMAGES, 1, SIZE, SIZE, device=device) * 2 - 1

    def work(iterations: int) -> None:
        for _ in range(iterations):
            step(images[torch.randint(IMAGES, (config.train.batch_size,), device=device)])

    work(5)
    return work


def engine(registry: Registry, config: RunConfig, device: torch.device, *, plain: bool = False) -> Work:
    """Ours, with all that belongs to a step: data, phases, statistics, EMA. `plain`: no fast paths."""
    torch.manual_seed(0)
    gan = build_gan(registry, config, (1, SIZE, SIZE), 0)
    random = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (IMAGES, 1, SIZE, SIZE), dtype=torch.uint8, generator=random)
    step = Step(
        gan=gan,
        losses=registry.objective(config.objective.name).load()(config.objective.settings),
        sampler=make_sampler(make_images(pixels, None), batch_size=config.train.batch_size, device=device, seed=0),
        config=config.train,
        num_classes=0,
        device=device,
        precision=resolve_precision(config.precision, device),
        plain=plain,
    )
    warm_up(step, config.train.d_steps)
    return functools.partial(advance, step)


def speed(work: Work, batch: int, seconds: float, device: torch.device) -> float:
    """Real images per second."""
    chunk = 20 if device.type == "cuda" else 5  # whole replays; multiples of wgan-gp's five critic steps
    started, steps = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        work(chunk)
        steps += chunk
        if device.type == "cuda" and steps % 500 == 0:
            synchronize(device)
    synchronize(device)
    return steps * batch / (time.perf_counter() - started)


LOOPS = {"baseline": baseline, "plain": functools.partial(engine, plain=True), "engine": engine}


def work(name: str, config: RunConfig, pipe: Connection) -> None:
    """In a process of its own: time the loop for as many seconds as the pipe says, and tell the pipe its speed."""
    device = resolve_device(config.device)
    torch.set_flush_denormal(True)  # in both; before torch starts its threads
    loop = LOOPS[name](Registry.load(), config, device)
    synchronize(device)
    pipe.send(device_name(device))
    while (seconds := pipe.recv()) > 0:
        pipe.send(speed(loop, config.train.batch_size, seconds, device))


class Loop:
    """A loop in a process of its own."""

    def __init__(self, name: str, config: RunConfig) -> None:
        context = multiprocessing.get_context("spawn")  # so that torch reads the variables that `main` has set
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=work, args=(name, config, theirs))
        self._process.start()
        theirs.close()
        self.device: str = self._pipe.recv()

    def time(self, seconds: float) -> float:
        """Images per second. Raises EOFError where the process has died; it has said why."""
        self._pipe.send(seconds)
        result: float = self._pipe.recv()
        return result

    def end(self) -> None:
        self._pipe.send(0.0)
        self._process.join()


def compare(variant: str, options: argparse.Namespace) -> dict[str, Any]:
    overrides: dict[str, Any] = {
        "train.batch_size": options.batch,
        "precision": options.precision,
        "device": options.device,
    }
    config = build_config(
        Registry.load(), variant=variant, preset="standard", sets=options.set or (), overrides=overrides
    )
    loops = {name: Loop(name, config) for name in LOOPS}
    taken: dict[str, list[float]] = {name: [] for name in loops}
    for _ in range(options.rounds):
        for name, loop in loops.items():
            taken[name].append(loop.time(options.seconds))
    for loop in loops.values():
        loop.end()
    medians = {name: statistics.median(values) for name, values in taken.items()}
    ratios = [ours / theirs for ours, theirs in zip(taken["engine"], taken["baseline"], strict=True)]
    device = loops["engine"].device
    return {"variant": variant, **medians, "ratio": statistics.median(ratios), "ratios": ratios, "device": device}


def main() -> int:
    parser = argparse.ArgumentParser(description="ganzoo's engine beside the loop that tutorials write.")
    parser.add_argument("--variants", default="gan,dcgan,wgan-gp", metavar="A,B")
    parser.add_argument("--batch", type=int, default=64, metavar="N", help="real images per step")
    parser.add_argument("--seconds", type=float, default=2.0, metavar="S", help="of each timing")
    parser.add_argument("--rounds", type=int, default=9, metavar="N", help="timings of each loop, in turn")
    parser.add_argument("--precision", default="auto", help="of the engine: auto, fp32 or bf16")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--set", action="append", metavar="KEY=VALUE", help="of both, e.g. variant.channels=16")
    parser.add_argument("--wait", choices=("default", "passive"), default="default", help="how threads wait (libgomp)")
    options = parser.parse_args()
    for variable, value in (("OMP_WAIT_POLICY", "passive"), ("GOMP_SPINCOUNT", "0")):
        os.environ.pop(variable, None)
        if options.wait == "passive":
            os.environ[variable] = value
    rows = [compare(variant, options) for variant in options.variants.split(",")]
    conditions = {
        "device": rows[0]["device"],
        "threads": torch.get_num_threads(),
        "wait": options.wait,
        "torch": torch.__version__,
        "batch": options.batch,
    }
    if options.json:
        print(json.dumps({**conditions, "seconds": options.seconds, "rows": rows}, indent=1))
        return 0
    print("| variant | baseline img/s | plain engine | engine | ratio | ratios of the rounds |")
    print("|---|---:|---:|---:|---:|---|")
    for row in rows:
        each = ", ".join(f"{ratio:.2f}" for ratio in row["ratios"])
        speeds = " | ".join(f"{row[name]:,.0f}" for name in LOOPS)
        print(f"| {row['variant']} | {speeds} | {row['ratio']:.2f} | {each} |")
    print(f"\n{conditions['device']}, torch {conditions['torch']}, batch {options.batch}, {SIZE}x{SIZE} grey, "
          f"waiting: {options.wait}, {options.rounds} rounds of {options.seconds:g} s")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
