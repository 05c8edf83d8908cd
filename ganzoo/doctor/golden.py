"""Golden values: what the metrics give, with the shipped classifiers, on test against train of known data sets.

They are stored in `features/weights/golden.json` with the SHA-256 of weights and data, and written again by
`python -m ganzoo.cli.golden --write-golden`, which also measures under what conditions they move, and how far.
"""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ganzoo.data import Images
from ganzoo.doctor.checks import FAILED, REPORT, Check, verdict
from ganzoo.errors import UserError
from ganzoo.features.classifiers import WEIGHTS, Classifier
from ganzoo.features.classifiers import load as load_classifier
from ganzoo.files.writing import write_json
from ganzoo.metrics.evaluate import Reference
from ganzoo.metrics.extract import Extractor, extract_features
from ganzoo.zoo.registry import Registry

GOLDEN = "golden.json"
COMMAND = "python -m ganzoo.cli.golden --write-golden"
REFERENCE_IMAGES = {"digits": 1437, "fashion-mnist": 10_000}
"""The first of the train images: all 1,437 of digits; of Fashion-MNIST as many as its test set has, for speed."""

METRICS = ("fid", "is", "kid", "prdc")
KEYS = ("fid", "is", "kid", "precision", "recall", "density", "coverage")
SETTINGS: dict[str, dict[str, Any]] = {"prdc": {"max_images": 5000}}
"""Metric -> what differs from its default settings: 10,000 images would double the time of the whole doctor."""

TOLERANCE = {"fid": 2e-6, "is": 1e-5, "kid": 3e-7}
"""Absolute, about 25 times the largest move over `conditions` on both data sets: 8e-8 of FID, 3e-7 of IS and 1.3e-8 of
KID, all with other convolutions than oneDNN's; threads, batch size and memory layout moved them by 6e-9, 4e-8 and 9e-10
at most. Convolutions in TF32 move those of digits by 1.8e-5, 7.5e-5 and 2.3e-6, in bf16 by more, and are found.
"""

FLIPS = 2
"""Images by which precision, recall, density and coverage may differ: they are counts, and an image at the edge of a
ball flips. None did under `conditions`; of 10,000 images, one of 50,000 inclusions did without oneDNN.
"""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Test images, and the train images they are scored against."""

    test: Images
    train: Images
    reference_images: int  # the first of the train images

    @property
    def sha256(self) -> dict[str, str]:
        return {"train": self.train.sha256, "test": self.test.sha256}


def tolerances(pair_counts: tuple[int, int]) -> dict[str, float]:
    """Key -> absolute tolerance. `pair_counts`: images scored, and images of the reference."""
    return TOLERANCE | dict.fromkeys(KEYS[3:], FLIPS / min(*pair_counts, SETTINGS["prdc"]["max_images"]))


def features_of(
    pair: Pair, extractor: Extractor, device: torch.device, batch_size: int = 250
) -> list[dict[str, Tensor]]:
    """Features of the test images and of the reference: each "pool" float32 `[N,D]` and "logits" `[N,K]`, on the CPU.

    Raises:
        UserError: as `ganzoo.metrics.extract.extract_features`.
    """
    sets = (pair.test.pixels, pair.train.pixels[: pair.reference_images])
    return [extract_features(extractor, pixels, device=device, batch_size=batch_size) for pixels in sets]


def score(registry: Registry, pair: Pair, features: list[dict[str, Tensor]], device: torch.device) -> dict[str, float]:
    """`KEYS` of the test images against the reference, by the registered metrics, at their defaults but for `SETTINGS`.

    Raises:
        UserError: what a metric refuses.
    """
    test, train = features
    reference = Reference(pool=train["pool"], logits=train["logits"], num_classes=pair.train.num_classes)
    found: dict[str, float] = {}
    for name in METRICS:
        spec = registry.metric(name)
        metric = spec.load()(**{setting.name: setting.default for setting in spec.settings} | SETTINGS.get(name, {}))
        metric.update({key: values.to(device) for key, values in test.items()}, None)
        found |= metric.compute(reference)
    return {key: found[key] for key in KEYS}


def read_golden(folder: Path = WEIGHTS) -> dict[str, dict[str, Any]]:
    """Data set -> its record.

    Raises:
        UserError: golden.json cannot be read.
    """
    path = folder / GOLDEN
    try:
        sets: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["sets"]
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"cannot read {path}: {error}", "reinstall ganzoo") from error
    return sets


def check_golden(
    name: str,
    record: Mapping[str, Any],
    pair: Pair,
    weights_sha256: str,
    values: Callable[[], Mapping[str, float]],
) -> Check:
    """Whether the metrics of data set `name` are those of its `record`.

    Args:
        name: of the data set and of its classifier.
        record: of golden.json.
        pair: the images.
        weights_sha256: of the classifier that is used.
        values: computes `KEYS`; only called when weights and data are those of the record.
    """
    title = f"golden values of {name}"
    for what, found, expected, cure in (
        ("weights", weights_sha256, record["weights_sha256"], "reinstall ganzoo"),
        *(
            (
                f"{split} images",
                pair.sha256[split],
                record["sha256"][split],
                f"delete the files of {name}, get it again",
            )
            for split in ("train", "test")
        ),
    ):
        if found != expected:
            return Check(
                name=title,
                status=FAILED,
                found=f"{what} {found[:12]}",
                expected=f"{what} {expected[:12]}, of which the values are",
                cure=cure,
            )
    measured = values()
    off = [key for key in KEYS if not abs(measured[key] - record["values"][key]) <= record["tolerance"][key]]
    shown = off or KEYS
    expected_text = ", ".join(f"{key} {record['values'][key]:.7g} ± {record['tolerance'][key]:.1g}" for key in off)
    return verdict(
        title,
        not off,
        ", ".join(f"{key} {measured[key]:.5g}" if not off else f"{key} {measured[key]:.7g}" for key in shown),
        expected_text or "as stored, to " + ", ".join(f"{record['tolerance'][key]:.1g}" for key in KEYS[:4]),
        REPORT,
    )


@contextlib.contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def _planar(network: Classifier) -> Iterator[None]:
    """Weights and activations in the order N, C, H, W instead of channels_last."""
    hook = network.body.register_forward_pre_hook(lambda module, inputs: (inputs[0].contiguous(),))
    network.to(memory_format=torch.contiguous_format)
    try:
        yield
    finally:
        hook.remove()
        network.to(memory_format=torch.channels_last)


@contextlib.contextmanager
def _without_onednn() -> Iterator[None]:
    """torch's own convolutions instead of oneDNN's."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of the TF32 of another device, which the same call sets
        with torch.backends.mkldnn.flags(enabled=False):
            yield


