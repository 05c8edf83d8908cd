"""Images from finished runs: `ganzoo sample` and `ganzoo eval`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ganzoo.config import RunConfig, dataset_label
from ganzoo.data import Images, load_dataset, to_uint8
from ganzoo.engine.device import resolve_device
from ganzoo.errors import DataError, RunError, SettingError, UserError
from ganzoo.floors import floors
from ganzoo.grid import make_grid, save_png
from ganzoo.layers import build_config
from ganzoo.metrics.neighbours import subset_index
from ganzoo.registry import Registry
from ganzoo.runs import RunDirectory, find_run, find_runs, kimg_of
from ganzoo.scoring import Scorer, load_images
from ganzoo.snapshots import load_snapshot


def snapshot_of(run: RunDirectory, kimg: float | None) -> Path:
    """The last snapshot, or the one nearest to `kimg`.

    Raises:
        RunError: there is none.
    """
    snapshots = run.snapshots()
    if not snapshots:
        raise RunError(f"{run.path} has no snapshot", "train it first")
    return snapshots[-1] if kimg is None else min(snapshots, key=lambda path: abs(kimg_of(path) - kimg))


@torch.no_grad()
def sample_grid(
    registry: Registry,
    name: str,
    *,
    count: int | None,
    labels: Sequence[int] | None,
    seed: int,
    kimg: float | None,
    out: Path | None,
    device: str,
) -> Path:
    """Write a grid of a run's images as PNG and return its path. Conditional variants: one class per column.

    Raises:
        UserError: no such run, a damaged snapshot, labels the variant does not have.
    """
    run = find_run(name)
    where = resolve_device(device)
    snapshot = load_snapshot(snapshot_of(run, kimg), registry, where)
    variant = registry.variant(snapshot.config.variant.name)
    wanted = None
    if variant.conditional:
        classes = list(labels) if labels is not None else list(range(min(snapshot.num_classes, 20)))
        wrong = [label for label in classes if not 0 <= label < snapshot.num_classes]
        if wrong:
            raise SettingError(f"there is no class {wrong[0]}", f"classes are 0 to {snapshot.num_classes - 1}")
        columns = len(classes)
        n = count or 8 * columns
        wanted = torch.tensor([classes[index % columns] for index in range(n)], device=where)
    elif labels is not None:
        raise SettingError(
            f"variant '{variant.name}' takes no labels", "leave --labels out, or use a conditional variant"
        )
    else:
        n = count or 64
        columns = min(n, 10 if n > 64 else 8)
    z = torch.randn(n, snapshot.z_dim, generator=torch.Generator().manual_seed(seed)).to(where)
    parts = [
        snapshot.generator(z[at : at + 250], None if wanted is None else wanted[at : at + 250])
        for at in range(0, n, 250)
    ]
    path = out or run.path / "samples.png"
    save_png(path, make_grid(to_uint8(torch.cat(parts)), columns))
    return path


def evaluate_source(
    registry: Registry,
    source: str,
    *,
    root: Path,
    dataset: str | None,
    features: str | None,
    metrics: str | None,
    num_images: int | None,
    size: int | None,
    sets: Sequence[str],
    device: str | None,
    announce: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Score a run's last snapshot, a folder of images, or an npz. JSON-ready: values, floor, protocol, source.

    Raises:
        UserError: nothing to score at `source`, or anything that makes the score meaningless.
    """
    where = resolve_device(device or "auto")
    overrides = {
        key: value
        for key, value in (("eval.num_images", num_images), ("eval.metrics", metrics), ("dataset.size", size))
        if value is not None
    }
    path = Path(source)
    if path.is_file() or (path.is_dir() and not (path / "config.json").is_file()):
        config = _config_for_images(registry, dataset or "digits", features, sets, overrides)
        train = load_images(registry, config, root, "train")
        images = _images_at(registry, path, root, train)
        images = _with_labels_of(train, images)
        found = len(images)
        if num_images is not None and num_images < found:
            index = subset_index(found, num_images)  # drawn at random: a folder is sorted, often by class
            labels = None if images.labels is None else images.labels[index]
            images = replace(images, pixels=images.pixels[index], labels=labels)
        scorer = Scorer(
            registry,
            config,
            train,
            root=root,
            device=where,
            generated_count=len(images),
            generated_labels=False,
            announce=announce,
        )
        score = scorer.score_images(images)
    else:
        run = find_run(source)
        snapshot = load_snapshot(snapshot_of(run, None), registry, where)
        document = snapshot.config.to_dict()
        if dataset is not None:
            document["dataset"] = dataset
            document["features"] = features or registry.dataset(dataset.partition(":")[0]).features
        config = build_config(
            registry,
            document={k: v for k, v in document.items() if k != "schema"},
            features=features,
            sets=sets,
            overrides=overrides,
        )
        train = load_images(registry, config, root, "train")
        if train.shape != snapshot.shape:
            raise DataError(
                f"the run makes {_shape(snapshot.shape)} images, the dataset has {_shape(train.shape)}",
                "use the run's own dataset, or --size",
            )
        scorer = Scorer(registry, config, train, root=root, device=where, announce=announce)
        path, found = run.path, scorer.generated_count
        score = scorer.score_generator(snapshot.generator, snapshot.z_dim)
    return {
        "source": str(path),
        "images": scorer.generated_count,
        "of": found,
        "dataset": dataset_label(config.dataset.name, config.dataset.settings),
        "values": score.values,
        "left_out": score.left_out,
        "floors": floors(scorer),
        "protocol": scorer.protocol.id,
        "ingredients": scorer.protocol.ingredients(),
        "seconds": score.seconds,
    }


