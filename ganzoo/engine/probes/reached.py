"""The values that Python code can get at and change, from a network's attributes or a function's closure on."""

from __future__ import annotations

import array
import ast
import contextlib
import dataclasses
import enum
import itertools
import operator
import random
import types
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ganzoo.engine.probes.calls import host_digest
from ganzoo.engine.statistics import Statistics
from ganzoo.objectives import Losses

DEEPEST = 50
"""Containers within containers that are followed."""

MOST = 1_000_000
"""Values that are compared; a network that keeps more of them is compared as far as that."""

LARGEST = 2**26
"""Bytes of an array or a tensor in main memory, from which on its values are not compared."""

_ATOMS = (type(None), bool, int, float, complex, str, bytes, enum.Enum, torch.dtype, torch.device, np.generic)
_LEFT_ALONE = (Statistics, torch.optim.Optimizer, torch.overrides.TorchFunctionMode, types.ModuleType)
_FUNCTIONS = (types.FunctionType, types.MethodType, staticmethod, classmethod, property)
_MODULES_OWN = ("_parameters", "_buffers", "_modules")


NOTHING = object()
"""In place of a value that is not there."""


def same(one: Any, other: Any) -> bool:
    """Of two values of `Reached` that are no tensors. NaN is NaN."""
    return one is other or (type(one) is type(other) and (one == other or (one != one and other != other)))


def global_generators(device_type: str) -> dict[str, tuple[Any, Callable[[], None]]]:
    """State of each global generator of the host, and how it is put back."""
    pythons, numpys, torchs = random.getstate(), np.random.get_state(legacy=False), torch.get_rng_state()
    found: dict[str, tuple[Any, Callable[[], None]]] = {
        "Python's random": (pythons, partial(random.setstate, pythons)),
        "numpy.random": (frozen(numpys), partial(np.random.set_state, numpys)),
    }
    if device_type != "cpu":
        found["torch's generator of the CPU"] = (frozen(torchs.numpy()), partial(torch.set_rng_state, torchs))
    return found


def put_back(undo: Iterable[Callable[[], None]]) -> None:
    """Do all of `undo`. What refuses to be written to stays as it is: it is a plugin's own, of any kind."""
    for one in undo:
        with contextlib.suppress(Exception):
            one()


