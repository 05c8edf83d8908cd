"""All that is checked of a dataset, a feature network, a metric and a callback."""

from __future__ import annotations

import dataclasses
import math
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ganzoo.config.layers import dataset_settings
from ganzoo.config.run_config import RunConfig
from ganzoo.config.settings import resolve
from ganzoo.data import Images, NoTestSplit, make_images
from ganzoo.doctor.contract.case import smallest_case
from ganzoo.doctor.contract.findings import Finding, Findings, failed, guarded, ok, skipped, warning
from ganzoo.engine.loop import Snapshot, Status
from ganzoo.errors import DataError, Unavailable, UserError
from ganzoo.metrics.evaluate import evaluate
from ganzoo.metrics.extract import checked_features, scoring
from ganzoo.metrics.reference import Reference, reference_features
from ganzoo.runs.checks import make_callbacks
from ganzoo.runs.directory import RunDirectory
from ganzoo.runs.records import RESULT_SCHEMA
from ganzoo.runs.snapshots import weights_digest
from ganzoo.scoring.declared import check_features as check_declared
from ganzoo.scoring.declared import load_declared, load_features, make_metric
from ganzoo.zoo.calls import BrokenPlugin, load_target, misfit
from ganzoo.zoo.registry import Registry

CPU = torch.device("cpu")
QUICK = 1.0
"""Seconds within which a dataset is loaded a second time, to see whether it is the same."""

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
    digests = dict[str, str]()
    for split in ("train", "test"):
        check = f"{split} split"
        try:
            began = time.perf_counter()
            images = load_declared(registry, spec, settings, root=root, split=split, download=False)
            seconds = time.perf_counter() - began
        except NoTestSplit as error:
            if split == "train":
                raise
            yield ok(check, error.cause)
            continue
        except DataError as error:
            if _of_target(error, spec.load()):
                yield skipped(check, f"cannot be had here: {error.cause}")
                continue
            raise
        if images.sha256 in digests.values():
            yield warning(check, "it has the same images as the train split", "raise NoTestSplit where there is none")
            continue
        digests[split] = images.sha256
        if seconds < QUICK:
            again = load_declared(registry, spec, settings, root=root, split=split, download=False)
            if again.sha256 != images.sha256:
                cure = "give what is drawn a seed of its own: a run is continued with the same images only"
                yield failed(check, "it has other images each time", cure)
                continue
        yield ok(check, f"{len(images):,} images of {'x'.join(map(str, images.shape))}")


def _of_target(error: DataError, target: Callable[..., Any]) -> bool:
    """Whether the target raised it, as one does whose images are not here; not, who looked at what it returned."""
    code = getattr(target, "__code__", None)
    return code is None or any(frame.f_code is code for frame, _ in traceback.walk_tb(error.__traceback__))


def check_features(registry: Registry, name: str) -> Iterator[Finding]:
    yield from guarded("features", lambda: _features(registry, name))


def _features(registry: Registry, name: str) -> Findings:
    spec = registry.features(name)
    settings = resolve(spec.settings, {}, "features")
    try:
        network = load_features(registry, spec, CPU, settings)
    except UserError as error:
        if isinstance(error, BrokenPlugin) or (error.__cause__ is None and error.__context__ is None):
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
        others = pixels.clone()
        others[1::2] = 255 - others[1::2]
        with scoring(network, CPU):
            found, same, again = (checked_features(network, one) for one in (pixels, pixels, others))
        check_declared(registry, spec, found)
        if not torch.equal(found["pool"], same["pool"]):
            yield failed("features", "the same images have other features each time", "draw no random numbers in it")
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
    weighs = isinstance(network, nn.Module) and any(True for _ in network.parameters())
    if weighs and not spec.weights_sha256 and not getattr(network, "weights_sha256", None):
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
    settings = resolve(spec.settings, {}, f"metrics.{name}")
    extractor = _Flat()

    def reference(seed: int, test: Reference | None = None) -> Reference:
        return reference_features(_some(160, seed), extractor, cache_dir=None, key="check", device=CPU, test=test)

    generated, real = _some(160, 3), reference(1, reference(2))

    def scored(*ends: int) -> dict[str, float]:
        """By a fresh metric, in batches that end there."""
        return evaluate(
            {name: make_metric(registry, spec, settings)},
            [(generated.pixels[a:b], _labels(generated, a, b)) for a, b in zip((0, *ends), ends, strict=False)],
            extractor,
            real,
            device=CPU,
            declared={name: spec.keys},
        )

    try:
        values, again, otherwise = scored(80, 160), scored(80, 160), scored(30, 160)
    except Unavailable as error:
        yield skipped("numbers", f"none of so few random images: {error.cause}")
        return
    missing = [key for key in spec.keys if key not in values]
    empty = [key for key, value in values.items() if not math.isfinite(value)]
    changed = [key for key, value in values.items() if not math.isclose(value, again[key], rel_tol=1e-9, abs_tol=1e-9)]
    of_batches = [
        key for key, value in values.items() if not math.isclose(value, otherwise[key], rel_tol=1e-4, abs_tol=1e-6)
    ]
    if missing:
        computed = f"it computes {', '.join(values) or 'nothing'}, the spec's keys are {', '.join(spec.keys)}"
        yield failed("numbers", computed, "mend the spec's keys: others are in no table")
    elif empty:
        yield warning("numbers", f"'{empty[0]}' is not finite for random images", "raise Unavailable, and say why")
    elif changed:
        cure = "keep what is added up in the object, made anew in __init__, and draw no random numbers"
        yield failed("numbers", f"'{changed[0]}' is another number for the same images in a second score", cure)
    elif of_batches:
        cure = "add up sums and counts, or keep the features: batches are of different sizes"
        yield failed("numbers", f"'{of_batches[0]}' depends on how images are divided into batches", cure)
    else:
        yield ok("numbers", ", ".join(f"{key} {value:.4g}" for key, value in values.items()))


