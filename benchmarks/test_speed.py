"""Speed of the parts, over the whole registry, so that installed plugins are measured too.

Run with `uv run pytest benchmarks`; compare two runs with `--benchmark-autosave` and `--benchmark-compare`.
Figures mean something only on an idle machine; quote ratios within one run, with device and versions.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch

from ganzoo.config import Train
from ganzoo.data import Images, make_images, to_float
from ganzoo.data.sampler import make_sampler
from ganzoo.engine.device import resolve_device, resolve_precision, synchronize
from ganzoo.engine.phases import Batch, make_phases, run_phase
from ganzoo.engine.statistics import Statistics
from ganzoo.gan import GAN, VariantConfig
from ganzoo.metrics.fid import frechet_distance
from ganzoo.metrics.prdc import prdc
from ganzoo.metrics.statistics import moments
from ganzoo.registry import Registry

REGISTRY = Registry.load()
VARIANTS = [spec.name for spec in REGISTRY.variants() if spec.sizes is None or 32 in spec.sizes]
DEVICE = resolve_device("auto")
BATCH = 32


def build(name: str, objective: str) -> tuple[GAN, list[Any]]:
    """The variant at a quarter of its default width, 32x32 grey, and its phases."""
    spec, target = REGISTRY.variant(name), REGISTRY.objective(objective)
    settings: dict[str, Any] = {setting.name: setting.default for setting in spec.settings}
    settings |= {key: int(settings[key]) // 4 for key in ("channels", "width") if key in settings}
    config = VariantConfig(settings=settings, per_sample_critic=target.per_sample_gradients)
    gan: GAN = spec.load()(config, (1, 32, 32), 10 if spec.conditional else 0)
    for module in (gan.generator, gan.discriminator):
        module.to(DEVICE).train().requires_grad_(False)
    losses = target.load()({setting.name: setting.default for setting in target.settings})
    return gan, make_phases(gan, losses, Train(), resolve_precision("auto", DEVICE), Statistics(DEVICE))


def digits_like(n: int) -> Images:
    random = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (n, 1, 32, 32), dtype=torch.uint8, generator=random)
    return make_images(pixels, torch.arange(n) % 10)


@pytest.mark.parametrize("objective", ["non-saturating", "wgan-gp"])
@pytest.mark.parametrize("name", VARIANTS)
def test_training_step(benchmark: Any, name: str, objective: str) -> None:
    """One D step and one G step at batch 32."""
    spec = REGISTRY.variant(name)
    if objective == "wgan-gp" and not spec.per_sample_critic:
        pytest.skip("this variant cannot do without batch norm in its critic")
    _, phases = build(name, objective)
    labels = torch.arange(BATCH, device=DEVICE) % 10 if spec.conditional else None
    batch = Batch(real=torch.rand(BATCH, 1, 32, 32, device=DEVICE) * 2 - 1, labels=labels)

    def step() -> None:
        for phase in phases:
            run_phase(phase, batch)
        synchronize(DEVICE)

    benchmark.extra_info.update(batch=BATCH, device=str(DEVICE), torch=torch.__version__)
    benchmark.pedantic(step, rounds=20, warmup_rounds=3)


@pytest.mark.parametrize("name", VARIANTS)
def test_sampling(benchmark: Any, name: str) -> None:
    """250 images by the generator in eval mode."""
    gan, _ = build(name, "non-saturating")
    generator = gan.generator.eval()
    z = torch.randn(250, gan.z_dim, device=DEVICE)
    labels = torch.arange(250, device=DEVICE) % 10 if REGISTRY.variant(name).conditional else None

    @torch.no_grad()
    def sample() -> None:
        generator(z, labels)
        synchronize(DEVICE)

    benchmark.extra_info.update(images=250, device=str(DEVICE))
    benchmark.pedantic(sample, rounds=20, warmup_rounds=3)


@pytest.mark.parametrize("resident", [True, False], ids=["resident", "streaming"])
def test_batch(benchmark: Any, resident: bool) -> None:
    """A batch of 64 from 60,000 images, as float in [-1, 1]."""
    limit = None if resident else 0
    sampler = make_sampler(digits_like(60_000), batch_size=64, device=DEVICE, seed=0, resident_limit_bytes=limit)
    index = iter(range(10**9))
    benchmark(lambda: to_float(sampler.batch(next(index))[0]))
    sampler.close()


@pytest.mark.parametrize("features", ["digits", "fashion-mnist"])
def test_feature_extraction(benchmark: Any, features: str) -> None:
    """1,000 images through a shipped classifier."""
    extractor = REGISTRY.features(features).load()(DEVICE)
    pixels = digits_like(1000).pixels.to(DEVICE)

    @torch.no_grad()
    def extract() -> None:
        extractor(pixels)
        synchronize(DEVICE)

    benchmark.pedantic(extract, rounds=5, warmup_rounds=1)


@pytest.mark.parametrize("dim", [64, 512])
def test_fid(benchmark: Any, dim: int) -> None:
    """FID from the moments of 2,000 features each."""
    random = torch.Generator().manual_seed(0)
    a, b = (moments(torch.randn(2000, dim, generator=random)) for _ in range(2))
    benchmark.pedantic(lambda: frechet_distance(a, b), rounds=5, warmup_rounds=1)


def test_prdc(benchmark: Any) -> None:
    """2,000 against 2,000 features of 64 dimensions."""
    random = torch.Generator().manual_seed(0)
    a, b = (torch.randn(2000, 64, generator=random) for _ in range(2))
    benchmark.pedantic(lambda: prdc(a, b, nearest_k=5), rounds=3, warmup_rounds=1)
