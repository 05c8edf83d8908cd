"""From layers of text to one complete config.

Layers, later ones win: defaults < the variant's paper < the objective's paper < preset < TOML or JSON file < `--set`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ganzoo.config.presets import PRESETS
from ganzoo.config.run_config import ENGINES, PRECISIONS, SCHEMA, Choice, Eval, RunConfig, Train, score_interval
from ganzoo.config.settings import check, resolve, settings_of
from ganzoo.config.target import parse_target
from ganzoo.errors import FitError, SettingError, UnknownName, UserError
from ganzoo.files.reading import RECORD_BYTES, Unreadable, decode_json, decode_toml, read_named
from ganzoo.files.text import clean
from ganzoo.zoo.registry import Registry
from ganzoo.zoo.specs import Dataset, Objective, Setting, Spec, Variant


def read_document(path: Path) -> dict[str, Any]:
    """A TOML or JSON configuration file.

    Raises:
        UserError: not there, not readable, or of another schema.
    """
    try:
        data = read_named(path, RECORD_BYTES)
        document = decode_json(data, exact=True) if path.suffix == ".json" else decode_toml(data)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist", "give the path of a TOML or JSON file") from None
    except Unreadable as error:
        raise UserError(f"{path} {error}", "give the path of a TOML or JSON file, and mend it") from None
    if not isinstance(document, dict):
        raise UserError(f"{path} holds no settings", "see `ganzoo show train` for what a file may say")
    if document.pop("schema", SCHEMA) != SCHEMA:
        raise UserError(f"{path} was written by another version of ganzoo", f"this one reads schema {SCHEMA}")
    return document


def from_dict(registry: Registry, document: Mapping[str, Any]) -> RunConfig:
    """The inverse of `RunConfig.to_dict`; errors as in `build_config`."""
    return build_config(registry, document={key: value for key, value in document.items() if key != "schema"})


_SECTIONS = ("variant", "objective", "dataset", "features", "train", "eval", "metrics")
_TOP = ("seed", "precision", "engine", "device", "callbacks", "preset", "init")

_GENERIC_DATASET = (
    Setting(
        name="size",
        default=None,
        type=int,
        minimum=4,
        maximum=1024,
        doc="square size in pixels images are brought to, with antialias; none: the natural size",
    ),
    Setting(
        name="color", default=None, type=str, choices=("gray", "rgb", None), doc="gray or rgb; none: as the data are"
    ),
    Setting(
        name="fit",
        default="crop",
        choices=("crop", "pad", "stretch"),
        doc="how images become squares: crop to the centre, pad with black (or dataset.background), or stretch",
    ),
)


def dataset_settings(spec: Dataset) -> tuple[Setting, ...]:
    """The spec's own settings, the path where it takes one, and `size`, `color` and `fit`, which all have."""
    own = {setting.name for setting in spec.settings}
    path = (Setting(name="path", default="", doc="where the images are"),) if spec.takes_path else ()
    return (*path, *spec.settings, *(setting for setting in _GENERIC_DATASET if setting.name not in own))


