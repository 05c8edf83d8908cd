"""A score in several processes: each makes every nth block of images and takes its features; the leader has them all.

Blocks are those of one process (`generation.BLOCK`), and their features come to the leader in the order of the images:
so the score is that of one process, but for the last bits of a network that is asked for other batches.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ganzoo.engine.device import synchronize
from ganzoo.engine.ranks.group import Order, Ranks
from ganzoo.gan import Prior
from ganzoo.metrics.extract import Extractor, checked_features, scoring
from ganzoo.scoring.generation import BLOCK, generate_blocks_at, inputs_of

Batches = Iterator[tuple[Tensor, Tensor | None]]  # uint8 [n,C,H,W], int64 [n] or None, on the device


@dataclass(frozen=True, kw_only=True)
class Task:
    """What is scored, but for the generator's structure."""

    weights: Mapping[str, Tensor]
    count: int  # of images
    seed: int
    labels: Tensor | None  # int64 [count]

    def packed(self) -> bytes:
        buffer = io.BytesIO()
        torch.save(vars(self), buffer)
        return buffer.getvalue()

    @classmethod
    def unpacked(cls, data: bytes) -> Task:
        return cls(**torch.load(io.BytesIO(data), map_location="cpu", weights_only=True))


@dataclass(frozen=True, kw_only=True)
class Made:
    """A block of images with their features, on the device of the rank that leads."""

    pixels: Tensor  # uint8 [n,C,H,W]
    labels: Tensor | None  # int64 [n]
    features: dict[str, Tensor]  # "pool" float32 [n,D], perhaps "logits" float32 [n,K]


class Blocks:
    """The leader's: gives the images block by block in order, the last one cut to what is asked for, and while a block
    is looked at, its features.
    """

    def __init__(
        self,
        ranks: Ranks,
        generator: nn.Module,
        z_dim: int,
        extractor: Extractor,
        task: Task,
        *,
        prior: Prior,
        device: torch.device,
    ) -> None:
        self._ranks, self._task, self._device = ranks, task, device
        self._own = lambda: _rounds(
            ranks, generator, z_dim, extractor, task, prior=prior, device=device, timed=self._took
        )
        self._features: dict[str, Tensor] = {}
        self.seconds = 0.0  # of sampling, while the others did as much

    def __iter__(self) -> Batches:
        """
        Raises:
            RankLost: another rank has ended.
            UserError: the images or their features are not finite.
        """
        ranks, count = self._ranks, self._task.count
        ranks.send(Order.SCORE, self._task.packed())
        for start, own in self._own():
            for rank in range(ranks.size):
                n = count - (start + rank) * BLOCK
                if n > 0:
                    made = own if rank == 0 else _received(ranks, rank, own)
                    self._features = {name: values[:n] for name, values in made.features.items()}
                    yield made.pixels[:n], None if made.labels is None else made.labels[:n]

    def features(self, pixels: Tensor) -> dict[str, Tensor]:
        """Of the block that has been given last."""
        return self._features

    def _took(self, seconds: float) -> None:
        self.seconds += seconds


def follow_score(
    ranks: Ranks,
    generator: nn.Module,
    z_dim: int,
    extractor: Extractor,
    task: Task,
    *,
    prior: Prior,
    device: torch.device,
) -> None:
    """The followers': make their blocks, and send them to the leader. `generator`: takes the task's weights."""
    generator.load_state_dict(dict(task.weights))
    for _, own in _rounds(ranks, generator, z_dim, extractor, task, prior=prior, device=device):
        for tensor in _tensors(own):
            ranks.to_leader(tensor)


def _rounds(
    ranks: Ranks,
    generator: nn.Module,
    z_dim: int,
    extractor: Extractor,
    task: Task,
    *,
    prior: Prior,
    device: torch.device,
    timed: Callable[[float], None] = lambda seconds: None,
) -> Iterator[tuple[int, Made]]:
    """This rank's whole blocks, each with the number of the first block of its round."""
    blocks = range(ranks.rank, -(-task.count // BLOCK), ranks.size)
    inputs = inputs_of(task.seed, z_dim, task.labels, prior)
    made = generate_blocks_at(generator, inputs, blocks, device=device, timed=timed)
    with scoring(extractor, device):
        for block, (pixels, labels) in zip(blocks, made, strict=True):
            synchronize(device)
            yield block - ranks.rank, Made(pixels=pixels, labels=labels, features=checked_features(extractor, pixels))


def _tensors(made: Made) -> list[Tensor]:
    labels = [] if made.labels is None else [made.labels]
    return [made.pixels, *labels, *(made.features[name] for name in sorted(made.features))]


def _received(ranks: Ranks, rank: int, like: Made) -> Made:
    """The block that `rank` sends, as large as `like`."""
    pixels, *others = [ranks.from_follower(rank, tensor) for tensor in _tensors(like)]
    labels = None if like.labels is None else others.pop(0)
    return Made(pixels=pixels, labels=labels, features=dict(zip(sorted(like.features), others, strict=True)))