def conditions(network: Classifier) -> dict[str, tuple[contextlib.AbstractContextManager[Any], int]]:
    """Name -> (context, batch size) under which the values are taken; the first gives the values that are stored."""
    return {
        "1 thread": (_threads(1), 250),
        "2 threads": (_threads(2), 250),
        "batches of 37": (_threads(1), 37),
        "not channels_last": (_planar(network), 250),
        "oneDNN off": (_without_onednn(), 250),
    }


def write_golden(
    registry: Registry,
    pairs: Mapping[str, Pair],
    folder: Path,
    made: Mapping[str, Any],
    announce: Callable[[str], None],
) -> None:
    """Measure the golden values on the CPU under every one of `conditions`, and write golden.json.

    Args:
        registry: of the metrics.
        pairs: data set -> its images.
        folder: of the classifiers' weights and records.
        made: versions and machine, stored beside the values.
        announce: told each condition and its values.

    Raises:
        UserError: a value moves by more than half its tolerance, so that the tolerance says nothing.
    """
    device = torch.device("cpu")
    sets: dict[str, Any] = {}
    for name, pair in pairs.items():
        network = load_classifier(name, device, folder)
        counts = (len(pair.test), pair.reference_images)
        allowed = tolerances(counts)
        values: dict[str, float] = {}
        spread: dict[str, dict[str, float]] = {}
        for condition, (context, batch_size) in conditions(network).items():
            with context:
                features = features_of(pair, network, device, batch_size)
            measured = score(registry, pair, features, device)
            values = values or measured
            announce(f"{name}, {condition}: " + ", ".join(f"{key} {value:.9g}" for key, value in measured.items()))
            spread[condition] = {key: float(f"{abs(measured[key] - values[key]):.1e}") for key in KEYS}
        worst = {key: max(moved[key] for moved in spread.values()) for key in KEYS}
        loose = [f"{key} by {worst[key]:.1e}" for key in KEYS if worst[key] > allowed[key] / 2]
        if loose:
            raise UserError(f"{name} moves with the conditions: {', '.join(loose)}", "find out why before storing it")
        sets[name] = {
            "weights_sha256": network.weights_sha256,
            "sha256": pair.sha256,
            "images": counts[0],
            "reference_images": counts[1],
            "values": values,
            "tolerance": allowed,
            "moves": spread,
        }
    write_json(folder / GOLDEN, {"command": COMMAND, "made": dict(made), "settings": SETTINGS, "sets": sets})
