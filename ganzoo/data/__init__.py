"""Datasets: uint8 images in memory or memory-mapped, and the samplers that feed them to the engine."""

from ganzoo.data.errors import NoTestSplit
from ganzoo.data.images import Images, to_float, to_uint8
from ganzoo.data.load import load_dataset
from ganzoo.data.pixels import make_images, prepare
from ganzoo.data.sampler import Sampler, label_law, make_sampler

__all__ = [
    "Images",
    "NoTestSplit",
    "Sampler",
    "label_law",
    "load_dataset",
    "make_images",
    "make_sampler",
    "prepare",
    "to_float",
    "to_uint8",
]
