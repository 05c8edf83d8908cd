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


def lead(
    ranks: Ranks,
    generator: nn.Module,
    z_dim: int,
    extractor: Extractor,
    task: Task,
    *,
    prior: Prior,
    device: torch.device,
    timed: Callable[[float], None],
) -> Iterator[Made]:
    """The leader's: the blocks in order, the last one cut to what is asked for. `timed`: told the seconds of sampling.

    Raises:
        RankLost: another rank has ended.
        UserError: the images or their features are not finite.
    """
    ranks.send(Order.SCORE, task.packed())
    rounds = _rounds(ranks, generator, z_dim, extractor, task, prior=prior, device=device, timed=timed)
    for start, own in rounds:
        for rank in range(ranks.size):
            first = (start + rank) * BLOCK
            if first >= task.count:
                break
            made = own if rank == 0 else _received(ranks, rank, own)
            n = task.count - first
            yield Made(
                pixels=made.pixels[:n],
                labels=None if made.labels is None else made.labels[:n],
                features={name: values[:n] for name, values in made.features.items()},
            )


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
