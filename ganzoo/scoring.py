"""Scoring: images -> features -> numbers, under one protocol, for generators, image sets and the real test set."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ganzoo.config import RunConfig
from ganzoo.data import Images, NoTestSplit, label_law, load_dataset, to_uint8
from ganzoo.engine.device import preserved_random_state, synchronize
from ganzoo.errors import UserError
from ganzoo.metrics.evaluate import Reference, evaluate, reference_features
from ganzoo.metrics.prdc import subset_index
from ganzoo.protocol import Protocol
from ganzoo.registry import Registry
from ganzoo.specs import Features

SCORE_SEED = 20_140_610
"""Seed of the noise and labels that are scored: the same for every generator."""


@dataclass(frozen=True, kw_only=True)
class Score:
    values: dict[str, float]
    seconds: float  # sampling, features and metrics together
    sample_img_per_s: float  # sampling alone, images left on the device


def load_images(registry: Registry, config: RunConfig, root: Path, split: str, download: bool = True) -> Images:
    """The config's dataset; errors as in `ganzoo.data.load_dataset`."""
    spec = registry.dataset(config.dataset.name)
    settings: dict[str, Any] = dict(config.dataset.settings)
    return load_dataset(spec.load(), root=root, split=split, download=download, **settings)


def class_names(images: Images) -> list[str] | None:
    """As a list, for JSON."""
    return list(images.class_names) if images.class_names else None


def score_noise(n: int, z_dim: int, seed: int) -> Tensor:
    """float32 `[n, z_dim]` ~ N(0, I) on the CPU. Drawn in blocks of fixed size, because what torch draws depends on how
    much is asked for at once: image i gets the same noise whatever the batch size.
    """
    random = torch.Generator().manual_seed(seed)
    return torch.cat([torch.randn(min(250, n - at), z_dim, generator=random) for at in range(0, n, 250)])


