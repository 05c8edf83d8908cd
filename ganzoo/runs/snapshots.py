"""A trained generator as a file: safetensors, with all that is needed to build it in the header."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from ganzoo.config.layers import from_dict
from ganzoo.config.run_config import RunConfig
from ganzoo.engine.game import Extras
from ganzoo.errors import RunError
from ganzoo.files.reading import (
    RECORD_BYTES,
    SNAPSHOT_BYTES,
    cleaned,
    read_named,
    read_start,
    safetensors_header,
    sha256_inside,
)
from ganzoo.files.text import clean
from ganzoo.files.writing import write_bytes
from ganzoo.gan import GAN, Prior, Term, VariantConfig
from ganzoo.runs.checks import check_built
from ganzoo.runs.directory import RunDirectory
from ganzoo.runs.plugin_cure import plugins_named
from ganzoo.runs.terms import check_terms
from ganzoo.zoo.calls import blame, call_target, misfit
from ganzoo.zoo.registry import Registry
from ganzoo.zoo.specs import Objective, Regularizer

SNAPSHOT_SCHEMA = 2
"""Version of the header. 1: of earlier versions, without a digest; still read."""


@dataclass(frozen=True, kw_only=True)
class LoadedSnapshot:
    generator: nn.Module  # eval mode, gradients off
    z_dim: int
    prior: Prior
    config: RunConfig
    num_classes: int
    class_names: tuple[str, ...] | None  # of the classes, in order; None: they have none, or the file does not say
    shape: tuple[int, int, int]  # (C, H, W)
    images: int  # real images it was trained on
    images_sha256: str  # of the training images; "" where the file does not say


def build_gan(registry: Registry, config: RunConfig, shape: tuple[int, int, int], num_classes: int) -> GAN:
    """The variant's networks, initialised from torch's global generator.

    Raises:
        RunError: the objective penalises per-sample gradients and the critic still has batch norm.
        BrokenPlugin: the variant's target breaks the contract.
    """
    variant = registry.variant(config.variant.name)
    wanting = wants_gradients_per_sample(registry, config)
    variant_config = VariantConfig(settings=config.variant.settings, per_sample_critic=wanting is not None)
    classes = num_classes if variant.conditional else 0
    form = "(config, shape, num_classes)"
    gan = check_built(
        registry, variant, call_target(registry, "variants", variant, variant_config, shape, classes, form=form)
    )
    if wanting is not None:
        for name, module in gan.discriminator.named_modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                raise RunError(
                    f"{wanting} penalises per-sample gradients, but the critic of '{variant.name}' has batch norm "
                    f"('{name}')",
                    "build the critic without it when config.per_sample_critic is true, or use another objective",
                )
    return dataclasses.replace(gan, batch_dependent=True) if variant.batch_dependent else gan


def wants_gradients_per_sample(registry: Registry, config: RunConfig) -> str | None:
    """Which objective or regularizer differentiates D by its images, in words; None: none does."""
    pieces: list[tuple[str, Objective | Regularizer]] = [("objective", registry.objective(config.objective.name))]
    pieces += [("regularizer", registry.regularizer(choice.name)) for choice in config.regularizers]
    return next((f"{kind} '{spec.name}'" for kind, spec in pieces if spec.per_sample_gradients), None)


def build_extras(registry: Registry, config: RunConfig, shape: tuple[int, int, int]) -> Extras:
    """The terms of the config's regularizers, weighted, and its augmentations.

    Raises:
        BrokenPlugin: a target returns something else.
    """
    terms: list[Term] = []
    for choice in config.regularizers:
        spec = registry.regularizer(choice.name)
        made = call_target(registry, "regularizers", spec, choice.settings, form="(settings)")
        made = [made] if isinstance(made, Term) else made
        if not isinstance(made, (list, tuple)) or not all(isinstance(term, Term) for term in made):
            cause = f"its target returned a {type(made).__name__}, not terms"
            raise blame(registry, "regularizers", spec, cause, "return a ganzoo.Term, or a list of them")
        check_terms(registry, "regularizers", spec, made)
        weight, every = cast(float, choice.settings["weight"]), cast(int, choice.settings["every"])
        terms += [replace(term, weight=term.weight * weight, every=term.every * every) for term in made]
    augmentations: dict[str, nn.Module] = {}
    for choice in config.augmentations:
        kind = registry.augmentation(choice.name)
        module = call_target(registry, "augmentations", kind, choice.settings, shape, form="(settings, shape)")
        if not isinstance(module, nn.Module):
            cause = f"its target returned a {type(module).__name__}, not an nn.Module"
            raise blame(registry, "augmentations", kind, cause, "derive what it returns from nn.Module")
        problem = misfit(module.forward, None)
        if problem:
            cause = f"it is called as (images), its forward {problem}"
            raise blame(registry, "augmentations", kind, cause, "write forward(self, images)")
        augmentations[choice.name] = module
    return Extras(terms=terms, augmentations=augmentations, adversarial=config.train.augment_in == "all")


def save_snapshot(
    path: Path,
    generator: nn.Module,
    config: RunConfig,
    *,
    shape: tuple[int, int, int],
    num_classes: int,
    class_names: tuple[str, ...] | None = None,
    images: int,
    images_sha256: str = "",
) -> None:
    """Write the generator's parameters and buffers atomically, with a SHA-256 over them and all that the header says.
    `images`: real images it was trained on so far; `images_sha256`: the digest of the training images.
    """
    # cloned, because safetensors refuses tensors that share memory, as tied weights do
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in generator.state_dict().items()}
    # One key: safetensors writes several in random order, and equal snapshots should be equal files.
    document = {
        "schema": SNAPSHOT_SCHEMA,
        "config": config.to_dict(),
        "shape": shape,
        "num_classes": num_classes,
        "class_names": class_names,
        "images": images,
        "images_sha256": images_sha256,
    }
    write_snapshot(path, document, tensors)


def write_snapshot(path: Path, document: Mapping[str, Any], tensors: dict[str, Tensor]) -> None:
    """Write tensors and the header's document, with the SHA-256 over both, atomically."""
    document = {**document, "sha256": snapshot_digest(document, tensors)}
    header = {"ganzoo": json.dumps(document)}
    write_bytes(path, save(tensors, metadata=header))


