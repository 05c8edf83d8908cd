"""What an iteration computes and moves, what the device could do at most, and the share of it that is reached."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from gpu_bench import Bench
from torch import Tensor
from torch.utils._pytree import tree_leaves

from ganzoo.bench.speed import advance
from ganzoo.engine.cpu.threads import Products
from ganzoo.engine.device import synchronize

aten = torch.ops.aten

GATHERS = {aten.index_select, aten.gather, aten.embedding, aten.index, aten.take}
"""Read as much of their first argument as they return."""

SCATTERS = {
    aten.index_add_: "source",
    aten.index_copy_: "source",
    aten.index_put_: "values",
    aten._index_put_impl_: "values",
    aten.scatter_: "src",
    aten.scatter_add_: "src",
}
"""Write as much of their first argument as the named one has."""

OVERWRITES = {aten.copy_, aten.fill_, aten.zero_, aten.normal_, aten.uniform_, aten.random_, aten.bernoulli_}
"""Do not read what they write."""


class Work(Products):
    """Adds up the FLOP of products and convolutions, by torch's own formulas, and the bytes that operations read and
    write, if each takes its inputs from memory and puts its outputs there; of a table that rows are taken from, those
    rows. Caches and what libraries do inside an operation are not counted, views cost nothing. (torch's FlopCounterMode
    cannot follow a gradient penalty.)
    """

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        options = dict(kwargs or {})
        out = super().__torch_dispatch__(func, types, args, options)
        if not func.is_view:
            self.bytes += bytes_moved(func, args, options, out)
        return out


def bytes_moved(func: Any, args: Sequence[Any], options: Mapping[str, Any], out: Any) -> int:
    """What an operation reads and writes; in place, both."""
    schema, kind = func._schema, func._overloadpacket
    given = dict(zip((argument.name for argument in schema.arguments), args, strict=False)) | dict(options)
    total = 0
    for index, argument in enumerate(schema.arguments):
        value = given.get(argument.name)
        if index == 0 and kind in GATHERS:
            value = out
        elif index == 0 and kind in SCATTERS:
            value = given.get(SCATTERS[kind])
        written = argument.alias_info is not None and argument.alias_info.is_write
        read = not argument.is_out and not (written and kind in OVERWRITES)
        total += size_of(value) * (read + written)
    results = out if len(schema.returns) > 1 else (out,)
    fresh = [value for value, result in zip(results, schema.returns, strict=False) if result.alias_info is None]
    return total + size_of(fresh)


def size_of(values: Any) -> int:
    """Bytes in memory of all tensors in `values`: what is expanded lies there once."""
    tensors = [leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]
    return sum(
        math.prod(size for size, stride in zip(tensor.shape, tensor.stride(), strict=True) if stride or size == 0)
        * tensor.element_size()
        for tensor in tensors
    )


def work_per_image(bench: Bench, variant: str) -> tuple[float, float]:
    """FLOP and bytes per real image, of whole rounds of the phases."""
    step = bench.step(variant, graphs=None, plain=bench.device.type == "cpu")
    period = bench.config(variant).train.d_steps
    advance(step, 2 * period)
    with Work() as work:
        advance(step, period)
    return work.flop / (period * bench.batch), work.bytes / (period * bench.batch)


def peaks(bench: Bench) -> dict[str, float]:
    """FLOP/s of matrix products and bytes/s of copies, as measured here: the best of five."""
    side, length = (256, 2**20) if bench.quick else (8192, 2**28)

    def best(work: Callable[[], object], amount: float) -> float:
        times = []
        for _ in range(6):
            synchronize(bench.device)
            started = time.perf_counter()
            for _ in range(4):
                work()
            synchronize(bench.device)
            times.append((time.perf_counter() - started) / 4)
        return amount / min(times[1:])

    found: dict[str, float] = {}
    matmul = torch.backends.cuda.matmul
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        a = torch.randn(side, side, device=bench.device).to(dtype)
        before = matmul.fp32_precision
        matmul.fp32_precision = "ieee"
        try:
            found[f"{name}_flop_per_s"] = best(partial(torch.mm, a, a), 2 * side**3)
        finally:
            matmul.fp32_precision = before
    source = torch.zeros(length, dtype=torch.float32, device=bench.device)
    target = torch.empty_like(source)
    found["bytes_per_s"] = best(partial(target.copy_, source), 2 * source.nbytes)  # read and written
    return found


def roofline(bench: Bench, variant: str, peak: Mapping[str, float] | None, img_per_s: float | None) -> dict[str, Any]:
    """The share of what the device could do at most at this ratio of FLOP to bytes; left out where peaks or speed have
    not been measured.
    """
    flop, moved = work_per_image(bench, variant)
    found: dict[str, Any] = {
        "variant": variant,
        "flop_per_image": flop,
        "bytes_per_image": moved,
        "bytes_how": "sum of what every operation of an eager iteration reads and writes, views left out",
    }
    if peak is None or img_per_s is None:
        return found
    most = peak[f"{bench.precision.name}_flop_per_s"]
    return found | {
        "flop_per_s": flop * img_per_s,
        "bytes_per_s": moved * img_per_s,
        "share_of_peak_flop": flop * img_per_s / most,
        "share_of_roofline": flop * img_per_s / min(most, flop / moved * peak["bytes_per_s"]),
    }
