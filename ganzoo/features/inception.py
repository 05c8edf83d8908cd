"""Inception-v3 as the FID literature uses it (weights of 2015-12-05, TensorFlow 1 resizer), through torch-fidelity."""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from ganzoo.config.places import cache_root
from ganzoo.data.downloads import INCEPTION
from ganzoo.data.fetch import fetch_files
from ganzoo.engine.device import preserved_random_state
from ganzoo.errors import DataError, UserError
from ganzoo.features.common import in_chunks, sha256, to_rgb

DIM = 2048  # of "pool"
CHUNK = 50  # images of a pass on a processor; fewer would read the weights too often
RESIZER = "tf1-bilinear-299"
WEIGHTS_SHA256 = INCEPTION.digest.removeprefix("sha256:")
OFFLINE = "get it on another machine by `ganzoo fetch inception`, then --set features.inception.weights=FILE"


class InceptionV3:
    """uint8 `[N,C,H,W]` (C = 1 or 3) -> "pool" float32 `[N,2048]` and "logits" float32 `[N,1008]` without bias, from
    which the literature computes the inception score.

    `weights_sha256`: hex digest of the weights file.
    """

    def __init__(self, network: nn.Module, weights_sha256: str) -> None:
        self.network = network
        self.weights_sha256 = weights_sha256

    def __call__(self, pixels: Tensor) -> dict[str, Tensor]:
        return in_chunks(self._features, pixels, on_cpu=CHUNK)

    def _features(self, pixels: Tensor) -> dict[str, Tensor]:
        pool, logits = self.network(to_rgb(pixels))
        return {"pool": pool, "logits": logits}


def inception_v3(device: torch.device | str, *, weights: str | None = None, root: Path | None = None) -> InceptionV3:
    """Load the frozen network onto `device`, in eval mode.

    Args:
        device: where it computes.
        weights: file with its state dict, as torch-fidelity publishes it (.pth) or as .safetensors. None: the standard
            weights, the first time from torch-fidelity's release page (95 MB), into `root`.
        root: folder of datasets and caches; None: the usual one.

    Raises:
        UserError: the download fails, the standard file has another SHA-256, or a file is not this network's weights.
    """
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    path = _standard_weights(root) if weights is None else Path(weights)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read the Inception weights {path}: {error.strerror}", OFFLINE) from error
    found = sha256(data)
    if weights is None and found != WEIGHTS_SHA256:
        raise UserError(f"{path} has SHA-256 {found}, expected {WEIGHTS_SHA256}", "delete it to fetch it again")
    # torch-fidelity unpickles what it is given: it gets a pickle that we wrote, of tensors that were read safely
    ours = io.BytesIO()
    torch.save(_read_state(path, data), ours)
    ours.seek(0)
    try:
        with preserved_random_state(torch.device("cpu")):  # the layers are first filled at random
            network = FeatureExtractorInceptionV3("inception-v3-compat", ["2048", "logits_unbiased"], ours)
    except RuntimeError as error:
        raise UserError(f"{path} does not hold the weights of torch-fidelity's Inception-v3", OFFLINE) from error
    return InceptionV3(_folded(network.eval().requires_grad_(False)).to(device), found)


def _folded(network: nn.Module) -> nn.Module:
    """The same function, with batch norm folded into the convolutions and laid out as processors like it: about 1.6
    times as fast on a CPU (benchmarks/scoring.py), features equal to about 1e-7.
    """
    from torch_fidelity.feature_extractor_inceptionv3 import BasicConv2d

    for module in network.modules():
        if isinstance(module, BasicConv2d):
            module.conv = nn.utils.fuse_conv_bn_eval(module.conv, module.bn)
            module.bn = nn.Identity()
    return network.to(memory_format=torch.channels_last)


def _standard_weights(root: Path | None) -> Path:
    """Where the weights are: below `root`, or where torch-fidelity and earlier versions keep them. They are fetched
    where they are nowhere.

    Raises:
        UserError: the download fails or is not the standard file.
    """
    name = Path(INCEPTION.path).name
    root = root or cache_root()
    for path in (root / INCEPTION.path, Path(torch.hub.get_dir()) / "checkpoints" / name):
        if path.exists():
            return path
    try:
        return fetch_files("inception", root)[0]
    except DataError as error:
        raise UserError(error.cause, f"{OFFLINE}; or put it there as {root / INCEPTION.path}") from error


def _read_state(path: Path, data: bytes) -> dict[str, Tensor]:
    """A state dict, read without running code.

    Raises:
        UserError: `data` is not one.
    """
    try:
        if path.suffix == ".safetensors":
            state = safetensors.torch.load(data)
        else:
            state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, SafetensorError, RuntimeError, ValueError, KeyError, EOFError) as error:
        raise UserError(f"{path} is not a file of weights ({type(error).__name__})", OFFLINE) from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise UserError(f"{path} holds something else than a state dict of tensors", OFFLINE)
    return dict(state)
