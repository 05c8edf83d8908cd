"""Real and generated images through the discriminator in one pass, with the results of two."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganzoo.engine.cpu.batch_norm import by_halves
from ganzoo.engine.cpu.operations import any_layout
from ganzoo.engine.cpu.substitution import Substitution
from ganzoo.engine.device import Precision, numerics, preserved_random_state
from ganzoo.engine.probes.reached import Reached, global_generators, put_back, same
from ganzoo.gan import named

TOLERANCES = {torch.float32: 3e-5, torch.float64: 1e-6}
"""Difference of a logit, relative to the spread of all, from which one pass is not two. The order of additions makes
one of 1e-6 in float32.
"""

BUFFERS_TOLERANCE = 1e-6
"""Difference of a buffer, relative to its largest number: a running mean may follow by so little at each call."""


class BatchNormByHalves(Substitution):
    """While entered, batch norm in train mode takes its statistics from each half of the batch: as in two passes."""

    def __init__(self) -> None:
        super().__init__({F.batch_norm: by_halves})


Passes = Literal["one", "one by halves", "two"]
"""How D may judge real and generated images, with the results of two: "one by halves" needs BatchNormByHalves."""


Pair = tuple[Tensor, Tensor]  # real and generated images, [N,C,H,W] float32 in [-1, 1]


@torch.no_grad()
def passes_of(discriminator: nn.Module, real: Tensor, labels: Tensor | None) -> Passes:
    """ "two" where a logit depends on the other half of the batch by other means than batch norm, or where the network
    remembers anything of its calls but batch norm's running statistics, which training does not use. `real`: a batch of
    the run, float32 `[N,C,H,W]` in [-1, 1]; `labels`: its own, int64 `[N]`, None where the network is called without.

    A logit does where a layer like minibatch standard deviation looks at the batch. The network itself is asked, so
    that it is known of plugins' networks too: copies judge the same images in one pass and in two, as they are built,
    then with parameters that have been moved (layers may start at zero). Then logits, buffers and all else that the
    copies hold are compared. The second half of the images are smooth noise and near copies of real ones, which layers
    that compare images react to; it has the labels of the first, as in training. Dropout is switched off. A network
    that draws random numbers by other means, or cannot be copied, gets two passes: that costs speed, not correctness.

    What shows itself after some thousand iterations only, and is remembered out of reach of `Reached`, cannot be
    noticed: the variant has to say so (`GAN.batch_dependent`).
    """
    device = real.device
    random = torch.Generator().manual_seed(0)
    pairs = [(real, _others(real, random)) for _ in range(2)]
    held, generators = Reached({"discriminator": discriminator}, device.type), global_generators(device.type)

    def put_back_shared() -> None:
        """What copies share: closures, globals, random generators."""
        put_back((*held.undo, *(undo for _, undo in generators.values())))

    ieee = Precision(name="fp32", device_type=device.type)
    # On CUDA in float64 where the network allows it: convolutions round there as it suits the batch's size.
    kinds = (torch.float64, torch.float32) if device.type == "cuda" else (torch.float32,)
    with preserved_random_state(device), numerics(device, ieee, penalised=True):
        for kind in kinds:
            # Whatever is wrong, the step itself will say, or there is nothing wrong with two passes.
            with contextlib.suppress(Exception):
                asked = _Asked(discriminator, pairs, labels, kind, put_back_shared)
                return "one" if asked.agrees("one") else "one by halves" if asked.agrees("one by halves") else "two"
    return "two"


class _Asked:
    """What a network says to pairs in two passes, and what it holds afterwards; to be compared with the other ways."""

    def __init__(
        self,
        discriminator: nn.Module,
        pairs: Sequence[Pair],
        labels: Tensor | None,
        kind: torch.dtype,
        put_back: Callable[[], None],  # to be called after each copy
    ) -> None:
        self._discriminator, self._pairs, self._labels, self._kind = discriminator, pairs, labels, kind
        self._put_back = put_back
        try:
            network = self._copy()
            self._said = [self._judged(network, index, "two") for index in range(len(pairs))]
            self._held = _held(network)
        finally:
            put_back()

    def agrees(self, passes: Passes) -> bool:
        """Whether judging in that way is judging in two passes."""
        tolerance = TOLERANCES[self._kind]
        try:
            network = self._copy()
            for index, said in enumerate(self._said):
                found = self._judged(network, index, passes)
                for name, wanted in said.items():
                    rounding = 4 * torch.finfo(self._kind).eps * wanted.abs().max()  # of logits that are all alike
                    allowed = torch.maximum(tolerance * (wanted - wanted.mean()).abs().max(), rounding)
                    if not bool(((found[name] - wanted).abs() <= allowed).all()):
                        return False
            held = _held(network)
        finally:
            self._put_back()
        return held.keys() == self._held.keys() and all(_alike(self._held[where], held[where]) for where in held)

    def _copy(self) -> nn.Module:
        network = copy.deepcopy(self._discriminator).train().to(self._kind)
        for module in network.modules():
            if isinstance(module, nn.modules.dropout._DropoutNd):
                module.eval()
        return network

    def _judged(self, network: nn.Module, index: int, passes: Passes) -> dict[str, Tensor]:
        """What is said of the pair, in one order: of its first half, then of its second."""
        if index:
            random = torch.Generator().manual_seed(index)
            for parameter in network.parameters():
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=random).to(parameter))
        a, b = (half.to(self._kind) for half in self._pairs[index])
        labels = self._labels
        with any_layout():
            if passes == "two":
                halves = named(network(a, labels), "logits"), named(network(b, labels), "logits")
                return {name: torch.cat([half[name] for half in halves]).to(self._kind) for name in halves[0]}
            both = None if labels is None else torch.cat([labels, labels])
            with BatchNormByHalves() if passes == "one by halves" else contextlib.nullcontext():
                said = named(network(torch.cat([a, b]), both), "logits")
        return {name: values.to(self._kind) for name, values in said.items()}


def _others(real: Tensor, random: torch.Generator) -> Tensor:
    """As many images between -1 and 1. In turn: one whose pixels are like their neighbours, not centred nor of unit
    variance, and a near copy of the real one.
    """
    coarse = 0.5 * torch.randn(*real.shape[:2], 4, 4, generator=random) + 0.2
    others = F.interpolate(coarse, real.shape[2:], mode="bilinear").clamp(-1, 1)
    others[1::2] = real[1::2].cpu() + 1e-4 * torch.randn(real[1::2].shape, generator=random)
    return others.to(real)


def _held(network: nn.Module) -> dict[str, Any]:
    """All that it holds after its calls, without the running statistics of torch's own layers, which they do not use in
    train mode.
    """
    unused = {
        id(statistic)
        for module in network.modules()
        if isinstance(module, nn.modules.batchnorm._NormBase) and type(module).__module__.startswith("torch.")
        for statistic in module.buffers(recurse=False)
    }
    return {where: value for where, value in Reached({"D": network}, "cpu").values.items() if id(value) not in unused}


def _alike(one: Any, other: Any) -> bool:
    if not (isinstance(one, Tensor) and isinstance(other, Tensor)):
        return same(one, other)
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if not one.is_floating_point():
        return torch.equal(one, other)
    return bool(((one - other).abs() <= BUFFERS_TOLERANCE * one.abs().max()).all()) if one.numel() else True
