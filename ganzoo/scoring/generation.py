"""Images by number: the same for scores, grids and `ganzoo sample`, and the model left as it was."""

from __future__ import annotations

import contextlib
import copy
import time
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor, nn

from ganzoo.data import to_uint8
from ganzoo.engine.cpu.operations import any_layout
from ganzoo.engine.device import Precision, numerics, preserved_random_state, synchronize
from ganzoo.gan import Normal, Prior, named
from ganzoo.metrics.statistics import require_finite
from ganzoo.scoring.noise import noise

SCORE_SEED = 20_140_610
"""Seed of the noise and labels that are scored: the same for every generator."""

NORMAL = Normal()

BLOCK = 250
"""Images per call of a generator, always: matrix products of another size are computed in another order, and differ in
their last bits. Block k makes the images k * BLOCK and on; what is beyond the last one asked for is thrown away, which
is nothing at the usual counts. Half as many are a third slower for small networks on two threads.
"""

Inputs = Callable[[Tensor], tuple[Tensor, Tensor | None]]
"""int64 `[n]`, numbers of images, each block's one after the other -> their noise float32 `[n, z_dim]` and labels int64
`[n]` or None, on the CPU. It may be asked for numbers beyond the last image.
"""


def inputs_of(seed: int, z_dim: int, labels: Tensor | None, prior: Prior = NORMAL) -> Inputs:
    """Image i: noise i of `seed`, by the `prior`, and `labels[i]`; labels are repeated where there are too few."""

    def inputs(numbers: Tensor) -> tuple[Tensor, Tensor | None]:
        z = prior(noise(seed, int(numbers[0]), len(numbers), z_dim))
        return z, None if labels is None else labels[numbers % len(labels)]

    return inputs


def generate(
    generator: nn.Module,
    z_dim: int,
    n: int,
    *,
    labels: Tensor | None,
    seed: int,
    batch_size: int,
    device: torch.device,
    prior: Prior = NORMAL,
) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Yield (uint8 `[B,C,H,W]` on the device, int64 `[B]` on the device or None) until `n` images are made.

    Image i depends on the generator, `seed`, i and `labels[i]`, not on `n` and not on `batch_size`, which is how many
    are yielded at a time. Training flags and torch's random state are left as they were.

    Raises:
        UserError: the images hold NaN or infinity.
    """
    made: list[tuple[Tensor, Tensor | None]] = []
    waiting = 0
    for part in generate_blocks(generator, inputs_of(seed, z_dim, labels, prior), n, device=device):
        made.append(part)
        waiting += len(part[0])
        while waiting >= batch_size:
            pixels, asked = _join(made)
            yield pixels[:batch_size], None if asked is None else asked[:batch_size]
            made = [(pixels[batch_size:], None if asked is None else asked[batch_size:])]
            waiting -= batch_size
    if waiting:
        yield _join(made)


@torch.no_grad()
def generate_blocks(
    generator: nn.Module, inputs: Inputs, n: int, *, device: torch.device
) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Yield the first `n` images of `inputs` block by block; as `generate`."""
    generator = _laid_out(generator, inputs, device)
    with evaluating(generator):
        for start in range(0, n, BLOCK):
            pixels, labels = _block(generator, inputs, start, device)
            yield pixels[: n - start], None if labels is None else labels[: n - start]