def snapshot_digest(document: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over the header's document, but for its own "sha256", and over the tensors."""
    text = json.dumps({key: value for key, value in document.items() if key != "sha256"}, sort_keys=True)
    return hashlib.sha256((text + weights_digest(tensors)).encode()).hexdigest()


def weights_digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, types, shapes and values."""
    sha = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        sha.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        sha.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return sha.hexdigest()


def snapshot_hashes(run: RunDirectory) -> dict[str, str]:
    """Name of each snapshot -> SHA-256 of the whole file: what others can check without ganzoo (`sha256sum`)."""
    return {path.stem: sha256_inside(run.path, f"snapshots/{path.name}") for path in run.snapshots()}


def read_snapshot(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The header's document and the tensors, on the CPU.

    Raises:
        RunError: the file is not there, damaged, or was not written by ganzoo.
    """
    try:
        head, size = read_start(path, 8 + RECORD_BYTES, SNAPSHOT_BYTES)
        safetensors_header(head, size)  # before as much memory is taken as the file is large
        data = read_named(path, SNAPSHOT_BYTES)
        document = json.loads(safetensors_header(data, len(data))["__metadata__"]["ganzoo"])
        tensors = load(data)
        problem = _header_problem(document, tensors)
        document = cleaned(document)
    except (SafetensorError, OSError, KeyError, ValueError, TypeError, RecursionError) as error:
        problem = f"{type(error).__name__}: {error}"
    if problem:
        raise RunError(f"snapshot {path} is damaged or not ganzoo's: {clean(problem, 300)}", _CURE)
    return document, tensors


def _check_fits(build: Callable[[], GAN], tensors: Mapping[str, Tensor], problem: str) -> None:
    """Refuse weights of other shapes before the networks take memory: a file's settings may ask for any amount of it.

    Raises:
        RunError: with `problem` and the first difference.
    """
    try:
        with torch.device("meta"):  # shapes alone
            networks = build()
    except RunError:
        raise
    except Exception as error:
        if "overflow" in str(error):  # more weights than can be counted
            raise RunError(f"{problem}: its settings ask for networks of any size", _CURE) from None
        networks = build()  # a plugin whose networks cannot be built without numbers in them
    ours = {name: list(tensor.shape) for name, tensor in networks.generator.state_dict().items()}
    theirs = {name: list(tensor.shape) for name, tensor in tensors.items()}
    for name in (*ours, *theirs):
        if ours.get(name) != theirs.get(name):
            found, expected = theirs.get(name, "missing"), ours.get(name, "not there")
            raise RunError(f"{problem}: {clean(name, 100)} is {found}, in the network {expected}", _CURE)


_CURE = "use an earlier snapshot of the run, or train it again"


def _header_problem(document: Any, tensors: Mapping[str, Tensor]) -> str:
    """What is wrong with a snapshot's header, "" where nothing is."""
    if not isinstance(document, dict) or document.get("schema") not in (1, SNAPSHOT_SCHEMA):
        return "it has no header of this version"
    if document["schema"] == SNAPSHOT_SCHEMA and document.get("sha256") != snapshot_digest(document, tensors):
        return "its SHA-256 is another"
    shape, classes, names = document.get("shape"), document.get("num_classes"), document.get("class_names")
    if not (isinstance(shape, list) and len(shape) == 3 and all(type(n) is int and 0 < n <= 16384 for n in shape)):
        return "its field shape"
    if type(classes) is not int or not 0 <= classes <= 10**6:
        return "its field num_classes"
    if names is not None and not (isinstance(names, list) and len(names) == classes and all(map(_is_text, names))):
        return "its field class_names"
    if type(document.get("images")) is not int:
        return "its field images"
    return "" if isinstance(document.get("config"), dict) else "its field config"


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def load_snapshot(path: Path, registry: Registry, device: torch.device) -> LoadedSnapshot:
    """
    Raises:
        RunError: the file is damaged or was not written by ganzoo.
        UnknownName: its variant's plugin is not loaded; RunError, where the run's record says which one it was.
    """
    header, tensors = read_snapshot(path)
    with plugins_named(registry, [path.parent.parent], theirs=True):
        config = from_dict(registry, header["config"])
    channels, height, width = header["shape"]
    build = functools.partial(build_gan, registry, config, (channels, height, width), header["num_classes"])
    _check_fits(build, tensors, f"snapshot {path} does not fit variant '{config.variant.name}'")
    gan = build()
    gan.generator.load_state_dict(tensors)
    return LoadedSnapshot(
        generator=gan.generator.to(device).eval().requires_grad_(False),
        z_dim=gan.z_dim,
        prior=gan.prior,
        config=config,
        num_classes=header["num_classes"],
        class_names=None if header.get("class_names") is None else tuple(header["class_names"]),
        shape=(channels, height, width),
        images=header["images"],
        images_sha256=str(header.get("images_sha256") or ""),
    )
