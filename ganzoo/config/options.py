"""The options of a run, as the command line and the library name them, and the config that they ask for. Torch-free."""

from __future__ import annotations

import functools
import inspect
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, TypedDict, TypeVar, cast, get_args, get_type_hints

from ganzoo.config.documents import read_document, spelled_out
from ganzoo.config.families import family_of
from ganzoo.config.habits import cure_of
from ganzoo.config.layers import build_config
from ganzoo.config.places import as_path
from ganzoo.config.protocols import published
from ganzoo.config.recipes import known_settings
from ganzoo.config.run_config import RunConfig, flatten
from ganzoo.errors import SettingError, UnknownName
from ganzoo.zoo.registry import Registry
from ganzoo.zoo.specs import Setting
from ganzoo.zoo.values import check

F = TypeVar("F", bound=Callable[..., Any])

Names = str | Sequence[str] | None
Sets = str | Sequence[str] | Mapping[str, Any] | None
Files = str | Path | Sequence[str | Path] | None


class RunOptions(TypedDict, total=False):
    """What every run takes, with its meaning; None: not said."""

    dataset: Annotated[str | None, "NAME, or NAME:PATH for images of one's own; None: digits"]
    objective: Annotated[str | None, "its name; None: the variant's own"]
    regularize: Annotated[Names, "a list, comma separated, or none; None: the variant's own"]
    augment: Annotated[Names, "as `regularize`"]
    features: Annotated[str | None, "feature network for scoring; None: the dataset's"]
    size: Annotated[int | None, "pixels: bring images to this square size; None: their own"]
    kimg: Annotated[float | None, "thousands of real images shown to D; None: the preset's"]
    minutes: Annotated[float | None, "of training; None: no limit"]
    until: Annotated[str | None, "METRIC=VALUE, such as fid=10: stop at the first snapshot this good"]
    num_images: Annotated[int | None, "generated images per score; None: the preset's"]
    name: Annotated[str | None, "whose run it is: two people's runs of one seed are rows of their own; None: nobody's"]
    seed: Annotated[int | None, "of the (first) run, 0 to 2^31 - 1; None: 0"]
    device: Annotated[str | None, "auto, cpu, cuda, cuda:1 or mps; None: auto"]
    precision: Annotated[str | None, "auto, fp32 or bf16; None: auto"]
    preset: Annotated[str | None, "bundle of settings, standard or laptop; None: the dataset's"]
    protocol: Annotated[str | None, "that of published numbers, fid50k or fid10k; None: the settings'"]
    log: Annotated[Names, "callbacks, such as tensorboard: a list, or comma separated"]
    config: Annotated[str | Path | Mapping[str, Any] | None, "a TOML or JSON file, or what such a file says"]
    sets: Annotated[Sets, 'settings: {"train.batch_size": 32}, nested or not, or texts: ["train.batch_size=32"]']
    data_root: Annotated[str | Path | None, "folder of datasets and caches; None: $GANZOO_DATA or the cache folder"]
    plugins: Annotated[Files, "Python files, or folders with an __init__.py, that register more"]


_KEYS = {
    "kimg": "train.kimg",
    "minutes": "train.minutes",
    "until": "train.until",
    "size": "dataset.size",
    "num_images": "eval.num_images",
    "seed": "seed",
    "name": "name",
    "device": "device",
    "precision": "precision",
    "log": "callbacks",
    "init": "init",
}
"""Option -> the setting that it is short for; it wins over whatever else says it."""

_SHORT = _KEYS | {"regularize": "regularizers", "augment": "augmentations"}
"""What may stand at the top of a configuration file -> the setting that it is short for."""

_NAMES = ("dataset", "objective", "regularize", "augment", "features", "preset")
"""Options that `build_config` knows by the same name."""


def load_zoo(plugins: Files = None, report: Callable[[str], None] = lambda line: None) -> Registry:
    """What is installed, and the plugins of the files. `report` is told, in a line, of each plugin that is broken and
    so left out; errors as in `Registry.load`.
    """
    registry = Registry.load(files_of(plugins), known=known_settings())
    for plugin in registry.failures():
        report(f"plugin {plugin} is left out: {plugin.error}")
    return registry


def config_of(registry: Registry, variant: str | None, options: Mapping[str, Any]) -> RunConfig:
    """The config that options of `RunOptions`, and "init", ask for.

    Raises:
        UserError: as `build_config`.
    """
    given = {name: value for name, value in options.items() if value is not None}
    texts = texts_of(given.get("sets"))
    if "protocol" in given:
        protocol = published(given["protocol"])
        given.setdefault("features", protocol.features)
        texts = [*protocol.sets, *texts]  # what is said besides wins
    said = {text.partition("=")[0].strip() for text in texts}
    if "device" in given:
        given["device"] = str(given["device"])  # a torch.device, too
    overrides = {key: given[name] for name, key in _KEYS.items() if name in given}
    if "minutes" in given and not {"train.kimg"} & {*said, *overrides}:
        overrides["train.kimg"] = None
    if "until" in given and "eval.every" not in said:
        overrides["eval.every"] = 1
    document = given.get("config")
    if document is not None and not isinstance(document, Mapping):
        document = read_document(as_path(document, "config"))
    document = spelled_out({key: value for key, value in (document or {}).items() if key != "schema"}, _SHORT)
    names: dict[str, Any] = {name: names_of(given.get(name), name) for name in _NAMES}
    return build_config(
        registry,
        variant=names_of(variant, "variant"),
        document=document,
        sets=texts,
        overrides=overrides,
        **names,
    )


