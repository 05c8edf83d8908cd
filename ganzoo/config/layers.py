"""From layers of text to one complete config.

Layers, later ones win: defaults < preset < the variant's paper < the objective's paper < what their authors chose for
the preset and the dataset's family < TOML or JSON file < `--set`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from ganzoo.config.documents import document_pairs, name_in, pair
from ganzoo.config.families import family_of, recipe_names
from ganzoo.config.fit import check_config
from ganzoo.config.kept import kept_of
from ganzoo.config.known import dataset_settings, settings_of_kind, settings_of_spec
from ganzoo.config.places import check_no_path, dataset_path
from ganzoo.config.presets import PRESETS
from ganzoo.config.run_config import ENGINES, PRECISIONS, Choice, Eval, RunConfig, Train, moves, score_interval
from ganzoo.config.settings import check, resolve, settings_of
from ganzoo.config.target import parse_target
from ganzoo.errors import FitError, SettingError, UnknownName, UserError
from ganzoo.files.text import clean, holds_controls
from ganzoo.zoo.registry import Registry
from ganzoo.zoo.specs import Dataset, Setting, Spec, Value


def from_dict(registry: Registry, document: Mapping[str, Any]) -> RunConfig:
    """The inverse of `RunConfig.to_dict`; errors as in `build_config`. What a record lacks is newer than it and has its
    default, whatever presets and recipes say today; regularizers and augmentations that it does not name it has not.
    """
    none: dict[str, Any] = {"regularizers": {}, "augmentations": {}}
    pairs = none | {key: value for key, value in document.items() if key != "schema"}
    return build_config(registry, document=pairs, recipes=False)


_SECTIONS = (
    "variant",
    "objective",
    "dataset",
    "features",
    "train",
    "eval",
    "metrics",
    "regularizer",
    "augmentation",
)
_TOP = ("seed", "precision", "engine", "device", "callbacks", "preset", "init", "name", "regularizers", "augmentations")

LONGEST_NAME = 60
"""Characters of whose run it is."""


def build_config(
    registry: Registry,
    *,
    variant: str | None = None,
    dataset: str | None = None,
    objective: str | None = None,
    features: str | None = None,
    regularize: str | None = None,
    augment: str | None = None,
    preset: str | None = None,
    document: Mapping[str, Any] | None = None,
    sets: Sequence[str] = (),
    overrides: Mapping[str, Any] | None = None,
    recipes: bool = True,
) -> RunConfig:
    """All layers into one complete config; without those of presets, papers and authors where `recipes` is False.

    `dataset` may be "NAME" or, where the dataset takes a path, "NAME:PATH". `regularize` and `augment` are names,
    comma separated, or "none"; None: the document's, or the variant's own. `sets` are "section.key=value" or
    "section.NAME.key=value", which counts only where NAME is the one in use. `overrides` are the command line's own
    options, such as {"train.kimg": 10}; they win over everything.

    Raises:
        UserError: an unknown name or setting, a wrong type, or parts that do not fit together.
    """
    document = dict(document or {})
    variant = variant or name_in(document, "variant")
    if variant is None:
        raise UserError("no variant is named", "name one, for instance `ganzoo train dcgan`; see `ganzoo list`")
    variant_spec = registry.variant(variant)
    named = objective or name_in(document, "objective")
    objective_spec = registry.objective(named) if named else registry.objective_of(variant_spec)
    dataset_text = dataset or name_in(document, "dataset") or "digits"
    dataset_name, _, path = dataset_text.partition(":")
    if not registry.has("dataset", dataset_name):
        check_no_path(dataset_text)
        dataset_name = clean(dataset_name, 200)
    dataset_spec = registry.dataset(dataset_name)
    if path and not dataset_spec.takes_path:
        raise UserError(f"dataset '{dataset_name}' takes no path", f"say --dataset {dataset_name}")
    features_spec = registry.features(features or name_in(document, "features") or dataset_spec.features)

    pairs = [pair(text) for text in sets]
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
        "metrics": settings_of_kind(registry, "metrics"),
        "regularizer": settings_of_kind(registry, "regularizers"),
        "augmentation": settings_of_kind(registry, "augmentations"),
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

    for key, value in PRESETS[preset].values.items() if recipes else ():
        put(key, value, lenient=True)
    asked = (*document_pairs(document, specs), *pairs, *(overrides or {}).items())
    family = family_of(dataset_spec, *(_last(asked, dataset_spec, key) for key in ("size", "color")))
    whose = (("variants", variant_spec), ("objectives", objective_spec)) if recipes else ()
    papers = [(kind, spec, "defaults", spec.defaults) for kind, spec in whose]
    authors = [
        (kind, spec, "presets", spec.presets.get(name, {}))
        for kind, spec in whose  # an objective's over a variant's, which does not know of it
        for name in recipe_names(preset, family)
    ]
    for kind, spec, field, layer in (*papers, *authors):
        with registry.blamed(kind, spec, field):
            for key, value in layer.items():
                put(key, value)
                section, _, rest = key.partition(".")
                if rest in given.get(section, {}):  # refused here, where it is known whose it is
                    resolve(known[section], {rest: value}, section)
    for key, value in asked:
        put(key, value)

    if dataset_spec.takes_path:
        path = str(path or given["dataset"].get("path", ""))
        if not path:
            raise UserError(f"dataset '{dataset_name}' needs a path", f"say --dataset {dataset_name}:PATH")
        given["dataset"]["path"] = dataset_path(path)
    values = {section: resolve(known[section], given[section], section) for section in _SECTIONS}
    chosen = {
        kind: _chosen(registry, kind, named if named is not None else top.get(kind, own), values[kind[:-1]])
        for kind, named, own in (
            ("regularizers", regularize, variant_spec.regularizers),
            ("augmentations", augment, variant_spec.augmentations),
        )
    }
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
        regularizers=chosen["regularizers"],
        augmentations=chosen["augmentations"],
        **_top_values(top),
    )
    regularizers = [registry.regularizer(choice.name) for choice in config.regularizers]
    config = dataclasses.replace(
        config,
        fixed_length=moves(train)
        or (variant_spec.progress or objective_spec.progress or any(spec.progress for spec in regularizers)),
    )
    if config.fixed_length and (train.kimg is None or train.minutes is not None):
        raise FitError(  # so that a bench of all variants leaves this one out
            "learning rates or losses go by how far the run has come, which minutes cannot say exactly",
            "give its length as --kimg alone",
        )
    needs = {*registry.objective(objective_spec.name).needs, *(need for spec in regularizers for need in spec.needs)}
    if config.augmentations and train.augment_in == "terms" and "augmentation" not in needs:
        raise SettingError(
            "train.augment_in=terms keeps augmentations for terms that ask for them, and there is none",
            "add one, such as --regularize cr, or leave train.augment_in at all",
        )
    if not config.metric_names:
        raise SettingError("eval.metrics is empty", f"say one of: {', '.join(s.name for s in registry.all('metrics'))}")
    used = tuple(f"{registry.metric(name).name}." for name in config.metric_names)
    metrics = {key: value for key, value in values["metrics"].items() if key.startswith(used)}
    config = dataclasses.replace(config, metrics=metrics)
    interval, _ = score_interval(train.scores, config.eval.every), kept_of(train.keep)
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
    check_config(registry, config, size if isinstance(size, int) else None, None, classes)
    return config


def _last(pairs: Sequence[tuple[str, Any]], dataset: Dataset, name: str) -> Any:
    """What the dataset's setting is to be; None: as it comes. Errors as in `check`."""
    setting = next((setting for setting in dataset_settings(dataset) if setting.name == name), None)
    said = [(key, value) for key, value in pairs if key in (f"dataset.{name}", f"dataset.{dataset.name}.{name}")]
    if setting is None:
        return None
    return check(setting, said[-1][1], said[-1][0]) if said else setting.default