class Reached:
    """All values that are reached from `roots`, by where they are, and how what holds them is put back."""

    def __init__(self, roots: dict[str, Any], device_type: str) -> None:
        self.values: dict[str, Any] = {}  # tensors of the device as they are, the rest to be compared by `==`
        self.undo: list[Callable[[], None]] = []
        self._device_type = device_type
        self._seen: dict[int, Any] = {}  # holds them: their ids stay theirs
        for where, root in roots.items():
            self._visit(where, root, 0, of_module=False)

    def _visit(self, where: str, value: Any, depth: int, *, of_module: bool) -> None:
        """`of_module`: whether objects of any class are followed."""
        if len(self.values) >= MOST or depth > DEEPEST or isinstance(value, (*_LEFT_ALONE, type)):
            return
        if isinstance(value, _ATOMS):
            self.values[where] = value
            return
        if id(value) in self._seen:
            return
        self._seen[id(value)] = value
        if isinstance(value, (Tensor, np.ndarray, bytearray, array.array, set, frozenset)):
            self._content(where, value)
        elif isinstance(value, itertools.count):
            self.values[where] = repr(value)
        elif self._generator(where, value):
            return
        else:
            # A loss, or what its method belongs to, is the plugin's own object, as a module is.
            own = isinstance(value, (nn.Module, Losses, types.MethodType))
            inside = own or (of_module and not isinstance(value, _FUNCTIONS))
            for part, one in self._parts(where, value, of_module):
                self._visit(part, one, depth + 1, of_module=inside)

    def _content(self, where: str, value: Any) -> None:
        if isinstance(value, Tensor):
            if self._device_type == "cpu" or value.device.type != "cpu" or value.nbytes > LARGEST:
                self.values[where] = value
            else:
                self.values[where] = host_digest(value)
                self.undo.append(partial(_copy_into, value, value.detach().clone()))
        elif isinstance(value, np.ndarray):
            small = value.nbytes <= LARGEST
            self.values[where] = (value.shape, str(value.dtype), host_digest(value) if small else None)
            if small and value.flags.writeable:
                self.undo.append(partial(np.copyto, value, value.copy()))
        elif isinstance(value, (set, frozenset)):
            self.values[where] = frozenset(one if isinstance(one, _ATOMS) else id(one) for one in value)
            if isinstance(value, set):
                self.undo.append(partial(_refill_set, value, set(value)))
        else:
            self.values[where] = bytes(value)
            self.undo.append(partial(value.__setitem__, slice(None), value[:]))

    def _generator(self, where: str, value: Any) -> bool:
        """Whether it is a random generator."""
        if isinstance(value, random.Random) and not isinstance(value, random.SystemRandom):
            state = value.getstate()
            self.values[where] = state
            self.undo.append(partial(value.setstate, state))
        elif isinstance(value, (np.random.Generator, np.random.RandomState, np.random.BitGenerator)):
            own: Any = value
            bits = own if isinstance(value, np.random.BitGenerator) else getattr(own, "bit_generator", None)
            bits = bits or own._bit_generator  # of RandomState
            drawn = bits.state
            self.values[where] = frozen(drawn)
            self.undo.append(partial(setattr, bits, "state", drawn))
        elif isinstance(value, torch.Generator):
            if value.device.type == "cpu":
                ours = value.get_state()
                self.values[where] = frozen(ours.numpy())
                self.undo.append(partial(_set_state, value, ours))
        else:
            return isinstance(value, random.Random)
        return True

    def _parts(self, where: str, value: Any, of_module: bool) -> Iterator[tuple[str, Any]]:
        """What `value` holds; how it is put back is noted."""
        if isinstance(value, dict):
            yield from self._table(where, value, lambda key: f"{where}[{key!r}]")
        elif isinstance(value, (list, tuple, deque)):
            self.values[f"the length of {where}"] = len(value)
            if not isinstance(value, tuple):
                self.undo.append(partial(_refill_list, value, list(value), _counters(enumerate(value))))
            yield from ((f"{where}[{index}]", one) for index, one in enumerate(value))
        elif isinstance(value, nn.Module):
            for name in _MODULES_OWN:
                yield from ((f"{where}.{key}", one) for key, one in vars(value)[name].items())
            yield from self._table(where, vars(value), lambda key: f"{where}.{key}", skip=_MODULES_OWN)
            for kind in type(value).__mro__:
                if not _torchs(kind.__module__):
                    yield from self._class(kind)
        elif isinstance(value, types.MethodType):
            yield from ((where, value.__func__), (where, value.__self__))
        elif isinstance(value, (staticmethod, classmethod)):
            yield where, value.__func__
        elif isinstance(value, property):
            yield from ((where, one) for one in (value.fget, value.fset) if one is not None)
        elif isinstance(value, types.FunctionType):
            yield from self._function(where, value)
        elif isinstance(value, partial):
            yield from ((f"{where}.{name}", getattr(value, name)) for name in ("func", "args", "keywords"))
        elif dataclasses.is_dataclass(value) or (of_module and not _torchs(type(value).__module__)):
            if isinstance(getattr(value, "__dict__", None), dict):
                yield from self._table(where, vars(value), lambda key: f"{where}.{key}")
            for kind in type(value).__mro__:
                for name, member in vars(kind).items():
                    held = getattr(value, name, NOTHING) if isinstance(member, types.MemberDescriptorType) else NOTHING
                    if held is not NOTHING:  # of __slots__
                        self.undo.append(partial(_set_slot, value, name, _again(held)))
                        yield f"{where}.{name}", held

    def _table(
        self, where: str, table: dict[Any, Any], named: Callable[[Any], str], skip: Collection[str] = ()
    ) -> Iterator[tuple[str, Any]]:
        if table:
            self.values[f"the length of {where}"] = len(table)
        self.undo.append(partial(_refill_dict, table, dict(table), _counters(table.items())))
        for index, (key, one) in enumerate(list(table.items())):
            if not isinstance(key, _ATOMS):
                yield f"{where}[{index}]", one
            elif key not in skip:
                yield named(key), one

    def _class(self, kind: type) -> Iterator[tuple[str, Any]]:
        """Of a plugin's module: its methods, and what it counts in itself."""
        members = dict(vars(kind))
        counts = {name: one for name, one in members.items() if isinstance(one, _ATOMS) and not name.startswith("__")}
        self.undo.append(partial(_reset_class, kind, frozenset(members), counts))
        for name, one in members.items():
            if not name.startswith("__") or isinstance(one, _FUNCTIONS):
                yield f"{kind.__name__}.{name}", one

    def _function(self, where: str, function: types.FunctionType) -> Iterator[tuple[str, Any]]:
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            try:
                content = cell.cell_contents
            except ValueError:  # a name that has no value yet
                continue
            self.undo.append(partial(setattr, cell, "cell_contents", _again(content)))
            yield f"{name} of {where}", content
        yield f"the defaults of {where}", (function.__defaults__, function.__kwdefaults__)
        yield where, getattr(function, "__wrapped__", None)
        table = function.__globals__
        if _torchs(table.get("__name__", "")):
            return
        for name in sorted(set(_names(function.__code__)) & table.keys()):
            if isinstance(table[name], (*_ATOMS, itertools.count)):
                self.undo.append(partial(table.__setitem__, name, _again(table[name])))
            yield f"{table.get('__name__', '')}.{name}", table[name]


