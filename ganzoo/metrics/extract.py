"""Images to features: one checked, reproducible pass of a frozen network."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ganzoo.engine.cpu.allocator import freed_memory_kept
from ganzoo.engine.device import float32_products, preserved_random_state
from ganzoo.errors import UserError

Extractor = Callable[[Tensor], Mapping[str, Tensor]]
"""uint8 `[n,C,H,W]` -> {"pool": float32 `[n,D]`, and for classifiers "logits": float32 `[n,K]`}."""


def extract_features(
    extractor: Extractor,
    pixels: Tensor,
    *,
    device: torch.device,
    batch_size: int = 100,
    on_batch: Callable[[int], object] | None = None,
) -> dict[str, Tensor]:
    """Features of images, in eval mode, without gradients, in full float32, whatever the caller has switched on.

    Args:
        extractor: the feature network.
        pixels: uint8 `[N,C,H,W]`, on any device or memory-mapped; read a batch at a time.
        device: where the network is.
        batch_size: images per call.
        on_batch: called with the number of images just done.

    Returns:
        "pool" float32 `[N,D]` and, when the network is a classifier, "logits" float32 `[N,K]`, on the CPU.

    Raises:
        UserError: pixels are not uint8 `[N,C,H,W]` with N >= 1, or the network's output is not as it must be.
    """
    if len(pixels) == 0:
        raise UserError("there are no images to take features of", "choose a split that has images")
    joined: dict[str, Tensor] = {}
    with scoring(extractor, device):
        for start in range(0, len(pixels), batch_size):
            features = checked_features(extractor, pixels[start : start + batch_size].to(device))
            if not joined:
                joined = {name: torch.empty(len(pixels), values.shape[1]) for name, values in features.items()}
            if {name: values.shape[1] for name, values in features.items()} != {
                name: values.shape[1] for name, values in joined.items()
            }:
                raise bad_output(extractor, "other names or dimensions in one batch than in another")
            for name, values in features.items():
                joined[name][start : start + len(values)] = values
            if on_batch is not None:
                on_batch(min(batch_size, len(pixels) - start))
    return joined


@contextlib.contextmanager
def scoring(extractor: Extractor, device: torch.device) -> Iterator[None]:
    """No gradients, no autocast, the network in eval mode, and freed memory kept, because each batch allocates the same
    activations anew. Afterwards all is as before, torch's random state too.
    """
    modes = [(module, module.training) for module in extractor.modules()] if isinstance(extractor, nn.Module) else []
    off = torch.autocast(device.type, enabled=False)
    with freed_memory_kept(device), preserved_random_state(device), torch.no_grad(), off:
        try:
            for module, _ in modes:
                module.training = False
            yield
        finally:
            for module, training in modes:
                module.training = training


def _full_float32() -> contextlib.AbstractContextManager[None]:
    """Convolutions use TF32 on CUDA by default, which would make features depend on the kind of GPU."""
    cudnn: Any = torch.backends.cudnn  # attributes are set up at run time, unseen by type checkers
    mkldnn: Any = torch.backends.mkldnn
    places = (cudnn.conv, cudnn.rnn, torch.backends.cuda.matmul, mkldnn.conv, mkldnn.matmul)
    return float32_products("ieee", places)


def checked_features(extractor: Extractor, pixels: Tensor) -> dict[str, Tensor]:
    """One call in full float32: uint8 `[n,C,H,W]` -> "pool" and perhaps "logits", float32 `[n,*]`, all finite.

    Raises:
        UserError: `pixels` or the output are not that.
    """
    if pixels.dtype != torch.uint8 or pixels.dim() != 4:
        raise UserError(
            f"images to score are {pixels.dtype} {list(pixels.shape)}, expected torch.uint8 [N,C,H,W]",
            "quantise with ganzoo.data.to_uint8",
        )
    with _full_float32():
        output = extractor(pixels)
    if not isinstance(output, Mapping) or "pool" not in output:
        raise bad_output(extractor, "something else than a mapping with 'pool'")
    features = {name: output[name] for name in ("pool", "logits") if name in output}
    for name, values in features.items():
        found = f"{values.dtype} {list(values.shape)}" if isinstance(values, Tensor) else type(values).__name__
        if (
            not isinstance(values, Tensor)
            or values.dtype != torch.float32
            or values.dim() != 2
            or values.shape[0] != len(pixels)
            or values.shape[1] == 0
        ):
            raise bad_output(extractor, f'"{name}" as {found} for {len(pixels)} images')
        if not bool(torch.isfinite(values).all()):
            raise bad_output(extractor, f'"{name}" with NaN or infinity')
    return features


def bad_output(extractor: Extractor, found: str) -> UserError:
    """The error that says what a feature network gave instead of features."""
    name = getattr(extractor, "__qualname__", type(extractor).__qualname__)
    return UserError(
        f"feature network {name} gave {found}",
        'it must give {"pool": float32 [n,D]} and perhaps "logits": float32 [n,K]',
    )
