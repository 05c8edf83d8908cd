"""Every convolution of the networks alone: its three passes, in each layout and precision, with and without cuDNN's
search and its promise of the same order each time, beside the engine's own ways for its shape.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
from gpu_bench import SIZE, Bench, fp32_products
from torch import Tensor, nn

from ganzoo.engine.cpu import convolutions
from ganzoo.runs.snapshots import build_gan

PASSES = ("forward", "dgrad", "wgrad")
LAYOUTS = {"NCHW": torch.contiguous_format, "NHWC": torch.channels_last}
NUMBERS = {"bf16": torch.bfloat16, "tf32": torch.float32, "ieee": torch.float32}


@dataclass(frozen=True, kw_only=True)
class Layer:
    input: tuple[int, ...]  # N,C,H,W
    weight: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    transposed: bool

    @property
    def name(self) -> str:
        kernel = "x".join(map(str, self.weight[2:]))
        outputs = self.weight[1] if self.transposed else self.weight[0]
        kind = "transposed" if self.transposed else "conv"
        return f"{kind} {self.input[1]}->{outputs} {kernel}/{self.stride[0]} at {self.input[2]}x{self.input[3]}"

    @property
    def flop(self) -> int:
        """Of one pass: a product and a sum for each weight, image and place that it is applied to."""
        n, _, height, width = self.input
        if not self.transposed:
            height, width = (
                (self.input[2 + i] + 2 * self.padding[i] - self.weight[2 + i]) // self.stride[i] + 1 for i in (0, 1)
            )
        return 2 * n * height * width * torch.Size(self.weight).numel()

    def own_way(self) -> Callable[..., Tensor] | None:
        """The engine's way for this shape, of those that any device can go."""
        find = convolutions.way_of_transposed if self.transposed else convolutions.way_of
        way = find(self.input, self.weight, self.stride, self.padding)
        ways = (convolutions.by_columns, convolutions.by_inner_product, convolutions.transposed_by_columns)
        return way if way in ways else None


def layers_of(bench: Bench, variants: Sequence[str]) -> dict[Layer, list[str]]:
    """Each layer, once, and the variants that have it."""
    found: dict[Layer, list[str]] = {}
    for variant in variants:
        gan = build_gan(bench.registry, bench.config(variant), (1, SIZE, SIZE), 0)

        def note(module: nn.Module, inputs: tuple[Tensor, ...], out: Tensor, variant: str = variant) -> None:
            one = cast(nn.Conv2d, module)
            layer = Layer(
                input=(bench.batch, *inputs[0].shape[1:]),
                weight=tuple(one.weight.shape),
                stride=tuple(one.stride),
                padding=tuple(cast("tuple[int, ...]", one.padding)),
                transposed=isinstance(module, nn.ConvTranspose2d),
            )
            owners = found.setdefault(layer, [])
            if variant not in owners:
                owners.append(variant)

        for module in (*gan.generator.modules(), *gan.discriminator.modules()):
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d) and module.groups == 1:
                module.register_forward_hook(note)
        with torch.no_grad():
            gan.discriminator(gan.generator(torch.zeros(2, gan.z_dim), None), None)
    return found


def device_seconds(bench: Bench, work: Callable[[], object]) -> float:
    """Of one call on the device, launches left out where the device has a clock of its own."""
    calls = 2 if bench.quick else 20
    work()
    work()
    if bench.device.type != "cuda":
        started = time.perf_counter()
        for _ in range(calls):
            work()
        return (time.perf_counter() - started) / calls
    with torch.cuda.device(bench.device):  # whose streams events and the pause are put on
        torch.cuda.synchronize(bench.device)
        began = time.perf_counter()
        work()
        launch = time.perf_counter() - began  # of the host alone
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda._sleep(int(2e9 * (2 * calls * launch + 1e-4)))  # cycles: the device waits until all calls are queued
        start.record()
        for _ in range(calls):
            work()
        end.record()
        end.synchronize()
        return start.elapsed_time(end) / 1e3 / calls


