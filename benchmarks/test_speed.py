"""Speed of the parts, over the whole registry, so that installed plugins are measured too.

Run with `uv run pytest benchmarks`; compare two runs with `--benchmark-autosave` and `--benchmark-compare`.
Figures mean something only on an idle machine; quote ratios within one run, with device and versions.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ganzoo.bench.speed import advance, warm_up
from ganzoo.config.layers import build_config
from ganzoo.data import Images, make_images, to_float
from ganzoo.data.folder import load_folder
from ganzoo.data.sampler import make_sampler
from ganzoo.engine.device import denormals_flushed, resolve_device, resolve_precision, synchronize
from ganzoo.engine.step import Step
from ganzoo.metrics.fid import frechet_distance
from ganzoo.metrics.kid import kernel_distance
from ganzoo.metrics.prdc import prdc
from ganzoo.metrics.statistics import moments
from ganzoo.runs.environment import device_name
from ganzoo.runs.snapshots import build_gan
from ganzoo.scoring.generation import generate
from ganzoo.zoo.registry import Registry

REGISTRY = Registry.load()
VARIANTS = [
    spec.name
    for spec in REGISTRY.variants()
    if (spec.sizes is None or 32 in spec.sizes) and (spec.channels is None or 1 in spec.channels)
]
OBJECTIVES = [spec.name for spec in REGISTRY.all("objectives")]
DEVICE = resolve_device("auto")


def has_bf16() -> bool:
    """Whether bf16 is faster than emulation: CUDA devices that have it, processors with AVX-512 BF16 or AMX."""
    if DEVICE.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    info = Path("/proc/cpuinfo")
    flags = info.read_text(encoding="utf-8") if info.is_file() else ""
    return DEVICE.type == "cpu" and ("amx_bf16" in flags or "avx512_bf16" in flags)


PRECISIONS = ["fp32", *(["bf16"] if has_bf16() else [])]


@pytest.fixture(autouse=True)
def conditions(benchmark: Any) -> Iterator[None]:
    """What a figure belongs to, and torch as it is while a job trains."""
    benchmark.extra_info.update(device=device_name(DEVICE), torch=torch.__version__)
    with denormals_flushed():
        yield


def noise(images: int) -> Images:
    """Random grey images of 32x32 in 10 classes."""
    random = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (images, 1, 32, 32), dtype=torch.uint8, generator=random)
    return make_images(pixels, torch.arange(images) % 10)


def quarter_width(name: str) -> dict[str, int]:
    """Settings of a variant that is quick enough to be measured with every other."""
    settings = {setting.name: setting.default for setting in REGISTRY.variant(name).settings}
    return {f"variant.{key}": int(settings[key]) // 4 for key in ("channels", "width") if key in settings}


def make_step(name: str, objective: str, precision: str, batch: int) -> tuple[Step, int]:
    """One iteration of training, and how many of them make a generator step."""
    spec, target = REGISTRY.variant(name), REGISTRY.objective(objective)
    if target.per_sample_gradients and not spec.per_sample_critic:
        pytest.skip("this variant cannot do without batch norm in its critic")
    overrides: dict[str, Any] = {"train.batch_size": batch, "precision": precision, **quarter_width(name)}
    config = build_config(REGISTRY, variant=name, objective=objective, preset="standard", overrides=overrides)
    num_classes = 10 if spec.conditional else 0
    torch.manual_seed(0)
    step = Step(
        gan=build_gan(REGISTRY, config, (1, 32, 32), num_classes),
        losses=target.load()(config.objective.settings),
        sampler=make_sampler(noise(2_000), batch_size=batch, device=DEVICE, seed=0),
        config=config.train,
        num_classes=num_classes,
        device=DEVICE,
        precision=resolve_precision(precision, DEVICE),
    )
    return step, config.train.d_steps


@pytest.mark.parametrize("batch", [32, 128])
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("name", VARIANTS)
def test_training_step(benchmark: Any, name: str, objective: str, precision: str, batch: int) -> None:
    """Generator steps and the discriminator steps before each: batches, phases, statistics, EMA. One of them, or as
    many as a replay holds.
    """
    step, d_steps = make_step(name, objective, precision, batch)
    iterations = warm_up(step, d_steps)

    def iterate() -> None:
        advance(step, iterations)
        synchronize(DEVICE)

    benchmark.extra_info.update(images=batch * iterations)
    benchmark.pedantic(iterate, rounds=10, warmup_rounds=1)


@pytest.mark.parametrize("name", VARIANTS)
def test_sampling(benchmark: Any, name: str) -> None:
    """250 images by the generator in eval mode."""
    spec = REGISTRY.variant(name)
    config = build_config(REGISTRY, variant=name, preset="standard", overrides=quarter_width(name))
    gan = build_gan(REGISTRY, config, (1, 32, 32), 10 if spec.conditional else 0)
    generator = gan.generator.to(DEVICE)
    labels = torch.arange(250) % 10 if spec.conditional else None

    def sample() -> None:
        for _ in generate(generator, gan.z_dim, 250, labels=labels, seed=0, batch_size=250, device=DEVICE):
            pass
        synchronize(DEVICE)

    benchmark.extra_info.update(images=250)
    benchmark.pedantic(sample, rounds=10, warmup_rounds=2)


@pytest.mark.parametrize("features", ["digits", "fashion-mnist"])
def test_feature_extraction(benchmark: Any, features: str) -> None:
    """1,000 images through a shipped classifier."""
    extractor = REGISTRY.features(features).load()(DEVICE)
    pixels = noise(1_000).pixels.to(DEVICE)

    @torch.no_grad()
    def extract() -> None:
        extractor(pixels)
        synchronize(DEVICE)

    benchmark.pedantic(extract, rounds=5, warmup_rounds=1)


def features_of(images: int, dim: int, seed: int) -> torch.Tensor:
    return torch.randn(images, dim, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("dim", [64, 512])
def test_fid(benchmark: Any, dim: int) -> None:
    """FID from the moments of 2,000 features each."""
    a, b = (moments(features_of(2_000, dim, seed)) for seed in range(2))
    benchmark.pedantic(lambda: frechet_distance(a, b), rounds=5, warmup_rounds=1)


@pytest.mark.parametrize("images", [2_000, 20_000])
def test_kid(benchmark: Any, images: int) -> None:
    """100 subsets of 1,000 of features of 64 dimensions: subsets that overlap much, and little."""
    a, b = (features_of(images, 64, seed) for seed in range(2))
    benchmark.pedantic(lambda: kernel_distance(a, b), rounds=3, warmup_rounds=1)


def test_prdc(benchmark: Any) -> None:
    """2,000 against 2,000 features of 64 dimensions."""
    a, b = (features_of(2_000, 64, seed) for seed in range(2))
    benchmark.pedantic(lambda: prdc(a, b, nearest_k=5), rounds=3, warmup_rounds=1)


@pytest.mark.parametrize("resident", [True, False], ids=["resident", "streaming"])
def test_batches(benchmark: Any, resident: bool) -> None:
    """100 batches of 64 from 60,000 images, as float in [-1, 1]."""
    limit = None if resident else 0
    sampler = make_sampler(noise(60_000), batch_size=64, device=DEVICE, seed=0, resident_limit_bytes=limit)
    index = iter(range(10**9))

    def fetch() -> None:
        for _ in range(100):
            to_float(sampler.batch(next(index))[0])
        synchronize(DEVICE)

    benchmark.extra_info.update(images=6_400)
    benchmark.pedantic(fetch, rounds=10, warmup_rounds=1)
    sampler.close()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """500 smooth JPEGs of 178x218 pixels."""
    folder, random = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for index in range(500):
        coarse = Image.fromarray(random.integers(0, 256, (14, 11, 3), dtype=np.uint8))
        coarse.resize((178, 218), Image.Resampling.BICUBIC).save(folder / f"{index:03}.jpg", quality=85)
    return folder


@pytest.mark.parametrize("cached", [False, True], ids=["decode", "cached"])
def test_folder(benchmark: Any, pictures: Path, tmp_path: Path, cached: bool) -> None:
    """500 JPEGs to 64x64: into the cache, and from it."""
    roots = (tmp_path / ("root" if cached else f"root{index}") for index in range(10**9))

    def load(root: Path) -> Images:
        return load_folder(root, "train", False, path=pictures, size=64, on_progress=lambda *_: None)

    benchmark.extra_info.update(images=500)
    benchmark.pedantic(load, setup=lambda: ((next(roots),), {}), rounds=3, warmup_rounds=1)


STARTS: dict[str, list[str]] = {
    "help": ["-m", "ganzoo", "--help"],
    "list": ["-m", "ganzoo", "list"],
    "bench": ["-m", "ganzoo", "bench", "--variants", "gan", "--kimg", "0.064", "--num-images", "100",
              "--set", "train.snapshots=1", "--set", "eval.metrics=is"],
}  # fmt: skip


@pytest.mark.parametrize("command", STARTS)
def test_startup(benchmark: Any, command: str, tmp_path: Path) -> None:
    """`bench`: a run of one step, with nothing cached. `costs.py` times the way to the first step alone."""
    folders = (tmp_path / str(index) for index in range(10**9))

    def make_folder() -> tuple[tuple[Path], dict[str, Any]]:
        folder = next(folders)
        folder.mkdir()
        return (folder,), {}

    def start(folder: Path) -> None:
        environment = os.environ | {"GANZOO_DATA": str(folder / "data")}
        arguments = [sys.executable, *STARTS[command]]
        done = subprocess.run(arguments, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    benchmark.pedantic(start, setup=make_folder, rounds=1 if command == "bench" else 3)
