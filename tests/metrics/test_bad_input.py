"""Input that cannot be scored gets a sentence that says why and what to do; what can be scored gets a finite number."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from ganzoo.config.layers import build_config
from ganzoo.data import make_images, to_uint8
from ganzoo.errors import SettingError, UserError
from ganzoo.features import classifiers
from ganzoo.metrics.conditional import ClassBalance
from ganzoo.metrics.evaluate import Extractor, Reference, evaluate, reference_features
from ganzoo.metrics.fid import FrechetDistance
from ganzoo.metrics.inception_score import InceptionScore
from ganzoo.metrics.kid import KernelDistance
from ganzoo.metrics.prdc import PrecisionRecallDensityCoverage
from ganzoo.scoring.generation import generate
from ganzoo.scoring.scorer import Scorer
from ganzoo.zoo.registry import Registry

CPU = torch.device("cpu")
NAN, INFINITY = float("nan"), float("inf")
METRICS: dict[str, Callable] = {
    "fid": FrechetDistance,
    "is": InceptionScore,
    "kid": lambda: KernelDistance(subsets=3, subset_size=50),
    "prdc": PrecisionRecallDensityCoverage,
}


def pixels(n: int, seed: int = 0, *, channels: int = 1) -> Tensor:
    return torch.randint(0, 256, (n, channels, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def black(n: int, channels: int = 1) -> Tensor:
    return torch.zeros(n, channels, 8, 8, dtype=torch.uint8)


@pytest.fixture(scope="module")
def network() -> classifiers.Classifier:
    """The shipped classifier for digits: 64 features, 10 classes."""
    return classifiers.digits("cpu")


def score(names: str | list[str], generated: Tensor, real: Tensor, extractor: Extractor) -> dict[str, float]:
    """What one metric, or several, say of these images."""
    names = [names] if isinstance(names, str) else names
    reference = reference_features(make_images(real), extractor, cache_dir=None, key="", device=CPU)
    batches = [(batch, None) for batch in generated.split(40)]
    return evaluate({name: METRICS[name]() for name in names}, batches, extractor, reference, device=CPU)


def refused(metric: str, generated: Tensor, real: Tensor, extractor: Extractor) -> str:
    """The sentence it is refused with: a cause and a cure, one line each."""
    with pytest.raises(UserError) as caught:
        score(metric, generated, real, extractor)
    assert "\n" not in str(caught.value)
    assert caught.value.cause
    assert caught.value.cure
    return caught.value.cause


# Images that are alike


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", ["generated", "reference", "both"])
def test_black_images_get_finite_numbers(network, channels, side):
    generated = pixels(110, channels=channels) if side == "reference" else black(110, channels)
    real = pixels(120, 1, channels=channels) if side == "generated" else black(120, channels)
    found = score(list(METRICS), generated, real, network)
    assert all(map(math.isfinite, found.values()))
    if side == "both":
        assert found["fid"] == pytest.approx(0, abs=1e-9)
        assert found["kid"] == pytest.approx(0, abs=1e-9)
        assert found["precision"] == found["recall"] == found["coverage"] == 1
    else:
        assert found["fid"] > 1
        assert found["kid"] > 1
        assert found["precision"] == found["recall"] == found["density"] == found["coverage"] == 0
    if side != "reference":
        assert found["is"] == pytest.approx(1)


# Too few of them


@pytest.mark.parametrize(("counts", "found"), [((64, 120), "64 generated"), ((110, 64), "64 reference")])
def test_fewer_images_than_dimensions_make_no_fid(network, counts, found):
    cause = refused("fid", pixels(counts[0]), pixels(counts[1], 1), network)
    assert found in cause
    assert "64 feature dimensions" in cause
    assert score("kid", pixels(counts[0]), pixels(counts[1], 1), network)["kid"] > -1


@pytest.mark.parametrize(
    ("metric", "cause"),
    [
        ("fid", "1 generated, 120 reference"),
        ("is", "1 images are too few"),
        ("kid", "at least 2 images on each side: 1 generated"),
        ("prdc", "no 5-th nearest neighbour"),
    ],
)
def test_one_generated_image(network, metric, cause):
    assert cause in refused(metric, pixels(1), pixels(120), network)


@pytest.mark.parametrize("metric", ["fid", "kid", "prdc"])
def test_one_real_image(network, metric):
    assert "1" in refused(metric, pixels(110), pixels(1), network)


def test_one_image_has_no_fid_even_if_told_to(network):
    reference = reference_features(make_images(pixels(120)), network, cache_dir=None, key="", device=CPU)
    metric = FrechetDistance(allow_rank_deficient=True)
    with pytest.raises(UserError, match="at least 2 images"):
        evaluate({"fid": metric}, [(pixels(1), None)], network, reference, device=CPU)


@pytest.mark.parametrize("batches", [[], [(black(0), None)]])
def test_no_generated_image(network, batches):
    reference = reference_features(make_images(pixels(120)), network, cache_dir=None, key="", device=CPU)
    with pytest.raises(UserError, match="no generated images"):
        evaluate({name: make() for name, make in METRICS.items()}, batches, network, reference, device=CPU)


def test_no_real_image(network):
    assert "no images" in refused("fid", pixels(110), black(0), network)


@pytest.mark.parametrize("metric", ["fid", "kid", "prdc"])
def test_a_reference_of_nothing(metric):
    found = METRICS[metric]()
    found.update({"pool": torch.rand(50, 3)}, None)
    with pytest.raises(UserError, match="0 "):
        found.compute(Reference(pool=torch.zeros(0, 3)))


@pytest.mark.parametrize("metric", METRICS)
def test_a_metric_that_saw_nothing(metric):
    with pytest.raises(UserError):
        METRICS[metric]().compute(Reference(pool=torch.rand(50, 3)))


# Images that are no images


class Diverged(nn.Module):
    """A generator that gives `value` in one pixel of one image."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, z: Tensor, labels: Tensor | None) -> Tensor:
        images = torch.tanh(z[:, :1, None, None]).repeat(1, 1, 8, 8)
        images[-1, 0, 3, 3] = self.value
        return images


