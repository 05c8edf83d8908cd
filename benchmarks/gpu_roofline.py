"""What an iteration computes and moves, what the device could do at most, and the share of it that is reached."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from gpu_bench import Bench, advance
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from ganzoo.engine.device import synchronize


class Work(TorchDispatchMode):
    """Adds up the FLOP of products and convolutions, by torch's own formulas, and the bytes that operations read and
    write, if each takes its inputs from memory and puts its outputs there. Caches and what libraries do inside an
    operation are not counted, views cost nothing. (torch's FlopCounterMode cannot follow a gradient penalty.)
    """

    def __init__(self) -> None:
        super().__init__()
        self.flop = 0
        self.bytes = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        options = dict(kwargs or {})
        out = func(*args, **options)
        if func._overloadpacket in flop_registry:
            self.flop += flop_registry[func._overloadpacket](*args, **options, out_val=out)
        if not func.is_view:
            tensors = [leaf for leaf in tree_leaves((args, options, out)) if isinstance(leaf, Tensor)]
            self.bytes += sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        return out


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


def roofline(bench: Bench, variant: str, peak: Mapping[str, float], img_per_s: float) -> dict[str, Any]:
    """The share of what the device could do at most at this ratio of FLOP to bytes."""
    flop, moved = work_per_image(bench, variant)
    roof = min(peak[f"{bench.precision.name}_flop_per_s"], flop / moved * peak["bytes_per_s"])
    return {
        "variant": variant,
        "flop_per_image": flop,
        "bytes_per_image": moved,
        "bytes_how": "sum of inputs and outputs of every operation of an eager iteration, views left out",
        "flop_per_s": flop * img_per_s,
        "bytes_per_s": moved * img_per_s,
        "share_of_peak_flop": flop * img_per_s / peak[f"{bench.precision.name}_flop_per_s"],
        "share_of_roofline": flop * img_per_s / roof,
    }
