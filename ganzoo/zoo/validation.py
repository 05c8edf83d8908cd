"""Whether a spec can work, as far as it can be told without importing its target. Free of torch.

What a spec says of those of other plugins (`objective`, names in `defaults`) is looked at where it is used: they may
not be installed here.
"""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from ganzoo.errors import UserError
from ganzoo.zoo.fields import BrokenSpec, check_fields, check_settings
from ganzoo.zoo.specs import (
    KINDS,
    Augmentation,
    Callback,
    Dataset,
    Executor,
    Features,
    Metric,
    Model,
    Objective,
    Regularizer,
    Setting,
    Spec,
    Variant,
)
from ganzoo.zoo.values import check

NEEDS = ("pool", "logits", "labels", "pixels", "test", "fresh", "classes", "full-rank")
"""What a metric may need."""

_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")
MODEL_NAME = re.compile(rf"{_NAME.pattern}@{_NAME.pattern}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_WORD = re.compile(r"[A-Za-z0-9_-]+")
_TARGET = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_BY_NAME = ("variant", "objective", "dataset", "features", "metrics", "regularizer", "augmentation")
_EVERY = {"weight": Setting(name="weight", default=1.0, minimum=0.0, doc="factor of the loss"),
          "every": Setting(name="every", default=1, minimum=1, maximum=1024, doc="updates")}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Known:
    """What recipes may set, beside the settings of specs, and under which names."""

    settings: Mapping[str, Setting] = field(default_factory=dict)  # "train.kimg" -> the setting
    presets: Collection[str] = ()
    recipes: Collection[str] = ()  # the presets, and PRESET@FAMILY
    families: Collection[str] = ()


def check_spec(spec: Spec, known: Known | None = None) -> None:
    """`known` None: settings of training and names of presets are not looked at.

    Raises:
        BrokenSpec: the first thing that is wrong: cause "FIELD is ...", and the cure.
    """
    if isinstance(spec, Model):
        if not isinstance(spec.name, str) or not MODEL_NAME.fullmatch(spec.name):
            raise BrokenSpec(f"the name {spec.name!r} is not VARIANT@DATASET", "rename it, such as dcgan@digits")
    elif not isinstance(spec.name, str) or not _NAME.fullmatch(spec.name):
        raise BrokenSpec(f"the name {spec.name!r} is not lower case letters, digits and hyphens", "rename it")
    try:
        check_fields(spec, _type(spec))
        if not isinstance(spec, Model):  # whose target is a file
            _check_target(spec.target)
        taken, keywords = _taken(spec)
        check_settings(spec.settings, taken, keywords)
        _CHECKS[_type(spec)](spec)
        for name in ("defaults", "presets"):
            if any(one.name == name for one in fields(spec)):
                _check_recipes(spec, name, known)
        preset = getattr(spec, "preset", None)
        if known is not None and preset is not None and preset not in known.presets:
            raise _unknown("preset", "is", preset, known.presets)
        family = getattr(spec, "family", None)
        if known is not None and family is not None and family not in known.families:
            raise _unknown("family", "is", family, known.families)
    except BrokenSpec as error:
        raise BrokenSpec(f"{_singular(spec)} '{spec.name}': {error.cause}", error.cure) from None


def near(word: str, known: Iterable[str]) -> str:
    """The cure for an unknown word: "did you mean ...?", or all that are known."""
    known = sorted(known)
    found = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"did you mean {found[0]}?" if found else f"known: {', '.join(known) or 'none'}"


def _singular(spec: Spec) -> str:
    return "feature network" if isinstance(spec, Features) else _type(spec).__name__.lower()


def _type(spec: Spec) -> type[Spec]:
    """Of KINDS: an author may have derived one."""
    return next(one for one in KINDS.values() if isinstance(spec, one))


def _unknown(name: str, verb: str, word: Any, known: Iterable[str]) -> BrokenSpec:
    return BrokenSpec(f"{name} {verb} {word!r}, which there is not", near(str(word), known))


def _check_target(target: Any) -> None:
    if not isinstance(target, str):
        return
    if not _TARGET.fullmatch(target):
        raise BrokenSpec(f"target is {target!r}, not 'module:attribute'", "write it as 'package.networks:build'")
    module, _, attribute = target.partition(":")
    loaded = sys.modules.get(module)
    spec = getattr(loaded, "__spec__", None)
    if loaded is None or getattr(spec, "_initializing", False) or hasattr(loaded, "__getattr__"):
        return
    first = attribute.partition(".")[0]
    if not hasattr(loaded, first):
        public = [name for name in vars(loaded) if not name.startswith("_")]
        raise BrokenSpec(f"target is {target!r}, and the module has no {first!r}", near(first, public))


def _taken(spec: Spec) -> tuple[set[str], bool]:
    """Names that settings must not have, and whether the target is given settings by keyword."""
    if isinstance(spec, Dataset):
        return {"name", "root", "split", "download", *(["path"] if spec.takes_path else [])}, True
    if isinstance(spec, Features):
        return {"name", "device"}, True
    if isinstance(spec, Regularizer):
        return set(_EVERY), False
    return ({"name"}, False) if isinstance(spec, (Variant, Objective)) else (set(), isinstance(spec, Metric))


def _check_words(name: str, words: Iterable[str], pattern: re.Pattern[str] = _WORD) -> None:
    seen = set()
    for word in words:
        if not pattern.fullmatch(word):
            raise BrokenSpec(f"{name} holds {word!r}, which is no name", f"mend {name}")
        if word in seen:
            raise BrokenSpec(f"{name} names {word!r} twice", "name it once")
        seen.add(word)


def _check_positive(name: str, numbers: Iterable[int]) -> None:
    wrong = [number for number in numbers if number < 1]
    if wrong:
        raise BrokenSpec(f"{name} holds {wrong[0]}", "use numbers from 1")


def _check_variant(spec: Any) -> None:
    for name in ("sizes", "channels"):
        numbers = getattr(spec, name)
        if numbers is not None:
            if not numbers:
                raise BrokenSpec(f"{name} is empty: it could make no images", f"name some in {name}, or leave it out")
            _check_positive(name, numbers)
    if not _NAME.fullmatch(spec.objective):
        raise BrokenSpec(f"objective is {spec.objective!r}, which is no name", "name one, see `ganzoo list objectives`")
    _check_words("gives", spec.gives)
    if "logits" in spec.gives:
        raise BrokenSpec("gives holds 'logits', which all give", "name what D returns beside them")
    _check_words("regularizers", spec.regularizers, _NAME)
    _check_words("augmentations", spec.augmentations, _NAME)


def _check_regularizer(spec: Any) -> None:
    _check_words("needs", spec.needs)
    for name, setting in _EVERY.items():
        try:
            check(setting, getattr(spec, name), name)
        except UserError as error:
            raise BrokenSpec(f"{name} is {getattr(spec, name)!r}: {error.cause}", error.cure) from None


def _check_dataset(spec: Any) -> None:
    if spec.size is not None:
        _check_positive("size", [spec.size])
    if spec.channels not in (None, 1, 3):
        raise BrokenSpec(f"channels is {spec.channels}", "images have 1 or 3; None: only known once loaded")
    if spec.num_classes is not None and spec.num_classes < 0:
        raise BrokenSpec(f"num_classes is {spec.num_classes}", "0 is unlabelled; None: only known once loaded")
    if spec.labelled is False and spec.num_classes:
        raise BrokenSpec(f"num_classes is {spec.num_classes}, and labelled is False", "mend one of them")
    if not _NAME.fullmatch(spec.features):
        raise BrokenSpec(f"features is {spec.features!r}, which is no name", "name one, see `ganzoo list features`")


def _check_features(spec: Any) -> None:
    if spec.dim < 0:
        raise BrokenSpec(f"dim is {spec.dim}", "say how many numbers 'pool' has for an image")


def _check_metric(spec: Any) -> None:
    _check_words("keys", spec.keys)
    _check_words("needs", spec.needs)
    for need in spec.needs:
        if need not in NEEDS:
            raise _unknown("needs", "names", need, NEEDS)
    for key in spec.higher_is_better:
        if spec.keys and key not in spec.keys:
            raise _unknown("higher_is_better", "names", key, spec.keys)


def _check_model(spec: Any) -> None:
    if not _SHA256.fullmatch(spec.sha256):
        raise BrokenSpec(f"sha256 is {spec.sha256!r}", "give the 64 digits that `sha256sum FILE` prints")
    if spec.settings:
        raise BrokenSpec("it has settings, and weights have none", "leave them out")


def _check_recipes(spec: Any, name: str, known: Known | None) -> None:
    if name == "defaults":
        return _check_recipe(spec, name, spec.defaults, known)
    for preset, recipe in spec.presets.items():
        if known is not None and preset not in known.recipes:
            raise _unknown("presets", "names", preset, known.recipes)
        _check_recipe(spec, f"presets[{preset!r}]", recipe, known)
    return None


def _check_recipe(spec: Any, name: str, recipe: Mapping[str, Any], known: Known | None) -> None:
    own = "variant" if isinstance(spec, Variant) else "objective"
    settings = {f"{own}.{setting.name}": setting for setting in spec.settings}
    settings |= {} if known is None else known.settings
    for key, value in recipe.items():
        section, _, rest = key.partition(".")
        named, dot, inner = rest.partition(".")
        plain = f"{own}.{inner}" if section == own and dot and named == spec.name else key
        if section in _BY_NAME and plain == key and (dot or section != own):
            _check_of_others(spec, name, key)
            continue
        setting = settings.get(plain)
        if setting is None:
            if known is None and section not in _BY_NAME:
                continue
            raise _unknown(name, "sets", key, settings)
        try:
            check(setting, value, key)
        except UserError as error:
            raise BrokenSpec(f"{name}: {error.cause}", error.cure) from None


def _check_of_others(spec: Any, name: str, key: str) -> None:
    """A setting of another spec, which is looked at where both are in use: its form."""
    section, _, rest = key.partition(".")
    named, dot, inner = rest.partition(".")
    if not dot and (section in ("metrics", "regularizer", "augmentation") or isinstance(spec, Objective)):
        raise BrokenSpec(f"{name} sets {key!r}, and does not say whose", f"write {section}.NAME.SETTING")
    if not named or (dot and not inner):
        raise BrokenSpec(f"{name} sets {key!r}, which is no setting", f"write {section}.NAME.SETTING")


def _nothing(spec: Any) -> None:
    """Nothing beside types."""


_CHECKS = {
    Variant: _check_variant,
    Objective: lambda spec: _check_words("needs", spec.needs),
    Regularizer: _check_regularizer,
    Augmentation: _nothing,
    Dataset: _check_dataset,
    Features: _check_features,
    Metric: _check_metric,
    Callback: _nothing,
    Executor: _nothing,
    Model: _check_model,
}
