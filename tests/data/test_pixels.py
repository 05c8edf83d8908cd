"""Size, colour and digest."""

import hashlib

import numpy as np
import pytest
import torch
from PIL import Image

from ganzoo.data import Images, make_images, prepare
from ganzoo.data.pixels import digest, luma
from ganzoo.errors import SettingError


def noise(n: int, c: int, h: int, w: int) -> torch.Tensor:
    return torch.randint(0, 256, (n, c, h, w), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("size", "color"), [(None, None), (8, None), (None, "rgb"), (8, "rgb")])
def test_nothing_to_do_returns_the_same_object(size: int | None, color: str | None) -> None:
    images = make_images(noise(3, 3, 8, 8))
    assert prepare(images, size, color) is images


def test_digest_depends_on_pixels_labels_and_shape() -> None:
    pixels = noise(4, 1, 4, 4)
    labels = torch.tensor([0, 1, 0, 1])
    changed = pixels.clone()
    changed[3, 0, 3, 3] ^= 1
    digests = {
        digest(pixels, labels),
        digest(pixels, None),
        digest(pixels, labels.flip(0)),
        digest(changed, labels),
        digest(pixels.reshape(4, 1, 2, 8), labels),
    }
    assert len(digests) == 5
    assert digest(pixels.clone(memory_format=torch.channels_last), labels) == digest(pixels, labels)


def test_digest_is_pinned_because_protocol_ids_hold_it() -> None:
    pixels = torch.arange(8, dtype=torch.uint8).reshape(2, 1, 2, 2)
    expected = hashlib.sha256(bytes(range(8)) + b"ganzoo images (2, 1, 2, 2) labels -1").hexdigest()
    assert digest(pixels, None) == expected


def test_digest_does_not_depend_on_the_chunking(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = noise(10, 1, 4, 4)
    whole = digest(pixels, None)
    monkeypatch.setattr("ganzoo.data.pixels._CHUNK", 3)
    assert digest(pixels, None) == whole
    colors = noise(10, 3, 4, 4)
    chunked = luma(colors)
    monkeypatch.undo()
    assert torch.equal(luma(colors), chunked)


def test_gray_is_itu_601_as_in_pillow() -> None:
    pixels = noise(2, 3, 16, 16)
    ours = prepare(make_images(pixels), None, "gray")
    assert ours.shape == (1, 16, 16)
    for i in range(2):
        theirs = np.asarray(Image.fromarray(pixels[i].permute(1, 2, 0).numpy()).convert("L"))
        assert np.array_equal(ours.pixels[i, 0].numpy(), theirs)


def test_rgb_from_gray_repeats_the_channel_and_keeps_labels() -> None:
    images = make_images(noise(2, 1, 4, 4), torch.tensor([1, 0]), class_names=["a", "b"])
    colored = prepare(images, None, "rgb")
    assert torch.equal(colored.pixels, images.pixels.repeat(1, 3, 1, 1))
    assert colored.labels is images.labels
    assert colored.class_names == ("a", "b")
    assert colored.sha256 == digest(colored.pixels, colored.labels) != images.sha256


def test_resize_is_antialiased() -> None:
    stripes = torch.zeros(1, 1, 64, 64, dtype=torch.uint8)
    stripes[..., ::2] = 255  # every second column: without a low-pass filter some columns would come out 0 or 255
    small = prepare(make_images(stripes), 16, None).pixels[..., 2:-2].float()
    assert (small - 127.5).abs().max() < 8


def test_images_that_are_not_square_lose_their_borders() -> None:
    pixels = torch.zeros(1, 3, 4, 8, dtype=torch.uint8)
    pixels[..., 2:6] = 200
    cropped = prepare(make_images(pixels), None, None)
    assert cropped.shape == (3, 4, 4)
    assert (cropped.pixels == 200).all()
    assert (prepare(make_images(pixels), 2, None).pixels == 200).all()


@pytest.mark.parametrize(("size", "color"), [(0, None), (-4, None), (2.5, None), (True, None), (None, "grey")])
def test_impossible_settings_are_the_users_error(size: int | None, color: str | None) -> None:
    with pytest.raises(SettingError):
        prepare(make_images(noise(1, 1, 4, 4)), size, color)


def test_make_images_counts_classes() -> None:
    labelled = make_images(noise(3, 1, 2, 2), torch.tensor([0, 4, 2]))
    assert (labelled.num_classes, labelled.class_names) == (5, None)
    plain = make_images(noise(3, 1, 2, 2))
    assert isinstance(plain, Images)
    assert plain.num_classes == 0
