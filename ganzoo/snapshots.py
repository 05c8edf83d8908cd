"""A trained generator as a file: safetensors, with all that is needed to build it in the header."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from ganzoo.config import RunConfig
from ganzoo.errors import RunError
from ganzoo.files import write_bytes
from ganzoo.gan import GAN, VariantConfig
from ganzoo.layers import from_dict
from ganzoo.registry import Registry


@dataclass(frozen=True, kw_only=True)
class LoadedSnapshot:
    generator: nn.Module  # eval mode, gradients off
    z_dim: int
    config: RunConfig
    num_classes: int
    class_names: tuple[str, ...] | None  # of the classes, in order; None: they have none, or the file does not say
    shape: tuple[int, int, int]  # (C, H, W)
    images: int  # real images it was trained on


def build_gan(registry: Registry, config: RunConfig, shape: tuple[int, int, int], num_classes: int) -> GAN:
    """The variant's networks, initialised from torch's global generator.

    Raises:
        RunError: the objective penalises per-sample gradients and the critic still has batch norm.
    """
    variant = registry.variant(config.variant.name)
    objective = registry.objective(config.objective.name)
    variant_config = VariantConfig(settings=config.variant.settings, per_sample_critic=objective.per_sample_gradients)
    gan = variant.load()(variant_config, shape, num_classes if variant.conditional else 0)
    if not isinstance(gan, GAN):
        raise RunError(
            f"variant '{variant.name}' returned a {type(gan).__name__}, not a ganzoo.gan.GAN", "mend its target"
        )
    if objective.per_sample_gradients:
        for name, module in gan.discriminator.named_modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                raise RunError(
                    f"objective '{objective.name}' penalises per-sample gradients, but the critic of "
                    f"'{variant.name}' has batch norm ('{name}')",
                    "build the critic without it when config.per_sample_critic is true, or use another objective",
                )
    return gan


@torch.no_grad()
def check_gan(gan: GAN, name: str, shape: tuple[int, int, int], num_classes: int, conditional: bool) -> None:
    """Run both networks once, on two zeros, in eval mode, which changes nothing in them.

    Raises:
        RunError: a network returns another shape than the contract says.
    """
    labels = torch.arange(2) % max(num_classes, 1) if conditional else None
    modes = [(module, module.training) for net in (gan.generator, gan.discriminator) for module in net.modules()]
    try:
        images = gan.generator.eval()(torch.zeros(2, gan.z_dim), labels)
        if images.shape != (2, *shape):
            raise _contract(name, "generator", images, [2, *shape])
        logits = gan.discriminator.eval()(torch.zeros(2, *shape), labels)
        if logits.shape != (2,):
            raise _contract(name, "discriminator", logits, [2])
    finally:
        for module, training in modes:
            module.training = training


def _contract(name: str, network: str, found: Tensor, expected: list[int]) -> RunError:
    return RunError(
        f"the {network} of variant '{name}' returns {list(found.shape)} for a batch of 2, expected {expected}",
        "mend it; the contract is in docs/plugins.md",
    )


def save_snapshot(
    path: Path,
    generator: nn.Module,
    config: RunConfig,
    *,
    shape: tuple[int, int, int],
    num_classes: int,
    class_names: tuple[str, ...] | None = None,
    images: int,
) -> None:
    """Write the generator's parameters and buffers atomically."""
    # cloned, because safetensors refuses tensors that share memory, as tied weights do
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in generator.state_dict().items()}
    # One key: safetensors writes several in random order, and equal snapshots should be equal files.
    document = {
        "schema": 1,
        "config": config.to_dict(),
        "shape": shape,
        "num_classes": num_classes,
        "class_names": class_names,
        "images": images,
    }
    header = {"ganzoo": json.dumps(document)}
    write_bytes(path, save(tensors, metadata=header))


def load_snapshot(path: Path, registry: Registry, device: torch.device) -> LoadedSnapshot:
    """
    Raises:
        RunError: the file is damaged or was not written by ganzoo.
        UnknownName: its variant's plugin is not loaded.
    """
    cure = "use an earlier snapshot of the run, or train it again"
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            header = json.loads((file.metadata() or {})["ganzoo"])
            tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise RunError(f"snapshot {path} is damaged or not ganzoo's: {type(error).__name__}: {error}", cure) from None
    config = from_dict(registry, header["config"])
    channels, height, width = header["shape"]
    gan = build_gan(registry, config, (channels, height, width), header["num_classes"])
    try:
        gan.generator.load_state_dict(tensors)
    except RuntimeError as error:
        first = str(error).splitlines()[-1].strip()
        raise RunError(f"snapshot {path} does not fit variant '{config.variant.name}': {first}", cure) from None
    return LoadedSnapshot(
        generator=gan.generator.to(device).eval().requires_grad_(False),
        z_dim=gan.z_dim,
        config=config,
        num_classes=header["num_classes"],
        class_names=None if header.get("class_names") is None else tuple(header["class_names"]),
        shape=(channels, height, width),
        images=header["images"],
    )
