"""Whether several seeds of a small network train faster as one batched network than one after the other.

`python benchmarks/seeds.py` prints a Markdown table (`--json`: the rows as JSON). Batched: weights of all seeds stacked
(`torch.func.stack_module_state`), both players' losses and gradients by `vmap`, Adam and the average of weights in one
pass over the stacks; on images that lie in memory as floats, with batch norm, without dropout, statistics and
random numbers of each seed's own, which it would have to have: what is measured is the most that could be gained. One
after the other: the engine, with all that it does. Both on one thread, in turn, `--rounds` times for `--seconds` each;
a ratio is the median of the rounds' ratios.

Before anything is timed, a seed's first losses are compared with those of its network alone.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, stack_module_state, vmap
from torch.nn import functional as F

from ganzoo.bench.speed import advance
from ganzoo.config.layers import build_config
from ganzoo.config.run_config import RunConfig
from ganzoo.data import make_images
from ganzoo.data.sampler import make_sampler
from ganzoo.engine.device import denormals_flushed, resolve_device, resolve_precision
from ganzoo.engine.step import Step
from ganzoo.gan import GAN, named
from ganzoo.runs.environment import device_name
from ganzoo.runs.snapshots import build_gan
from ganzoo.zoo.registry import Registry

CPU = torch.device("cpu")
SHAPE = (1, 32, 32)
IMAGES = 2048

State = dict[str, Tensor]


def logits_of(answer: Any) -> Tensor:
    return named(answer, "logits")["logits"]


class Batched:
    """`len(gans)` seeds, whose networks are one. Called, trains D and then G of each by a step of Adam."""

    def __init__(self, gans: list[GAN], config: RunConfig, pixels: Tensor) -> None:
        self._train, self._pixels, self._z_dim = config.train, pixels, gans[0].z_dim
        self._seeds = len(gans)
        self._g, self._d = (
            _Player([network.train() for network in networks], rate, config)
            for networks, rate in (
                ([gan.generator for gan in gans], config.train.g_lr),
                ([gan.discriminator for gan in gans], config.train.d_lr),
            )
        )
        self._d_step = vmap(grad_and_value(self._d_loss), in_dims=(0, 0, 0, 0))
        self._g_step = vmap(grad_and_value(self._g_loss), in_dims=(0, 0, 0, 0, 0))
        self._average = [value.clone() for value in self._g.parameters.values()]

    def __call__(self) -> tuple[Tensor, Tensor]:
        """D's and G's losses `[seeds]`."""
        size = self._train.batch_size
        index = torch.randint(len(self._pixels), (self._seeds, size))
        z = torch.randn(self._seeds, size, self._z_dim)
        return self.step(self._pixels[index], z)

    def step(self, real: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """`real`: `[seeds,N,C,H,W]`, `z`: `[seeds,N,z_dim]`."""
        g, d = self._g, self._d
        with torch.no_grad():
            fake = vmap(lambda state, held, noise: functional_call(g.network, (state, held), (noise, None)))(
                g.parameters, g.buffers, z
            )
        gradients, d_loss = self._d_step(d.parameters, d.buffers, real, fake)
        d.move(gradients)
        gradients, g_loss = self._g_step(g.parameters, g.buffers, d.parameters, d.buffers, z)
        g.move(gradients)
        torch._foreach_lerp_(self._average, list(g.parameters.values()), 0.01)
        return d_loss, g_loss

    def _d_loss(self, state: State, held: State, real: Tensor, fake: Tensor) -> Tensor:
        on_real, on_fake = (
            logits_of(functional_call(self._d.network, (state, held), (images, None))) for images in (real, fake)
        )
        return F.softplus(-on_real).mean() + F.softplus(on_fake).mean()

    def _g_loss(self, state: State, held: State, critic: State, critic_held: State, z: Tensor) -> Tensor:
        images = functional_call(self._g.network, (state, held), (z, None))
        return F.softplus(-logits_of(functional_call(self._d.network, (critic, critic_held), (images, None)))).mean()


class _Player:
    """Networks of one kind as one: `parameters` and `buffers` `[seeds, ...]` by name, moved by Adam."""

    def __init__(self, networks: list[nn.Module], rate: float, config: RunConfig) -> None:
        self.network = copy.deepcopy(networks[0]).to("meta")
        parameters, self.buffers = stack_module_state(networks)
        self.parameters = {name: value.detach() for name, value in parameters.items()}
        self._rate, self._betas, self._count = rate, (config.train.beta1, config.train.beta2), 0
        self._means = [torch.zeros_like(value) for value in self.parameters.values()]
        self._squares = [torch.zeros_like(value) for value in self.parameters.values()]

    def move(self, gradients: State) -> None:
        self._count += 1
        found = [gradients[name] for name in self.parameters]
        first, second = self._betas
        torch._foreach_lerp_(self._means, found, 1 - first)
        torch._foreach_mul_(self._squares, second)
        torch._foreach_addcmul_(self._squares, found, found, 1 - second)
        below = torch._foreach_sqrt(self._squares)
        torch._foreach_div_(below, (1 - second**self._count) ** 0.5)
        torch._foreach_add_(below, 1e-8)
        rate = -self._rate / (1 - first**self._count)
        torch._foreach_addcdiv_(list(self.parameters.values()), self._means, below, rate)


def check_alone(gans: list[GAN], batched: Batched, size: int, pixels: Tensor) -> None:
    """Raises AssertionError where the batched networks are not those of each seed."""
    real, z = pixels[: len(gans) * size].unflatten(0, (len(gans), size)), torch.randn(len(gans), size, gans[0].z_dim)
    copies = copy.deepcopy(gans)
    d_loss, _ = batched.step(real, z)
    for seed, gan in enumerate(copies):
        with torch.no_grad():
            fake = gan.generator.train()(z[seed], None)
            on_real, on_fake = (logits_of(gan.discriminator.train()(images, None)) for images in (real[seed], fake))
            alone = F.softplus(-on_real).mean() + F.softplus(on_fake).mean()
        torch.testing.assert_close(d_loss[seed], alone, rtol=1e-4, atol=1e-5)


@denormals_flushed()
def measured(registry: Registry, variant: str, batch: int, seeds: int, rounds: int, seconds: float) -> dict[str, Any]:
    """A row of the table."""
    sets = [f"train.batch_size={batch}", *(["variant.dropout=0"] if variant == "gan" else [])]
    config = build_config(registry, variant=variant, dataset="digits", sets=sets)
    images = make_images(torch.randint(0, 256, (IMAGES, *SHAPE), dtype=torch.uint8), None)
    pixels = images.pixels.float() / 127.5 - 1
    gans = []
    for seed in range(seeds):
        torch.manual_seed(seed)
        gans.append(build_gan(registry, config, SHAPE, 0))
    check_alone(gans, Batched(copy.deepcopy(gans), config, pixels), batch, pixels)
    batched = Batched(copy.deepcopy(gans), config, pixels)
    step = Step(
        gan=gans[0],
        losses=registry.objective(config.objective.name).load()(config.objective.settings),
        sampler=make_sampler(images, batch_size=batch, device=CPU, seed=0),
        config=config.train,
        num_classes=0,
        device=CPU,
        precision=resolve_precision("fp32", CPU),
    )
    ways: dict[str, tuple[Callable[[], Any], int]] = {
        "one by one": (lambda: advance(step, 1), batch),
        "batched": (batched, batch * seeds),
    }
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, (work, per_call) in ways.items():
            calls, began = 0, time.perf_counter()
            while (taken := time.perf_counter() - began) < seconds:
                work()
                calls += 1
            if turn:  # the first warms up
                speeds[name].append(calls * per_call / taken)
    ratios = [ours / theirs for ours, theirs in zip(speeds["batched"], speeds["one by one"], strict=True)]
    return {
        "variant": variant,
        "batch": batch,
        "seeds": seeds,
        **{f"{name} img/s": statistics.median(found) for name, found in speeds.items()},
        "ratio": statistics.median(ratios),
        "from": min(ratios),
        "to": max(ratios),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--variants", default="gan,dcgan", help="without classes, of the objective non-saturating")
    parser.add_argument("--batches", default="4,8,16,64")
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    registry = Registry.load(environ={})
    rows = [
        measured(registry, variant, int(batch), arguments.seeds, arguments.rounds, arguments.seconds)
        for variant in arguments.variants.split(",")
        for batch in arguments.batches.split(",")
    ]
    device = f"{device_name(resolve_device('cpu'))}, torch {torch.__version__}, n = {arguments.rounds}"
    if arguments.json:
        print(json.dumps({"device": device, "rows": rows}, indent=1))
        return
    print(device, "\n\n| | N | one by one | batched | ratio | from, to |\n|---|---:|---:|---:|---:|---|", sep="")
    for row in rows:
        speeds = f"{row['one by one img/s']:,.0f} | {row['batched img/s']:,.0f} | {row['ratio']:.2f}"
        print(f"| `{row['variant']}` | {row['batch']} | {speeds} | {row['from']:.2f}, {row['to']:.2f} |")


if __name__ == "__main__":
    main()