def build_config(
    registry: Registry,
    *,
    variant: str | None = None,
    dataset: str | None = None,
    objective: str | None = None,
    features: str | None = None,
    preset: str | None = None,
    document: Mapping[str, Any] | None = None,
    sets: Sequence[str] = (),
    overrides: Mapping[str, Any] | None = None,
) -> RunConfig:
    """All layers into one complete config.

    `dataset` may be "NAME" or, where the dataset takes a path, "NAME:PATH". `sets` are "section.key=value" or
    "section.NAME.key=value", which counts only where NAME is the one in use. `overrides` are the command line's own
    options, such as {"train.kimg": 10}; they win over everything.

    Raises:
        UserError: an unknown name or setting, a wrong type, or parts that do not fit together.
    """
    document = dict(document or {})
    variant = variant or _name(document, "variant")
    if variant is None:
        raise UserError("no variant is named", "name one, for instance `ganzoo train dcgan`; see `ganzoo list`")
    variant_spec = registry.variant(variant)
    named = objective or _name(document, "objective")
    objective_spec = registry.objective(named) if named else registry.objective_of(variant_spec)
    dataset_text = dataset or _name(document, "dataset") or "digits"
    dataset_name, _, path = dataset_text.partition(":")
    if not registry.has("dataset", dataset_name):
        _check_no_path(dataset_text)
        dataset_name = clean(dataset_name, 200)
    dataset_spec = registry.dataset(dataset_name)
    if path and not dataset_spec.takes_path:
        raise UserError(f"dataset '{dataset_name}' takes no path", f"say --dataset {dataset_name}")
    features_spec = registry.features(features or _name(document, "features") or dataset_spec.features)

    pairs = [_pair(text) for text in sets]
    preset = preset or dict(pairs).get("preset") or document.get("preset") or dataset_spec.preset
    if preset not in PRESETS:
        raise UnknownName("preset", str(preset), PRESETS)
    specs: dict[str, Spec] = {
        "variant": variant_spec,
        "objective": objective_spec,
        "dataset": dataset_spec,
        "features": features_spec,
    }
    known = {
        "variant": variant_spec.settings,
        "objective": objective_spec.settings,
        "dataset": dataset_settings(dataset_spec),
        "features": features_spec.settings,
        "train": settings_of(Train),
        "eval": settings_of(Eval),
        "metrics": _metric_settings(registry),
    }
    given: dict[str, dict[str, Any]] = {section: {} for section in _SECTIONS}
    top: dict[str, Any] = {}

    def put(key: str, value: Any, lenient: bool = False) -> None:
        if key in _TOP:
            top[key] = value
            return
        section, _, rest = key.partition(".")
        if section not in _SECTIONS or not rest:
            choices = [*_TOP, *(f"{name}.{setting.name}" for name in _SECTIONS for setting in known[name])]
            raise UnknownName("setting", key, choices)
        name, _, inner = rest.partition(".")
        if inner and section in specs:
            if lenient and not registry.has(section, name):  # left out, or not installed
                return
            owner = registry.find_spec(section, name)
            if owner.name != specs[section].name:
                _check_named(section, owner, inner, value, key)
                return
            rest = inner
        if lenient and rest not in {setting.name for setting in known[section]}:
            return
        given[section][rest] = value

    for kind, spec in (("variants", variant_spec), ("objectives", objective_spec)):
        with registry.blamed(kind, spec, "defaults"):
            for key, value in spec.defaults.items():
                put(key, value)
    for key, value in PRESETS[preset].layer(variant_spec.name, objective_spec.name).items():
        put(key, value, lenient=True)
    for key, value in (*_document_pairs(document, specs), *pairs, *(overrides or {}).items()):
        put(key, value)

    if dataset_spec.takes_path:
        path = str(path or given["dataset"].get("path", ""))
        if not path:
            raise UserError(f"dataset '{dataset_name}' needs a path", f"say --dataset {dataset_name}:PATH")
        given["dataset"]["path"] = _dataset_path(path)
    values = {section: resolve(known[section], given[section], section) for section in _SECTIONS}
    train = Train(**values["train"])  # type: ignore[arg-type]
    if train.kimg is None and train.minutes is None:
        raise SettingError("the run has no end: train.kimg and train.minutes are both none", "set one of them")
    config = RunConfig(
        variant=Choice(name=variant_spec.name, settings=values["variant"]),
        objective=Choice(name=objective_spec.name, settings=values["objective"]),
        dataset=Choice(name=dataset_spec.name, settings=values["dataset"]),
        features=Choice(name=features_spec.name, settings=values["features"]),
        train=train,
        eval=Eval(**values["eval"]),  # type: ignore[arg-type]
        metrics={},
        **_top_values(top),
    )
    if not config.metric_names:
        names = ", ".join(spec.name for spec in registry.all("metrics"))
        raise SettingError("eval.metrics is empty", f"name at least one of: {names}")
    used = tuple(f"{registry.metric(name).name}." for name in config.metric_names)
    metrics = {key: value for key, value in values["metrics"].items() if key.startswith(used)}
    config = dataclasses.replace(config, metrics=metrics)
    interval = score_interval(train.scores, config.eval.every)
    if train.until is not None:
        parse_target(train.until, scores_of(registry, config))
        if not interval:
            raise SettingError(
                f"train.until={train.until} needs scores, and train.scores is {train.scores}",
                "say --set train.scores=every, or leave the target out",
            )
    for name in config.callbacks:
        registry.callback(name)
    size = config.dataset.settings["size"] or dataset_spec.size
    classes = dataset_spec.num_classes if dataset_spec.labelled else (0 if dataset_spec.labelled is False else None)
    check_fit(variant_spec, objective_spec, dataset_spec.name, size if isinstance(size, int) else None, None, classes)
    return config