def frozen(value: Any) -> Any:
    """To be compared by `==`."""
    if isinstance(value, dict):
        return tuple((key, frozen(item)) for key, item in value.items())
    return value.tobytes() if isinstance(value, np.ndarray) else value


def _torchs(module: str) -> bool:
    """Whether its code is none that may keep state of a network: it cannot, or the engine knows of it."""
    return module.split(".")[0] in ("torch", "builtins") or module.startswith("ganzoo.engine")


def _names(code: types.CodeType) -> Iterator[str]:
    """Of the globals that it, or a function within it, may use."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


def _again(value: Any) -> Any:
    """A count that goes on where `value` stands, which cannot be put back; anything else itself."""
    if isinstance(value, itertools.count):
        return itertools.count(*ast.literal_eval(f"[{repr(value)[6:-1]}]"))
    return value


def _counters(items: Any) -> dict[Any, Any]:
    return {key: _again(value) for key, value in items if isinstance(value, itertools.count)}


def _set_slot(owner: Any, name: str, value: Any) -> None:
    with contextlib.suppress(AttributeError, TypeError):  # written in C and read-only, as of a pattern: never another
        object.__setattr__(owner, name, value)


def _set_state(generator: torch.Generator, state: Tensor) -> None:
    generator.set_state(state)


def _copy_into(tensor: Tensor, value: Tensor) -> None:
    if host_digest(tensor) != host_digest(value):  # what is mapped from a file may be read-only
        with torch.no_grad():
            tensor.copy_(value)


def _reset_class(kind: type, names: Collection[str], counts: dict[str, Any]) -> None:
    for name in vars(kind).keys() - names:
        delattr(kind, name)
    for name, one in counts.items():
        if vars(kind).get(name) is not one:
            setattr(kind, name, one)


def _refill_set(values: set[Any], content: set[Any]) -> None:
    values.clear()
    values.update(content)


def _refill_list(values: Any, content: list[Any], counters: dict[int, Any]) -> None:
    if len(values) != len(content) or any(map(operator.is_not, values, content)):
        values.clear()
        values.extend(content)
    for index, count in counters.items():
        values[index] = count


def _refill_dict(table: dict[Any, Any], content: dict[Any, Any], counters: dict[Any, Any]) -> None:
    if len(table) != len(content) or any(map(operator.is_not, table.values(), content.values())):
        table.clear()
        table.update(content)
    if counters:  # not a table that refuses to be written to
        table.update(counters)
