"""Which real images are trained on and compared with, and in words."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import torch
from torch import Tensor

from ganzoo.data import Images, label_law
from ganzoo.errors import DataError
from ganzoo.metrics.neighbours import subset_index

HELD_OUT = "heldout"
"""A split beside "train" and "test": the part of "train" that `eval.held_out` keeps from training."""


def at_most(images: Images, most: int | None) -> Images:
    """`most` of the images, always the same ones; all of them for None or where there are no more."""
    if most is None or len(images) <= most:
        return images
    return _chosen(images, subset_index(len(images), most), str(most))


def count_held_out(images: int, share: float) -> int:
    """How many of so many images are held out, where `share` of them are.

    Raises:
        DataError: none, or all.
    """
    count = round(share * images)
    if not 0 < count < images:
        raise DataError(
            f"eval.held_out={share:g} of {images} images leaves none for one of two parts",
            "take a larger share, or more images",
        )
    return count


def held_out(images: Images, share: float, split: str) -> Images:
    """The part of the images that `split` names, in memory: HELD_OUT, `share` of them, always the same ones; "train",
    the rest.

    Raises:
        DataError: one of the parts would be empty.
    """
    count = count_held_out(len(images), share)
    keeps = torch.zeros(len(images), dtype=torch.bool)
    keeps[subset_index(len(images), count)] = True
    index = (keeps if split == HELD_OUT else ~keeps).nonzero()[:, 0]
    return _chosen(images, index, f"{split} {share:g}")


def _chosen(images: Images, index: Tensor, how: str) -> Images:
    return replace(
        images,
        pixels=images.pixels[index],
        labels=None if images.labels is None else images.labels[index],
        sha256=hashlib.sha256(f"{images.sha256} {how}".encode()).hexdigest(),
        mapped=False,
    )


def data_law(images: Images) -> str:
    return "none" if images.labels is None else label_law(images.labels, 1, num_classes=images.num_classes)[1]
