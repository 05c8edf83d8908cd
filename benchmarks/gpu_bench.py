"""What the parts of gpu.py share: the conditions of a measurement, and the engine's step under them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, cast
from unittest import mock

import torch
import tutorial
from torch import Tensor, nn

from ganzoo.bench.speed import advance, warm_up
from ganzoo.config.layers import build_config
from ganzoo.config.run_config import RunConfig
from ganzoo.data import make_images
from ganzoo.data.sampler import make_sampler
from ganzoo.engine import step as engine_step
from ganzoo.engine.device import Precision, resolve_precision, synchronize
from ganzoo.engine.step import Step
from ganzoo.runs.snapshots import build_gan
from ganzoo.zoo.registry import Registry

SIZE = tutorial.SIZE


class Bench:
    """The conditions of a measurement."""

    def __init__(self, device: torch.device, quick: bool) -> None:
        self.device, self.quick = device, quick
        self.registry = Registry.load()
        self.batch = 8 if quick else 512
        self.batches = (4, 8) if quick else (64, 512)  # where replays of several lengths are compared
        self.seconds, self.rounds = (0.02, 1) if quick else (2.0, 3)  # of the timings that are held against targets
        self.short_seconds, self.short_rounds = (0.01, 1) if quick else (0.4, 3)  # of the others
        self.least = 1 if quick else 80  # iterations between two looks at the clock
        self.compared = 10 if quick else 50  # steps after which losses and weights are compared
        self.seeds = 3 if quick else 8
        self.workers = (1, 2) if quick else (2, 8, 16)  # of the tutorial's DataLoader
        self.ticks = (0.016, 0.08) if quick else (1.0, 100.0)  # kimg
        self.precision = resolve_precision("auto", device)
        random = torch.Generator().manual_seed(0)
        images = 500 if quick else 60_000
        self.pixels = torch.randint(0, 256, (images, 1, SIZE, SIZE), dtype=torch.uint8, generator=random)
        tutorial.IMAGES = images

    @property
    def graphs(self) -> bool:
        """Whether iterations can be replayed here."""
        return engine_step.cuda_graphs(self.device) is not None

    def config(self, variant: str, batch: int | None = None, **overrides: Any) -> RunConfig:
        """`overrides`: of other settings, by key with "__" for "."; `batch` None: the measurement's."""
        given: dict[str, Any] = {"train.batch_size": batch or self.batch, "device": str(self.device)}
        if self.quick:
            small = {"channels", "width"} & {setting.name for setting in self.registry.variant(variant).settings}
            given |= {f"variant.{name}": 4 for name in small}
        given |= {key.replace("__", "."): value for key, value in overrides.items()}
        return build_config(self.registry, variant=variant, preset="standard", overrides=given)

    def step(
        self,
        variant: str,
        *,
        precision: str | None = None,  # None: the device's best
        seed: int = 0,
        batch: int | None = None,
        layout: torch.memory_format | None = None,  # None: the engine's choice
        wrap: Callable[[nn.Module], nn.Module] | None = None,  # of the discriminator
        **options: Any,
    ) -> Step:
        """The engine's, on random images; `options` are Step's."""
        config = self.config(variant, batch)
        torch.manual_seed(seed)
        gan = build_gan(self.registry, config, (1, SIZE, SIZE), 0)
        if wrap is not None:
            gan = replace(gan, discriminator=wrap(gan.discriminator))
        images = make_images(self.pixels, None)
        step = Step(
            gan=gan,
            losses=self.registry.objective(config.objective.name).load()(config.objective.settings),
            sampler=make_sampler(images, batch_size=config.train.batch_size, device=self.device, seed=seed),
            config=config.train,
            num_classes=0,
            device=self.device,
            precision=self.precision if precision is None else Precision(name=precision, device_type=self.device.type),
            **options,
        )
        if layout is not None:
            step._layout = layout
            for module in (step.state.gan.generator, step.state.gan.discriminator, step.state.ema):
                cast(Any, module).to(memory_format=layout)
        return step

    def rate(self, step: Step, variant: str, *, batch: int | None = None, long: bool = False) -> list[float]:
        """Real images per second in each round of a step that has not run yet."""
        train = self.config(variant, batch).train
        unit = warm_up(step, train.d_steps)
        chunk = unit * -(-self.least // unit)
        return self.img_per_s(partial(advance, step), chunk, train.batch_size, long=long)

    def img_per_s(
        self, work: Callable[[int], None], chunk: int, batch: int | None = None, *, long: bool = False
    ) -> list[float]:
        """Real images per second in each round; `work`, which is warm, does a number of iterations, `chunk` at a time.
        `long`: as long as what targets are held against is timed.
        """
        seconds, rounds = (self.seconds, self.rounds) if long else (self.short_seconds, self.short_rounds)
        found = []
        for _ in range(rounds):
            synchronize(self.device)
            started, done = time.perf_counter(), 0
            while time.perf_counter() - started < seconds:
                work(chunk)
                synchronize(self.device)
                done += chunk
            found.append(done * (batch or self.batch) / (time.perf_counter() - started))
        return found


def weights(step: Step) -> dict[str, Tensor]:
    """Copies of all parameters and buffers, as "D.features.0.weight"."""
    networks = {"G": step.state.gan.generator, "D": step.state.gan.discriminator, "EMA": step.state.ema}
    return {
        f"{name}.{key}": tensor.detach().clone()
        for name, network in networks.items()
        for key, tensor in network.state_dict().items()
    }


@contextlib.contextmanager
def products(kind: str) -> Iterator[None]:
    """Inside, float32 products of the engine's iterations are "tf32" or "ieee", whatever it would choose."""
    original = engine_step.numerics

    @contextlib.contextmanager
    def numerics(device: torch.device, precision: Precision, **options: Any) -> Iterator[None]:
        with original(device, precision, **options), fp32_products(kind):
            yield

    with mock.patch.object(engine_step, "numerics", numerics):
        yield


@contextlib.contextmanager
def own_settings() -> Iterator[None]:
    """Inside, the engine leaves torch's settings of TF32 and cuDNN as they are."""

    @contextlib.contextmanager
    def numerics(*arguments: Any, **options: Any) -> Iterator[None]:
        yield

    with mock.patch.object(engine_step, "numerics", numerics):
        yield


@contextlib.contextmanager
def fp32_products(kind: str) -> Iterator[None]:
    """Inside, float32 products on CUDA are "tf32" or "ieee"; torch's settings are given back."""
    cudnn: Any = torch.backends.cudnn
    places = (cudnn.conv, cudnn.rnn, torch.backends.cuda.matmul)
    before = [place.fp32_precision for place in places]
    try:
        for place in places:
            place.fp32_precision = kind
        yield
    finally:
        for place, value in zip(places, before, strict=True):
            place.fp32_precision = value