def better_said(
    registry: Registry, config: RunConfig, options: Mapping[str, Any], channels: int, side: int
) -> str | None:
    """What to add to a command line of `options`, which ask for `config`, so that recipes for images of `channels` and
    `side` pixels are used, which the images have turned out to be. None: they are, or nothing would change.

    Raises:
        UserError: a recipe does not go with what else is asked for.
    """
    spec, settings = registry.dataset(config.dataset.name), config.dataset.settings
    size, color = cast("int | None", settings["size"]), cast("str | None", settings["color"])
    if family_of(spec, size, color) is not None:
        return None
    told, words = dict(options), []
    if size is None and spec.size is None:
        told["size"] = side
        words.append(f"--size {side}")
    if color is None and spec.channels is None:
        color = "gray" if channels == 1 else "rgb"
        told["sets"] = [*texts_of(options.get("sets")), f"dataset.color={color}"]
        words.append(f"--set dataset.color={color}")
    other = config_of(registry, config.variant.name, told)
    return None if replace(other, dataset=config.dataset) == config else " ".join(words)


def check_used(sets: Any, configs: Sequence[RunConfig]) -> None:
    """`--set regularizer.r1.every=4` is for someone: a run that has r1.

    Raises:
        SettingError: no run of `configs` has it.
    """
    for key in (text.partition("=")[0].strip() for text in texts_of(sets)):
        section, _, rest = key.partition(".")
        name, option = rest.partition(".")[0], {"regularizer": "regularize", "augmentation": "augment"}.get(section)
        if option is not None:
            chosen = [{choice.name for choice in getattr(config, f"{section}s")} for config in configs]
            if not any(name in names for names in chosen):
                raise SettingError(
                    f"{key} is set, and nothing is trained with the {section} {name}",
                    f"add it, --{option} {','.join(sorted({name, *chosen[0]}))}, or leave the setting out",
                )


def names_of(value: Names, option: str) -> str | None:
    """ "A,B", of that or of a list; None: not said.

    Raises:
        SettingError: neither.
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, Sequence) and all(isinstance(name, str) for name in value):
        return ",".join(value)
    raise SettingError(f"{option} is {value!r}, which names nothing", f'give names as text: {option}="NAME"')


def texts_of(sets: Sets) -> list[str]:
    """Settings as they are typed after --set, of such texts or of values by their keys.

    Raises:
        SettingError: neither.
    """
    if isinstance(sets, Mapping):
        return [f"{key}={_typed(value)}" for key, value in flatten(sets).items()]
    texts = [sets] if isinstance(sets, str) else sets or []
    if not isinstance(texts, Sequence) or not all(isinstance(text, str) for text in texts):
        raise SettingError(f"sets is {sets!r}, which holds no settings", 'write sets={"train.batch_size": 32}')
    return list(texts)


def _typed(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "none" if value is None else str(value).lower()
    if isinstance(value, float):
        return repr(float(value))  # every digit; a NumPy number writes its type, too
    return ",".join(map(_typed, value)) if isinstance(value, (list, tuple)) else str(value)


def files_of(plugins: Files) -> list[Path]:
    """One file, or some. Raises SettingError."""
    if plugins is None:
        return []
    if isinstance(plugins, (str, os.PathLike)):
        plugins = [plugins]
    if not isinstance(plugins, Sequence):
        raise SettingError(f"plugins is {plugins!r}, which names no files", 'write plugins=["my_gan.py"]')
    return [as_path(file, "plugins") for file in plugins]


def number_of(value: Any, argument: str, kind: type, minimum: float | None = None, maximum: float | None = None) -> Any:
    """`value` as a number of the kind, int or float. Raises SettingError."""
    about = Setting(name=argument, default=kind(), minimum=minimum, maximum=maximum, doc=f"argument `{argument}`")
    return check(about, value, argument)


def known_arguments(function: F) -> F:
    """Have an argument that the function does not have refused as other names are."""
    known = inspect.signature(function).parameters

    @functools.wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        for name in options:
            if name not in known:
                cure = None if get_close_matches(name, known, cutoff=0.8) else cure_of(name)
                if cure is not None:
                    raise SettingError(f"ganzoo.{function.__name__} has no argument '{name}'", cure)
                raise UnknownName("argument", name, known, f" of ganzoo.{function.__name__}")
        return function(*arguments, **options)

    return cast(F, call)


def takes_run_options(function: F) -> F:
    """Show `**options: Unpack[RunOptions]` one by one, in the function's signature and among the docstring's "Args:",
    at whose end it says "options:"; otherwise as `known_arguments`.
    """
    hints = get_type_hints(RunOptions, include_extras=True)
    rooms = re.compile(r"\b(collections\.abc|pathlib|typing)\.")
    *own, _ = inspect.signature(function).parameters.values()
    shown, lines = [], []
    for name, hint in hints.items():
        kind, meaning = get_args(hint)
        shown.append(
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=rooms.sub("", str(kind)))
        )
        lines.append(f"    {name}: {meaning}.")
    function.__signature__ = inspect.signature(function).replace(parameters=[*own, *shown])  # type: ignore[attr-defined]
    before, _, after = inspect.cleandoc(function.__doc__ or "").partition("    options: those of every run.")
    function.__doc__ = before + "\n".join(lines) + after
    return known_arguments(function)