def scores_of(registry: Registry, config: RunConfig) -> dict[str, bool]:
    """Every score that the config's metrics compute and of which they say what is better -> higher is better."""
    return {
        key: better for name in config.metric_names for key, better in registry.metric(name).higher_is_better.items()
    }


def _metric_settings(registry: Registry) -> tuple[Setting, ...]:
    """The settings of every metric, as "NAME.SETTING"."""
    return tuple(
        dataclasses.replace(setting, name=f"{spec.name}.{setting.name}")
        for spec in registry.all("metrics")
        for setting in spec.settings
    )


_LABELS = {
    "folder": "put the images into two or more class folders, side by side, and leave dataset.labels at true",
    "npz": "add an array 'labels' of class numbers to the file, of two or more classes",
}
_OTHER_LABELS = "a dataset with labels, see `ganzoo list datasets`"


def check_fit(
    variant: Variant,
    objective: Objective,
    dataset: str,
    size: int | None,
    channels: int | None,
    num_classes: int | None,
) -> None:
    """Whether the parts can work together. None: not known yet, so not checked.

    Raises:
        FitError: a conditional variant on unlabelled data, a size or channel count the variant cannot make, or a
            gradient penalty on a critic that cannot do without batch norm.
    """
    if variant.conditional and num_classes == 0:
        raise FitError(
            f"variant '{variant.name}' is conditional, but dataset '{dataset}' has no labels",
            f"use an unconditional variant, or {_LABELS.get(dataset.partition(':')[0], _OTHER_LABELS)}",
        )
    if size is not None and variant.sizes is not None and size not in variant.sizes:
        sizes = ", ".join(map(str, variant.sizes))
        raise FitError(f"variant '{variant.name}' cannot make {size}x{size} images", f"use --size with one of {sizes}")
    if channels is not None and channels not in variant.channels:
        raise FitError(
            f"variant '{variant.name}' cannot make images of {channels} channels", "use --set dataset.color=gray or rgb"
        )
    if objective.per_sample_gradients and not variant.per_sample_critic:
        raise FitError(
            f"objective '{objective.name}' penalises per-sample gradients, which the batch norm in the critic of "
            f"'{variant.name}' rules out",
            "use an objective without gradient penalty, such as hinge",
        )


def _check_no_path(text: str) -> None:
    """Raise UserError if what was given as the name of a dataset is a path."""
    shown = clean(text, 200)
    like_a_path = "/" in text or "\\" in text or text.startswith((".", "~")) or text.lower().endswith(".npz")
    try:
        exists = Path(text).expanduser().exists()
    except (OSError, ValueError, RuntimeError):  # no path at all
        exists = False
    if like_a_path or exists:
        kind = "npz" if text.lower().endswith(".npz") else "folder"
        raise UserError(f"unknown dataset '{shown}'", f"for images of your own say --dataset {kind}:{shown}")


