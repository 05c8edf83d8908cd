"""Real against real: what the metrics give for images that are right, at the numbers of images there are."""

from __future__ import annotations

import contextlib
import hashlib
import json
from typing import Any

import torch
from torch import Tensor

from ganzoo.engine.device import preserved_random_state
from ganzoo.errors import UserError
from ganzoo.files.progress import Working, tell
from ganzoo.metrics.evaluate import numbers_of
from ganzoo.metrics.reference import Reference
from ganzoo.scoring.generation import SCORE_SEED
from ganzoo.scoring.scorer import Scorer, exact_numerics
from ganzoo.zoo.source import package_sha256, source_sha256


def floors(scorer: Scorer) -> list[dict[str, Any]]:
    """JSON-ready rows `name`, `what`, `images`, `reference`, `values`, `left_out` (names of metrics): real images that
    are scored as if they had been generated.

        test split          the test split against train: what a perfect generator would get, were it to draw as many;
                            without memorisation, which the test split is the measure of
        half of train       where there is no test split: one half of train against the other, drawn at random
        train resample      as many images as generators are asked for, drawn from train with replacement: the bias of
                            the metrics at that number, and what a generator gets that has learned train by heart

    Metrics that these images are too few for are left out. Computed once per protocol and code of the metrics.
    """
    reference = scorer.reference
    if reference.test is not None:
        first = _floor(scorer, "test split", "test against train", reference.test, reference)
    else:
        order = torch.randperm(len(reference), generator=torch.Generator().manual_seed(SCORE_SEED))
        half = len(order) // 2
        one, other = reference.take(order[:half]), reference.take(order[half:])
        first = _floor(scorer, "half of train", "one half of train against the other", one, other)
    random = torch.Generator().manual_seed(SCORE_SEED)
    index = torch.randint(len(reference), (scorer.generated_count,), generator=random)
    drawn = reference.take(index)
    second = _floor(scorer, "train resample", "train drawn with replacement, against train", drawn, reference, index)
    return [first, second]


def _floor(
    scorer: Scorer, name: str, what: str, generated: Reference, reference: Reference, index: Tensor | None = None
) -> dict[str, Any]:
    """`index`: where `generated` is in the training images; None: it is not from them."""

    def compute() -> dict[str, Tensor]:
        values: dict[str, float] = {}
        with preserved_random_state(scorer.device), exact_numerics(scorer.device):
            metrics, _ = scorer.metrics(labelled=generated.labels is not None)
            for metric_name, metric in metrics.items():
                tell(Working(what=f"scoring real images, {name}: {metric_name}"))
                needs = scorer.registry.metric(metric_name).needs
                # The test split cannot be judged by the test split; pixels are known of training images only.
                if index is None and ("test" in needs or "pixels" in needs):
                    continue
                if generated is reference.test and "fresh" in needs:
                    continue
                features = {"pool": generated.pool}
                if generated.logits is not None:
                    features["logits"] = generated.logits
                if index is not None and "pixels" in needs and scorer.reference.images is not None:
                    features["pixels"] = scorer.reference.images.pixels[index]
                # Half a small dataset may be too little for a metric that can score all of it: no floor, but a run.
                with contextlib.suppress(UserError):
                    metric.update(features, generated.labels)
                    values.update(_computed(scorer, metric_name, metric.compute(reference)))
        tell(Working(what=f"scoring real images, {name}", ended=True))
        return {key: torch.tensor(value, dtype=torch.float64) for key, value in values.items()}

    kept = scorer.reference.keep(f"floor {name} {_conditions(scorer)}", compute)
    specs = [scorer.registry.metric(metric) for metric in scorer.config.metric_names]
    return {
        "name": name,
        "what": what,
        "images": len(generated),
        "reference": len(reference),
        "values": {key: float(value) for key, value in kept.items()},
        "left_out": [spec.name for spec in specs if spec.keys and not kept.keys() & set(spec.keys)],
    }


def _computed(scorer: Scorer, name: str, computed: Any) -> dict[str, float]:
    return numbers_of(name, computed, scorer.registry.metric(name).keys)


def _conditions(scorer: Scorer) -> str:
    """Names everything beside the reference that a floor depends on."""
    specs = [scorer.registry.metric(name) for name in scorer.config.metric_names]
    text = json.dumps([scorer.protocol.id, dict(scorer.config.metrics), [spec.name for spec in specs]], sort_keys=True)
    code = package_sha256("ganzoo.metrics") + source_sha256(*specs)
    return hashlib.sha256((text + code).encode()).hexdigest()