def _config_for_images(
    registry: Registry, dataset: str, features: str | None, sets: Sequence[str], overrides: dict[str, Any]
) -> RunConfig:
    """A config to score by; its variant, which trains nothing here, is the first that fits any data."""
    variant = next((spec.name for spec in registry.variants() if spec.sizes is None and not spec.conditional), None)
    if variant is None:
        raise UserError("no unconditional variant of any size is registered", "enable the plugin 'gan'")
    return build_config(registry, variant=variant, dataset=dataset, features=features, sets=sets, overrides=overrides)


def _images_at(registry: Registry, path: Path, root: Path, like: Images) -> Images:
    """Images of a folder or npz, brought to the size and colour of the dataset they are compared with.

    Raises:
        RunError: the folder holds runs.
    """
    runs = find_runs([path]) if path.is_dir() else []
    if runs:
        raise RunError(f"{path} holds runs, not images", f"give one of them, such as {runs[0].path}")
    name = "folder" if path.is_dir() else "npz"
    return load_dataset(
        registry.dataset(name).load(),
        root=root,
        split="train",
        path=str(path),
        size=like.shape[1],
        color="gray" if like.shape[0] == 1 else "rgb",
    )


def _with_labels_of(like: Images, images: Images) -> Images:
    """`images` with the class numbers of `like`: by the names of their classes, or as they are where `images` have no
    names and as many classes. Without labels where they do not match.
    """
    labels = None
    if images.labels is not None and images.class_names and like.class_names:
        numbers = {name: number for number, name in enumerate(like.class_names)}
        if set(images.class_names) <= numbers.keys():
            labels = torch.tensor([numbers[name] for name in images.class_names])[images.labels]
    elif images.labels is not None and not images.class_names and images.num_classes == like.num_classes:
        labels = images.labels
    classes, names = (0, None) if labels is None else (like.num_classes, like.class_names)
    return replace(images, labels=labels, num_classes=classes, class_names=names)


def _shape(shape: tuple[int, int, int]) -> str:
    return f"{shape[2]}x{shape[1]}x{shape[0]}"