@pytest.mark.parametrize("value", [NAN, INFINITY, -INFINITY])
def test_a_generator_that_gives_nan_is_refused(network, value):
    reference = reference_features(make_images(pixels(120)), network, cache_dir=None, key="", device=CPU)
    batches = generate(Diverged(value), 4, 110, labels=None, seed=0, batch_size=40, device=CPU)
    with pytest.raises(UserError, match="generated images hold NaN or infinity") as caught:
        evaluate({"kid": KernelDistance()}, batches, network, reference, device=CPU)
    assert "diverged" in caught.value.cure


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> Scorer:
    root: Path = tmp_path_factory.mktemp("root")
    registry = Registry.load(environ={})
    config = build_config(registry, variant="gan", sets=["eval.num_images=110", "eval.metrics=fid,is,kid"])
    return Scorer(registry, config, make_images(pixels(120), torch.arange(120) % 10), root=root, device=CPU)


def test_the_scorer_refuses_nan_and_clamps_what_is_outside_the_range(scorer):
    with pytest.raises(UserError, match="NaN"):
        scorer.score_generator(Diverged(NAN), 4)
    outside = scorer.score_generator(Diverged(1e30), 4).values
    assert all(map(math.isfinite, outside.values()))
    assert outside == scorer.score_generator(Diverged(1.0), 4).values


def test_floats_outside_the_range_become_the_nearest_level():
    floats = torch.tensor([-1e30, -1.001, 1.001, 1e30]).view(4, 1, 1, 1)
    assert to_uint8(floats).flatten().tolist() == [0, 0, 255, 255]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.int64, torch.bool])
@pytest.mark.parametrize("side", ["generated", "real"])
def test_only_uint8_images_are_scored(network, dtype, side):
    images = {"generated": pixels(110), "real": pixels(120)}
    images[side] = images[side].to(dtype)
    with pytest.raises(UserError, match=r"expected torch\.uint8") as caught:
        score("kid", images["generated"], images["real"], network)
    assert "to_uint8" in caught.value.cure


@pytest.mark.parametrize("shape", [(110, 8, 8), (110, 64), (110, 1, 1, 8, 8)])
def test_images_of_another_number_of_axes(network, shape):
    assert "expected torch.uint8 [N,C,H,W]" in refused("kid", pixels(110).reshape(shape), pixels(120), network)


# Channels


@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize("metric", METRICS)
def test_other_numbers_of_channels(network, metric, channels):
    assert f"{channels} channels" in refused(metric, pixels(110, channels=channels), pixels(120), network)


def test_grey_against_colour_is_compared_as_grey(network):
    grey = pixels(110)
    found = score("fid", grey, pixels(120, 1).repeat(1, 3, 1, 1), network)
    assert found["fid"] == pytest.approx(score("fid", grey, pixels(120, 1), network)["fid"], rel=1e-3)


def flat(images: Tensor) -> dict[str, Tensor]:
    """A feature network that does not bring images to one shape."""
    pool = images.flatten(1).float() / 255
    return {"pool": pool, "logits": pool}


