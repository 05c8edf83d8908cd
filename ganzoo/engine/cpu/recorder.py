"""What torch calls below autograd, noted: the making of a recording. See `recording.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef

from ganzoo.engine.uncompiled import Watching

UNTOLD = {
    "aten::native_batch_norm": ("running_mean", "running_var"),
    "aten::batch_norm_update_stats": ("running_mean", "running_var"),
}
"""Arguments that operators write to although their schemas do not say so."""

BY_NUMBERS = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}

OTHERWISE = {"_linalg_eigh", "_linalg_svd", "prod", "quantile", "nanquantile"}
"""Operators that torch puts together in another way while it is watched, with other last bits."""

Geometry = tuple[Any, ...]  # offset, shape, strides, dtype


class Refused(RuntimeError):
    """An iteration does what a recording does not hold."""


@dataclass(eq=False)
class Value:
    """A tensor of an iteration: memory, and how it lies in it. `given`: itself, where it is there before the iteration,
    or is a view of what is.
    """

    number: int
    given: Tensor | None = None

    def __repr__(self) -> str:
        return f"v{self.number}"


@dataclass(eq=False)
class Memory:
    """A storage, whose address is not used again while this is held. `inner`: a call that was noted has made it."""

    held: StorageWeakRef
    inner: bool
    written: bool = False
    values: dict[Geometry, Value] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Call:
    function: Any  # an operator of torch's
    args: Any  # with values for tensors
    kwargs: Any
    out: Any
    made: tuple[Value, ...]  # values that were not there before
    kept: bool  # whether it counts although nobody may read what it makes
    once: bool  # a view of what is given

    @property
    def read(self) -> Iterator[Value]:
        return values_of((self.args, self.kwargs))

    def __str__(self) -> str:
        return f"{self.function} {self.args} {self.kwargs} {self.out}"


class Recorder(Watching):
    """While entered, notes what torch's dispatcher calls, and what was there before."""

    def __init__(self, *, rates_move: bool) -> None:
        """`rates_move`: see `Recordings`."""
        super().__init__()
        self._rates_move = rates_move
        self.calls: list[Call] = []
        self.given: dict[Value, tuple[Tensor, Tensor]] = {}  # with what it held when it was first seen
        self._memory: dict[int, Memory] = {}
        self._count = 0
        self._drawn = self._random = torch.get_rng_state()
        self.refused: Refused | None = None  # also where somebody has caught it

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        with torch._C.DisableTorchFunction():
            try:
                if not torch.equal(torch.get_rng_state(), self._drawn):  # a checkpoint does, to draw the same again
                    raise Refused("Python sets the state of torch's random numbers")
                out = self._call(func, args, dict(kwargs or {}))
            except Refused as refused:
                self.refused = refused
                raise
            self._drawn = torch.get_rng_state()
        return out

    def _call(self, func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        if not isinstance(func, torch._ops.OpOverload):
            raise Refused(f"{func} is none of torch's operators")
        if func.namespace == "profiler":
            return func(*args, **kwargs)
        tags = set(func.tags)
        told = any(str(one.type) not in ("Tensor", "List[Tensor]") for one in func._schema.returns)
        if told or (tags & BY_NUMBERS and not _takes_by_number(func, args)):
            raise Refused(f"Python goes by numbers, in {func}")
        if func._opname in OTHERWISE:
            raise Refused(f"{func} is another one while it is watched")
        if any(_all_of((args, kwargs), torch.Generator)):
            raise Refused(f"{func} draws from a generator of its own")
        if self._rates_move and func._opname.startswith("_fused_adam") and func._overloadname == "default":
            raise Refused("an optimizer has taken its learning rate as it was")
        given = (_replaced(args, self._value), _replaced(kwargs, self._value))
        view = torch.Tag.inplace_view in tags  # it changes how a tensor lies in its memory: noted as what makes a view
        noted = _without_place(func) if view else func
        if view and any(value.given is not None for value in values_of(given)):
            raise Refused(f"a tensor that stays is made to lie otherwise in its memory, by {func}")
        written = () if view else tuple(_written(func, args, kwargs))
        for tensor in written:
            self._memory[tensor.untyped_storage()._cdata].written = True
        before = self._count
        out = func(*args, **kwargs)
        results = _replaced(out, self._result)
        kept = bool(written) or torch.Tag.nondeterministic_seeded in tags or func.namespace != "aten"
        if kept or self._count > before:  # else it is one of those that were there, by another name
            self._note(noted, given, results, out, before, kept=kept)
        return out

    def _note(self, func: Any, given: Any, results: Any, out: Any, before: int, *, kept: bool) -> None:
        made = tuple(value for value in values_of(results) if value.number >= before)
        outer = not any(self._memory[tensor.untyped_storage()._cdata].inner for tensor in _tensors(out))
        once = outer and not kept and bool(made) and all(value.given is not None for value in values_of(given))
        if once:
            for value, tensor in zip(values_of(results), _tensors(out), strict=True):
                value.given = tensor.detach()
        call = Call(function=func, args=given[0], kwargs=given[1], out=results, made=made, kept=kept, once=once)
        self.calls.append(call)

    def _value(self, tensor: Tensor) -> Value:
        """Of what a call is given."""
        memory, geometry = self._memory_of(tensor, inner=False), geometry_of(tensor)
        if geometry not in memory.values:
            if memory.inner:
                raise Refused("a tensor lies in memory as no call that is seen has laid it")
            value = self._new(memory, geometry, tensor.detach())
            self.given[value] = (tensor.detach(), tensor.detach().clone())
        return memory.values[geometry]

    def _result(self, tensor: Tensor) -> Value:
        memory, geometry = self._memory_of(tensor, inner=True), geometry_of(tensor)
        return memory.values.get(geometry) or self._new(memory, geometry, None)

    def _new(self, memory: Memory, geometry: Geometry, given: Tensor | None) -> Value:
        value = memory.values[geometry] = Value(self._count, given)
        self._count += 1
        return value

    def _memory_of(self, tensor: Tensor, *, inner: bool) -> Memory:
        if tensor.layout != torch.strided or tensor.device.type != "cpu" or tensor.is_conj() or tensor.is_neg():
            raise Refused(f"a tensor is {tensor.layout} on {tensor.device}")
        storage = tensor.untyped_storage()
        if storage._cdata not in self._memory:
            self._memory[storage._cdata] = Memory(held=StorageWeakRef(storage), inner=inner)
        return self._memory[storage._cdata]

    def put_back(self) -> None:
        """What is given, and torch's generator, are as they were."""
        torch.set_rng_state(self._random)
        for tensor, held in reversed(self.given.values()):  # of two that overlap the first has seen it untouched
            if not same_bits(tensor, held):  # what is only read may be memory that nobody can write to
                tensor.copy_(held)

    def left(self) -> list[Tensor | None]:
        """What has become of what is given, None where nothing, and of torch's generator."""
        of_given = (None if same_bits(tensor, held) else tensor.clone() for tensor, held in self.given.values())
        return [*of_given, torch.get_rng_state()]

    def differs_from(self, other: Recorder) -> str | None:
        """The name of the first call that another one has otherwise, or has other constants for."""
        for call, its in zip(self.calls, other.calls, strict=False):
            if str(call) != str(its):
                return str(call.function)
        if len(self.calls) != len(other.calls) or len(self.given) != len(other.given):
            return "its end"
        for mine, its_value in zip(self.given, other.given, strict=True):
            if not self._same(self.given[mine][0], other, other.given[its_value][0]):
                return next(str(call.function) for call in self.calls if mine in call.read)
        return None

    def _same(self, ours: Tensor, other: Recorder, theirs: Tensor) -> bool:
        """Whether they are the same memory, or a constant that Python has made anew."""
        here, there = ours.untyped_storage()._cdata, theirs.untyped_storage()._cdata
        if here == there:
            return True
        written = self._memory[here].written or other._memory[there].written
        return not written and geometry_of(ours) == geometry_of(theirs) and same_bits(ours, theirs)


def _written(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Iterator[Tensor]:
    """The tensors that a call writes to."""
    for index, argument in enumerate(func._schema.arguments):
        told = argument.alias_info is not None and argument.alias_info.is_write
        if told or argument.name in UNTOLD.get(func._schema.name, ()):
            yield from _tensors(args[index] if index < len(args) else kwargs.get(argument.name))


def _takes_by_number(func: Any, args: Sequence[Any]) -> bool:
    """Whether it takes what whole numbers name, whose shape is theirs, and not what a mask lets through."""
    masks = (torch.bool, torch.uint8)
    return func._opname == "index" and not any(one.dtype in masks for one in _tensors(args[1]))


def _without_place(func: Any) -> Any:
    """`unsqueeze` for `unsqueeze_`."""
    packet = getattr(torch.ops.aten, func._opname.removesuffix("_"), None)
    other = getattr(packet, "int" if func._opname == "transpose_" else func._overloadname, None)
    if other is None or other is func:
        raise Refused(f"a tensor is made to lie otherwise in its memory, by {func}")
    return other


def geometry_of(tensor: Tensor) -> Geometry:
    return tensor.storage_offset(), tuple(tensor.shape), tensor.stride(), tensor.dtype


def same_bits(first: Tensor, second: Tensor) -> bool:
    """Of two of one shape and dtype; NaN is NaN."""
    flat = (one.contiguous().reshape(-1).view(torch.uint8) for one in (first, second))
    return torch.equal(*flat)


def _replaced(one: Any, by: Callable[[Tensor], Value]) -> Any:
    if isinstance(one, Tensor):
        return by(one)
    if isinstance(one, (list, tuple)):
        return type(one)(_replaced(each, by) for each in one)
    return {name: _replaced(each, by) for name, each in one.items()} if isinstance(one, dict) else one


def values_of(one: Any) -> Iterator[Value]:
    return _all_of(one, Value)


def _tensors(one: Any) -> Iterator[Tensor]:
    return _all_of(one, Tensor)


def _all_of(one: Any, kind: Any) -> Iterator[Any]:
    if isinstance(one, kind):
        yield one
    elif isinstance(one, (list, tuple)):
        for each in one:
            yield from _all_of(each, kind)
    elif isinstance(one, dict):
        yield from _all_of(list(one.values()), kind)
