"""Convolutions in bf16 on processors that multiply tiles of it: torch's own to rounding, and chosen by a rule."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from exact import check, error, tensors
from torch import Tensor, nn
from torch.nn import functional as F

from ganzoo.engine.cpu import bf16, convolutions
from ganzoo.engine.cpu.bf16 import How
from ganzoo.engine.cpu.operations import fast_operations
from ganzoo.engine.device import resolve_precision

ROUNDING = 0.02
"""Of the largest value: bf16 has eight bits, and what is compared is a sum of numbers rounded to them."""


@pytest.fixture
def tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the processor multiplied tiles; torch's products in bf16 are right on any."""
    monkeypatch.setattr(bf16, "multiplies_tiles", lambda: True)


@pytest.fixture(autouse=True)
def _asked_anew() -> Iterator[None]:
    asked = bf16.multiplies_tiles
    asked.cache_clear()
    yield
    asked.cache_clear()


HOW = [How(4, 2, 1), How(3, 1, 1), How(3, 1, 0), How(3, 1, 2), How(1, 1, 0), How(2, 1, 1), How(5, 1, 2)]


@pytest.mark.parametrize(("height", "width"), [(8, 8), (14, 10), (4, 6)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("how", HOW, ids=str)
def test_windows_make_the_convolution(height: int, width: int, layout: torch.memory_format, how: How) -> None:
    if how.kernel > 4 >= height:
        height += 2
    x, weight = tensors((3, 5, height, width), (7, 5, how.kernel, how.kernel))
    x = x.detach().contiguous(memory_format=layout).requires_grad_()
    exact = F.conv2d(x.double(), weight.double(), stride=how.stride, padding=how.padding)
    check(bf16.convolve(x, weight, how), exact, [x, weight], 1e-5)


@pytest.mark.parametrize(("height", "width"), [(4, 4), (7, 5), (5, 6)])
@pytest.mark.parametrize("how", HOW, ids=str)
def test_windows_make_the_transposed_convolution(height: int, width: int, how: How) -> None:
    x, weight = tensors((3, 7, height, width), (7, 5, how.kernel, how.kernel))
    exact = F.conv_transpose2d(x.double(), weight.double(), stride=how.stride, padding=how.padding)
    check(bf16.convolve_transposed(x, weight, how), exact, [x, weight], 1e-5)


@pytest.mark.parametrize("size", [(1, 1), (1, 3)])
def test_the_smallest_images_are_doubled(size: tuple[int, int]) -> None:
    x, weight = tensors((3, 7, *size), (7, 5, 4, 4))
    exact = F.conv_transpose2d(x.double(), weight.double(), stride=2, padding=1)
    check(bf16.convolve_transposed(x, weight, How(4, 2, 1)), exact, [x, weight], 1e-5)


CASES: list[tuple[str, tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    ("windows", (4, 64, 16, 16), (64, 64, 4, 4), {"stride": 2, "padding": 1}),
    ("oneDNN", (2, 64, 32, 32), (64, 64, 4, 4), {"stride": 2, "padding": 1}),  # larger
    ("columns", (4, 1, 8, 8), (8, 1, 4, 4), {"stride": 2, "padding": 1}),
    ("inner product", (4, 64, 4, 4), (1, 64, 4, 4), {}),
    ("windows", (4, 64, 8, 8), (64, 64, 3, 3), {"padding": 1}),
    ("windows", (4, 64, 6, 6), (64, 64, 1, 1), {}),
    ("oneDNN", (4, 64, 8, 8), (64, 64, 3, 3), {"padding": 1, "stride": 2}),  # whose adjoint is not known
    ("oneDNN", (4, 64, 7, 7), (64, 64, 4, 4), {"padding": 1, "stride": 2}),  # odd
    ("oneDNN", (4, 64, 8, 8), (64, 64, 3, 1), {"padding": 1}),  # not square
    ("oneDNN", (4, 8, 8, 8), (8, 8, 3, 3), {"padding": 1}),  # few channels
]
TRANSPOSED: list[tuple[str, tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    ("windows", (4, 64, 8, 8), (64, 64, 4, 4), {"stride": 2, "padding": 1}),
    ("windows", (4, 64, 8, 8), (64, 64, 3, 3), {"padding": 1}),
    ("oneDNN", (2, 64, 16, 16), (64, 64, 4, 4), {"stride": 2, "padding": 1}),
    ("columns", (4, 8, 8, 8), (8, 1, 4, 4), {"stride": 2, "padding": 1}),
    ("outer product", (4, 10, 1, 1), (10, 8, 4, 4), {}),
]


@pytest.mark.parametrize(
    ("transposed", "way", "image", "weight", "options"),
    [(transposed, *case) for transposed, cases in ((False, CASES), (True, TRANSPOSED)) for case in cases],
)
@pytest.mark.parametrize("given", [torch.float32, torch.bfloat16])
def test_under_autocast_they_are_torchs_to_rounding(
    transposed: bool,
    way: str,
    image: Any,
    weight: Any,
    options: dict[str, Any],
    given: torch.dtype,
    tiles: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    function = F.conv_transpose2d if transposed else F.conv2d
    x, w, bias = tensors(image, weight, (weight[1 if transposed else 0],))
    x = x.detach().to(given).requires_grad_()
    exact = function(x.double(), w.double(), bias.double(), **options)
    ours: list[str] = []
    answered = convolutions._in_bf16
    monkeypatch.setattr(convolutions, "_in_bf16", lambda *given: (ours.append(way), answered(*given))[1])
    with fast_operations(), torch.autocast("cpu", dtype=torch.bfloat16):
        y = function(x, w, bias, **options)
    assert (y.dtype, ours) == (torch.bfloat16, [] if way == "oneDNN" else [way])
    assert error(y.double(), exact) < ROUNDING
    upstream = torch.randn_like(exact)
    got = torch.autograd.grad(y, [x, w, bias], upstream.bfloat16())
    wanted = torch.autograd.grad(exact, [x, w, bias], upstream)
    assert [one.dtype for one in got] == [given, torch.float32, torch.float32]
    for one, other in zip(got[:2], wanted[:2], strict=True):
        assert error(one.double(), other) < ROUNDING
    summed = upstream.abs().sum((0, 2, 3))  # what the bias's gradient is the signed sum of
    assert bool(((got[2] - wanted[2]).abs() < 0.005 * summed).all())


@pytest.mark.parametrize(
    ("weight", "options", "dtype"),
    [
        ((64, 1, 4, 4), {"groups": 64, "stride": 2}, torch.float32),
        ((64, 32, 3, 3), {"groups": 2}, torch.float32),
        ((8, 64, 1, 1), {}, torch.float32),
        ((64, 64, 1, 1), {}, torch.bfloat16),
        ((8, 64, 3, 3), {}, torch.bfloat16),
    ],
)
def test_what_onednn_is_slow_at_in_bf16_stays_in_fp32(
    weight: tuple[int, ...], options: dict[str, Any], dtype: torch.dtype, tiles: None
) -> None:
    x, w, bias = tensors((2, 64, 8, 8), weight, (weight[0],))
    exact = F.conv2d(x.bfloat16().double(), w.double(), bias.double(), **options)
    with fast_operations(), torch.autocast("cpu", dtype=torch.bfloat16):
        y = F.conv2d(x.bfloat16(), w, bias, **options)
    assert y.dtype == dtype
    assert error(y.double(), exact) < (1e-5 if dtype == torch.float32 else ROUNDING)
    assert [one.dtype for one in torch.autograd.grad(y.sum(), [x, w, bias])] == [torch.float32] * 3


@pytest.mark.parametrize("given", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("bias", [True, False])
def test_linear_layers_of_few_rows_stay_in_fp32(given: torch.dtype, bias: bool, tiles: None) -> None:
    layer = nn.Linear(32, 16, bias=bias)
    for rows, dtype in ((63, torch.float32), (64, torch.bfloat16)):
        x = torch.randn(rows, 32).to(given)
        with fast_operations(), torch.autocast("cpu", dtype=torch.bfloat16):
            y = layer(x)
        assert y.dtype == dtype
        exact = F.linear(x.double(), layer.weight.double(), layer.bias.double() if bias else None)
        assert error(y.double(), exact) < (1e-5 if dtype == torch.float32 else ROUNDING)
    few = torch.randn(3, 32)
    with fast_operations():
        with torch.autocast("cpu", dtype=torch.float16):
            assert layer(few).dtype == torch.float16
        assert torch.equal(layer(few), F.linear(few, layer.weight, layer.bias))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert layer.double()(few.double()).dtype == torch.float64  # as torch has it


def test_without_tiles_and_in_other_formats_torch_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*arguments: Any) -> Tensor:
        raise AssertionError("answered by us")

    monkeypatch.setattr(convolutions, "_in_bf16", refused)
    layer, x = nn.Conv2d(64, 64, 4, 2, 1), torch.randn(2, 64, 8, 8)
    for tiles, dtype in ((False, torch.bfloat16), (True, torch.float16)):
        monkeypatch.setattr(bf16, "multiplies_tiles", lambda tiles=tiles: tiles)
        with fast_operations(), torch.autocast("cpu", dtype=dtype):
            assert layer(x).dtype == dtype


def test_shapes_that_are_wrong_are_refused_by_torch(tiles: None) -> None:
    with fast_operations(), torch.autocast("cpu", dtype=torch.bfloat16):
        with pytest.raises(RuntimeError, match="channels"):
            F.conv2d(torch.randn(2, 32, 8, 8), torch.randn(64, 64, 4, 4), stride=2, padding=1)
        with pytest.raises(RuntimeError, match=r"channels|size"):
            F.conv_transpose2d(torch.randn(2, 32, 8, 8), torch.randn(64, 64, 4, 4), stride=2, padding=1)


def test_an_image_that_has_changed_since_is_not_differentiated(tiles: None) -> None:
    x = torch.randn(2, 64, 8, 8).bfloat16()
    weight = torch.randn(64, 64, 4, 4, requires_grad=True)
    with fast_operations(), torch.autocast("cpu", dtype=torch.bfloat16):
        y = F.conv2d(x, weight, stride=2, padding=1)
    x.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


@pytest.mark.parametrize("at_most", ["", "AVX512_CORE_AMX", "avx512_core_amx_fp16", "DEFAULT"])
def test_auto_is_bf16_where_the_processor_multiplies_tiles(at_most: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", at_most)
    for has, name in ((True, "bf16"), (False, "fp32")):
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda has=has: has)
        bf16.multiplies_tiles.cache_clear()
        assert resolve_precision("auto", torch.device("cpu")).name == name
        assert resolve_precision("fp32", torch.device("cpu")).name == "fp32"


def test_auto_is_fp32_where_onednn_is_kept_from_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_BF16")
    assert resolve_precision("auto", torch.device("cpu")).name == "fp32"
