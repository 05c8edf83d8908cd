"""Scores of what is already there: runs, snapshots, folders of images and arrays."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch

from ganzoo.config.layers import build_config
from ganzoo.config.options import Files, Names, Sets, known_arguments, load_zoo, names_of, number_of, texts_of
from ganzoo.config.places import as_path, as_source, cache_root
from ganzoo.config.protocols import published
from ganzoo.config.run_config import RunConfig, dataset_label
from ganzoo.data import Images, load_dataset
from ganzoo.engine.device import resolve_device
from ganzoo.engine.memory import MemoryMeter
from ganzoo.errors import DataError, UserError
from ganzoo.files.frames import Frame, to_frame
from ganzoo.files.progress import Listen, listening, note
from ganzoo.runs.foreign import evaluate_against_file
from ganzoo.runs.packages import check_installed
from ganzoo.runs.places import check_places
from ganzoo.runs.question import Question, any_variant, facts_of, part_of, snapshot_line
from ganzoo.runs.snapshots import LoadedSnapshot, load_snapshot
from ganzoo.runs.sources import find_source
from ganzoo.runs.telling import endings_told
from ganzoo.scoring.floors import floors
from ganzoo.scoring.images import scored_images
from ganzoo.scoring.scorer import Scorer
from ganzoo.zoo.registry import Registry


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Scores, and what they are of: plain data."""

    values: dict[str, float]
    """By name: "fid", "is", "kid", ...; "class-fid.3" and the like are of one class."""
    source: str
    """The run directory, folder or file that was scored, or the name of a model."""
    snapshot: str | None
    """Which one of a run, and its kimg."""
    images: int
    """That were scored, of `of`."""
    of: int
    dataset: str
    """Of the real images, or the file of mu and sigma."""
    facts: list[str]
    """What was read, in lines."""
    left_out: dict[str, str]
    """Metric -> why it has no number."""
    floors: list[dict[str, Any]]
    """The same scores of real images: "name", "what", "images", "values"."""
    protocol: str
    """Id of the protocol; only scores of one protocol may be compared."""
    ingredients: dict[str, Any]
    """Of the protocol."""
    score_peak_memory: int | None
    """Bytes; None: the system does not tell."""
    seconds: float | None = None
    """Of scoring; None: not measured."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, as `ganzoo eval --json` prints it."""
        every = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in every.items() if name != "seconds" or value is not None}

    def to_frame(self) -> Frame:
        """A row for what was scored and for each floor, a column for each score. UserError without pandas."""
        rows = [("generated", self.values), *((floor["name"], floor["values"]) for floor in self.floors)]
        return to_frame([{"images": name, **values} for name, values in rows])

    def __repr__(self) -> str:
        shown = ", ".join(f"{name} {value:.5g}" for name, value in self.values.items() if "." not in name)
        return f"<Evaluation {self.source}: {shown}; {self.images} images against {self.dataset}>"


@known_arguments
def evaluate(
    source: str | os.PathLike[str],
    *,
    dataset: str | None = None,
    reference: str | Path | None = None,
    features: str | None = None,
    metrics: Names = None,
    num_images: int | None = None,
    size: int | None = None,
    snapshot: float | None = None,
    protocol: str | None = None,
    sets: Sets = None,
    device: str | torch.device | None = None,
    data_root: str | Path | None = None,
    plugins: Files = None,
    listen: Listen | None = None,
) -> Evaluation:
    """Score a run, a snapshot, a model, a folder of images or an npz, as `ganzoo eval` does.

    Example:
        print(ganzoo.evaluate("runs/mine", metrics=["fid", "kid"]).values)

    Args:
        source: a `Run`, a run directory, a snapshot, a model VARIANT@DATASET, the name of a variant (its newest run
            under runs/, else its model), a folder of images or an npz of them.
        dataset: real images to compare with, NAME or NAME:PATH; None: the run's, which a folder or npz does not have.
        reference: an npz of mu and sigma to compute FID against, in place of a dataset.
        features: feature network; None: the run's, or the dataset's.
        metrics: a list, or comma separated; None: all but cas.
        num_images: generated images, or at most this many of a folder's.
        size: pixels; bring the images to this square size.
        snapshot: kimg; the run's snapshot nearest to it; None: the last.
        protocol: that of published numbers, fid50k or fid10k, where features and num_images say nothing else.
        sets: settings: {"eval.num_reference": 1000}, nested or not, or texts: ["eval.num_reference=1000"].
        device: auto, cpu, cuda, cuda:1 or mps; None: auto.
        data_root: folder of datasets and caches; None: $GANZOO_DATA or the system's folder for caches.
        plugins: Python files, or folders with an __init__.py, that register more.
        listen: told of events: what takes a while (`Working`), plugins that are left out (`Note`). docs/python.md.

    Raises:
        UserError: nothing to score there, or anything that makes the score meaningless.
    """
    texts = texts_of(sets)
    if protocol is not None:
        asked = published(protocol)
        features, num_images = features or asked.features, num_images or asked.num_images
        texts = ["eval.num_reference=none", *texts]
    question = Question(
        source=as_source(source, "source"),
        dataset=names_of(dataset, "dataset"),
        reference=None if reference is None else as_path(reference, "reference"),
        features=names_of(features, "features"),
        metrics=names_of(metrics, "metrics"),
        num_images=num_images,
        size=size,
        snapshot=None if snapshot is None else number_of(snapshot, "snapshot", float, minimum=0),
        sets=texts,
        device=None if device is None else str(device),
    )
    with listening(listen), endings_told():
        registry = load_zoo(plugins, note)
        return Evaluation(**evaluate_source(registry, question, root=cache_root(data_root)))


