"""Which real images are compared with, and in words."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from ganzoo.data import Images, label_law
from ganzoo.metrics.neighbours import subset_index


def at_most(images: Images, most: int | None) -> Images:
    """`most` of the images, always the same ones; all of them for None or where there are no more."""
    if most is None or len(images) <= most:
        return images
    index = subset_index(len(images), most)
    return replace(
        images,
        pixels=images.pixels[index],
        labels=None if images.labels is None else images.labels[index],
        sha256=hashlib.sha256(f"{images.sha256} {most}".encode()).hexdigest(),
        mapped=False,
    )


def data_law(images: Images) -> str:
    return "none" if images.labels is None else label_law(images.labels, 1, num_classes=images.num_classes)[1]
