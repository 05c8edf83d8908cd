"""Whether datasets, feature networks and metrics are what their specs say. What is not is said in one line."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ganzoo.data import Images, load_dataset
from ganzoo.metrics.extract import Extractor
from ganzoo.zoo.calls import blame, call_target, load_target, misfit
from ganzoo.zoo.registry import Registry
from ganzoo.zoo.specs import Dataset, Features, Metric

_GENERIC = ("size", "color", "fit")
"""Settings of every dataset, given to the targets that have parameters of these names."""


def load_declared(
    registry: Registry, spec: Dataset, settings: Mapping[str, Any], *, root: Path, split: str, download: bool
) -> Images:
    """The images of a split, as `load_dataset` loads and checks them.

    Raises:
        BrokenPlugin: the target cannot be called, or the images are not those that the spec says.
    """
    target = load_target(registry, "datasets", spec)
    own = {setting.name for setting in spec.settings} | ({"path"} if spec.takes_path else set())
    given = {key: value for key, value in settings.items() if key in own or key not in _GENERIC}
    problem = misfit(target, root=root, split=split, download=download, **given)
    if problem:
        form = f"({', '.join(['root', 'split', 'download', *(f'{name}=' for name in given)])})"
        cause = f"target is called as {form}, it {problem}"
        raise blame(registry, "datasets", spec, cause, f"write it as a function of {form}")
    images = load_dataset(target, root=root, split=split, download=download, **settings)
    if all(settings[one.name] == one.default for one in spec.settings):  # else they may be what was asked for
        resized = settings.get("size") is not None or settings.get("color") is not None
        _check_images(registry, spec, images, split, resized or _handles(target))
    return images


def _handles(target: Any) -> bool:
    """Whether a target brings images to a size itself, and so to its own notion of the natural one."""
    parameters = parameters_of(target)
    return not parameters or bool({"size", "color"} & parameters)


def parameters_of(target: Any) -> set[str]:
    """Their names; none where it does not say."""
    try:
        return set(inspect.signature(target).parameters)
    except (TypeError, ValueError):
        return set()


def _check_images(registry: Registry, spec: Dataset, images: Images, split: str, resized: bool) -> None:
    channels, height, width = images.shape
    facts: list[tuple[str, Any, Any]] = []
    if not resized:
        facts += [("size", spec.size, height if height == width else f"{width}x{height}")]
        facts += [("channels", spec.channels, channels)]
    if spec.labelled is not None:
        facts += [("labelled", spec.labelled, images.labels is not None)]
    if images.labels is not None and (split == "train" or images.num_classes > (spec.num_classes or 0)):
        facts += [("num_classes", spec.num_classes, images.num_classes)]
    for field, says, found in facts:
        if says is not None and says != found:
            raise blame(
                registry,
                "datasets",
                spec,
                f"the spec says {field}={says}, the {split} split has {field}={found}",
                f"mend the spec or the images; {field}=None says that it is only known once loaded",
            )


def load_features(
    registry: Registry, spec: Features, device: torch.device, settings: Mapping[str, Any], root: Path | None = None
) -> Extractor:
    """The feature network. `root`, the folder of datasets and caches, is given to a target that has a parameter of this
    name: it keeps weights there.

    Raises:
        BrokenPlugin: the target cannot be called as (device, **settings), or returns nothing that can be called.
    """
    names = ", ".join(["device", *(f"{name}=" for name in settings)])
    more = (
        {"root": root} if root is not None and "root" in parameters_of(load_target(registry, "features", spec)) else {}
    )
    extractor: Extractor = call_target(registry, "features", spec, device, form=f"({names})", **settings, **more)
    if not callable(extractor):
        cause = f"its target returned a {type(extractor).__name__}, which cannot be called"
        raise blame(registry, "features", spec, cause, "return a function of images")
    return extractor


def check_features(registry: Registry, spec: Features, sample: Mapping[str, Tensor]) -> None:
    """`sample`: what the network gives for some images.

    Raises:
        BrokenPlugin: another number of features than the spec says, 0: it does not say.
    """
    found = sample["pool"].shape[1]
    if spec.dim and found != spec.dim:
        cause = f"the spec says dim={spec.dim}, the network gives {found} features per image"
        raise blame(registry, "features", spec, cause, f"say dim={found}, or mend the network")


def make_metric(registry: Registry, spec: Metric, settings: Mapping[str, Any]) -> Any:
    """A fresh metric object.

    Raises:
        BrokenPlugin: the target cannot be called with the settings, or what it returns is no metric.
    """
    form = f"({', '.join(f'{name}=' for name in settings)})"
    metric = call_target(registry, "metrics", spec, form=form, **settings)
    for method, form, count in (("update", "(features, labels)", 2), ("compute", "(reference)", 1)):
        if not callable(getattr(metric, method, None)):
            cause = f"what its target returns, a {type(metric).__name__}, has no method {method}"
            raise blame(registry, "metrics", spec, cause, "write update(features, labels) and compute(reference)")
        problem = misfit(getattr(metric, method), *[None] * count)
        if problem:
            cause = f"{method} is called as {form}, it {problem}"
            raise blame(registry, "metrics", spec, cause, f"write {method}(self, {form[1:]}")
    return metric