def _labels(images: Images, start: int, end: int) -> Tensor | None:
    return None if images.labels is None else images.labels[start:end]


def check_executor(registry: Registry, name: str) -> Iterator[Finding]:
    """Whether it can be called; a cluster is not to be had here."""
    yield from guarded("target", lambda: _callable(registry, name))


def _callable(registry: Registry, name: str) -> Findings:
    target = load_target(registry, "executors", registry.executor(name))
    wrong = misfit(target, {}, Path("bench"))
    if wrong:
        yield failed("target", f"it {wrong}", "let it take (settings, out)")
        return
    missing = [part for part in ("start", "news", "stop") if isinstance(target, type) and not hasattr(target, part)]
    if missing:
        yield failed("target", f"its clusters have no {missing[0]}", "see register_executors in docs/plugins.md")
    else:
        yield ok("target", "takes (settings, out)")


def check_callback(registry: Registry, name: str) -> Iterator[Finding]:
    yield from guarded("events", lambda: _events(registry, name))


def _events(registry: Registry, name: str) -> Findings:
    case = smallest_case(registry)
    with tempfile.TemporaryDirectory() as folder:
        run = RunDirectory.open(Path(folder) / "run", case.config)
        config = dataclasses.replace(case.config, callbacks=(name,))
        (observer,) = make_callbacks(registry, run, config)
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
            before = weights_digest(generator.state_dict())
            metrics = {"fid": 10.0}
            observer.on_snapshot(
                Snapshot(images=1000 * index, index=index, last=last, generator=generator, metrics=metrics, grid=grid)
            )
            if weights_digest(generator.state_dict()) != before or any(one.training for one in generator.modules()):
                yield failed("events", "it changes the averaged generator", "work on copy.deepcopy(generator)")
                return
        observer.on_end(_result(config))
    yield ok("events", "told of a tick, two snapshots and the end")


def _result(config: RunConfig) -> dict[str, Any]:
    """The keys of a result.json that say how a run ended and what it is worth."""
    score = {"images": 1000, "kimg": 1.0, "values": {"fid": 10.0}, "left_out": {}}
    return {
        "schema": RESULT_SCHEMA,
        "status": "done",
        "diverged": False,
        "variant": config.variant.name,
        "objective": config.objective.name,
        "dataset": config.dataset.name,
        "seed": config.seed,
        "config": config.to_dict(),
        "protocol": {"id": "0" * 16},
        "label_law": "none",
        "kimg": 1.0,
        "last": score,
        "best": score,
        "untrained": {**score, "images": 0, "kimg": 0.0},
        "floors": [],
        "left_out": {},
        "train_img_per_s": 1000.0,
        "sample_img_per_s": 1000.0,
        "parameters": {"generator": 1, "discriminator": 1},
        "peak_memory": None,
        "score_peak_memory": None,
        "joules": None,
        "seconds": {"train": 1.0, "wall": 1.0},
        "environment": {"device": "cpu", "precision": "fp32", "python": "3", "packages": {}, "git": None},
    }