def evaluate_source(registry: Registry, question: Question, *, root: Path) -> dict[str, Any]:
    """Score a run's snapshot, a folder of images, or an npz. JSON-ready: values, floors, protocol, source, and the most
    memory it took, in bytes (None where the system does not tell).

    Raises:
        UserError: nothing to score at the source, or anything that makes the score meaningless.
    """
    question.check_sets(of_images=question.images_path() is not None)
    device = resolve_device(question.device or "auto")
    memory = MemoryMeter(device)
    with memory.scoring():
        if question.reference is not None:
            document = evaluate_against_file(registry, question, root=root, device=device)
        else:
            document = _evaluate(registry, question, root, device)
    return document | {"score_peak_memory": memory.scoring_peak or None}


def _evaluate(registry: Registry, question: Question, root: Path, where: torch.device) -> dict[str, Any]:
    """What `evaluate_source` does where there are images to compare with."""
    path = question.images_path()
    snapshot, facts, of = None, [], None
    name = str(path)
    if path is not None:
        config = _config_for_images(registry, question)
        check_installed(registry.features(config.features.name))
        train = scored_images(registry, config, root, question.num_images)
        images = _images_at(registry, path, root, train)
        facts = facts_of(images, "images")
        images = _with_labels_of(train, images)
        of = len(images)
        images = part_of(images, question.num_images)
        scorer = Scorer(
            registry,
            config,
            train,
            root=root,
            device=where,
            generated_count=len(images),
            generated_labels=False,
        )
        score = scorer.score_images(images)
    else:
        found = find_source(registry, question.source, question.snapshot)
        name, snapshot = found.name, found.file
        loaded = load_snapshot(snapshot, registry, where)
        config = _config_of_run(registry, loaded, question)
        check_installed(registry.features(config.features.name))
        check_places(root, config, question.places())
        train = scored_images(registry, config, root, config.eval.num_images)
        if train.shape != loaded.shape:
            raise DataError(
                f"the run makes {_shape(loaded.shape)} images, the dataset has {_shape(train.shape)}",
                "leave out --size and --set dataset.color, or take a dataset of that size and colour",
            )
        _check_trained_on(loaded, train, question)
        if registry.variant(config.variant.name).conditional:
            _check_classes(loaded, train, dataset_label(config.dataset.name, config.dataset.settings))
        scorer = Scorer(registry, config, train, root=root, device=where)
        score = scorer.score_generator(loaded.generator, loaded.z_dim, prior=loaded.prior)
    return {
        "source": name,
        "snapshot": None if snapshot is None else snapshot_line(snapshot, loaded),
        "facts": [*facts, *facts_of(train, "real images")],
        "images": scorer.generated_count,
        "of": scorer.generated_count if of is None else of,
        "dataset": dataset_label(config.dataset.name, config.dataset.settings),
        "values": score.values,
        "left_out": score.left_out,
        "floors": floors(scorer),
        "protocol": scorer.protocol.id,
        "ingredients": scorer.protocol.ingredients(),
        "seconds": score.seconds,
    }