def _dataset_path(text: str) -> str:
    """The path from the root, without links.

    Raises:
        UserError: a text that no path can be, or that a configuration file cannot hold.
    """
    cure = "rename it, or give a link to it that has a plain name"
    try:
        path = str(Path(text).expanduser().resolve())
        path.encode()
    except UnicodeEncodeError:
        raise UserError(f"the path {clean(text, 200)} is not valid UTF-8", cure) from None
    except ValueError:
        raise UserError(f"the path {clean(text, 200)} holds a NUL", "give the path of the images") from None
    except (OSError, RuntimeError) as error:  # links in a circle; no such user
        raise UserError(f"{clean(text, 200)}: {clean(str(error), 200)}", "give the path of the images") from None
    return path


def _pair(text: str) -> tuple[str, str]:
    """ "train.kimg=5" -> ("train.kimg", "5")."""
    key, equals, value = text.partition("=")
    if not equals:
        raise SettingError(f"--set {text}: there is no '='", "write --set section.key=value, e.g. train.batch_size=32")
    return key.strip(), value.strip()


def _document_pairs(document: Mapping[str, Any], specs: Mapping[str, Spec]) -> Iterable[tuple[str, Any]]:
    """A file as (key, value). A sub-table such as `[variant.dcgan]`, and a table that names another variant, dataset,
    ... than the one in use, become `section.NAME.key`, which counts only where NAME is in use.
    """
    for section, table in document.items():
        if not isinstance(table, Mapping):
            if section not in specs:
                yield section, table
            continue
        name = str(table.get("name", "")).partition(":")[0] if section in specs else ""
        prefix = section if name in ("", getattr(specs.get(section), "name", "")) else f"{section}.{name}"
        for key, value in table.items():
            if isinstance(value, Mapping):
                yield from ((f"{section}.{key}.{inner}", inner_value) for inner, inner_value in value.items())
            elif key != "name" or section not in specs:
                yield f"{prefix}.{key}", value


def _check_named(section: str, owner: Spec, name: str, value: Any, key: str) -> None:
    """`variant.dcgan.channels=8` while another variant is in use: still has to be right."""
    settings = dataset_settings(owner) if isinstance(owner, Dataset) else owner.settings
    for setting in settings:
        if setting.name == name:
            check(setting, value, key)
            return
    raise UnknownName("setting", key, [f"{section}.{owner.name}.{setting.name}" for setting in settings])


def _name(document: Mapping[str, Any], key: str) -> str | None:
    value = document.get(key)
    name = value.get("name") if isinstance(value, Mapping) else value
    if name is not None and not isinstance(name, str):
        raise SettingError(f"{key} is {name!r}, not a name", f'write {key} = "NAME"')
    return name


def _top_values(top: Mapping[str, Any]) -> dict[str, Any]:
    seed = check(
        Setting(name="seed", default=0, minimum=0, maximum=2**31 - 1, doc="seed of the run"), top.get("seed", 0), "seed"
    )
    precision = check(
        Setting(name="precision", default="auto", choices=PRECISIONS, doc="number format"),
        top.get("precision", "auto"),
        "precision",
    )
    engine = check(
        Setting(name="engine", default="fast", choices=ENGINES, doc="fast paths or none"),
        top.get("engine", "fast"),
        "engine",
    )
    device = check(Setting(name="device", default="auto", doc="auto, cpu, cuda, cuda:1 or mps"),
                   top.get("device", "auto"), "device")  # fmt: skip
    callbacks = top.get("callbacks", ())
    if isinstance(callbacks, str):
        callbacks = [name.strip() for name in callbacks.split(",") if name.strip()]
    if not isinstance(callbacks, (list, tuple)) or not all(isinstance(name, str) for name in callbacks):
        raise SettingError(f"callbacks={callbacks!r} is not a list of names", 'write callbacks = ["tensorboard"]')
    init = check(
        Setting(name="init", default=None, type=str, doc="run directory or snapshot to start from"),
        top.get("init"),
        "init",
    )
    return {
        "seed": seed,
        "precision": precision,
        "engine": engine,
        "device": device,
        "callbacks": tuple(callbacks),
        "init": init,
    }
