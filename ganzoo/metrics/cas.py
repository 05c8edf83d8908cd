"""Classification accuracy score (Ravuri and Vinyals 2019, arXiv 1905.10887): train on generated, test on real."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ganzoo.data.images import to_float
from ganzoo.engine.device import one_thread
from ganzoo.errors import Unavailable
from ganzoo.features.classifiers import Classifier
from ganzoo.features.training import Recipe, train

if TYPE_CHECKING:
    from ganzoo.metrics.reference import Reference


FEWEST = Recipe.batch
"""Images of one step of training."""


def recipe_for(shape: tuple[int, int, int], num_classes: int, epochs: int) -> Recipe:
    """Seven 3x3 convolutions that halve the image until about 4x4 is left; no mirroring, which some classes forbid.

    `shape`: (C, H, W) of square images.
    """
    channels, size, _ = shape
    strides, left = [], size
    for layer in range(7):
        halve = layer % 2 == 1 or left > 32
        halve = halve and left > 4
        left = (left + 1) // 2 if halve else left
        strides.append(2 if halve else 1)
    return Recipe(
        size=size,
        widths=(16, 32, 32, 64, 64, 128, 128),
        strides=tuple(strides),
        epochs=epochs,
        learning_rate=4e-3,
        shift=max(1, size // 16),
        flip=False,
        channels=channels,
        num_classes=num_classes,
    )


@torch.no_grad()
def accuracy(network: Classifier, pixels: Tensor, labels: Tensor, device: torch.device) -> float:
    """Percent of images (uint8 `[N,C,H,W]`) whose largest logit is at their label (int64 `[N]`)."""
    right = 0
    for batch, expected in zip(pixels.split(500), labels.split(500), strict=True):
        found = network.head(network.embed(to_float(batch.to(device)))).argmax(dim=1)
        right += int((found.cpu() == expected).sum())
    return 100.0 * right / len(labels)


class ClassificationAccuracyScore:
    """Percent of real test images that a classifier gets right which has seen generated images only, each labelled with
    the class it was asked for; higher is better. Key: "cas". Misses what a generator leaves out as well as what it gets
    wrong, and costs a training: minutes on a CPU. The classifier is always trained from the same seed, and by one
    thread: in another order of its sums, training ends elsewhere.

    `epochs`: passes over the generated images.
    """

    def __init__(self, *, epochs: int = 10) -> None:
        self.epochs = epochs
        self.fewest = FEWEST
        self._pixels: list[Tensor] = []
        self._labels: list[Tensor] = []
        self._device = torch.device("cpu")

    def update(self, features: Mapping[str, Tensor], labels: Tensor | None = None) -> None:
        """Add "pixels" uint8 `[n,C,H,W]` of generated images, and the classes they were asked for, int64 `[n]`.

        Raises:
            Unavailable: there are no labels.
        """
        if labels is None:
            raise Unavailable("CAS needs the classes the images were asked for", "score a conditional model")
        self._device = features["pool"].device
        self._pixels.append(features["pixels"].cpu())
        self._labels.append(labels.cpu())

    def compute(self, reference: Reference) -> dict[str, float]:
        """The percentage.

        Raises:
            Unavailable: the dataset has no labelled test split, or there are too few images for a single step.
        """
        test = None if reference.test is None else reference.test.images
        if test is None or test.labels is None:
            raise Unavailable("CAS needs a labelled test split", "use a dataset that has one")
        pixels, labels = torch.cat(self._pixels), torch.cat(self._labels)
        recipe = recipe_for(test.shape, test.num_classes, self.epochs)
        if len(pixels) < recipe.batch:
            raise Unavailable(f"CAS needs at least {recipe.batch} images, there are {len(pixels)}", "score more images")
        with torch.enable_grad(), torch.inference_mode(False), one_thread():
            network = train(pixels, labels, recipe, seed=0, device=self._device)
            return {"cas": accuracy(network, test.pixels, test.labels, self._device)}
