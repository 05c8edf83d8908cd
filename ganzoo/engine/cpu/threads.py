"""How many threads a step's products are shared among: no more than they keep busy."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch.utils.flop_counter import flop_registry

from ganzoo.engine.uncompiled import Watching
from ganzoo.files.machine import threads_said, threads_spin

SHARE, SPINNING_SHARE = 20e6, 10e6
"""FLOP of a product, on average, that each thread has to get, and where OMP_WAIT_POLICY=active says that threads spin:
measured in docs/performance.md, "How many threads".
"""


def threads_for(product: float | None) -> int:
    """Threads for a step whose products have so many FLOP on average: as many of torch's as get their share. All of
    them where that is not known, and where OMP_NUM_THREADS says how many.

    Threads wait for each other at the end of every product, which takes longer than a product of a small batch does.
    Shapes and what somebody has said decide, never a clock: the same run has the same number wherever it has as many to
    choose from.
    """
    most = torch.get_num_threads()
    share = SPINNING_SHARE if threads_spin() else SHARE
    return most if product is None or threads_said() else min(most, max(1, int(product / share)))


@contextlib.contextmanager
def threads(count: int) -> Iterator[None]:
    """Torch's operations have so many threads inside, and as many as before afterwards."""
    before = torch.get_num_threads()
    if count == before:
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def compiled() -> bool:
    """Whether torch.compile has compiled anything in this process. Such code is compiled anew for each number of
    threads, a few times at most, and then runs as if it were not.
    """
    dynamo = sys.modules.get("torch._dynamo.utils")
    return dynamo is not None and dynamo.counters["stats"]["unique_graphs"] > 0


class Products(Watching):
    """Counts the FLOP of the products and convolutions of what runs inside, by torch's own formulas."""

    def __init__(self) -> None:
        super().__init__()
        self.flop, self.count = 0, 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        options = dict(kwargs or {})
        out = func(*args, **options)
        if func._overloadpacket in flop_registry:
            self.flop += flop_registry[func._overloadpacket](*args, **options, out_val=out)
            self.count += 1
        return out
