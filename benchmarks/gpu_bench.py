"""What the parts of gpu.py share: the conditions of a measurement, and the engine's step under them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import baseline as tutorial
import torch
from torch import Tensor

from ganzoo.config import RunConfig
from ganzoo.data import make_images
from ganzoo.data.sampler import make_sampler
from ganzoo.engine.device import Precision, resolve_precision, synchronize
from ganzoo.engine.step import Step
from ganzoo.layers import build_config
from ganzoo.registry import Registry
from ganzoo.snapshots import build_gan

SIZE = tutorial.SIZE


class Bench:
    """The conditions of a measurement."""

    def __init__(self, device: torch.device, quick: bool) -> None:
        self.device, self.quick = device, quick
        self.registry = Registry.load()
        self.batch = 8 if quick else 512
        self.seconds = 0.05 if quick else 3.0  # of one timing
        self.rounds = 1 if quick else 3
        # Iterations between two looks at the clock: whole replays of any length, whole rounds of wgan-gp's 5.
        self.chunk, self.tutorial_chunk = (5, 5) if quick else (160, 10)
        self.compared = 10 if quick else 50  # steps after which losses and weights are compared
        self.seeds = 3 if quick else 8
        self.precision = resolve_precision("auto", device)
        random = torch.Generator().manual_seed(0)
        images = 500 if quick else 60_000
        self.pixels = torch.randint(0, 256, (images, 1, SIZE, SIZE), dtype=torch.uint8, generator=random)
        tutorial.IMAGES = images

    def config(self, variant: str) -> RunConfig:
        overrides: dict[str, Any] = {"train.batch_size": self.batch}
        if self.quick:
            small = {"channels", "width"} & {setting.name for setting in self.registry.variant(variant).settings}
            overrides |= {f"variant.{name}": 4 for name in small}
        return build_config(self.registry, variant=variant, preset="standard", overrides=overrides)

    def step(self, variant: str, precision: str | None = None, seed: int = 0, **options: Any) -> Step:
        """The engine's, on random images; `precision` None: the device's best."""
        config = self.config(variant)
        torch.manual_seed(seed)
        return Step(
            gan=build_gan(self.registry, config, (1, SIZE, SIZE), 0),
            losses=self.registry.objective(config.objective.name).load()(config.objective.settings),
            sampler=make_sampler(make_images(self.pixels, None), batch_size=self.batch, device=self.device, seed=seed),
            config=config.train,
            num_classes=0,
            device=self.device,
            precision=self.precision if precision is None else Precision(name=precision, device_type=self.device.type),
            **options,
        )

    def img_per_s(self, work: Callable[[int], None], chunk: int) -> list[float]:
        """Real images per second in each round; `work` does a number of iterations, `chunk` at a time."""
        work(chunk)  # warm-up and capture
        synchronize(self.device)
        found = []
        for _ in range(self.rounds):
            started, done = time.perf_counter(), 0
            while time.perf_counter() - started < self.seconds:
                work(chunk)
                synchronize(self.device)
                done += chunk
            found.append(done * self.batch / (time.perf_counter() - started))
        return found


def advance(step: Step, iterations: int) -> None:
    """In the longest replays that fit."""
    end = step.state.step + iterations
    while step.state.step < end:
        step.advance(end - step.state.step)


def weights(step: Step) -> list[Tensor]:
    networks = (step.state.gan.generator, step.state.gan.discriminator, step.state.ema)
    return [tensor.detach().clone() for network in networks for tensor in network.state_dict().values()]