def test_features_of_another_dimension_than_the_references():
    cause = refused("kid", pixels(110), pixels(120, channels=3), flat)
    assert cause == "64 features per generated image, 192 per reference image"


# Feature networks that do not keep their word


def replaced(**changes: object) -> Callable[[Tensor], object]:
    return lambda good: {**good, **changes}


BAD_OUTPUTS: dict[str, Callable[[dict[str, Tensor]], object]] = {
    "a tensor": lambda good: good["pool"],
    "nothing": lambda good: None,
    "a pair": lambda good: (good["pool"], good["logits"]),
    "no pool": lambda good: {"logits": good["logits"]},
    "pool is None": replaced(pool=None),
    "pool is numpy": lambda good: {"pool": good["pool"].numpy()},
    "half": lambda good: {"pool": good["pool"].half()},
    "double": lambda good: {"pool": good["pool"].double()},
    "integers": lambda good: {"pool": good["pool"].long()},
    "a map": lambda good: {"pool": good["pool"][:, :, None, None]},
    "flat": lambda good: {"pool": good["pool"].flatten()},
    "one image less": lambda good: {"pool": good["pool"][1:]},
    "transposed": lambda good: {"pool": good["pool"].T},
    "no features": lambda good: {"pool": good["pool"][:, :0]},
    "NaN": lambda good: {"pool": good["pool"] * NAN},
    "infinity": lambda good: {"pool": good["pool"] + INFINITY},
    "logits are None": replaced(logits=None),
    "logits of NaN": lambda good: {"pool": good["pool"], "logits": good["logits"] * NAN},
    "logits of one image": lambda good: {"pool": good["pool"], "logits": good["logits"][:1]},
}


@pytest.mark.parametrize("bad", BAD_OUTPUTS)
@pytest.mark.parametrize("side", ["generated", "reference"])
def test_what_a_feature_network_may_not_give(bad, side):
    def my_network(images: Tensor) -> object:
        return BAD_OUTPUTS[bad](flat(images))

    if side == "reference":
        cause = refused("kid", pixels(110), pixels(120), my_network)
    else:
        reference = Reference(pool=flat(pixels(120))["pool"])
        with pytest.raises(UserError) as caught:
            evaluate({"kid": KernelDistance()}, [(pixels(110), None)], my_network, reference, device=CPU)
        cause = caught.value.cause
        assert '"pool": float32 [n,D]' in caught.value.cure
    assert "my_network gave" in cause


def changing(first: Callable, then: Callable) -> Callable[[Tensor], object]:
    """A network whose output changes after its first batch."""
    calls: Iterator[Callable] = iter([first])
    return lambda images: next(calls, then)(flat(images))


def test_outputs_that_change_from_batch_to_batch():
    reference = Reference(pool=flat(pixels(120))["pool"], logits=flat(pixels(120))["logits"], num_classes=64)
    batches = [(batch, None) for batch in pixels(110).split(60)]
    narrow = changing(dict, lambda good: {**good, "logits": good["logits"][:, :9]})
    for metric in (InceptionScore(), ClassBalance()):
        with pytest.raises(UserError, match="logits have 9 and 64 dimensions"):
            evaluate({"any": metric}, batches, narrow, reference, device=CPU)
        narrow = changing(dict, lambda good: {**good, "logits": good["logits"][:, :9]})
    shallow = changing(dict, lambda good: {"pool": good["pool"][:, :9]})
    with pytest.raises(UserError, match="9 features per generated image, 64 per reference"):
        evaluate({"kid": KernelDistance()}, batches, shallow, reference, device=CPU)
    silent = changing(dict, lambda good: {"pool": good["pool"]})
    with pytest.raises(UserError, match="no logits"):
        evaluate({"is": InceptionScore()}, batches, silent, reference, device=CPU)


def test_a_network_without_logits_has_no_inception_score():
    assert "no logits" in refused("is", pixels(110), pixels(120), lambda images: {"pool": flat(images)["pool"]})


@pytest.mark.parametrize("factor", [1e-30, 1e-5, 1e5, 1e12])
@pytest.mark.parametrize("metric", METRICS)
def test_features_of_any_size_get_finite_numbers(metric, factor):
    found = score(metric, pixels(110), pixels(120, 1), lambda images: {k: factor * v for k, v in flat(images).items()})
    assert all(map(math.isfinite, found.values()))


@pytest.mark.parametrize(
    "setting",
    ["is.splits=0", "kid.subsets=0", "kid.subset_size=1", "prdc.nearest_k=0"],
)
def test_settings_of_metrics_without_a_meaning(setting):
    with pytest.raises(SettingError):
        build_config(Registry.load(environ={}), variant="gan", sets=[f"metrics.{setting}"])