def preset_values(registry: Registry, dataset: str, preset: str | None, section: str) -> dict[str, Value]:
    """What the preset, None: the dataset's, says of the settings of `section`, whatever the variant. Errors as in
    `build_config`.
    """
    name = preset or registry.dataset(dataset.partition(":")[0]).preset
    if name not in PRESETS:
        raise UnknownName("preset", name, PRESETS)
    prefix = f"{section}."
    return {key.removeprefix(prefix): value for key, value in PRESETS[name].values.items() if key.startswith(prefix)}


def specs_of(registry: Registry, config: RunConfig) -> list[Spec]:
    """Whose code a run trains with: variant, objective, regularizers, augmentations."""
    return [
        registry.variant(config.variant.name),
        registry.objective(config.objective.name),
        *(registry.regularizer(choice.name) for choice in config.regularizers),
        *(registry.augmentation(choice.name) for choice in config.augmentations),
    ]


def scores_of(registry: Registry, config: RunConfig) -> dict[str, bool]:
    """Every score that the config's metrics compute and of which they say what is better -> higher is better."""
    return {
        key: better for name in config.metric_names for key, better in registry.metric(name).higher_is_better.items()
    }


def _chosen(registry: Registry, kind: str, named: Any, values: Mapping[str, Value]) -> tuple[Choice, ...]:
    """The named regularizers or augmentations in order, with their settings out of `values`.

    Raises:
        SettingError: no list of names, or one of them twice.
        UnknownName: nothing is called so.
    """
    if isinstance(named, str):
        named = [] if named.strip().lower() in ("", "none") else [name.strip() for name in named.split(",")]
    if isinstance(named, Mapping):
        named = list(named)
    if not isinstance(named, (list, tuple)) or not all(isinstance(name, str) for name in named):
        raise SettingError(f"{kind} is {named!r}, not a list of names", f'write {kind} = ["NAME", ...]')
    twice = next((name for name in named if list(named).count(name) > 1), None)
    if twice is not None:
        raise SettingError(f"'{twice}' is named twice in {kind}", "name it once")
    choices = []
    for name in sorted(named):
        registry.find_spec(kind[:-1], name)
        prefix = f"{name}."
        own = {key.removeprefix(prefix): value for key, value in values.items() if key.startswith(prefix)}
        choices.append(Choice(name=name, settings=own))
    return tuple(choices)


def _check_named(section: str, owner: Spec, name: str, value: Any, key: str) -> None:
    """`variant.dcgan.channels=8` while another variant is in use: still has to be right."""
    settings = settings_of_spec(owner)
    for setting in settings:
        if setting.name == name:
            check(setting, value, key)
            return
    raise UnknownName("setting", key, [f"{section}.{owner.name}.{setting.name}" for setting in settings])


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
    name = check(Setting(name="name", default=None, type=str, doc="whose run it is"), top.get("name"), "name")
    name = name if name is None else str(name).strip()
    if name is not None and (not 0 < len(name) <= LONGEST_NAME or holds_controls(name)):
        raise SettingError(
            f"name={clean(name, 80)!r} is no name", f"write 1 to {LONGEST_NAME} characters, such as --name anna"
        )
    return {
        "name": name,
        "seed": seed,
        "precision": precision,
        "engine": engine,
        "device": device,
        "callbacks": tuple(callbacks),
        "init": init,
    }
