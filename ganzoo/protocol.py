"""What a score means. Two numbers are compared only when every ingredient here is equal."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """The conditions of a score; `id` is their name and hash."""

    dataset: str
    dataset_sha256: str  # of pixels and labels of the reference split
    shape: tuple[int, int, int]  # (C, H, W)
    split: str
    reference_count: int
    generated_count: int
    features: str
    features_sha256: str
    resizer: str
    metric_settings: tuple[str, ...] = ()  # "NAME.SETTING=VALUE" where it is not the default
    quantiser: str = "round"  # ganzoo.data.to_uint8, real and generated alike
    ema: bool = True
    bn_mode: str = "eval"
    label_law: str = "none"  # "balanced" or "empirical": how conditional variants get labels; "none": unlabelled data
    checkpoint: str = "last"

    def ingredients(self) -> dict[str, object]:
        return asdict(self) | {
            "shape": list(self.shape),
            "metric_settings": list(self.metric_settings),
        }

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
