"""All checks in order, and the record that is kept of them."""

from __future__ import annotations

import datetime
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ganzoo.data import load_dataset
from ganzoo.doctor import checks
from ganzoo.doctor.checks import FAILED, REPORT, SKIPPED, Check, verdict
from ganzoo.doctor.golden import REFERENCE_IMAGES, Pair, check_golden, features_of, read_golden, score
from ganzoo.doctor.survey import datasets_at, survey
from ganzoo.errors import UserError
from ganzoo.features.classifiers import WEIGHTS, read_records
from ganzoo.files.writing import write_json
from ganzoo.metrics import fid as fid_module
from ganzoo.metrics.evaluate import Reference
from ganzoo.metrics.extract import extract_features
from ganzoo.runs.environment import doctor_file
from ganzoo.zoo.registry import Registry

SCHEMA = 1
NOISE = (0.0, 0.1, 0.2, 0.4, 0.8)  # standard deviation, in units of the range [-1, 1]
BLUR = (0.0, 1.0, 2.0, 3.0, 4.0)  # pixels of 32
KEPT_CLASSES = (10, 7, 5, 2)
MODE_IMAGES = 280  # divisible by each of KEPT_CLASSES, and two classes have as many


def examine(
    registry: Registry, *, device: torch.device, root: Path, on_check: Callable[[Check], object] = lambda check: None
) -> dict[str, Any]:
    """Run every check on `device` and describe the machine; the JSON-ready record. Nothing is downloaded or stored.

    Args:
        registry: the zoo that is examined.
        device: where features and metrics are computed.
        root: the folder of datasets and caches.
        on_check: told each check as it ends.

    Returns:
        "schema", "when" (UTC), "ok", "seconds", "checks" (as `Check`) and "environment" (as `survey`).
    """
    started = time.perf_counter()
    done = []
    for check in run_checks(registry, device, root):
        done.append(check)
        on_check(check)
    return {
        "schema": SCHEMA,
        "when": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "ok": all(check.status != FAILED for check in done),
        "seconds": round(time.perf_counter() - started, 3),
        "checks": [asdict(check) for check in done],
        "environment": survey(registry, device, root),
    }


def store(document: dict[str, Any], root: Path) -> None:
    """Keep the record as `doctor.json` under the data root, where every run finds it for its env.json.

    Raises:
        UserError: it cannot be written.
    """
    write_json(doctor_file(root), document)


def check_lines(check: Check) -> list[str]:
    """One line for a person, and a second with the cure of a failure."""
    wanted = f"; expected {check.expected}" if check.expected else ""
    lines = [f"{check.status:<7}  {check.name}: {check.found}{wanted}"]
    return [*lines, f"         try: {check.cure}"] if check.cure else lines