@torch.no_grad()
def generate_blocks_at(
    generator: nn.Module,
    inputs: Inputs,
    blocks: Iterable[int],
    *,
    device: torch.device,
    timed: Callable[[float], None] = lambda seconds: None,
) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Yield these blocks whole, as `generate_blocks` would make them. `timed`: told how many seconds each took."""
    generator = _laid_out(generator, inputs, device)
    with evaluating(generator):
        for block in blocks:
            before = time.perf_counter()
            made = _block(generator, inputs, block * BLOCK, device)
            synchronize(device)  # deliberate: sampling is timed apart from feature extraction
            timed(time.perf_counter() - before)
            yield made


@torch.no_grad()
def generate_once(generator: nn.Module, inputs: Inputs, n: int, *, device: torch.device) -> Tensor:
    """The first `n` images of `inputs` in one call of no more than that: uint8 `[n,C,H,W]` on the device. For pictures
    of training, where time counts: they may differ from `generate_blocks`' in a level here and there.
    """
    with evaluating(generator):
        return quantised(_called(generator, inputs, torch.arange(n), device)[0])


@torch.no_grad()
def generate_at(
    generator: nn.Module,
    z_dim: int,
    index: Tensor,
    *,
    labels: Tensor | None,
    seed: int,
    device: torch.device,
    prior: Prior = NORMAL,
) -> Tensor:
    """Of the images that `generate` makes, those at `index` (int64 `[k]`): uint8 `[k,C,H,W]` on the device."""
    inputs = inputs_of(seed, z_dim, labels, prior)
    generator = _laid_out(generator, inputs, device)
    blocks, place = (index // BLOCK).unique(return_inverse=True)
    found: list[Tensor] = [torch.empty(0)] * len(index)
    with evaluating(generator):
        for block, start in enumerate((blocks * BLOCK).tolist()):
            pixels, _ = _block(generator, inputs, start, device)
            for position in (place == block).nonzero()[:, 0].tolist():
                found[position] = pixels[int(index[position]) - start]
    return torch.stack(found)


def _block(generator: nn.Module, inputs: Inputs, start: int, device: torch.device) -> tuple[Tensor, Tensor | None]:
    """All images of the block that begins with image `start`."""
    images, labels = _called(generator, inputs, torch.arange(start, start + BLOCK), device)
    return quantised(images), labels


def _called(
    generator: nn.Module,
    inputs: Inputs,
    numbers: Tensor,
    device: torch.device,
    on_lost: Callable[[], None] = lambda: None,
) -> tuple[Tensor, Tensor | None]:
    z, labels = inputs(numbers)
    labels = None if labels is None else labels.to(device)
    exact = numerics(device, Precision(name="fp32", device_type=device.type), penalised=True)
    with exact, any_layout(on_lost):
        return named(generator(z.to(device), labels), "images")["images"], labels


def _laid_out(generator: nn.Module, inputs: Inputs, device: torch.device) -> nn.Module:
    """`generator`, or a copy of it, with weights channels last, as training lays them out and files do not: the
    algorithm of a convolution, and with it its last bits, goes by the layout. Contiguous where the network was written
    for that (see `ganzoo.engine.probes.trial`), which two images tell.
    """
    convolutions = [parameter for parameter in generator.parameters() if parameter.ndim == 4]
    if not convolutions:
        return generator
    ours = generator
    if not all(weights.is_contiguous(memory_format=torch.channels_last) for weights in convolutions):
        ours = copy.deepcopy(generator).to(memory_format=torch.channels_last)
    contiguous = copy.deepcopy(generator).to(memory_format=torch.contiguous_format)
    images: list[Tensor] = []
    lost: list[bool] = []
    for network in (contiguous, ours):
        with evaluating(network), preserved_random_state(device):
            try:
                images.append(_called(network, inputs, torch.arange(2), device, lambda: lost.append(True))[0])
            except Exception:
                if not images:
                    return ours  # whatever is wrong will be said
                return contiguous
    wanted, found = images
    return ours if not lost and torch.allclose(found, wanted, rtol=0, atol=1e-3, equal_nan=True) else contiguous


def _join(parts: list[tuple[Tensor, Tensor | None]]) -> tuple[Tensor, Tensor | None]:
    labels = [asked for _, asked in parts if asked is not None]
    return torch.cat([pixels for pixels, _ in parts]), torch.cat(labels) if labels else None


def quantised(images: Tensor) -> Tensor:
    """`to_uint8`, which would turn NaN into black.

    Raises:
        UserError: the images hold NaN or infinity.
    """
    require_finite(torch.stack(torch.aminmax(images)), "generated images")  # NaN is both; no mask of every pixel
    return to_uint8(images)


@contextlib.contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """In eval mode; afterwards each module's training flag is as it was."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
