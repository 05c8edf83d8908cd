"""Image i of a seed, bit for bit, whatever else is made with it: every variant of the zoo."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ganzoo.gan import GAN, VariantConfig
from ganzoo.runs.grid import SAMPLE_SEED, grid_inputs
from ganzoo.scoring.generation import BLOCK, generate, generate_at, generate_blocks, inputs_of
from ganzoo.scoring.noise import noise
from ganzoo.zoo.registry import Registry

CPU = torch.device("cpu")
SPECS = {spec.name: spec for spec in Registry.load(environ={}).variants()}
NARROW = {"channels": 8, "width": 64}
"""Where nothing else is said; the full widths of the usual variants take seconds."""
CASES = [(name, 28, 1, NARROW) for name in SPECS]
CASES += [("dcgan", 28, 1, {}), ("dcgan", 32, 3, {}), ("upsample-dcgan", 64, 3, {"channels": 32}), ("gan", 32, 3, {})]


def trained_like(name: str, size: int, colors: int, sets: Mapping[str, int]) -> GAN:
    """Networks with weights and running statistics as after some training, not as at its start."""
    settings = {setting.name: setting.default for setting in SPECS[name].settings}
    settings |= {key: value for key, value in sets.items() if key in settings}
    config = VariantConfig(settings=settings, per_sample_critic=False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        gan: GAN = SPECS[name].load()(config, (colors, size, size), 10)
        labels = torch.arange(64) % 10 if SPECS[name].conditional else None
        with torch.no_grad():
            gan.generator.train()(torch.randn(64, gan.z_dim), labels)
            for parameter in gan.generator.parameters():
                parameter.mul_(3)
    return gan


def made(gan: GAN, n: int, labels: Tensor | None, batch_size: int = 250, seed: int = 3) -> Tensor:
    batches = generate(gan.generator, gan.z_dim, n, labels=labels, seed=seed, batch_size=batch_size, device=CPU)
    return torch.cat([pixels for pixels, _ in batches])


@pytest.mark.parametrize(("name", "size", "colors", "sets"), CASES)
def test_image_i_is_the_same_for_every_thread_layout_and_company(
    name: str, size: int, colors: int, sets: Mapping[str, int]
) -> None:
    gan = trained_like(name, size, colors, sets)
    labels = torch.arange(300) % 10 if SPECS[name].conditional else None
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        whole = made(gan, 300, labels)
        assert whole.shape == (300, colors, size, size)
        assert whole.float().std() > 20
        torch.set_num_threads(2)
        assert torch.equal(made(gan, 9, None if labels is None else labels[:9]), whole[:9])
        index = torch.tensor([299, 0, 7, 250, 249, 7])
        assert torch.equal(
            generate_at(gan.generator, gan.z_dim, index, labels=labels, seed=3, device=CPU), whole[index]
        )
        # as stored and as trained: contiguous and channels last
        laid_out = copy.deepcopy(gan.generator).to(memory_format=torch.channels_last)
        assert torch.equal(made(replace(gan, generator=laid_out), 300, labels), whole)
    finally:
        torch.set_num_threads(threads)


def test_image_i_is_the_same_for_every_count_and_batch() -> None:
    """Which are about blocks, and not about a variant."""
    gan = trained_like("cdcgan", 28, 1, NARROW)
    labels = torch.arange(300) % 10
    whole = made(gan, 300, labels)
    for n in (1, 9, 64, 100, 250, 251):
        assert torch.equal(made(gan, n, labels[:n]), whole[:n])
    for batch_size in (1, 77, 300):
        assert torch.equal(made(gan, 300, labels, batch_size), whole)


class Echo(nn.Module):
    """Its noise as an image, and which calls it got."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Tensor, Any]] = []

    def forward(self, z: Tensor, labels: Tensor | None) -> Tensor:
        self.calls.append((z, labels))
        return z.tanh().view(len(z), 1, 1, -1)


def test_labels_go_with_the_number_of_the_image() -> None:
    echo = Echo()
    blocks = list(generate_blocks(echo, inputs_of(0, 4, torch.tensor([7, 8, 9])), 300, device=CPU))
    assert [len(pixels) for pixels, _ in blocks] == [BLOCK, 300 - BLOCK]
    labels = torch.cat([labels for _, labels in blocks if labels is not None])
    assert torch.equal(labels, torch.arange(300) % 3 + 7)


def test_grids_show_the_images_of_their_seed() -> None:
    inputs, count, columns = grid_inputs(4, 0, conditional=False)
    assert (count, columns) == (80, 10)
    z, labels = inputs(torch.arange(80))
    assert labels is None
    assert torch.equal(z, noise(SAMPLE_SEED, 0, 80, 4))
    inputs, count, columns = grid_inputs(4, 3, conditional=True)
    assert (count, columns) == (24, 3)
    z, labels = inputs(torch.arange(2, 24))  # from wherever
    assert labels is not None
    assert labels.tolist() == (torch.arange(2, 24) % 3).tolist()
    assert torch.equal(z, noise(SAMPLE_SEED, 0, 8, 4).repeat_interleave(3, dim=0)[2:])
    assert grid_inputs(4, 100, conditional=True)[1:] == (160, 20)
