"""All that is checked of a model."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from ganzoo.doctor.contract.findings import Finding, Findings, failed, guarded, ok, warning
from ganzoo.errors import UserError
from ganzoo.gan import named
from ganzoo.runs.snapshots import load_snapshot
from ganzoo.scoring.noise import noise
from ganzoo.zoo.models import checked_file
from ganzoo.zoo.registry import Registry

CPU = torch.device("cpu")
IMAGES = 16


def check_model(registry: Registry, name: str) -> Iterator[Finding]:
    yield from guarded("weights", lambda: _weights(registry, name))


def _weights(registry: Registry, name: str) -> Findings:
    model = registry.model(name)
    try:
        file = checked_file(registry, model)
        loaded = load_snapshot(file, registry, CPU)
    except UserError as error:
        yield failed("weights", error.cause, error.cure)
        return
    yield ok("weights", f"{file.stat().st_size / 1e6:.2f} MB, SHA-256 {model.sha256[:12]}...")
    cure = "make it anew by `ganzoo export`, which writes both"
    variant, kimg = loaded.config.variant.name, loaded.images / 1000
    if variant != model.variant:
        yield failed("variant", f"the file is of {variant}, the name says {model.variant}", cure)
    elif kimg != model.kimg:
        yield failed("kimg", f"the file says {kimg:g}, the spec {model.kimg:g}", cure)
    if not model.protocol or not model.values:
        yield warning("scores", "there are none, or they have no protocol", cure)
    z = loaded.prior(noise(0, 0, IMAGES, loaded.z_dim))
    labels = torch.arange(IMAGES) % loaded.num_classes if registry.variant(variant).conditional else None
    images = named(loaded.generator(z, labels), "images")["images"]
    shape, low, high = list(images.shape), float(images.min()), float(images.max())
    if shape != [IMAGES, *loaded.shape]:
        yield failed("images", f"they are {shape}, the file says {[IMAGES, *loaded.shape]}", cure)
    elif not -1 <= low <= high <= 1:  # false of NaN, too
        yield failed(
            "images", f"they are from {low:g} to {high:g}, not in [-1, 1]", "export a run that has not diverged"
        )
    else:
        yield ok("images", f"{shape}, from {low:.2f} to {high:.2f}")
