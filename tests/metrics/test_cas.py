"""CAS: what a classifier learns from generated images, told by real ones."""

import pytest
import torch

from ganzoo.data import make_images
from ganzoo.errors import Unavailable
from ganzoo.features.training import train
from ganzoo.metrics import cas
from ganzoo.metrics.cas import ClassificationAccuracyScore, recipe_for
from ganzoo.metrics.reference import Reference


def bars(n: int, seed: int, channels: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    """Noisy images 8x8 of two classes, a bright row or a bright column."""
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 100, (n, channels, 8, 8), generator=generator, dtype=torch.uint8)
    labels = torch.arange(n) % 2
    at = torch.randint(2, 6, (n,), generator=generator)
    for i in range(n):
        if labels[i]:
            pixels[i, :, at[i]] = 255
        else:
            pixels[i, :, :, at[i]] = 255
    return pixels, labels


def reference(channels: int = 1) -> Reference:
    pixels, labels = bars(200, 9, channels)
    test = Reference(pool=torch.zeros(200, 2), images=make_images(pixels, labels, num_classes=2))
    return Reference(pool=torch.zeros(5, 2), test=test)


def score(pixels: torch.Tensor, labels: torch.Tensor, **settings) -> float:
    metric = ClassificationAccuracyScore(**{"epochs": 4, **settings})
    for x, y in zip(pixels.split(100), labels.split(100), strict=True):
        metric.update({"pool": torch.zeros(len(x), 2), "pixels": x}, y)
    return metric.compute(reference(pixels.shape[1]))["cas"]


@pytest.mark.parametrize("channels", [1, 3])
def test_good_images_teach_and_wrong_labels_do_not(channels):
    pixels, labels = bars(512, 1, channels)
    before = torch.get_rng_state()
    with torch.no_grad():  # as evaluate() calls it
        good = score(pixels, labels)
    assert good > 90
    assert torch.equal(torch.get_rng_state(), before)
    assert score(pixels, labels) == good
    assert score(pixels, 1 - labels) < 10


def test_what_cannot_be_had_is_said():
    pixels, labels = bars(64, 1)
    with pytest.raises(Unavailable, match="classes the images were asked for"):
        ClassificationAccuracyScore().update({"pool": torch.zeros(64, 2), "pixels": pixels}, None)
    with pytest.raises(Unavailable, match="at least 128 images, there are 64"):
        score(pixels, labels)
    metric = ClassificationAccuracyScore()
    metric.update({"pool": torch.zeros(64, 2), "pixels": pixels}, labels)
    with pytest.raises(Unavailable, match="test split"):
        metric.compute(Reference(pool=torch.zeros(5, 2)))


@pytest.mark.parametrize(("size", "left"), [(8, 4), (28, 4), (32, 4), (64, 4), (128, 8)])
def test_networks_halve_the_image_until_little_is_left(size, left):
    recipe = recipe_for((3, size, size), 7, epochs=2)
    for stride in recipe.strides:
        size = (size + stride - 1) // stride
    assert size <= left
    assert (recipe.channels, recipe.num_classes, recipe.epochs) == (3, 7, 2)


def test_the_number_of_threads_does_not_matter(monkeypatch):
    trained = []
    monkeypatch.setattr(cas, "train", lambda *args, **kwargs: trained.append(train(*args, **kwargs)) or trained[-1])
    pixels, labels = bars(256, 1)
    threads = torch.get_num_threads()
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            score(pixels, labels, epochs=1)
            assert torch.get_num_threads() == count
    finally:
        torch.set_num_threads(threads)
    one, two = (network.state_dict() for network in trained)
    assert all(torch.equal(one[name], two[name]) for name in one)
