"""FID against statistics in a file, and such files of our own: `ganzoo eval --reference` and `ganzoo stats`."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ganzoo.config.layers import build_config
from ganzoo.config.run_config import RunConfig, dataset_label
from ganzoo.data import label_law
from ganzoo.engine.device import preserved_random_state, resolve_device
from ganzoo.errors import DataError, SettingError, UserError
from ganzoo.files.progress import working
from ganzoo.files.writing import check_file
from ganzoo.metrics.fid import frechet_distance
from ganzoo.metrics.moments_file import MomentsFile, moments_of_batches, read_moments, write_moments
from ganzoo.runs.packages import check_installed
from ganzoo.runs.places import check_places
from ganzoo.runs.question import Question, any_variant, check_sets, facts_of, part_of, snapshot_line
from ganzoo.runs.snapshots import load_snapshot
from ganzoo.runs.sources import find_source
from ganzoo.scoring.declared import load_features
from ganzoo.scoring.generation import SCORE_SEED, generate
from ganzoo.scoring.images import load_images
from ganzoo.scoring.protocol import RULES
from ganzoo.scoring.scorer import exact_numerics
from ganzoo.zoo.registry import Registry
from ganzoo.zoo.source import source_sha256

if TYPE_CHECKING:
    from ganzoo.metrics.extract import Extractor
    from ganzoo.zoo.specs import Features


@dataclass(frozen=True, kw_only=True)
class ForeignProtocol:
    """The conditions of an FID against a file: half of them are unknown, so it is never ranked with ours."""

    file: str
    file_sha256: str
    count: str  # of the images the file was computed from
    shape: tuple[int, int, int]  # (C, H, W) of the generated images
    generated_count: int
    features: str
    features_sha256: str
    resizer: str  # of the generated images
    features_settings: tuple[str, ...]
    features_code: str  # of a plugin's network
    label_law: str
    rules: int

    def ingredients(self) -> dict[str, object]:
        return {
            "reference": self.file,
            "reference_sha256": self.file_sha256,
            "reference_count": self.count,
            "reference_resizer": "unknown",
            "reference_images": "unknown",
            "reference_features": "unknown",
            "shape": list(self.shape),
            "generated_count": self.generated_count,
            "features": self.features,
            "features_sha256": self.features_sha256,
            "resizer": self.resizer,
            "features_settings": list(self.features_settings),
            "features_code": self.features_code,
            "quantiser": "round",
            "label_law": self.label_law,
            "rules": self.rules,
        }

    @property
    def id(self) -> str:
        """For instance `foreign-cifar10_train-1a2b3c4d-gen10000-inception-3f2a9c1d`; no form that ours can have."""
        stem = re.sub(r"[^A-Za-z0-9.]+", "_", Path(self.file).stem)
        digest = hashlib.sha256(json.dumps(self.ingredients(), sort_keys=True).encode()).hexdigest()[:8]
        return f"foreign-{stem}-{self.file_sha256[:8]}-gen{self.generated_count}-{self.features}-{digest}"


def evaluate_against_file(
    registry: Registry,
    question: Question,
    *,
    root: Path,
    device: torch.device,
) -> dict[str, Any]:
    """FID of a run, a folder or an npz against the mu and sigma of a file. JSON-ready, as `evaluate_source`.

    Raises:
        UserError: a file that is no such thing or does not fit the feature network, other metrics than FID, too few
            images.
    """
    assert question.reference is not None
    if question.dataset is not None:
        raise SettingError("--dataset and --reference both say what to compare with", "leave one of them out")
    path = question.images_path()
    if path is None and question.size is not None:
        raise SettingError("--size is for images of a folder or .npz, not for those of a run", "leave --size out")
    if question.metrics not in (None, "fid"):
        raise SettingError(f"a file of mu and sigma allows no {question.metrics}", "--metrics fid, or --dataset")
    reference = read_moments(question.reference)
    spec = _features_for(registry, question.features, reference)
    check_installed(spec)
    facts: list[str] = []
    snapshot, name = None, str(path)
    law = "none"
    if path is not None:
        config = build_config(
            registry,
            variant=any_variant(registry),
            dataset=f"{'folder' if path.is_dir() else 'npz'}:{path}",
            features=spec.name,
            sets=question.sets,
            overrides=question.overrides(),
        )
        images = load_images(registry, config, root, "train")
        facts, of = facts_of(images, "images"), len(images)
        images = part_of(images, question.num_images)
        count, shape = len(images), images.shape
        batches = images.pixels.split(config.eval.batch_size)
    else:
        source = find_source(registry, question.source, question.snapshot)
        loaded = load_snapshot(source.file, registry, device)
        name, snapshot, shape = source.name, snapshot_line(source.file, loaded), loaded.shape
        document = {key: value for key, value in loaded.config.to_dict().items() if key != "schema"}
        config = build_config(
            registry, document=document, features=spec.name, sets=question.sets, overrides=question.overrides()
        )
        check_places(root, config, question.places() | {"dataset.path"})  # whose images are not asked for
        count = of = config.eval.num_images
        labels = None
        if registry.variant(config.variant.name).conditional:  # the data set may be elsewhere: classes alike
            every = torch.arange(loaded.num_classes)
            labels, law = label_law(every, count, num_classes=loaded.num_classes)
        batches = (
            pixels
            for pixels, _ in generate(
                loaded.generator,
                loaded.z_dim,
                count,
                labels=labels,
                seed=SCORE_SEED,
                batch_size=config.eval.batch_size,
                device=device,
                prior=loaded.prior,
            )
        )
    _check_rank(config, spec, count)
    extractor, weights = _load(registry, spec, config, device, root)
    if reference.features_sha256 not in ("unknown", weights):
        raise DataError(
            f"{reference.path} was computed by a network with weights {reference.features_sha256[:8]}, "
            f"{spec.name} has {weights[:8]}",
            "name the same one by --features, or compute the file again with `ganzoo stats`",
        )
    with exact_numerics(device), working("scoring", count) as counted:
        found = moments_of_batches(batches, extractor, device=device, on_batch=counted)
    protocol = ForeignProtocol(
        file=reference.path.name,
        file_sha256=reference.sha256,
        count=str(reference.moments.count or "unknown"),
        shape=shape,
        generated_count=count,
        features=spec.name,
        features_sha256=weights,
        resizer=spec.resizer,
        features_settings=_settings(config),
        features_code=_code(registry, spec),
        label_law=law,
        rules=max(RULES),
    )
    return {
        "source": name,
        "snapshot": snapshot,
        "facts": facts,
        "images": count,
        "of": of,
        "dataset": str(reference.path),
        "values": {"fid": frechet_distance(found, reference.moments)},
        "left_out": {},
        "floors": [],
        "protocol": protocol.id,
        "ingredients": protocol.ingredients(),
    }


def write_stats(
    registry: Registry,
    dataset: str,
    out: Path,
    *,
    root: Path,
    features: str | None = None,
    split: str = "train",
    num_images: int | None = None,
    size: int | None = None,
    sets: Sequence[str] = (),
    device: str | None = None,
) -> list[str]:
    """Write the mean and covariance of a dataset's features, and what they are of, to `out`. Returns lines that say so.

    Raises:
        UserError: data or weights that cannot be had; a name that does not end in .npz.
    """
    if out.suffix != ".npz":
        raise SettingError(f"statistics are written as .npz, not to {out}", "end --out in .npz")
    check_file(out, "statistics.npz")
    check_sets(sets, ("eval.batch_size", "dataset", "features"))
    where = resolve_device(device or "auto")
    overrides = {} if size is None else {"dataset.size": size}
    config = build_config(
        registry, variant=any_variant(registry), dataset=dataset, features=features, sets=sets, overrides=overrides
    )
    spec = registry.features(config.features.name)
    images = load_images(registry, config, root, split)
    lines = facts_of(images, "images")
    images = part_of(images, num_images)
    extractor, weights = _load(registry, spec, config, where, root)
    with exact_numerics(where), working(f"features by {spec.name}", len(images)) as counted:
        moments = moments_of_batches(
            images.pixels.split(config.eval.batch_size), extractor, device=where, on_batch=counted
        )
    label = dataset_label(config.dataset.name, config.dataset.settings)
    facts = {
        "dataset": f"{label}, {split} split",
        "images_sha256": images.sha256 if num_images is None else f"{images.sha256} {num_images}",
        "features": spec.name,
        "features_sha256": weights,
        "resizer": spec.resizer,
    }
    write_moments(out, moments, facts)
    channels, height, width = images.shape
    what = f"{len(images)} images of {width}x{height}x{channels}, {spec.dim} features by {spec.name}"
    return [*lines, f"{label}, {split} split: {what}"]


def _features_for(registry: Registry, name: str | None, reference: MomentsFile) -> Features:
    """The network named, or Inception for its 2,048.

    Raises:
        UserError: it gives another number of features than the file is of; or none is named, and it is not 2,048.
    """
    every = [registry.features(spec.name) for spec in registry.all("features")]
    fitting = [spec.name for spec in every if spec.dim == reference.dim]
    cure = f"--features {' or '.join(fitting)}" if fitting else "no feature network here has as many"
    if name is None and reference.dim != 2048:
        raise SettingError(f"nothing says which network gave the {reference.dim} features of {reference.path}", cure)
    spec = registry.features(name or "inception")
    if spec.dim != reference.dim:
        raise SettingError(f"{reference.path} is of {reference.dim} features, {spec.name} gives {spec.dim}", cure)
    return spec


def _check_rank(config: RunConfig, spec: Features, count: int) -> None:
    """As the scorer does: that the file's own count may be too small nobody can know."""
    if count <= spec.dim and not config.metrics.get("fid.allow_rank_deficient", False):
        raise UserError(
            f"fid needs more images than the {spec.dim} dimensions of {spec.name}; there are {count}",
            f"--num-images {spec.dim + 1} or more, or --set metrics.fid.allow_rank_deficient=true",
        )


def _load(
    registry: Registry, spec: Features, config: RunConfig, device: torch.device, root: Path
) -> tuple[Extractor, str]:
    """The feature network and the hash of its weights."""
    with preserved_random_state(device):
        extractor = load_features(registry, spec, device, config.features.settings, root)
    return extractor, str(spec.weights_sha256 or getattr(extractor, "weights_sha256", "unhashed"))


def _settings(config: RunConfig) -> tuple[str, ...]:
    return tuple(f"{key}={value}" for key, value in sorted(config.features.settings.items()) if key != "weights")


def _code(registry: Registry, spec: Features) -> str:
    """What ganzoo's own version does not tell: the code of a plugin's network."""
    return "none" if registry.owner("features", spec.name).name == "core" else source_sha256(spec)[:8]
