"""The noise of image i: a function of seed, i and length alone, the same on every machine."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest
import torch
from torch import Tensor

from ganzoo.scoring.noise import noise, slerp

GOLDEN = [
    "-0x1.d0b4f00000000p+0",
    "-0x1.22cd1c0000000p+1",
    "0x1.233b400000000p-2",
    "0x1.4a38000000000p-4",
    "0x1.86e90e0000000p-8",
    "0x1.5198ca0000000p+0",
]
GOLDEN_XOR = 0xF157D68F
"""Of the bits of the first thousand images that are scored, with 100 numbers each."""


def philox(counter: int, key: int) -> list[int]:
    """Philox4x64-10 as Salmon et al. 2011 define it: a block of four words of 64 bits."""
    low = 2**64 - 1
    x = [(counter >> (64 * word)) & low for word in range(4)]
    k = [key & low, key >> 64]
    for _ in range(10):
        a, b = 0xD2E7470EE14C6C93 * x[0], 0xCA5A826395121157 * x[2]
        x = [(b >> 64) ^ x[1] ^ k[0], b & low, (a >> 64) ^ x[3] ^ k[1], a & low]
        k = [(k[0] + 0x9E3779B97F4A7C15) & low, (k[1] + 0xBB67AE8584CAA73B) & low]
    return x


def by_definition(seed: int, image: int, z_dim: int) -> list[float]:
    blocks = -(-z_dim // 8)
    # NumPy's counter is raised before it is used
    words = [word for block in range(blocks) for word in philox(image * blocks + block + 1, seed % 2**64)]
    halves = [half for word in words for half in (word & 0xFFFFFFFF, word >> 32)]
    return [NormalDist().inv_cdf((half + 0.5) / 2**32) for half in halves[:z_dim]]


@pytest.mark.parametrize(("seed", "image", "z_dim"), [(0, 0, 8), (5, 3, 7), (20_140_610, 49_999, 128), (-1, 1, 13)])
def test_it_is_as_defined(seed: int, image: int, z_dim: int) -> None:
    assert noise(seed, image, 1, z_dim)[0].tolist() == pytest.approx(by_definition(seed, image, z_dim), rel=3e-7)


def test_golden_values() -> None:
    """Bit for bit: whoever changes these changes the images of every seed, and has to raise `rules`."""
    assert [value.hex() for value in noise(0, 0, 2, 3).flatten().tolist()] == GOLDEN
    whole = noise(20_140_610, 0, 1000, 100).numpy()
    assert int(np.bitwise_xor.reduce(whole.view(np.uint32), axis=None)) == GOLDEN_XOR


def test_image_i_depends_on_nothing_else() -> None:
    whole = noise(7, 0, 700, 33)
    for start, n in ((0, 1), (1, 1), (13, 600), (699, 1), (256, 256), (0, 699)):
        assert torch.equal(noise(7, start, n, 33), whole[start : start + n])
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(threads % 2 + 1)
        torch.manual_seed(3)
        state = torch.get_rng_state()
        assert torch.equal(noise(7, 0, 700, 33), whole)
        assert torch.equal(torch.get_rng_state(), state)
    finally:
        torch.set_num_threads(threads)
    assert not torch.equal(noise(8, 0, 700, 33), whole)
    assert torch.unique(whole).numel() == pytest.approx(whole.numel(), rel=1e-3)  # no image has another's numbers


def test_it_is_normal() -> None:
    sample = noise(1, 0, 20_000, 100)
    assert sample.dtype == torch.float32
    assert abs(float(sample.mean())) < 4 / 2e6**0.5
    assert abs(float(sample.var()) - 1) < 4 * (2 / 2e6) ** 0.5
    ordered = sample.flatten().to(torch.float64).sort().values
    cdf = torch.special.ndtr(ordered)
    steps = torch.arange(1, len(ordered) + 1, dtype=torch.float64) / len(ordered)
    assert float((cdf - steps).abs().max()) < 1.95 / 2e6**0.5  # Kolmogorov and Smirnov, 0.1 %
    near, far = sample[:, :-1].flatten(), sample[:, 1:].flatten()
    assert abs(float((near * far).mean())) < 4 / 2e6**0.5
    assert abs(float((sample[:-1] * sample[1:]).mean())) < 4 / 2e6**0.5


def angle(a: Tensor, b: Tensor) -> float:
    return float(torch.acos((a @ b / (a.norm() * b.norm())).clamp(-1, 1)))


def test_slerp_keeps_ends_angles_and_lengths() -> None:
    a, b = noise(0, 0, 3, 64), noise(1, 0, 3, 64)
    path = slerp(a, b, 9)
    assert path.shape == (3, 9, 64)
    assert torch.equal(path[:, 0], a)
    assert torch.equal(path[:, -1], b)
    for row in path:
        assert float(row.norm(dim=1).min()) > 0.9 * min(float(row[0].norm()), float(row[-1].norm()))
    unit = torch.nn.functional.normalize
    equal = slerp(unit(a), unit(b), 5)
    torch.testing.assert_close(equal.norm(dim=2), torch.ones(3, 5))
    for row, first, last in zip(equal, a, b, strict=True):
        turns = [angle(row[step], row[step + 1]) for step in range(4)]
        assert turns == pytest.approx([angle(first, last) / 4] * 4, rel=1e-4)


def test_slerp_of_parallel_vectors_is_a_line() -> None:
    a = noise(0, 0, 1, 8)
    torch.testing.assert_close(slerp(a, a, 4), a[:, None].expand(1, 4, 8))
    torch.testing.assert_close(slerp(a, 2 * a, 3)[:, 1], 1.5 * a)
    assert slerp(a, -a, 4).isfinite().all()