def _check_trained_on(loaded: LoadedSnapshot, train: Images, question: Question) -> None:
    """Refuse to score a run, unasked, against other images than those that it was trained on."""
    chosen = question.dataset is not None or any(text.startswith("dataset.") for text in question.sets)
    if not chosen and loaded.images_sha256 not in ("", train.sha256):
        label = dataset_label(loaded.config.dataset.name, loaded.config.dataset.settings)
        raise DataError(
            f"{label} no longer holds the images that the run was trained on (sha256 {loaded.images_sha256[:12]} -> "
            f"{train.sha256[:12]})",
            "say where those are, or which others are meant, with --dataset",
        )


def _check_classes(loaded: LoadedSnapshot, train: Images, label: str) -> None:
    """Refuse to ask for classes by the numbers of a data set that has others than the generator was trained on. Those
    of the images that it was trained on are its own, whatever they are called today.
    """
    if loaded.images_sha256 == train.sha256:
        return
    ours = loaded.class_names or tuple(map(str, range(loaded.num_classes)))
    theirs = train.class_names or tuple(map(str, range(train.num_classes)))
    named = loaded.class_names is not None and train.class_names is not None
    if len(ours) == len(theirs) and (not named or ours == theirs):
        return
    our, their = next(((a, b) for a, b in zip(ours, theirs, strict=False) if a != b), (ours[0], (*theirs, "")[0]))
    has = f"{len(theirs)}, such as {their}" if theirs else "no classes"
    raise DataError(
        f"the run makes images of {len(ours)} classes, such as {our}, {label} has {has}",
        "take a data set of the same classes, or score images that it has made, without regard to classes: ganzoo "
        "sample RUN -n 2000 --out made/, then ganzoo eval made/ with this --dataset and --metrics fid,kid",
    )


def _config_of_run(registry: Registry, loaded: LoadedSnapshot, question: Question) -> RunConfig:
    """The run's own; with another dataset, its size, colour and feature network stay, unless they are set."""
    document = {key: value for key, value in loaded.config.to_dict().items() if key != "schema"}
    if question.dataset is not None:
        channels, height, width = loaded.shape
        kept = {"color": "gray" if channels == 1 else "rgb", "size": height if height == width else None}
        document["dataset"] = {"name": question.dataset, **kept}
    return build_config(
        registry,
        document=document,
        features=question.features,
        sets=question.sets,
        overrides=question.overrides(),
    )


def _config_for_images(registry: Registry, question: Question) -> RunConfig:
    """A config to score by.

    Raises:
        UserError: nothing says what the images are to be compared with.
    """
    if question.dataset is None:
        raise UserError(
            f"nothing says what the images of {question.source} are to be compared with",
            "name real images, such as --dataset digits or --dataset folder:PATH, or statistics of them by --reference",
        )
    return build_config(
        registry,
        variant=any_variant(registry),
        dataset=question.dataset,
        features=question.features,
        sets=question.sets,
        overrides=question.overrides(),
    )


def _images_at(registry: Registry, path: Path, root: Path, like: Images) -> Images:
    """Images of a folder or npz, brought to the size and colour of the dataset they are compared with."""
    name = "folder" if path.is_dir() else "npz"
    return load_dataset(
        registry.dataset(name).load(),
        root=root,
        split="train",
        complete_classes=False,
        path=str(path),
        size=like.shape[1],
        color="gray" if like.shape[0] == 1 else "rgb",
    )


def _with_labels_of(like: Images, images: Images) -> Images:
    """`images` with the class numbers of `like`: by the names of their classes, or as they are where `images` have no
    names and as many classes. Classes without names, or with names that none of the others has, are named by number.
    Without labels where they do not match.
    """
    labels = None
    theirs = like.class_names or tuple(map(str, range(like.num_classes)))
    if images.labels is not None and images.class_names:
        numbers = {name: number for number, name in enumerate(theirs)}
        if not numbers.keys() & set(
            images.class_names
        ):  # `ganzoo sample` names folders so where names cannot be files'
            numbers = {str(number): number for number in range(like.num_classes)}
        if set(images.class_names) <= numbers.keys():
            labels = torch.tensor([numbers[name] for name in images.class_names])[images.labels]
    elif images.labels is not None and not images.class_names and images.num_classes == like.num_classes:
        labels = images.labels
    classes, names = (0, None) if labels is None else (like.num_classes, like.class_names)
    return replace(images, labels=labels, num_classes=classes, class_names=names)


def _shape(shape: tuple[int, int, int]) -> str:
    return f"{shape[2]}x{shape[1]}x{shape[0]}"
