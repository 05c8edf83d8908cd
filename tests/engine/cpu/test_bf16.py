"""Convolutions in bf16 on processors that multiply tiles of it: torch's own to rounding, and chosen by a rule."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from exact import check, error, tensors
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from ganzoo.engine.cpu import bf16, convolutions, operations
from ganzoo.engine.cpu.bf16 import How
from ganzoo.engine.cpu.operations import fast_operations
from ganzoo.engine.device import resolve_precision

WAYS = {
    "columns": convolutions.by_columns,
    "inner product": convolutions.by_inner_product,
    "outer product": convolutions.by_outer_product,
    "transposed columns": convolutions.transposed_by_columns,
}

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
    ("oneDNN", (4, 64, 3, 3), (64, 64, 2, 2), {"padding": 2}),  # outputs of padding alone
    ("oneDNN", (4, 8, 8, 8), (8, 8, 3, 3), {"padding": 1}),  # few channels
]
TRANSPOSED: list[tuple[str, tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    ("windows", (4, 64, 8, 8), (64, 64, 4, 4), {"stride": 2, "padding": 1}),
    ("windows", (4, 64, 8, 8), (64, 64, 3, 3), {"padding": 1}),
    ("oneDNN", (2, 64, 16, 16), (64, 64, 4, 4), {"stride": 2, "padding": 1}),
    ("transposed columns", (4, 8, 8, 8), (8, 1, 4, 4), {"stride": 2, "padding": 1}),
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
    answered, names = convolutions._in_bf16, {function: name for name, function in WAYS.items()}

    def told(chosen: Any, *given: Any) -> Tensor:
        ours.append(names.get(chosen, "windows"))
        return answered(chosen, *given)

    monkeypatch.setattr(convolutions, "_in_bf16", told)
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


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[torch.dtype]:
    """In what torch has been asked to convolve."""
    seen: list[torch.dtype] = []
    for name in ("conv2d", "conv_transpose2d"):
        function = getattr(torch, name)

        def told(x: Tensor, *given: Any, function: Any = function, **more: Any) -> Tensor:
            seen.append(torch.bfloat16 if torch.is_autocast_enabled("cpu") else x.dtype)
            answer: Tensor = function(x, *given, **more)
            return answer

        monkeypatch.setattr(convolutions.torch, name, told)
    return seen


@pytest.mark.parametrize(
    ("transposed", "weight", "options", "dtype"),
    [
        (False, (64, 1, 4, 4), {"groups": 64, "stride": 2}, torch.float32),
        (False, (64, 32, 3, 3), {"groups": 2}, torch.float32),
        (False, (8, 64, 1, 1), {}, torch.float32),
        (False, (8, 64, 3, 3), {}, torch.bfloat16),
        (True, (64, 1, 4, 4), {"groups": 64, "stride": 2, "padding": 1}, torch.float32),
        (True, (64, 8, 3, 3), {}, torch.bfloat16),
    ],
)
def test_what_onednn_is_slow_at_in_bf16_is_computed_in_fp32(
    transposed: bool,
    weight: tuple[int, ...],
    options: dict[str, Any],
    dtype: torch.dtype,
    tiles: None,
    computed: list[torch.dtype],
) -> None:
    functions = [F.conv2d, F.conv_transpose2d]
    outputs = weight[1] * options.get("groups", 1) if transposed else weight[0]
    x, w, bias = tensors((2, 64, 8, 8), weight, (outputs,))
    exact = functions[transposed](x.bfloat16().double(), w.double(), bias.double(), **options)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = (convolutions.convolve_transposed if transposed else convolutions.convolve)(
            x.bfloat16(), w, bias, **options
        )
    assert computed == [dtype]
    assert y.dtype == torch.bfloat16  # as it would be elsewhere
    assert error(y.double(), exact) < ROUNDING
    assert [one.dtype for one in torch.autograd.grad(y.sum(), [x, w, bias])] == [torch.float32] * 3


@pytest.mark.parametrize("given", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("bias", [True, False])
def test_linear_layers_of_few_rows_are_computed_in_fp32(
    given: torch.dtype, bias: bool, tiles: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer, seen = nn.Linear(32, 16, bias=bias), []
    function = F.linear
    monkeypatch.setattr(
        operations.F, "linear", lambda *given: (seen.append(torch.is_autocast_enabled("cpu")), function(*given))[1]
    )
    for rows, in_bf16 in ((63, False), (64, True)):
        x = torch.randn(rows, 32).to(given)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = operations.linear(x, layer.weight, layer.bias)
        assert seen.pop() == in_bf16
        assert y.dtype == torch.bfloat16
        exact = function(x.double(), layer.weight.double(), layer.bias.double() if bias else None)
        assert error(y.double(), exact) < ROUNDING


def test_linear_layers_in_other_formats_are_torchs(tiles: None) -> None:
    layer, few = nn.Linear(32, 16), torch.randn(3, 32)
    with fast_operations():
        with torch.autocast("cpu", dtype=torch.float16):
            assert layer(few).dtype == torch.float16
        assert torch.equal(layer(few), F.linear(few, layer.weight, layer.bias))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert layer.double()(few.double()).dtype == torch.float64  # as torch has it


@pytest.mark.parametrize("reentrant", [False, True])
def test_a_checkpoint_may_hold_them(reentrant: bool, tiles: None) -> None:
    """It does them again without us, and has to get the same."""
    convolution = nn.Conv2d(64, 64, 4, 2, 1)
    network = nn.Sequential(convolution, nn.Conv2d(64, 64, 3, groups=64), nn.Flatten(), nn.Linear(256, 1))
    x = torch.randn(3, 64, 8, 8, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        network(x).sum().backward()
    wanted, convolution.weight.grad = convolution.weight.grad, None
    assert wanted is not None
    with fast_operations(), torch.autocast("cpu", dtype=torch.bfloat16):
        y = checkpoint(network, x, use_reentrant=reentrant)
    y.sum().backward()
    assert convolution.weight.grad is not None
    assert error(convolution.weight.grad, wanted) < ROUNDING


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
    monkeypatch.delenv("DNNL_MAX_CPU_ISA", raising=False)
    for has, name in ((True, "bf16"), (False, "fp32")):
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda has=has: has)
        bf16.multiplies_tiles.cache_clear()
        assert resolve_precision("auto", torch.device("cpu")).name == name
        assert resolve_precision("fp32", torch.device("cpu")).name == "fp32"


@pytest.mark.parametrize("name", ["ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"])  # the second is the older
def test_auto_is_fp32_where_onednn_is_kept_from_tiles(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    monkeypatch.setenv(name, "AVX512_CORE_BF16")
    assert resolve_precision("auto", torch.device("cpu")).name == "fp32"
