"""Scoring: images -> features -> numbers, under one protocol, for generators and for image sets."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ganzoo.config.fit import check_counts
from ganzoo.config.run_config import Eval, RunConfig, dataset_label
from ganzoo.data import Images, NoTestSplit, label_law
from ganzoo.engine.device import Precision, numerics, preserved_random_state, synchronize
from ganzoo.engine.ranks.group import ranks_here
from ganzoo.errors import Unavailable, UserError
from ganzoo.files.progress import working
from ganzoo.gan import Prior
from ganzoo.metrics.evaluate import evaluate
from ganzoo.metrics.extract import Extractor, extract_features
from ganzoo.metrics.memorisation import Memorisation
from ganzoo.metrics.reference import Reference, feature_cache, reference_features
from ganzoo.scoring.declared import check_features, load_features, make_metric
from ganzoo.scoring.generation import NORMAL, SCORE_SEED, generate, generate_at
from ganzoo.scoring.images import load_images
from ganzoo.scoring.protocol import Protocol, metric_rules
from ganzoo.scoring.selection import HELD_OUT, at_most, data_law
from ganzoo.scoring.spread import Batches, Blocks, Task
from ganzoo.zoo.registry import Registry
from ganzoo.zoo.source import source_sha256
from ganzoo.zoo.specs import Features


@dataclass(frozen=True, kw_only=True)
class Score:
    """`pairs`: int64 `[p,2]`, positions of generated images and of the reference images they are nearest to."""

    values: dict[str, float]
    left_out: dict[str, str]  # metric -> why it has no number
    seconds: float  # sampling, features and metrics together
    sample_img_per_s: float  # sampling alone, images left on the device
    pairs: Tensor = field(default_factory=lambda: torch.empty(0, 2, dtype=torch.int64))


def exact_numerics(device: torch.device) -> contextlib.AbstractContextManager[None]:
    """IEEE float32 products and deterministic algorithms on CUDA, so that a score depends neither on torch's defaults
    (TF32 in convolutions) nor on what the caller has switched on; torch's settings are given back. Elsewhere: nothing.
    """
    return numerics(device, Precision(name="fp32", device_type=device.type), penalised=True)


class Scorer:
    """Everything that scores of one protocol share: the feature network and the features of the real images. What would
    be refused is refused when it is made; features of real images are computed when they are first needed.
    """

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
    ) -> None:
        """`generated_count`: None takes `eval.num_images`. `generated_labels`: whether what is scored has labels; None:
        as the config's variant is conditional.

        Raises:
            UserError: weights or data that cannot be had, metrics that need what the feature network does not give.
        """
        self.config, self.device, self.registry = config, device, registry
        self._root = root
        self.spec: Features = registry.features(config.features.name)
        self.generated_count = generated_count or config.eval.num_images
        if config.eval.held_out:
            train_images = load_images(registry, config, root, HELD_OUT)
        train_images = at_most(train_images, config.eval.num_reference)
        check_counts(registry, config, self.generated_count, len(train_images))
        with preserved_random_state(device):
            self.extractor = load_features(registry, self.spec, device, config.features.settings, root)
        self.weights_sha256 = str(self.spec.weights_sha256 or getattr(self.extractor, "weights_sha256", "unhashed"))
        if generated_labels is None:
            generated_labels = registry.variant(config.variant.name).conditional
        self.labels, law = None, "none"
        if generated_labels and train_images.labels is not None:
            self.labels, law = label_law(
                train_images.labels, self.generated_count, num_classes=train_images.num_classes
            )
        # Unconditional variants are ranked beside conditional ones: the protocol names the law the data set gives, and
        # the result says whether this row used it.
        self.label_law = law
        self._train_images = train_images

    @functools.cached_property
    def _sample(self) -> dict[str, Tensor]:
        """Features of two real images: what the network gives."""
        with exact_numerics(self.device):
            sample = extract_features(self.extractor, self._train_images.pixels[:2], device=self.device)
        check_features(self.registry, self.spec, sample)
        return sample

    def rehearse(self) -> None:
        """Find what would be refused whatever the generator, in a moment: to be called before one is trained.

        Raises:
            UserError: the network gives something else than features, or none of the metrics can have a number.
        """
        labelled = self.labels is not None
        metrics, left_out = self.metrics(labelled)
        for name, metric in list(metrics.items()):
            fewest = getattr(metric, "fewest", 1)
            if self.generated_count < fewest:
                left_out[name] = f"{name} needs at least {fewest} images, there are {self.generated_count}"
                del metrics[name]
        if not metrics and left_out:
            raise _no_number(left_out)

    @functools.cached_property
    def test_images(self) -> Images | None:
        """The dataset's test split; None without one, and where settings are chosen, for which it is not looked at."""
        if self.config.eval.held_out:
            return None
        try:
            return load_images(self.registry, self.config, self._root, "test")
        except NoTestSplit:
            return None

    @functools.cached_property
    def reference(self) -> Reference:
        """Features of the real images: computed on first use, which takes minutes for a large dataset on a CPU."""
        test = None if self.test_images is None else self._features_of(self.test_images, None, "test images")
        return self._features_of(self._train_images, test)

    @functools.cached_property
    def protocol(self) -> Protocol:
        """What the scores mean; needs no features."""
        config, train_images = self.config, self._train_images
        return Protocol(
            dataset=config.dataset.name,
            dataset_sha256=train_images.sha256,
            test_sha256="none" if self.test_images is None else self.test_images.sha256,
            shape=train_images.shape,
            split=HELD_OUT if config.eval.held_out else "train",
            reference_count=len(train_images),
            generated_count=self.generated_count,
            features=self.spec.name,
            features_sha256=self.weights_sha256,
            resizer=self.spec.resizer,
            features_settings=tuple(
                f"{key}={value}" for key, value in sorted(config.features.settings.items()) if key != "weights"
            ),
            plugin_code=self._plugin_code(),
            metric_settings=self._changed_metric_settings(),
            metric_rules=metric_rules(sorted(set(config.metric_names))),
            ema=config.train.ema_kimg > 0,
            label_law=data_law(train_images),
        )

    def metrics(self, labelled: bool) -> tuple[dict[str, Any], dict[str, str]]:
        """Fresh metric objects by name; and, of those that need what these data or features do not have, the reason.
        Metrics of conditional generators are left out without a word where images have no labels, unless someone asked
        for other metrics than the default ones.
        """
        dataset = dataset_label(self.config.dataset.name, self.config.dataset.settings)
        aligned = self.spec.classes_of == self.config.dataset.name and self._train_images.labels is not None
        reasons = {
            "logits": "" if "logits" in self._sample else f"{self.spec.name} gives no logits",
            "classes": "" if aligned else f"{self.spec.name} does not tell the classes of {dataset}",
            "test": "" if self.test_images is not None else f"{dataset} has no test split",
            "fresh": "scores are of images that were held out" if self.config.eval.held_out else "",
        }
        asked = self.config.eval.metrics != Eval().metrics
        metrics, left_out = {}, {}
        for name in self.config.metric_names:
            spec = self.registry.metric(name)
            if "labels" in spec.needs and not labelled:
                if asked:
                    left_out[name] = "these images were not asked for by class"
                continue
            missing = [reasons[need] for need in spec.needs if reasons.get(need)]
            if missing:
                left_out[name] = missing[0]
            else:
                settings = {s.name: self.config.metrics[f"{name}.{s.name}"] for s in spec.settings}
                metrics[name] = make_metric(self.registry, spec, settings)
        return metrics, left_out

    def declared(self, names: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """The keys that the specs of these metrics say."""
        return {name: self.registry.metric(name).keys for name in names}

    def _plugin_code(self) -> tuple[str, ...]:
        """What ganzoo's own version does not tell."""
        specs = [("features", self.spec), *(("metrics", self.registry.metric(n)) for n in self.config.metric_names)]
        theirs = [spec for kind, spec in specs if self.registry.owner(kind, spec.name).name != "core"]
        return tuple(f"{spec.name}={source_sha256(spec)[:8]}" for spec in theirs)

    def _changed_metric_settings(self) -> tuple[str, ...]:
        defaults = {
            f"{spec.name}.{setting.name}": setting.default
            for spec in self.registry.all("metrics")
            for setting in spec.settings
        }
        changed = {key: value for key, value in self.config.metrics.items() if value != defaults[key]}
        return tuple(f"{key}={value}" for key, value in sorted(changed.items()))

    def unseen(self) -> int:
        """How many real images the network has yet to see: those whose features are not kept."""
        if "reference" in self.__dict__:
            return 0
        sets = [images for images in (self._train_images, self.test_images) if images is not None]
        caches = [feature_cache(images, self._root / "features", self._features_key) for images in sets]
        return sum(len(images) for images, cache in zip(sets, caches, strict=True) if not cache.has("features"))

    @property
    def _features_key(self) -> str:
        return (
            f"{self.spec.name} {self.weights_sha256} {self.spec.resizer} {dict(self.config.features.settings)} "
            f"{source_sha256(self.spec)}"
        )

    def _features_of(self, images: Images, test: Reference | None, what: str = "real images") -> Reference:
        what = f"features of {what} by {self.spec.name}"
        with exact_numerics(self.device), working(what, len(images)) as count:
            return reference_features(
                images,
                self.extractor,
                cache_dir=self._root / "features",
                key=self._features_key,
                device=self.device,
                batch_size=self.config.eval.batch_size,
                on_batch=count,
                test=test,
            )

    def score_generator(
        self, generator: nn.Module, z_dim: int, what: str = "scoring", *, prior: Prior = NORMAL
    ) -> Score:
        """Sample `generated_count` images from `generator` and score them; the model is left as it was. `what` is said
        while it lasts.

        Raises:
            UserError: the images or their features are not finite.
        """
        ranks = ranks_here()
        if ranks.several:
            task = Task(weights=generator.state_dict(), count=self.generated_count, seed=SCORE_SEED, labels=self.labels)
            blocks = Blocks(ranks, generator, z_dim, self.extractor, task, prior=prior, device=self.device)
            score = self._score(iter(blocks), self.labels is not None, task.count, what, blocks.features)
            return replace(score, sample_img_per_s=task.count / blocks.seconds)
        sampling = 0.0

        def timed() -> Batches:
            nonlocal sampling
            batches = generate(
                generator,
                z_dim,
                self.generated_count,
                labels=self.labels,
                seed=SCORE_SEED,
                batch_size=self.config.eval.batch_size,
                device=self.device,
                prior=prior,
            )
            while True:
                before = time.perf_counter()
                batch = next(batches, None)
                synchronize(self.device)  # deliberate: sampling is timed apart from feature extraction
                sampling += time.perf_counter() - before
                if batch is None:
                    return
                yield batch

        score = self._score(timed(), self.labels is not None, self.generated_count, what)
        return replace(score, sample_img_per_s=self.generated_count / sampling)

    def score_images(self, images: Images) -> Score:
        """Score images that are already there; `sample_img_per_s` is 0."""
        size = self.config.eval.batch_size
        batches = (
            (images.pixels[at : at + size], None if images.labels is None else images.labels[at : at + size])
            for at in range(0, len(images), size)
        )
        return self._score(batches, images.labels is not None, len(images))

    def _score(
        self, batches: Batches, labelled: bool, total: int, what: str = "scoring", extractor: Extractor | None = None
    ) -> Score:
        started = time.perf_counter()
        metrics, left_out = self.metrics(labelled)

        def note(name: str, error: Unavailable) -> None:
            left_out.setdefault(name, error.cause)

        with preserved_random_state(self.device), exact_numerics(self.device):
            reference = self.reference  # which tells its own progress
            with working(what, total) as count:
                values = evaluate(
                    metrics,
                    batches,  # a generator's are made in here, one after the other
                    extractor or self.extractor,
                    reference,
                    device=self.device,
                    on_batch=count,
                    on_unavailable=note,
                    declared=self.declared(metrics),
                )
        if not values and left_out:  # not one number is no score: said before a run is trained for it
            raise _no_number(left_out)
        pairs = [metric.pairs for metric in metrics.values() if isinstance(metric, Memorisation)]
        score = Score(values=values, left_out=left_out, seconds=time.perf_counter() - started, sample_img_per_s=0.0)
        return replace(score, pairs=pairs[0]) if pairs else score

    def neighbours(
        self, generator: nn.Module, z_dim: int, pairs: Tensor, *, prior: Prior = NORMAL
    ) -> tuple[Tensor, Tensor]:
        """The images of a score's `pairs`: generated and real ones, uint8 `[p,C,H,W]` each, on the CPU."""
        with exact_numerics(self.device):
            made = generate_at(
                generator,
                z_dim,
                pairs[:, 0],
                labels=self.labels,
                seed=SCORE_SEED,
                device=self.device,
                prior=prior,
            )
        assert self.reference.images is not None  # `_features_of` gives them
        return made.cpu(), self.reference.images.pixels[pairs[:, 1]]


def _no_number(left_out: dict[str, str]) -> UserError:
    return UserError(
        "; ".join(dict.fromkeys(left_out.values())), "score more images, or other metrics: --set eval.metrics=..."
    )
