"""Small frozen classifiers for digits, MNIST and Fashion-MNIST: feature networks that need no download.

Each is a plain stack of 3x3 convolutions trained by `ganzoo.features.train_classifier` and shipped beside this module
as safetensors. `weights/classifiers.json` records network, training command, test accuracy and SHA-256 of each.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from ganzoo.data.images import to_float
from ganzoo.errors import DataError, UserError

WEIGHTS = Path(__file__).parent / "weights"
RECORDS = "classifiers.json"

DIGITS_RESIZER = "luma601-bilinear-antialias-32"
MNIST_RESIZER = "luma601-bilinear-antialias-28"
FASHION_MNIST_RESIZER = "luma601-bilinear-antialias-28"
DIGITS_DIM, MNIST_DIM, FASHION_MNIST_DIM = 64, 128, 128

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, the weights of Pillow's mode "L"
CHUNK = 256  # images per forward pass: activations stay in the processor's cache, and memory stays bounded


class Classifier(nn.Module):
    """Convolutions 3x3 with ReLU, global average pooling, one linear layer.

    `size`: natural square size in pixels; `widths` and `strides`: one per convolution, and the last width is D;
    `channels`: of what `embed` takes; `forward` is for the grey ones;
    `batch_norm`: only while training, since `train_classifier` folds it into the convolutions it exports, so that an
    image's features never depend on its batch; `weights_sha256`: hex digest of the file the weights came from.
    """

    def __init__(
        self,
        *,
        size: int,
        widths: Sequence[int],
        strides: Sequence[int],
        channels: int = 1,
        num_classes: int = 10,
        batch_norm: bool = False,
        weights_sha256: str = "",
    ) -> None:
        super().__init__()
        self.size = size
        self.weights_sha256 = weights_sha256
        self.body = nn.Sequential()
        for width, stride in zip(widths, strides, strict=True):
            convolution = nn.Conv2d(channels, width, 3, stride, padding=1, bias=not batch_norm)
            norm = [nn.BatchNorm2d(width)] if batch_norm else []
            self.body.append(nn.Sequential(convolution, *norm, nn.ReLU()))
            channels = width
        self.head = nn.Linear(channels, num_classes)
        self.to(memory_format=torch.channels_last)

    def embed(self, x: Tensor) -> Tensor:
        """float32 `[N,channels,size,size]` in [-1, 1] -> features after global average pooling, float32 `[N,D]`."""
        x = x.contiguous(memory_format=torch.channels_last)
        return self.body(x).mean(dim=(2, 3))

    @torch.no_grad()
    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """uint8 `[N,C,H,W]`, C 1 or 3, any size -> `{"pool": [N,D], "logits": [N,K]}` float32, on the images' device.

        The features are those of `prepare`d images. Always runs in float32, whatever autocast surrounds the call.
        Raises DataError for another number of channels, TypeError for another dtype.
        """
        pools, logits = [], []
        with torch.autocast(images.device.type, enabled=False):
            for chunk in images.split(CHUNK):
                pool = self.embed(prepare(chunk, self.size))
                pools.append(pool)
                logits.append(self.head(pool))
        return {"pool": torch.cat(pools), "logits": torch.cat(logits)}


def prepare(images: Tensor, size: int) -> Tensor:
    """uint8 `[N,C,H,W]` -> float32 `[N,1,size,size]` in [-1, 1].

    Three channels become one by BT.601 luma; another size is resized bilinearly with antialiasing, without rounding
    back to levels. Raises DataError unless C is 1 or 3, TypeError unless the images are uint8.
    """
    if images.dtype != torch.uint8:
        raise TypeError(f"a classifier takes uint8 images, not {images.dtype}")
    channels, height, width = images.shape[1:]
    if channels not in (1, 3):
        raise DataError(
            f"images with {channels} channels have no grey value for this feature network",
            "give images with 1 or 3 channels",
        )
    x = to_float(images)  # [N,C,H,W] float32 in [-1,1]
    if channels == 3:
        x = (x * x.new_tensor(LUMA).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)
    if (height, width) != (size, size):
        x = nn.functional.interpolate(x, size=(size, size), mode="bilinear", align_corners=False, antialias=True)
    return x


def digits(device: torch.device | str) -> Classifier:
    """The classifier for `digits`: D = 64, so that FID's covariance is well determined by 360 test images."""
    return load("digits", device)


def mnist(device: torch.device | str) -> Classifier:
    """The classifier for `mnist`: D = 128."""
    return load("mnist", device)


def fashion_mnist(device: torch.device | str) -> Classifier:
    """The classifier for `fashion-mnist`: D = 128."""
    return load("fashion-mnist", device)


def load(name: str, device: torch.device | str, folder: Path = WEIGHTS) -> Classifier:
    """The classifier recorded under `name` in `folder`, frozen and in eval mode, on `device`.

    Raises UserError when a file is missing or damaged: the SHA-256 is compared with the record before anything is read.
    """
    record = read_records(folder).get(name)
    if record is None:
        raise UserError(f"no classifier '{name}' is recorded in {folder / RECORDS}", "train it, or reinstall ganzoo")
    path = folder / record["file"]
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}", "reinstall ganzoo") from error
    found = hashlib.sha256(content).hexdigest()
    if found != record["sha256"]:
        raise UserError(
            f"{path} is damaged: its SHA-256 is {found[:12]}..., recorded is {record['sha256'][:12]}...",
            "reinstall ganzoo",
        )
    try:
        with torch.device("meta"):  # no initial weights are drawn: the caller's random state stays as it was
            network = Classifier(**record["network"], weights_sha256=found)
        network.load_state_dict(safetensors.torch.load(content), assign=True)
    except (SafetensorError, RuntimeError) as error:
        raise UserError(f"{path} does not hold the network of its record", "reinstall ganzoo") from error
    return network.requires_grad_(False).eval().to(memory_format=torch.channels_last).to(device)


def read_records(folder: Path = WEIGHTS) -> dict[str, dict[str, Any]]:
    """`classifiers.json`: name -> network, file, sha256, accuracy and how it was trained. UserError if unreadable."""
    path = folder / RECORDS
    try:
        records: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path}: {error}", "reinstall ganzoo") from error
    return records
