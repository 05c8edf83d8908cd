"""What a score means. Two numbers are compared only when every ingredient here is equal."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """The conditions of a score; `id` is their name and hash."""

    dataset: str
    dataset_sha256: str  # of pixels and labels of the reference split
    shape: tuple[int, int, int]  # (C, H, W)
    test_sha256: str  # the same of the test split, which memorisation and CAS look at; "none" without one
    split: str
    reference_count: int
    generated_count: int
    features: str
    features_sha256: str
    resizer: str
    features_settings: tuple[str, ...] = ()  # "SETTING=VALUE"; weights are named by their hash instead
    plugin_code: tuple[str, ...] = ()  # "NAME=HASH" of the code of plugins' feature networks and metrics
    metric_settings: tuple[str, ...] = ()  # "NAME.SETTING=VALUE" where it is not the default
    quantiser: str = "round"  # ganzoo.data.to_uint8, real and generated alike
    ema: bool = True
    bn_mode: str = "eval"
    label_law: str = "none"  # "balanced" or "empirical": how conditional variants get labels; "none": unlabelled data
    checkpoint: str = "last"
    rules: int = 2  # raised whenever a change of ganzoo's code changes what it computes; see RULES
    metric_rules: tuple[str, ...] = ()  # "NAME=VERSION" of metrics whose own rules have changed; see METRIC_RULES

    def ingredients(self) -> dict[str, object]:
        every = asdict(self) | {
            "shape": list(self.shape),
            "features_settings": list(self.features_settings),
            "plugin_code": list(self.plugin_code),
            "metric_settings": list(self.metric_settings),
            "metric_rules": list(self.metric_rules),
        }
        # Younger than the others: without it, protocols of metrics that never changed keep their ids.
        return every if self.metric_rules else {k: v for k, v in every.items() if k != "metric_rules"}

    @property
    def id(self) -> str:
        """For instance `digits-32x32x1-train1437-gen2000-digits-last-ema-3f2a9c1d`."""
        c, h, w = self.shape
        text = json.dumps(self.ingredients(), sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:8]
        return (
            f"{self.dataset}-{w}x{h}x{c}-{self.split}{self.reference_count}-gen{self.generated_count}-{self.features}-"
            f"{self.checkpoint}-{'ema' if self.ema else 'raw'}-{digest}"
        )


RULES: dict[int, str] = {
    1: "the noise of images from torch.randn, in blocks of 250; images made eval.batch_size at a time",
    2: "noise and labels by image number (noise.py, label_law); images made in blocks of 250 (generation.py)",
}
"""What each version of the rules of scoring is."""

METRIC_RULES: dict[str, dict[int, str]] = {
    "cas": {
        1: "the classifier is trained by torch's threads, and depends on how many",
        2: "it is trained by one thread",
    },
}
"""What each version is of metrics that have changed on their own, so that scores without them stay comparable."""


def metric_rules(names: Iterable[str]) -> tuple[str, ...]:
    """Of the metrics `names`, "NAME=VERSION" of those that have changed."""
    return tuple(f"{name}={max(METRIC_RULES[name])}" for name in names if name in METRIC_RULES)


MEANINGS: dict[str, str] = {
    "dataset": "the real images",
    "dataset_sha256": "of the pixels and labels of the reference images",
    "shape": "channels, height, width in pixels",
    "test_sha256": "the same of the test split, which memorisation and CAS look at",
    "split": "the part of the dataset that is the reference",
    "reference_count": "real images the generated ones are compared with",
    "generated_count": "generated images that are scored",
    "features": "the network whose features are compared",
    "features_sha256": "of its weights",
    "resizer": "how images are brought to the network's size",
    "features_settings": "settings of that network",
    "plugin_code": "code of feature networks and metrics that are not ganzoo's own",
    "metric_settings": "settings of metrics that are not the default",
    "quantiser": "how real and generated images become uint8",
    "ema": "whether the averaged generator is scored",
    "bn_mode": "eval: batch norm of G uses its running statistics",
    "label_law": "how conditional variants get the classes they are asked for",
    "checkpoint": "which snapshot the number in the table is of",
    "rules": "version of ganzoo's own rules of scoring",
    "metric_rules": "version of single metrics' rules",
}
"""What each ingredient is, for `ganzoo show PROTOCOL`."""


def unscored(dataset: str, shape: tuple[int, int, int], sha256: str) -> str:
    """In place of an id, for runs that were trained on these images without scores."""
    c, h, w = shape
    return f"{dataset}-{w}x{h}x{c}-{sha256[:8]}-{_UNSCORED}"


def is_unscored(id: str) -> bool:
    return id.endswith(_UNSCORED)


_UNSCORED = "not-scored"


def looks_like_id(text: str) -> bool:
    """Whether `text` has the form of a protocol id."""
    return re.fullmatch(r".+-\d+x\d+x\d+-[a-z]+\d+-gen\d+-.+-[0-9a-f]{8}", text) is not None


def explain(ingredients: Mapping[str, Any]) -> Iterable[tuple[str, str, str]]:
    """(name, value, meaning) of each ingredient of a result's "protocol"; what this version does not know has no
    meaning.
    """
    for name, value in ingredients.items():
        if name != "id":
            text = ", ".join(map(str, value)) if isinstance(value, list) else str(value).lower()
            yield name, text or "none", MEANINGS.get(name, "")
