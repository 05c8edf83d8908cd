"""A score depends neither on torch's defaults for float32 products nor on what the caller has switched on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ganzoo.config.layers import build_config
from ganzoo.engine.device import Precision, numerics
from ganzoo.metrics.fid import FrechetDistance
from ganzoo.scoring.floors import floors
from ganzoo.scoring.images import load_images
from ganzoo.scoring.scorer import Scorer
from ganzoo.zoo.registry import Registry

CPU = torch.device("cpu")
CUDNN: Any = torch.backends.cudnn
EXACT = ("ieee", "ieee", "ieee", True)


def settings() -> tuple[Any, ...]:
    matmul = torch.backends.cuda.matmul.fp32_precision
    return CUDNN.conv.fp32_precision, CUDNN.rnn.fp32_precision, matmul, CUDNN.deterministic


@pytest.fixture
def loose() -> Iterator[tuple[Any, ...]]:
    """All that a caller can switch on; yields the settings."""
    places = (CUDNN.conv, CUDNN.rnn, torch.backends.cuda.matmul)
    before = [place.fp32_precision for place in places]
    try:
        for place in places:
            place.fp32_precision = "tf32"
        yield settings()
    finally:
        for place, value in zip(places, before, strict=True):
            place.fp32_precision = value


class Looks(nn.Module):
    """A generator that notes the settings it is called under."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[Any, ...]] = []

    def forward(self, z: Tensor, labels: Tensor | None) -> Tensor:
        self.seen.append(settings())
        return torch.tanh(z[:, :1, None, None].expand(-1, 1, 8, 8) * torch.linspace(-1, 1, 8))


def test_generator_features_and_metrics_are_computed_exactly_on_cuda(
    registry: Registry, tmp_path: Path, loose: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The device is the CPU here, and `numerics` is told that it is CUDA."""

    def on_cuda(device: torch.device, precision: Precision, *, penalised: bool) -> AbstractContextManager[None]:
        assert device == CPU
        return numerics(torch.device("cuda", 0), precision, penalised=penalised)

    seen: dict[str, list[tuple[Any, ...]]] = {"features": [], "metric": []}
    compute = FrechetDistance.compute

    def looking(self: FrechetDistance, reference: Any) -> dict[str, float]:
        seen["metric"].append(settings())
        return compute(self, reference)

    monkeypatch.setattr("ganzoo.scoring.scorer.numerics", on_cuda)
    monkeypatch.setattr(FrechetDistance, "compute", looking)
    sets = ["eval.num_images=120", "eval.num_reference=200", "eval.metrics=fid"]
    config = build_config(registry, variant="gan", dataset="digits", sets=sets)
    images = load_images(registry, config, tmp_path, "train")
    scorer = Scorer(registry, config, images, root=tmp_path, device=CPU)
    extractor = scorer.extractor

    def features(pixels: Tensor) -> Any:
        seen["features"].append(settings())
        return extractor(pixels)

    scorer.extractor = features
    floors(scorer)
    assert len(seen["metric"]) == 2
    generator = Looks()
    scorer.score_generator(generator, 2)
    scorer.neighbours(generator, 2, torch.zeros(3, 2, dtype=torch.int64))
    assert len(generator.seen) == 2  # scored, and shown beside their neighbours
    assert len(seen["metric"]) == 3
    assert {*generator.seen, *seen["features"], *seen["metric"]} == {EXACT}
    scorer.extractor = extractor
    assert settings() == loose
    seen["features"].clear()
    scorer.extractor, scorer.weights_sha256 = features, "not in the cache"
    scorer._features_of(images, None)
    assert set(seen["features"]) == {EXACT}
    assert settings() == loose


def test_on_the_cpu_nothing_is_set(registry: Registry, tmp_path: Path, loose: tuple[Any, ...]) -> None:
    sets = ["eval.num_images=120", "eval.num_reference=200", "eval.metrics=fid"]
    config = build_config(registry, variant="gan", dataset="digits", sets=sets)
    scorer = Scorer(registry, config, load_images(registry, config, tmp_path, "train"), root=tmp_path, device=CPU)
    generator = Looks()
    scorer.score_generator(generator, 2)
    assert set(generator.seen) == {loose}
