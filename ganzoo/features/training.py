"""Training a small classifier: the frozen ones that ganzoo ships, and those that learn from generated images."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from ganzoo.data.images import to_float
from ganzoo.features.classifiers import Classifier


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How one classifier is built and trained."""

    size: int  # natural square size in pixels
    widths: tuple[int, ...]  # channels of each 3x3 convolution; the last is the feature dimension
    strides: tuple[int, ...]
    epochs: int  # passes over the training images
    learning_rate: float  # the peak of the one-cycle schedule
    shift: int  # largest random shift in pixels, each way, each axis
    flip: bool  # mirror half of the images left to right
    weight_decay: float = 0.05
    batch: int = 128  # images per step
    channels: int = 1  # of the images
    num_classes: int = 10

    def network(self) -> dict[str, Any]:
        """The arguments of `Classifier`, as they are recorded."""
        return {
            "size": self.size,
            "widths": list(self.widths),
            "strides": list(self.strides),
            "num_classes": self.num_classes,
        }


def augment(pixels: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """Shift each image by up to `recipe.shift` pixels over a black border, and mirror half if `recipe.flip`.

    uint8 `[N,C,H,W]` -> uint8 `[N,C,H,W]`.
    """
    n, _, height, width = pixels.shape
    padded = nn.functional.pad(pixels, (recipe.shift,) * 4).permute(0, 2, 3, 1)  # [N,H+2s,W+2s,C]
    corner = torch.randint(2 * recipe.shift + 1, (2, n, 1), generator=generator)
    rows = corner[0] + torch.arange(height)  # [N,H]
    columns = corner[1] + torch.arange(width)  # [N,W]
    if recipe.flip:
        mirrored = torch.rand(n, 1, generator=generator) < 0.5
        columns = torch.where(mirrored, columns.flip(1), columns)
    return padded[torch.arange(n).view(n, 1, 1), rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def train(
    pixels: Tensor,
    labels: Tensor,
    recipe: Recipe,
    *,
    seed: int,
    device: torch.device | str = "cpu",
    on_epoch: Callable[[int, float], None] = lambda epoch, loss: None,
) -> Classifier:
    """Train a classifier from nothing and return it folded and frozen, on `device`.

    `pixels`: uint8 `[N,C,size,size]` on the CPU, of the recipe's channels and size; `labels`: int64 `[N]`.
    `on_epoch(epoch, loss)` is told the mean training loss (nats) of each epoch, from epoch 1. The global random state
    is left as it was.
    """
    expected = (recipe.channels, recipe.size, recipe.size)
    if tuple(pixels.shape[1:]) != expected:
        raise ValueError(f"expected images of shape {expected}, got {tuple(pixels.shape[1:])}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Classifier(**recipe.network(), channels=recipe.channels, batch_norm=True).to(device)
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    steps = max(1, len(pixels) // recipe.batch)  # the rest of a pass is dropped, another rest in each pass
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=recipe.learning_rate, total_steps=recipe.epochs * steps, pct_start=0.2
    )
    for epoch in range(1, recipe.epochs + 1):
        order = torch.randperm(len(pixels), generator=generator)
        total = torch.zeros((), device=device)
        for batch in order[: steps * recipe.batch].split(recipe.batch):
            x = to_float(augment(pixels[batch], recipe, generator).to(device))
            loss = nn.functional.cross_entropy(network.head(network.embed(x)), labels[batch].to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.detach()
        on_epoch(epoch, total.item() / steps)
    return fold(network)


def fold(network: Classifier) -> Classifier:
    """The same function without batch norm: its frozen affine map goes into the convolution before it."""
    folded = copy.deepcopy(network).eval()
    for i, block in enumerate(folded.body):
        convolution, norm, activation = cast(Any, block)
        folded.body[i] = nn.Sequential(nn.utils.fuse_conv_bn_eval(convolution, norm), activation)
    return folded.requires_grad_(False)
