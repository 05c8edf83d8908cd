"""Whether a spec's fields hold what they are declared to hold, and whether its settings can be set. Free of torch."""

from __future__ import annotations

import functools
import math
import re
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from ganzoo.errors import UserError
from ganzoo.zoo import specs
from ganzoo.zoo.specs import Setting
from ganzoo.zoo.values import check

_SETTING_NAME = re.compile(r"[A-Za-z0-9_-]+")
_KINDS = (bool, int, float, str)
_WORDS: dict[Any, str] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "True or False",
    Setting: "a Setting",
    types.NoneType: "None",
    type: "a type",
    Any: "anything",
}
_PLURALS: dict[Any, str] = {str: "names", int: "whole numbers", Setting: "Settings"}


class BrokenSpec(UserError):
    """A spec that says something that cannot be. The plugin's author mends it."""


def check_fields(spec: Any, kind: type) -> None:
    """Every field that the dataclass `kind`, of `ganzoo.zoo.specs`, declares holds a value of its type.

    Raises:
        BrokenSpec: with the first that does not.
    """
    for name, hint in _hints(cast(Any, kind)).items():
        value = getattr(spec, name)
        if not _fits(value, hint):
            raise BrokenSpec(f"{name} is {_shown(value)}, not {_words(hint)}", _cure(name, value, hint))


def check_settings(settings: Iterable[Setting], taken: Iterable[str], keywords: bool) -> None:
    """Settings that can be set, each once. `taken`: names that mean something else in their section. `keywords`: the
    target is given them as keyword arguments.

    Raises:
        BrokenSpec: with the first that is wrong.
    """
    taken = set(taken)
    seen: set[str] = set()
    for setting in settings:
        what = f"setting {setting.name!r}"
        if not isinstance(setting.name, str) or not _SETTING_NAME.fullmatch(setting.name):
            raise BrokenSpec(f"{what}: such a name cannot be typed after --set", "use letters, digits and underscores")
        if keywords and not setting.name.isidentifier():
            raise BrokenSpec(f"{what}: the target is given it by keyword", "use letters, digits and underscores")
        if setting.name in taken:
            raise BrokenSpec(f"{what}: ganzoo has a use of its own for this name", "call it something else")
        if setting.name in seen:
            raise BrokenSpec(f"{what} is there twice", "give each setting a name of its own")
        seen.add(setting.name)
        try:
            check_fields(setting, Setting)
            _check_setting(setting)
        except BrokenSpec as error:
            raise BrokenSpec(f"{what}: {error.cause}", error.cure) from None


def _check_setting(setting: Setting) -> None:
    default, kind = setting.default, setting.type or type(setting.default)
    if not setting.doc.strip():
        raise BrokenSpec("doc is empty", "say in one sentence what it is, with the unit")
    if kind not in _KINDS:
        if default is None:
            raise BrokenSpec("default is None, which tells no type", "add type=int, float, bool or str")
        raise BrokenSpec(f"type is {getattr(kind, '__name__', kind)}", "use bool, int, float or str")
    if default is not None and not _fits(default, kind):
        cure = f"write default={_converted(default)}, or change type" if _converted(default) else "change one of them"
        raise BrokenSpec(f"default is {default!r}, not {_WORDS[kind]}, as type says", cure)
    if isinstance(default, str) and setting.type is None and _converted(default):
        raise BrokenSpec(
            f"default is the text {default!r}, so all values would be text",
            f"write default={_converted(default)}, or add type=str if text is meant",
        )
    limits = [limit for limit in (setting.minimum, setting.maximum) if limit is not None]
    if limits and kind in (bool, str):
        raise BrokenSpec(f"minimum and maximum are of numbers, and it is {_WORDS[kind]}", "leave them out")
    if any(math.isnan(limit) for limit in limits) or limits != sorted(limits):
        raise BrokenSpec(f"minimum {setting.minimum} and maximum {setting.maximum} leave no value", "mend them")
    if setting.choices is not None:
        if not setting.choices:
            raise BrokenSpec("choices are empty", "name them, or leave them out")
        wrong = [one for one in setting.choices if one is not None and not _fits(one, kind)]
        if wrong:
            raise BrokenSpec(f"the choice {wrong[0]!r} is not {_WORDS[kind]}, as the default is", "mend one of them")
    try:
        if default is not None:
            check(setting, default, "default")
        elif setting.choices is not None and None not in setting.choices:
            raise BrokenSpec("default is None, which is none of the choices", "add None to choices, or a default")
    except BrokenSpec:
        raise
    except UserError as error:
        raise BrokenSpec(error.cause, error.cure) from None


def _converted(default: Any) -> str:
    """The number or truth value that a text looks like, as it is written in Python; "" for any other."""
    if not isinstance(default, str):
        return ""
    if default.strip().lower() in ("true", "false"):
        return default.strip().capitalize()
    return default.strip() if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", default.strip()) else ""


@functools.cache
def _hints(spec_type: type) -> dict[str, Any]:
    # Not by the class's own names, which is the default: Setting has a field `type`.
    return typing.get_type_hints(spec_type, globalns=vars(specs), localns={})


def _fits(value: Any, hint: Any) -> bool:
    if hint is Any:
        return True
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, one) for one in arguments)
    if origin is tuple:
        return isinstance(value, tuple) and all(_fits(one, arguments[0]) for one in value)
    if origin is not None and issubclass(origin, Mapping):
        return isinstance(value, Mapping) and all(
            _fits(key, arguments[0]) and _fits(one, arguments[1]) for key, one in value.items()
        )
    if (origin is not None and origin is Callable) or hint is Callable:
        return callable(value)
    if hint in (int, float) and isinstance(value, bool):
        return False
    return isinstance(value, (int, float) if hint is float else hint)


def _words(hint: Any) -> str:
    """ "a tuple of whole numbers or None"."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if set(_KINDS) <= set(arguments):
            return "a number, text, True, False or None"
        return " or ".join(_words(one) for one in arguments)
    if origin is tuple:
        return f"a tuple of {_PLURALS.get(arguments[0], 'values')}"
    if origin is not None and issubclass(origin, Mapping):
        inner = arguments[1]
        words = {bool: "True or False"}.get(inner, "values")
        values = "dicts" if typing.get_origin(inner) is Mapping else words
        return f"a dict of {_PLURALS[arguments[0]]} to {values}"
    return _WORDS.get(hint) or ("a function or class" if origin is Callable else str(hint))


def _cure(name: str, value: Any, hint: Any) -> str:
    """What to write instead, where it can be guessed."""
    tuples = [one for one in (hint, *typing.get_args(hint)) if typing.get_origin(one) is tuple]
    if tuples:
        (item, *_) = typing.get_args(tuples[0])
        if _fits(value, item):
            return f"write {name}=({'...' if isinstance(value, Setting) else repr(value)},): the comma makes the tuple"
        if isinstance(value, (list, set)):
            return f"write {name}=({', '.join(map(_shown, value))},), with round brackets"
    return f"write {name} as {_words(hint)}"


def _shown(value: Any) -> str:
    """Short enough for a line."""
    if isinstance(value, Setting):
        return "a Setting"
    if isinstance(value, (list, tuple, set)) and any(isinstance(one, Setting) for one in value):
        return f"a {type(value).__name__} of Settings"
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"a {type(value).__name__}"
