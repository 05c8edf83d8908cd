"""The one shape in which datasets reach the rest of the program."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ganzoo.data.facts import Facts


@dataclass(frozen=True, kw_only=True)
class Images:
    """Images of one split, in memory or memory-mapped.

    `pixels`: uint8 `[N,C,H,W]` on the CPU (may be backed by a memory-mapped file); `labels`: int64 `[N]` in
    `[0, num_classes)` or None; `sha256`: hex digest of pixels and labels, part of the protocol id.
    """

    pixels: Tensor
    labels: Tensor | None
    num_classes: int  # 0: unlabelled
    sha256: str
    class_names: tuple[str, ...] | None = None
    facts: Facts | None = None  # what was read, for people and for the result; None: the source says nothing
    mapped: bool = False  # True: pixels live in a file, and are paged in as they are read

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        _, c, h, w = self.pixels.shape
        return (c, h, w)

    def __len__(self) -> int:
        return self.pixels.shape[0]


def to_float(pixels: Tensor) -> Tensor:
    """uint8 `[N,C,H,W]` -> float32 in [-1, 1]; 0 -> -1, 255 -> 1."""
    return pixels.to(torch.float32) / 127.5 - 1.0


def to_uint8(images: Tensor) -> Tensor:
    """float `[N,C,H,W]` in [-1, 1] -> uint8, rounded to the nearest level: the one quantiser of the program.

    The inverse of `to_float` on every level. Values outside the range are clamped. Works in float32 whatever the
    input's precision.
    """
    return (images.to(torch.float32) * 127.5 + 127.5).round_().clamp_(0, 255).to(torch.uint8)
