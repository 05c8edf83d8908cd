"""What Python keeps between iterations beside tensors on the device: compared and put back around a recording."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Any

from torch import Tensor

from ganzoo.engine.probes.reached import NOTHING, Reached, global_generators, put_back, same
from ganzoo.engine.state import TrainState
from ganzoo.engine.statistics import Statistics


class HostState:
    """Of an iteration: what its Python finds, and may leave behind.

    Looked at are the global random generators of Python, NumPy and, where the device has its own, torch's; and all that
    is reached from the networks' attributes and the losses' closures: numbers, strings, arrays, random generators,
    tensors (those in main memory by value), in lists, tuples, sets, deques, dicts, dataclasses, and in objects
    that belong to a module; the closures of the functions among them, of the methods of plugins' modules, and the
    globals that these name. Out of reach are other iterators than `itertools.count`, other files' globals, and whatever
    lies outside Python.
    """

    def __init__(self, state: TrainState, statistics: Statistics) -> None:
        self._statistics, self._device_type = statistics, state.device.type
        self.counted = Counter(statistics.counted)
        self._networks = {
            "generator": state.gan.generator,
            "discriminator": state.gan.discriminator,
            "ema": state.ema,
            **state.kept,
        }
        self._parameters = [p for module in self._networks.values() for p in module.parameters()]
        self._required = [parameter.requires_grad for parameter in self._parameters]
        self._held: list[tuple[dict[str, Any], str, str, Tensor | None]] = [
            (table, name, f"{network}.{place}{'.' if place else ''}{name}", tensor)
            for network, module in self._networks.items()
            for place, part in module.named_modules()
            for table in (part._parameters, part._buffers)
            for name, tensor in table.items()
        ]
        self._held += [
            (values, name, f"the optimizer's {name}", value)
            for phase in state.phases
            for values in phase.optimizer.state.values()
            for name, value in values.items()
            if isinstance(value, Tensor)
        ]
        self._lie = [(tensor, tensor.data) for *_, tensor in self._held if tensor is not None]
        self._roots: dict[str, Any] = {**self._networks, **{f"{p.name}'s loss": p.made_of for p in state.phases}}
        self._found = Reached(self._roots, self._device_type)
        self._generators = global_generators(self._device_type)

    def replaced(self) -> str | None:
        """The name of a parameter, a buffer or an optimizer's tensor that is another object, or lies elsewhere, now."""
        there = {id(tensor): tensor.data_ptr() == data.data_ptr() for tensor, data in self._lie}
        for table, name, where, tensor in self._held:
            if name not in table or table[name] is not tensor or not there.get(id(tensor), True):
                return where
        return None

    def anew(self) -> str | None:
        """Where another tensor is kept than before."""
        now = Reached(self._roots, self._device_type).values
        places = ((where, old, now.get(where)) for where, old in self._found.values.items())
        return next((where for where, old, new in places if isinstance(old, Tensor) and new is not old), None)

    def drawn(self) -> str | None:
        """The name of a global generator of the host that has been drawn from."""
        now = global_generators(self._device_type)
        return next((name for name, (state, _) in self._generators.items() if now[name][0] != state), None)

    def changed(self, read: Collection[int]) -> str | None:
        """Where something is another value now. A tensor may be another where the old one was not `read` (ids): one
        that is only kept, an activation for the loss, say, is written before it is read.
        """
        before, now = self._found.values, Reached(self._roots, self._device_type).values
        for where in (*before, *(now.keys() - before.keys())):
            old, new = before.get(where, NOTHING), now.get(where, NOTHING)
            if isinstance(old, Tensor) and isinstance(new, Tensor):
                if old is not new and id(old) in read:
                    return where
            elif not same(old, new):
                return where
        return None

    def counts_as_before(self) -> None:
        self._statistics.counted.clear()
        self._statistics.counted.update(self.counted)

    def keep_counts(self) -> None:
        """Undo what a recording changes in any case: it has counted what it did not do."""
        self.counts_as_before()
        for parameter, required in zip(self._parameters, self._required, strict=True):
            parameter.requires_grad_(required)
            parameter.grad = None  # an iteration that was cut short has left some, in the memory of a dead graph

    def restore(self) -> None:
        """As if there had been no recording."""
        for table, name, _, tensor in self._held:
            table[name] = tensor
        for tensor, data in self._lie:
            if tensor.data_ptr() != data.data_ptr():
                tensor.data = data
        put_back((*self._found.undo, *(undo for _, undo in self._generators.values())))
        self.keep_counts()
