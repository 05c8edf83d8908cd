"""The default dataset."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits as sklearn_digits

from ganzoo.data import digits
from ganzoo.data.digits import load_digits


def load(split: str):
    return load_digits(Path("unused"), split, False)


def test_shapes_and_sizes_of_the_splits() -> None:
    train, test = load("train"), load("test")
    assert (len(train), len(test)) == (1437, 360)
    assert train.shape == test.shape == (1, 32, 32)
    assert train.pixels.dtype == torch.uint8
    assert train.num_classes == test.num_classes == 10
    assert int(train.pixels.min()) == 0
    assert int(train.pixels.max()) == 255


def test_split_is_stratified_and_covers_every_digit_once() -> None:
    train, test = load("train"), load("test")
    assert train.labels is not None
    assert test.labels is not None
    counts = torch.bincount(train.labels), torch.bincount(test.labels)
    assert (counts[1] - (counts[0] + counts[1]) / 5).abs().max() <= 1
    rows = {image.numpy().tobytes() for image in torch.cat([train.pixels, test.pixels])}
    assert len(rows) == 1797  # the originals are all different


def test_images_show_the_originals_with_their_labels() -> None:
    originals = sklearn_digits()
    order = np.argsort(originals.target, kind="stable")
    held_out = np.sort(order[::5])
    test = load("test")
    assert test.labels is not None
    assert np.array_equal(test.labels.numpy(), originals.target[held_out])
    shrunk = test.pixels.float().reshape(360, 8, 4, 8, 4).mean(dim=(2, 4)).numpy()
    correlation = np.corrcoef(shrunk.ravel(), originals.images[held_out].ravel())[0, 1]
    assert correlation > 0.97


def test_reading_the_table_is_what_scikit_learn_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = digits.read_digits()
    monkeypatch.setattr("ganzoo.data.digits.importlib.util.find_spec", lambda name: None)
    theirs = digits.read_digits()
    for a, b in zip(ours, theirs, strict=True):
        assert a.dtype == b.dtype
        assert np.array_equal(a, b)


def test_digest_is_the_same_everywhere() -> None:
    # Part of every protocol id on the default dataset. A change here makes old results incomparable.
    assert load("train").sha256 == "45bde6b2f08edcbd7e2e67a313e7120ab496e5d7d1fdacf51640bcb14939b8ea"
    assert load("test").sha256 == "4763a62ee4dafaa498f2c6a955bb85658b5a80e800629493ea734a35eec372b2"