def passes(layer: Layer, way: Callable[..., Tensor] | None, x: Tensor, weight: Tensor) -> Iterator[Callable[[], Any]]:
    """Forward, gradient of the input, gradient of the weight. `way` None: torch's own."""
    stride, padding = layer.stride, layer.padding
    if way is None:
        rest = (stride, padding, (1, 1), layer.transposed, (0, 0), 1)
        out = torch.ops.aten.convolution(x, weight, None, *rest)
        yield partial(torch.ops.aten.convolution, x, weight, None, *rest)
        gradient = torch.randn_like(out)
        for mask in ([True, False, False], [False, True, False]):
            yield partial(torch.ops.aten.convolution_backward, gradient, x, weight, None, *rest, mask)
        return
    yield partial(way, x, weight, stride, padding)
    for at in (0, 1):
        given = [tensor.detach().requires_grad_(index == at) for index, tensor in enumerate((x, weight))]
        out = way(*given, stride, padding)
        yield partial(torch.autograd.grad, out, given[at], torch.randn_like(out), retain_graph=True)


@contextlib.contextmanager
def cudnn_settings(deterministic: bool, benchmark: bool) -> Iterator[None]:
    cudnn = torch.backends.cudnn
    before = cudnn.deterministic, cudnn.benchmark
    cudnn.deterministic, cudnn.benchmark = deterministic, benchmark
    try:
        yield
    finally:
        cudnn.deterministic, cudnn.benchmark = before


def measure_layers(bench: Bench, variants: Sequence[str]) -> list[dict[str, Any]]:
    """A row for each layer, pass and setting, with its microseconds; "error" in place of them where torch has none."""
    rows: list[dict[str, Any]] = []
    for layer, owners in layers_of(bench, variants).items():
        own = layer.own_way()
        for (layout, memory), (numbers, dtype) in itertools.product(LAYOUTS.items(), NUMBERS.items()):
            x = torch.randn(layer.input, device=bench.device).to(dtype=dtype, memory_format=memory)
            weight = torch.randn(layer.weight, device=bench.device).to(dtype=dtype, memory_format=memory)
            ways: list[tuple[str, Any, bool, bool]] = [
                ("torch", None, deterministic, search)
                for deterministic, search in itertools.product((True, False), (False, True))
            ]
            if own is not None:
                ways.append((own.__name__, own, True, False))
            for name, way, deterministic, search in ways:
                row = {
                    "layer": layer.name,
                    "variants": owners,
                    "layout": layout,
                    "numbers": numbers,
                    "way": name,
                    "deterministic": deterministic,
                    "benchmark": search,
                }
                with fp32_products("ieee" if numbers == "ieee" else "tf32"), cudnn_settings(deterministic, search):
                    rows += _timed(bench, layer, row, way, x, weight)
    return rows


def _timed(
    bench: Bench, layer: Layer, row: Mapping[str, Any], way: Callable[..., Tensor] | None, x: Tensor, weight: Tensor
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    try:
        for name, work in zip(PASSES, passes(layer, way, x, weight), strict=True):
            seconds = device_seconds(bench, work)
            rows.append({**row, "pass": name, "us": seconds * 1e6, "tflop_per_s": layer.flop / seconds / 1e12})
    except RuntimeError as error:  # no algorithm for these settings
        rows.append({**row, "pass": PASSES[len(rows)], "error": str(error).splitlines()[0]})
    return rows


def summary(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row for each layer and pass: microseconds as the engine has it on CUDA, in the other layout and precisions, by
    the engine's own way, and the fastest of all with its settings.
    """
    found: list[dict[str, Any]] = []
    timed = [row for row in rows if "us" in row]
    for layer, one in dict.fromkeys((row["layer"], row["pass"]) for row in timed):
        here = [row for row in timed if (row["layer"], row["pass"]) == (layer, one)]

        def least(here: Sequence[Mapping[str, Any]] = here, **wanted: Any) -> float | str:
            suit = [row["us"] for row in here if all(row[key] == value for key, value in wanted.items())]
            return min(suit, default="")

        usual: dict[str, Any] = {"way": "torch", "deterministic": True, "benchmark": False}
        best = min(here, key=lambda row: row["us"])
        ours = [row["us"] for row in here if row["way"] != "torch" and row["numbers"] == "bf16"]
        switches = [key for key in ("deterministic", "benchmark") if best[key]] if best["way"] == "torch" else []
        found.append(
            {
                "layer": layer,
                "pass": one,
                **{f"{kind} {layout}": least(**usual, numbers=kind, layout=layout)
                   for kind in NUMBERS for layout in LAYOUTS},
                "own": min(ours, default=""),
                "best": best["us"],
                "best_how": " ".join([best["numbers"], best["layout"], best["way"], *switches]),
            }
        )  # fmt: skip
    return found
