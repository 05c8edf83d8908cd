"""Batches for the engine: uint8 images on the device, in an order that depends on (seed, index) alone."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from concurrent.futures import Future, ThreadPoolExecutor
from typing import final

import numpy as np
import torch
from torch import Tensor

from ganzoo.data.images import Images
from ganzoo.files.machine import total_memory

Batch = tuple[Tensor, Tensor | None]  # uint8 [B,C,H,W], int64 [B] or None, both on the device

Part = tuple[int, int]
"""(r, n): of n equal parts of every batch, number r, counted from 0. (0, 1) is the whole of it."""

WHOLE: Part = (0, 1)


class Order:
    """The endless order of images: one permutation per epoch, each image once per epoch, epochs end to end.

    Batch `index` is positions `index * batch_size` to `(index + 1) * batch_size`, across the borders of epochs, so no
    image is dropped and a dataset may be smaller than a batch. Positions are kept on `device` in blocks of whole
    epochs, of which a new one is drawn on the CPU and copied when it is needed.

    Of each batch only the rows of `part` are given, so that processes which have one part each see the very batch that
    one process would.
    """

    def __init__(
        self, *, num_images: int, batch_size: int, seed: int, device: torch.device, part: Part = WHOLE
    ) -> None:
        if num_images < 1 or batch_size < 1:
            raise ValueError(f"num_images {num_images} and batch_size {batch_size} must be at least 1")
        number, parts = part
        if not 0 <= number < parts or batch_size % parts:
            raise ValueError(f"there is no part {number} of {parts} equal parts of {batch_size} images")
        self.rows = batch_size // parts  # of a batch that are given
        self._first = number * self.rows
        self.num_images, self.batch_size, self.seed, self.device = num_images, batch_size, seed, device
        # Small datasets: many epochs in a block, so that drawing and copying stay rare; at least one batch.
        wanted = max(batch_size, min(65536, 256 * num_images))
        self.epochs_per_block = -(-wanted // num_images)
        self._blocks: dict[int, Tensor] = {}

    def indices(self, index: int) -> Tensor:
        """Image indices of batch `index`, of its part: int64 `[rows]` on the device."""
        length = self.epochs_per_block * self.num_images
        block, start = divmod(index * self.batch_size + self._first, length)
        here = self._block(block)[start : start + self.rows]
        if len(here) == self.rows:
            return here
        return torch.cat([here, self._block(block + 1)[: self.rows - len(here)]])

    def _block(self, block: int) -> Tensor:
        if block not in self._blocks:
            first = block * self.epochs_per_block
            epochs = range(first, first + self.epochs_per_block)
            order = torch.cat([permutation(self.seed, epoch, self.num_images) for epoch in epochs])
            if self.device.type == "cuda":
                order = order.pin_memory()  # so that the copy does not make the host wait
            order = order.to(self.device, non_blocking=True)
            self._blocks = {b: t for b, t in self._blocks.items() if abs(b - block) <= 1} | {block: order}
        return self._blocks[block]


def permutation(seed: int, epoch: int, n: int) -> Tensor:
    """The order of an epoch: int64 `[n]` on the CPU, each of 0..n-1 once, drawn from (seed, epoch) alone."""
    mixed = int.from_bytes(hashlib.sha256(f"ganzoo order {seed} {epoch}".encode()).digest()[:8], "big")
    return torch.randperm(n, generator=torch.Generator().manual_seed(mixed >> 1))


class Sampler(ABC):
    """Gives batches by number. Both implementations give the same batches for the same images, size and seed."""

    shape: tuple[int, int, int]  # (C, H, W)

    @abstractmethod
    def batch(self, index: int) -> Batch:
        """Batch number `index` >= 0, or the sampler's part of it: pixels uint8 `[B,C,H,W]`, labels int64 `[B]` or None,
        on the device.

        A pure function of (seed, index): to resume, go on with the index that follows.
        """

    @abstractmethod
    def close(self) -> None:
        """End helper threads and free buffers; the sampler cannot be used afterwards."""


@final
class ResidentSampler(Sampler):
    """The whole dataset lies on the device; a batch is one gather there and never makes the host wait."""

    def __init__(self, images: Images, *, batch_size: int, device: torch.device, seed: int, part: Part = WHOLE) -> None:
        self.shape = images.shape
        self._order = Order(num_images=len(images), batch_size=batch_size, seed=seed, device=device, part=part)
        self._pixels = images.pixels.to(device)
        self._labels = None if images.labels is None else images.labels.to(device)

    def batch(self, index: int) -> Batch:
        chosen = self._order.indices(index)
        return self._pixels.index_select(0, chosen), _select(self._labels, chosen)

    def close(self) -> None:
        del self._pixels, self._labels


@final
class StreamingSampler(Sampler):
    """The dataset stays in memory or in its mapped file; a thread gathers the next batch while this one is used.

    On CUDA through two pinned buffers in turn, each reused only when its copy to the device has ended. A read error
    of the prefetching thread is raised by the `batch` that asks for its result.
    """

    def __init__(self, images: Images, *, batch_size: int, device: torch.device, seed: int, part: Part = WHOLE) -> None:
        self.shape = images.shape
        cpu = torch.device("cpu")
        self._order = Order(num_images=len(images), batch_size=batch_size, seed=seed, device=cpu, part=part)
        self._images = images
        self._device = device
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="ganzoo-prefetch")
        self._next: tuple[int, Future[Batch]] | None = None
        self._buffers: list[Batch] = []
        if device.type == "cuda":
            rows = self._order.rows
            shape = (rows, *images.shape)
            for _ in range(2):
                labels = None if images.labels is None else torch.empty(rows, dtype=torch.int64, pin_memory=True)
                self._buffers.append((torch.empty(shape, dtype=torch.uint8, pin_memory=True), labels))
        self._copied: list[torch.cuda.Event | None] = [None, None]
        self._turn = 0

    def batch(self, index: int) -> Batch:
        if self._next is not None and self._next[0] == index:
            gathered = self._next[1].result()
        else:
            if self._next is not None:
                self._next[1].result()  # a jump: let the thread finish with its buffer first
            gathered = self._pool.submit(self._gather, index, self._turn).result()
        pixels, labels = gathered
        pinned = self._device.type == "cuda"
        pixels = pixels.to(self._device, non_blocking=pinned)
        labels = None if labels is None else labels.to(self._device, non_blocking=pinned)
        if pinned:
            event = torch.cuda.Event()
            event.record(torch.cuda.current_stream(self._device))
            self._copied[self._turn] = event
        self._turn = 1 - self._turn
        self._next = (index + 1, self._pool.submit(self._gather, index + 1, self._turn))
        return pixels, labels

    def _gather(self, index: int, turn: int) -> Batch:
        """In the thread: the batch in main memory, on CUDA in pinned buffer `turn`."""
        chosen = self._order.indices(index)
        if not self._buffers:
            return self._images.pixels.index_select(0, chosen), _select(self._images.labels, chosen)
        copied = self._copied[turn]
        if copied is not None:
            copied.synchronize()  # waits in this thread only
        pixels, labels = self._buffers[turn]
        torch.index_select(self._images.pixels, 0, chosen, out=pixels)
        if labels is not None and self._images.labels is not None:
            torch.index_select(self._images.labels, 0, chosen, out=labels)
        return pixels, labels

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._buffers.clear()


def _select(labels: Tensor | None, chosen: Tensor) -> Tensor | None:
    return None if labels is None else labels.index_select(0, chosen)


def make_sampler(
    images: Images,
    *,
    batch_size: int,
    device: torch.device | str,
    seed: int,
    resident_limit_bytes: int | None = None,
    part: Part = WHOLE,
) -> Sampler:
    """A sampler of `images`: resident on `device` if the pixels take at most `resident_limit_bytes`, else streaming.

    `batch_size`: images per batch, at least 1; `part`: of each, what is given. `seed`: of the order.
    `resident_limit_bytes` None: half of the free memory of a CUDA device; on the CPU no limit for pixels that are in
    memory anyway, half of the machine's memory for mapped ones.
    """
    device = torch.device(device)
    limit = _default_limit(images, device) if resident_limit_bytes is None else resident_limit_bytes
    chosen = ResidentSampler if images.pixels.nbytes <= limit else StreamingSampler
    return chosen(images, batch_size=batch_size, device=device, seed=seed, part=part)


def _default_limit(images: Images, device: torch.device) -> int:
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free // 2
    if device.type == "cpu" and not images.mapped:
        return images.pixels.nbytes
    return total_memory() // 2


def label_law(labels: Tensor, n: int, *, num_classes: int) -> tuple[Tensor, str]:
    """Labels for `n` images to generate: int64 `[n]` on the CPU, and the law's name, part of the protocol.

    "balanced", if each class's share in `labels` (int64 `[N]`) is within 10 % of the mean: equal counts. "empirical"
    otherwise: counts in proportion to the dataset's. Either way image i gets the class that is furthest behind its
    share of i + 1, the lower one of several: its label does not depend on `n`.
    """
    counts = torch.bincount(labels, minlength=num_classes).to(torch.float64)
    mean = counts.mean()
    if bool(((counts - mean).abs() <= 0.1 * mean).all()):
        return torch.arange(n) % num_classes, "balanced"
    shares = counts.to(torch.int64).numpy()
    behind = np.zeros_like(shares)  # in units of 1 / len(labels): whole numbers, so that ties are ties
    dealt = np.empty(n, dtype=np.int64)
    for image in range(n):
        behind += shares
        dealt[image] = behind.argmax()
        behind[dealt[image]] -= len(labels)
    return torch.from_numpy(dealt), "empirical"
