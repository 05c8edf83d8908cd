"""Gaussian noise by image number: what a generator is asked for, the same on every machine and for every count."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

_WORDS = 8  # of 32 bits, in a block of Philox
_CHUNK = 1 << 14  # values at a time: their float64 copies stay in the processor's cache


def noise(seed: int, start: int, n: int, z_dim: int) -> Tensor:
    """float32 `[n, z_dim]` ~ N(0, I) on the CPU: the noise of the images `start` to `start + n - 1` of `seed`.

    Image i's noise is a function of (seed, i, z_dim) alone, whatever else is asked for at once; torch's random state,
    its threads and its device have no part in it. Word k of image i is 32 bits of Philox4x64-10 (Salmon et al. 2011,
    "Parallel random numbers: as easy as 1, 2, 3") with key `seed` modulo 2^64 and counter i * ceil(z_dim / 8) + k // 8:
    a generator that counts can start anywhere. It becomes a normal number by the inverse of its distribution.

    Values are right to 2e-7 of their size and at most 6.34 from 0, which one in 4e9 would exceed.
    """
    blocks = -(-z_dim // _WORDS)  # per image
    words = np.random.Philox(key=seed % 2**64, counter=start * blocks).random_raw(n * blocks * _WORDS // 2)
    halves = words.astype("<u8", copy=False).view("<u4")  # lower half first, on every machine
    values = np.empty(halves.size, dtype=np.float32)
    for at in range(0, halves.size, _CHUNK):
        values[at : at + _CHUNK] = _normal(halves[at : at + _CHUNK])
    return torch.from_numpy(np.ascontiguousarray(values.reshape(n, -1)[:, :z_dim]))


def slerp(first: Tensor, last: Tensor, steps: int) -> Tensor:
    """float32 `[n,z]` twice -> float32 `[n, steps, z]`: from `first` to `last` along the great circle between their
    directions, the length going with the angle. The ends are exact.

        slerp(a, b; t) = sin((1 - t) w) / sin w * a + sin(t w) / sin w * b,    w the angle between a and b

    Shoemake 1985, "Animating rotation with quaternion curves"; White 2016, arXiv 1609.04468: a straight line would pass
    nearer to 0 than noise ever comes. Vectors that are parallel, w = 0 or pi, are joined by that line all the same.
    """
    a, b = first.to(torch.float64)[:, None], last.to(torch.float64)[:, None]
    t = torch.linspace(0, 1, steps, dtype=torch.float64)[None, :, None]
    cosine = (a * b).sum(2, keepdim=True) / (a.norm(dim=2, keepdim=True) * b.norm(dim=2, keepdim=True))
    angle = cosine.clamp(-1, 1).acos()
    sine = angle.sin()
    flat = sine < 1e-6
    safe = torch.where(flat, torch.ones_like(sine), sine)
    from_a = torch.where(flat, 1 - t, ((1 - t) * angle).sin() / safe)
    from_b = torch.where(flat, t, (t * angle).sin() / safe)
    between = (from_a * a + from_b * b).to(torch.float32)
    between[:, 0], between[:, -1] = (first, last) if steps > 1 else (first, first)
    return between


# Wichura 1988, "Algorithm AS 241: the percentage points of the normal distribution", PPND7: numerators and
# denominators, highest power first. Its third branch, for p < 1.4e-11, is never reached with 32 bits.
_CENTRE = (
    (5.9109374720e1, 1.5929113202e2, 5.0434271938e1, 3.3871327179),
    (6.71875636e1, 7.8757757664e1, 1.7895169469e1, 1),
)
_TAIL = (1.7023821103e-1, 1.3067284816, 2.7568153900, 1.4234372777), (1.2021132975e-1, 7.3700164250e-1, 1.0)


def _normal(words: np.ndarray) -> np.ndarray:
    """uint32 `[n]` -> float64 `[n]`, the inverse of the normal distribution at (word + 1/2) / 2^32.

    Only of +, -, *, / and roots, which IEEE 754 rounds in one way: logarithms and cosines of libraries differ in their
    last digit between machines, and even between the first and the last numbers of one array.
    """
    q = words.astype(np.float64)
    q -= 2**31 - 0.5
    q *= 2.0**-32  # p - 1/2, exactly
    r = 0.180625 - q * q
    values = _polynomial(_CENTRE[0], r)
    values /= _polynomial(_CENTRE[1], r)
    values *= q
    far = np.flatnonzero(r < 0)
    q = q[far]
    r = np.sqrt(-_log(0.5 - np.abs(q))) - 1.6
    values[far] = np.copysign(_polynomial(_TAIL[0], r) / _polynomial(_TAIL[1], r), q)
    return values


def _log(x: np.ndarray) -> np.ndarray:
    """Of float64 above 0, right to about 1e-15: log m + e log 2 for x = m 2^e, and log m = 2 artanh((m-1) / (m+1))."""
    m, e = np.frexp(x)
    small = m < 0.5**0.5
    m = np.where(small, 2 * m, m)
    s = (m - 1) / (m + 1)
    series = _polynomial([1 / k for k in range(19, 0, -2)], s * s)
    return np.asarray((e - small) * 0.6931471805599453 + 2 * s * series)


def _polynomial(coefficients: tuple[float, ...] | list[float], x: np.ndarray) -> np.ndarray:
    value = coefficients[0] * x
    for coefficient in coefficients[1:-1]:
        value += coefficient
        value *= x
    value += coefficients[-1]
    return value
