"""Whether our layout and operations train a run's networks as torch's own do: asked of the networks themselves.

What a plugin's network does cannot be foreseen. It may be compiled or scripted, in code that our substitutions do not
reach and that was written for contiguous tensors; map over batches of gradients; differentiate forwards; write into
views of images that are copies here; draw random numbers in the order of memory. So, before a run begins, every phase's
losses and gradients are computed both ways on copies of the networks, from the same random numbers.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ganzoo.config.run_config import Train
from ganzoo.engine.cpu.convolutions import lay_out_weights
from ganzoo.engine.cpu.draws import everywhere
from ganzoo.engine.cpu.operations import Operations
from ganzoo.engine.cpu.threads import Products, compiled
from ganzoo.engine.device import Precision, numerics, preserved_random_state
from ganzoo.engine.game import Game
from ganzoo.engine.moment import Networks, Shared
from ganzoo.engine.phases import differentiate, make_phases, set_gradients
from ganzoo.engine.probes.joint import Passes
from ganzoo.engine.probes.reached import Reached, global_generators, put_back
from ganzoo.engine.statistics import Statistics

TOLERANCE, OF_GRADIENTS = 1e-3, 2e-2
"""Differences, relative to the spread of a loss over the batch or to the length of anything else, from which the two
ways are not one. Rounding makes one of 1e-5; of 5e-3 in a gradient where it takes a unit across the kink of its ReLU.
"""

ROUNDING = 4 * torch.finfo(torch.float32).eps
"""Difference, relative to the length itself, that is none: of losses that are all alike the spread is rounding."""

SAMPLES = 8
"""Images of a trial, where the run's batch is larger. A network that takes whole batches only gets one."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What is tried. `num_classes` 0: the networks get no labels."""

    game: Game
    config: Train
    shape: tuple[int, int, int]
    num_classes: int
    device: torch.device
    passes: Passes

    def difference(self) -> str | None:
        """What is otherwise with our layout and operations, in a few words, or None. Something that is written into the
        copy of a view is, though it may do no harm yet.

        The networks, which are in train mode on `device`, and the random states of torch, NumPy and Python are left as
        they were.
        """
        try:
            networks = self._moved()
        except Exception as error:  # a tensor with a graph in an attribute, for one
            return f"it cannot be copied to be tried: {_line(error)}"
        with self._preserved() as put_back_shared:
            for samples in self._sizes():
                try:
                    wanted = self._computed(copy.deepcopy(networks), samples, Operations(plain=True))
                    break
                except Exception:  # a batch of another size than the run's, or what the run itself will tell
                    continue
                finally:
                    put_back_shared()
            else:
                return None
            operations = Operations(plain=False)
            try:
                found = self._computed(copy.deepcopy(networks), samples, operations)
            except Exception as error:
                return _line(error)
            if operations.lost:
                return "something is written in place into a view of an image"
            different = self._first_difference(found, wanted)
            if different is not None:
                put_back_shared()
                with contextlib.suppress(Exception):
                    again = self._computed(networks, samples, Operations(plain=True))
                    if self._first_difference(again, wanted) is not None:  # by a clock, say
                        return None
        return different

    def flop_per_product(self) -> float | None:
        """Of the products and convolutions of an iteration at the run's batch size, forwards and backwards, on average;
        0 without any. None where the networks cannot be watched, or are compiled. Leaves them as `difference` does.
        """
        if compiled():
            return None
        with self._preserved() as put_back_shared:
            for samples in self._sizes():
                with contextlib.suppress(Exception):  # as in `difference`
                    networks = copy.deepcopy(self.game.networks())
                    try:
                        with Products() as products:
                            self._computed(networks, samples, Operations(plain=True))
                    finally:
                        put_back_shared()
                    mean = products.flop / max(products.count, 1)
                    return None if compiled() else mean * self.config.batch_size / samples
        return None

    def _sizes(self) -> list[int]:
        """Batches to try, smallest first."""
        return sorted({min(SAMPLES, self.config.batch_size), self.config.batch_size})

    @contextlib.contextmanager
    def _preserved(self) -> Iterator[Callable[[], None]]:
        """Whatever is drawn inside, or counted in what copies share, goes on as if it had not been. Yields what puts it
        back before.
        """
        game = self.game
        roots = {**game.networks(), **game.memories(), "losses": game.losses, "terms": [one.loss for one in game.terms]}
        held, generators = Reached(roots, self.device.type), global_generators(self.device.type)
        kept = [
            (buffer, buffer.clone()) for memory in game.memories().values() for buffer in memory.buffers()
        ]  # closures know them: copies would not be the ones that are written to

        def put_back_shared() -> None:
            put_back((*held.undo, *(undo for _, undo in generators.values())))
            with torch.no_grad():
                for buffer, before in kept:
                    buffer.copy_(before)

        with preserved_random_state(self.device), everywhere():
            try:
                yield put_back_shared
            finally:
                put_back_shared()

    def _moved(self) -> dict[str, nn.Module]:
        """Copies of the networks, away from their start, at which whole layers may be zero."""
        random = torch.Generator().manual_seed(0)
        networks = copy.deepcopy(self.game.networks())
        for network in networks.values():
            for parameter in network.parameters():
                noise = torch.randn(parameter.shape, generator=random).to(parameter)
                size = parameter.detach().square().mean().sqrt()
                parameter.data += 0.1 * noise * torch.where(size > 0, size, torch.ones_like(size))
        return networks

    def _computed(self, networks: dict[str, nn.Module], samples: int, operations: Operations) -> dict[str, Tensor]:
        """Of an iteration on random images, from always the same random numbers: generated images, losses `[N]`,
        gradients, buffers.
        """
        device, plain = self.device, operations.plain
        layout = torch.contiguous_format if plain else torch.channels_last
        for network in networks.values():
            network.to(memory_format=layout)
            if not plain and device.type == "cpu":
                lay_out_weights(network)
        precision = Precision(name="fp32", device_type=device.type)
        game = self._game_of(networks)
        gan = game.gan
        phases = make_phases(
            game, self.config, precision, Statistics(device), passes=self.passes, operations=operations, plain=True
        )
        called = Networks(game, precision, operations, self.passes)
        random.seed(0)
        np.random.seed(0)
        torch.manual_seed(0)
        z = gan.prior(torch.randn(samples, gan.z_dim)).to(device)
        real = torch.rand(samples, *self.shape).mul_(2).sub_(1).to(device).contiguous(memory_format=layout)
        labels = torch.randint(self.num_classes, (samples,)).to(device) if self.num_classes else None
        found: dict[str, Tensor] = {}
        with numerics(device, precision, penalised=True):
            with torch.no_grad():  # as in steps that do not train G
                found["images without gradients"] = called.generate(z, labels)["images"]
            set_gradients(gan.generator.parameters(), on=True)
            made = called.generate(z, labels)
            set_gradients(gan.generator.parameters(), on=False)
            found["generated images"] = made["images"].detach()
            shared = Shared(z=z, real=real, made=made, labels=labels)
            for phase in phases:
                set_gradients(phase.parameters, on=True)
                found[f"the loss of {phase.name}"] = differentiate(phase, phase.see(shared), phase.terms).detach()
                gradients = [parameter.grad for parameter in phase.parameters]
                found[f"the gradient of {phase.name}"] = _flat(
                    torch.zeros_like(parameter) if gradient is None else gradient
                    for parameter, gradient in zip(phase.parameters, gradients, strict=True)
                )
                phase.optimizer.zero_grad(set_to_none=True)
                set_gradients(phase.parameters, on=False)
                found[f"the buffers of {phase.name}"] = _flat(phase.module.buffers())
        return {name: value.cpu().double() for name, value in found.items()}  # MPS has no float64

    def _game_of(self, networks: dict[str, nn.Module]) -> Game:
        """The game with copies of its networks; all else is what it is."""
        gan = self.game.gan
        parts = {name: dataclasses.replace(part, module=networks[name]) for name, part in gan.parts.items()}
        copies = dataclasses.replace(
            gan, generator=networks["generator"], discriminator=networks["discriminator"], parts=parts
        )
        return dataclasses.replace(self.game, gan=copies)

    def _first_difference(self, found: dict[str, Tensor], wanted: dict[str, Tensor]) -> str | None:
        for name, value in wanted.items():
            # A penalty is made of gradients.
            of_gradients = "gradient of" in name or ("loss of" in name and self.game.penalised)
            spread = value - value.mean() if "loss" in name else value
            difference, size = (found[name] - value).norm(), spread.norm().clamp_min(1e-30)
            apart, rounding = float(difference / size), float(ROUNDING * value.norm() / size)
            allowed = max(OF_GRADIENTS if of_gradients else TOLERANCE, rounding)
            if not apart <= allowed and bool(value.isfinite().all()):
                return f"{name} would differ by {100 * apart:.1f} %"
        return None


def _flat(tensors: Iterator[Tensor]) -> Tensor:
    return torch.cat([torch.zeros(0), *(tensor.detach().cpu().float().reshape(-1) for tensor in tensors)])


def _line(error: Exception) -> str:
    """In a line. TorchScript puts the cause last."""
    lines = str(error).strip().splitlines() or ["without a message"]
    line = lines[-1] if "TorchScript" in lines[0] else lines[0]
    kind = type(error).__name__
    return line if line.startswith(kind) else f"{kind}: {line}"