def run_checks(registry: Registry, device: torch.device, root: Path) -> Iterator[Check]:
    """Every check, as it ends."""
    yield _timed("plugins", partial(_check_plugins, registry))
    yield _timed("data root", partial(_check_data_root, root))
    yield _timed("distance of known Gaussians", partial(checks.check_gaussians, fid_module.frechet_distance))
    digits = load_pair(registry, root, "digits")
    sample = digits.test.pixels[:: len(digits.test) // 56][:56]
    networks: dict[str, nn.Module] = {}  # those whose weights are as recorded, and which could be put on the device
    for name in _recorded(WEIGHTS):
        yield (weights := _timed(f"weights of {name}", partial(checks.check_weights, name, WEIGHTS)))
        if weights.status != FAILED:
            yield _timed(f"eval mode of {name}", partial(_load_and_check, registry, name, device, networks))
        if name in networks:
            yield _timed(f"batches of {name}", partial(checks.check_batches, name, networks[name], sample, device))
    if "digits" in networks:
        yield from _metric_checks(registry, networks["digits"], digits, device)
    else:
        yield Check(name="FID on digits", status=SKIPPED, found="its classifier cannot be used")
    for name in REFERENCE_IMAGES:
        yield _timed(f"golden values of {name}", partial(_golden, registry, name, networks, device, root))


def _load_and_check(registry: Registry, name: str, device: torch.device, networks: dict[str, nn.Module]) -> Check:
    """Load a classifier as a run would, into `networks`, and look at its mode."""
    networks[name] = registry.features(name).load()(device)
    return checks.check_eval_mode(name, networks[name])


def _timed(name: str, check: Callable[[], Check]) -> Check:
    """Run one check. What a library refuses is a failure with its cure; what torch cannot do on the device, too."""
    started = time.perf_counter()
    try:
        done = check()
    except UserError as error:
        done = Check(name=name, status=FAILED, found=error.cause, cure=error.cure)
    except RuntimeError as error:
        lines = str(error).strip().splitlines() or ["no message"]
        done = Check(name=name, status=FAILED, found=f"{type(error).__name__}: {lines[0]}", cure=REPORT)
    return replace(done, seconds=round(time.perf_counter() - started, 3))


def _check_plugins(registry: Registry) -> Check:
    failed = registry.failures()
    return verdict(
        "plugins",
        not failed,
        "; ".join(f"{plugin}: {plugin.error}" for plugin in failed)
        or f"{sum(plugin.status == 'loaded' for plugin in registry.plugins)} loaded",
        "all load",
        f"ganzoo plugins {failed[0].name} shows the traceback; GANZOO_DISABLE={failed[0].name} leaves it out"
        if failed
        else "",
    )


def _check_data_root(root: Path) -> Check:
    """Whether datasets, caches and this record can be written; the folder is made."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=root):
            pass
        problem = ""
    except OSError as error:
        problem = error.strerror or str(error)
    cure = "choose a folder of yours with --data-root or GANZOO_DATA"
    return verdict("data root", not problem, f"{root}: {problem or 'can be written'}", "can be written", cure)


def _recorded(folder: Path) -> list[str]:
    """The shipped classifiers: those on record, and in any case those with golden values."""
    try:
        return list(dict.fromkeys([*read_records(folder), *REFERENCE_IMAGES]))
    except UserError:
        return list(REFERENCE_IMAGES)


def load_pair(registry: Registry, root: Path, name: str) -> Pair:
    """Raises UserError when the files are missing or damaged; nothing is downloaded."""
    target = registry.dataset(name).load()
    test, train = (load_dataset(target, root=root, split=split, download=False) for split in ("test", "train"))
    return Pair(test=test, train=train, reference_images=REFERENCE_IMAGES[name])


def _metric_checks(registry: Registry, network: nn.Module, pair: Pair, device: torch.device) -> Iterator[Check]:
    """FID as registered, on features of digits: 0, symmetric, and rising with damage."""
    spec = registry.metric("fid")

    def fid(generated: Tensor, reference: Tensor) -> float:
        metric = spec.load()(**{setting.name: setting.default for setting in spec.settings})
        metric.update({"pool": generated.to(device)}, None)
        return float(metric.compute(Reference(pool=reference))["fid"])

    def features(pixels: Tensor) -> Tensor:
        return extract_features(network, pixels, device=device)["pool"]

    try:
        test, train = (part["pool"] for part in features_of(pair, network, device))
    except (UserError, RuntimeError) as error:
        yield Check(name="features of digits", status=FAILED, found=str(error).splitlines()[0], cure=REPORT)
        return

    def rising(what: str, levels: Callable[[], dict[str, Tensor]]) -> Check:
        return _timed(f"FID under {what}", lambda: checks.check_rising(what, fid, train, levels()))

    labels, pixels = pair.train.labels, pair.test.pixels
    assert labels is not None  # digits are labelled
    yield _timed("FID of a set with itself", partial(checks.check_self_distance, fid, train))
    yield _timed("FID in both directions", partial(checks.check_symmetry, fid, test, train))
    yield rising("noise", lambda: {f"{s:g}": features(checks.noised(pixels, s)) for s in NOISE})
    yield rising("blur", lambda: {f"{s:g} px": features(checks.blurred(pixels, s)) for s in BLUR})
    yield rising(
        "dropping of modes",
        lambda: {f"{k} classes": train[checks.balanced_index(labels, range(k), MODE_IMAGES)] for k in KEPT_CLASSES},
    )


def _golden(registry: Registry, name: str, networks: dict[str, nn.Module], device: torch.device, root: Path) -> Check:
    title = f"golden values of {name}"
    if name not in networks:
        return Check(name=title, status=SKIPPED, found="its classifier cannot be used")
    if name not in datasets_at(root):
        why = f"there are no files of {name} under {root}; they are not downloaded for this"
        return Check(name=title, status=SKIPPED, found=why)
    network, pair = networks[name], load_pair(registry, root, name)
    record = read_golden(WEIGHTS).get(name)
    if record is None:
        return Check(name=title, status=FAILED, found="no values in golden.json", cure=checks.REINSTALL)
    return check_golden(
        name,
        record,
        pair,
        str(getattr(network, "weights_sha256", "unhashed")),
        lambda: score(registry, pair, features_of(pair, network, device), device),
    )
