"""All that is checked of a dataset, a feature network, a metric and a callback."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ganzoo.config.layers import dataset_settings
from ganzoo.config.settings import resolve
from ganzoo.data import Images, NoTestSplit, make_images
from ganzoo.data.load import load_dataset
from ganzoo.doctor.contract.case import smallest_case
from ganzoo.doctor.contract.findings import Finding, Findings, failed, guarded, ok, skipped, told, warning
from ganzoo.engine.loop import Snapshot, Status
from ganzoo.errors import DataError, Unavailable, UserError
from ganzoo.metrics.evaluate import evaluate
from ganzoo.metrics.extract import checked_features
from ganzoo.metrics.reference import Reference, reference_features
from ganzoo.runs.directory import RunDirectory
from ganzoo.zoo.registry import Registry

CPU = torch.device("cpu")
SAME_FEATURES = 1e-4
"""How far a feature may move with the rest of its batch, as a fraction of the largest."""


def check_dataset(registry: Registry, name: str, root: Path, path: str = "") -> Iterator[Finding]:
    """`path`: of one that takes it; "": then it is not loaded."""
    yield from guarded("images", lambda: _images(registry, name, root, path))


def _images(registry: Registry, name: str, root: Path, path: str) -> Findings:
    spec = registry.dataset(name)
    if spec.takes_path and not path:
        yield skipped("images", f"it takes a path: ganzoo check {name}:PATH")
        return
    settings = resolve(dataset_settings(spec), {"path": path} if path else {}, "dataset")
    registry.features(spec.features)
    for split in ("train", "test"):
        try:
            images = load_dataset(spec.load(), root=root, split=split, download=False, **settings)  # type: ignore[arg-type]
        except NoTestSplit as error:
            yield ok(f"{split} split", error.cause)
            continue
        except DataError as error:
            if "contract" in error.cause or "returned" in error.cause:
                raise
            yield skipped(f"{split} split", f"cannot be had here: {error.cause}")
            continue
        wrong = _other_facts(spec, images)
        if wrong:
            yield failed(f"{split} split", f"the spec says {wrong}", "mend the spec, or what the target returns")
            continue
        yield ok(f"{split} split", f"{len(images):,} images of {'x'.join(map(str, images.shape))}")


def _other_facts(spec: Any, images: Images) -> str:
    """Where a spec says otherwise than its images: "" nowhere."""
    channels, height, width = images.shape
    if spec.size is not None and (height, width) != (spec.size, spec.size):
        return f"size={spec.size}, the images are {width}x{height}"
    if spec.channels is not None and channels != spec.channels:
        return f"channels={spec.channels}, the images have {channels}"
    if spec.num_classes is not None and images.num_classes != spec.num_classes:
        return f"num_classes={spec.num_classes}, the images have {images.num_classes}"
    if spec.labelled is not None and (images.labels is not None) != spec.labelled:
        return f"labelled={spec.labelled}, the images have {'labels' if images.labels is not None else 'none'}"
    return ""


def check_features(registry: Registry, name: str) -> Iterator[Finding]:
    yield from guarded("features", lambda: _features(registry, name))


def _features(registry: Registry, name: str) -> Findings:
    spec = registry.features(name)
    try:
        network = spec.load()(CPU, **resolve(spec.settings, {}, "features"))
    except UserError as error:
        if error.__cause__ is None and error.__context__ is None:
            raise
        yield skipped("features", f"cannot be had here: {error.cause}")
        return
    of_dataset = registry.dataset(spec.classes_of) if spec.classes_of else None
    shapes = [(channels, 32) for channels in (1, 3)]
    if of_dataset is not None and of_dataset.channels and of_dataset.size:
        shapes = [(of_dataset.channels, of_dataset.size)]
    for channels, size in shapes:
        random = torch.Generator().manual_seed(0)
        pixels = torch.randint(0, 256, (6, channels, size, size), dtype=torch.uint8, generator=random)
        with torch.no_grad():
            found = checked_features(network, pixels)
            others = pixels.clone()
            others[1::2] = 255 - others[1::2]
            again = checked_features(network, others)
        if spec.dim and found["pool"].shape[1] != spec.dim:
            yield failed("features", f'the spec says dim={spec.dim}, "pool" has {found["pool"].shape[1]}', "mend dim")
            return
        if of_dataset is not None and of_dataset.num_classes is not None:
            classes = found["logits"].shape[1] if "logits" in found else 0
            if classes != of_dataset.num_classes:
                yield failed(
                    "features",
                    f"classes_of='{of_dataset.name}' has {of_dataset.num_classes} classes, \"logits\" has {classes}",
                    "take classes_of out of the spec, or return logits of its classes",
                )
                return
        difference = (found["pool"] - again["pool"])[::2].abs().max()
        if bool(difference > SAME_FEATURES * found["pool"].abs().max()):
            yield failed(
                "features", "an image's features depend on the others of its batch", "put the network into eval mode"
            )
            return
    if isinstance(network, nn.Module) and any(one.requires_grad for one in network.parameters()):
        yield warning("features", "parameters ask for gradients", "freeze them: requires_grad_(False)")
        return
    if not spec.weights_sha256 and not getattr(network, "weights_sha256", None):
        yield warning(
            "features",
            "the digest of its weights is not known, so that scores of other weights look the same",
            "give the spec, or the loaded network, weights_sha256",
        )
        return
    yield ok("features", f'"pool" [N,{spec.dim or found["pool"].shape[1]}]{", logits" if "logits" in found else ""}')


class _Flat:
    """A stand-in for a feature network: pixels as features, and the mean of some of them as logits."""

    def __call__(self, pixels: Tensor) -> dict[str, Tensor]:
        flat = pixels.float().flatten(1) / 255
        return {"pool": flat[:, :6].contiguous(), "logits": 8 * flat[:, 6 : 6 + CLASSES].contiguous()}


CLASSES = 4


def _some(count: int, seed: int) -> Images:
    random = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (count, 1, 8, 8), dtype=torch.uint8, generator=random)
    return make_images(pixels, torch.arange(count) % CLASSES)


def check_metric(registry: Registry, name: str) -> Iterator[Finding]:
    yield from guarded("numbers", lambda: _numbers(registry, name))


def _numbers(registry: Registry, name: str) -> Findings:
    spec = registry.metric(name)
    unknown = [key for key in spec.higher_is_better if key not in spec.keys]
    if unknown:
        yield failed("numbers", f"higher_is_better has '{unknown[0]}', which is no key", "list it among keys")
        return
    metric = spec.load()(**resolve(spec.settings, {}, f"metrics.{name}"))
    for method in ("update", "compute"):
        if not callable(getattr(metric, method, None)):
            yield failed("numbers", f"it has no method {method}", "update(features, labels), compute(reference)")
            return
    extractor = _Flat()

    def reference(seed: int, test: Reference | None = None) -> Reference:
        return reference_features(_some(160, seed), extractor, cache_dir=None, key="check", device=CPU, test=test)

    generated = _some(160, 3)
    try:
        values = evaluate(
            {name: metric},
            [(generated.pixels[start : start + 80], _first(generated, start)) for start in (0, 80)],
            extractor,
            reference(1, reference(2)),
            device=CPU,
        )
    except Unavailable as error:
        yield skipped("numbers", f"none of so few random images: {error.cause}")
        return
    except AttributeError as error:
        if "items" not in str(error):
            raise
        yield failed("numbers", f"compute returns no mapping: {told(error)}", 'return {"key": number, ...}')
        return
    other = [key for key in values if key not in spec.keys and "." not in key]  # fid.12: a detail, for no column
    missing = [key for key in spec.keys if key not in values]
    if other or missing:
        yield failed(
            "numbers",
            f"it computes {', '.join(values) or 'nothing'}, the spec's keys are {', '.join(spec.keys) or 'none'}",
            "mend the spec's keys: others are in no table",
        )
        return
    empty = [key for key, value in values.items() if not math.isfinite(value)]
    if empty:
        yield warning("numbers", f"'{empty[0]}' is not finite for random images", "raise Unavailable, and say why")
        return
    yield ok("numbers", ", ".join(f"{key} {value:.4g}" for key, value in values.items()))


def _first(images: Images, start: int) -> Tensor | None:
    return None if images.labels is None else images.labels[start : start + 80]


def check_callback(registry: Registry, name: str) -> Iterator[Finding]:
    yield from guarded("events", lambda: _events(registry, name))


def _events(registry: Registry, name: str) -> Findings:
    case = smallest_case(registry)
    with tempfile.TemporaryDirectory() as folder:
        run = RunDirectory.open(Path(folder) / "run", case.config)
        observer = registry.callback(name).load()(run, case.config)
        missing = [
            event for event in ("on_status", "on_snapshot", "on_end") if not callable(getattr(observer, event, None))
        ]
        if missing:
            yield failed("events", f"it has no method {missing[0]}", "define it, if only to do nothing")
            return
        observer.on_status(
            Status(
                images=1000,
                seconds=1.0,
                img_per_s=1000.0,
                progress=0.1,
                seconds_left=9.0,
                values={"d_loss": 1.0, "g_loss": 1.0},
                peak_memory=0,
            )
        )
        grid = torch.zeros(case.channels, 8, 8, dtype=torch.uint8)
        for index, last in ((0, False), (1, True)):
            generator = case.gan().generator.eval()
            metrics = {"fid": 10.0}
            observer.on_snapshot(
                Snapshot(images=1000 * index, index=index, last=last, generator=generator, metrics=metrics, grid=grid)
            )
        observer.on_end({"metrics": {"fid": 10.0}})
    yield ok("events", "told of a tick, two snapshots and the end")