@torch.no_grad()
def generate(
    generator: nn.Module, z_dim: int, n: int, *, labels: Tensor | None, seed: int, batch_size: int, device: torch.device
) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Yield (uint8 `[B,C,H,W]` on the device, int64 `[B]` on the device or None) until `n` images are made.

    Noise is drawn on the CPU, so that it is the same on every device. Training flags and torch's random state are left
    as they were.
    """
    noise = score_noise(n, z_dim, seed)
    modes = [(module, module.training) for module in generator.modules()]
    generator.eval()
    try:
        for start in range(0, n, batch_size):
            size = min(batch_size, n - start)
            z = noise[start : start + size].to(device)
            part = None if labels is None else labels[start : start + size].to(device)
            yield to_uint8(generator(z, part)), part
    finally:
        for module, training in modes:
            module.training = training


class Scorer:
    """Everything that scores of one protocol share: the feature network and the features of the real images."""

    def __init__(
        self,
        registry: Registry,
        config: RunConfig,
        train_images: Images,
        *,
        root: Path,
        device: torch.device,
        generated_count: int | None = None,
        generated_labels: bool | None = None,
        announce: Callable[[str], None] = lambda text: None,
    ) -> None:
        """`generated_count`: None takes `eval.num_images`. `generated_labels`: whether what is scored has labels; None:
        as the config's variant is conditional. `announce` is told how far a pass of features has come.

        Raises:
            UserError: weights or data that cannot be had, metrics that need what the feature network does not give.
        """
        self.config, self.device, self._root, self._registry = config, device, root, registry
        self._announce = announce
        self.spec: Features = registry.features(config.features.name)
        self.generated_count = generated_count or config.eval.num_images
        self._check_counts(min(self.generated_count, len(train_images)))
        with preserved_random_state(device):
            self.extractor = self.spec.load()(device, **config.features.settings)
        self.weights_sha256 = str(self.spec.weights_sha256 or getattr(self.extractor, "weights_sha256", "unhashed"))
        self._train = train_images = _at_most(train_images, config.eval.num_reference)
        if generated_labels is None:
            generated_labels = registry.variant(config.variant.name).conditional
        self.labels, law = None, "none"
        if generated_labels and train_images.labels is not None:
            self.labels, law = label_law(
                train_images.labels, self.generated_count, num_classes=train_images.num_classes, seed=SCORE_SEED
            )
        # Unconditional variants are ranked beside conditional ones: the protocol names the law the data set gives, and
        # the result says whether this row used it.
        self.label_law = law
        self.reference = self._features_of(train_images)
        self.protocol = Protocol(
            dataset=config.dataset.name,
            dataset_sha256=train_images.sha256,
            shape=train_images.shape,
            split="train",
            reference_count=len(train_images),
            generated_count=self.generated_count,
            features=self.spec.name,
            features_sha256=self.weights_sha256,
            resizer=self.spec.resizer,
            metric_settings=self._changed_metric_settings(),
            ema=config.train.ema_kimg > 0,
            label_law=_data_law(train_images),
        )

    def _check_counts(self, fewest: int) -> None:
        """Refuse before any features are computed what a metric would refuse after."""
        for name in self.config.metric_names:
            told = self.config.metrics.get(f"{name}.allow_rank_deficient", False)
            if "full-rank" in self._registry.metric(name).needs and not told and fewest <= self.spec.dim:
                raise UserError(
                    f"{name} needs more images than the {self.spec.dim} dimensions of {self.spec.name}, real and "
                    f"generated; there are {fewest}",
                    f"use more images, leave it out (--set eval.metrics=kid,prdc), or --set metrics.{name}."
                    "allow_rank_deficient=true",
                )

    def _metrics(self, labelled: bool) -> dict[str, Any]:
        """Fresh metric objects, less those that need what is not there: logits, classes the feature network knows, or
        labels of the images that are scored.
        """
        aligned = self.spec.classes_of == self.config.dataset.name and self._train.labels is not None
        missing = {
            "logits": self.reference.logits is None,
            "classes": not aligned,
            "labels": not labelled,
        }
        metrics = {}
        for name in self.config.metric_names:
            spec = self._registry.metric(name)
            if not any(missing.get(need, False) for need in spec.needs):
                settings = {s.name: self.config.metrics[f"{name}.{s.name}"] for s in spec.settings}
                metrics[name] = spec.load()(**settings)
        return metrics

    def _changed_metric_settings(self) -> tuple[str, ...]:
        defaults = {
            f"{spec.name}.{setting.name}": setting.default
            for spec in self._registry.all("metrics")
            for setting in spec.settings
        }
        changed = {key: value for key, value in self.config.metrics.items() if value != defaults[key]}
        return tuple(f"{key}={value}" for key, value in sorted(changed.items()))

    def _counter(self, what: str, total: int) -> Callable[[int], None]:
        """To be called with the number of images just done."""
        done = 0

        def count(images: int) -> None:
            nonlocal done
            done += images
            self._announce(f"{what}: {done}/{total} images")

        return count

    def _features_of(self, images: Images) -> Reference:
        key = f"{self.spec.name} {self.weights_sha256} {self.spec.resizer} {dict(self.config.features.settings)}"
        return reference_features(
            images,
            self.extractor,
            cache_dir=self._root / "features",
            key=key,
            device=self.device,
            batch_size=self.config.eval.batch_size,
            on_batch=self._counter(f"features of real images by {self.spec.name}", len(images)),
        )

    def score_generator(self, generator: nn.Module, z_dim: int) -> Score:
        """Sample `generated_count` images from `generator` and score them; the model is left as it was.

        Raises:
            UserError: the images or their features are not finite.
        """
        sampling = 0.0
        started = time.perf_counter()

        def timed() -> Iterator[tuple[Tensor, Tensor | None]]:
            nonlocal sampling
            batches = generate(
                generator,
                z_dim,
                self.generated_count,
                labels=self.labels,
                seed=SCORE_SEED,
                batch_size=self.config.eval.batch_size,
                device=self.device,
            )
            while True:
                before = time.perf_counter()
                batch = next(batches, None)
                synchronize(self.device)  # deliberate: sampling is timed apart from feature extraction
                sampling += time.perf_counter() - before
                if batch is None:
                    return
                yield batch

        with preserved_random_state(self.device):
            metrics = self._metrics(labelled=self.labels is not None)
            count = self._counter("scoring", self.generated_count)
            values = evaluate(metrics, timed(), self.extractor, self.reference, device=self.device, on_batch=count)
        return Score(
            values=values, seconds=time.perf_counter() - started, sample_img_per_s=self.generated_count / sampling
        )

    def score_images(self, images: Images) -> Score:
        """Score images that are already there; `sample_img_per_s` is 0."""
        started = time.perf_counter()
        size = self.config.eval.batch_size
        batches = (
            (images.pixels[at : at + size], None if images.labels is None else images.labels[at : at + size])
            for at in range(0, len(images), size)
        )
        with preserved_random_state(self.device):
            metrics = self._metrics(labelled=images.labels is not None)
            count = self._counter("scoring", len(images))
            values = evaluate(metrics, batches, self.extractor, self.reference, device=self.device, on_batch=count)
        return Score(values=values, seconds=time.perf_counter() - started, sample_img_per_s=0.0)

    def floor(self) -> dict[str, Any]:
        """Real against real: the test split scored as if it had been generated. Without a test split, one half of the
        train images against the other, drawn at random; `what` says which. Metrics that these images are too few for
        are left out.
        """
        try:
            test = load_images(self._registry, self.config, self._root, "test")
            generated, reference, what = self._features_of(test), self.reference, "test against train"
        except NoTestSplit:
            first, second = _halves(self.reference)
            generated, reference, what = first, second, "one half of train against the other"
        with preserved_random_state(self.device):
            metrics = self._metrics(labelled=generated.labels is not None)
            features = {"pool": generated.pool}
            if generated.logits is not None:
                features["logits"] = generated.logits
            values: dict[str, float] = {}
            for metric in metrics.values():
                # Half a small dataset may be too little for a metric that can score all of it: no floor, but a run.
                with contextlib.suppress(UserError):
                    metric.update(features, generated.labels)
                    values.update(metric.compute(reference))
        return {"what": what, "images": len(generated.pool), "reference": len(reference.pool), "values": values}


def _at_most(images: Images, most: int | None) -> Images:
    """`most` of the images, always the same ones; all of them for None or where there are no more."""
    if most is None or len(images) <= most:
        return images
    index = subset_index(len(images), most)
    return replace(
        images,
        pixels=images.pixels[index],
        labels=None if images.labels is None else images.labels[index],
        sha256=hashlib.sha256(f"{images.sha256} {most}".encode()).hexdigest(),
        mapped=False,
    )


def _data_law(images: Images) -> str:
    return (
        "none"
        if images.labels is None
        else label_law(images.labels, 1, num_classes=images.num_classes, seed=SCORE_SEED)[1]
    )


def _halves(reference: Reference) -> tuple[Reference, Reference]:
    order = torch.randperm(len(reference.pool), generator=torch.Generator().manual_seed(SCORE_SEED))
    half = len(order) // 2

    def part(index: Tensor) -> Reference:
        return Reference(
            pool=reference.pool[index],
            logits=None if reference.logits is None else reference.logits[index],
            labels=None if reference.labels is None else reference.labels[index],
            num_classes=reference.num_classes,
        )

    return part(order[:half]), part(order[half:])
