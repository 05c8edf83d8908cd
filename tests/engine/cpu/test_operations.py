"""The fast operations of CPUs against torch's own, in double precision and to every order that training needs."""

from __future__ import annotations

import copy
import ctypes
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from exact import check, error, tensors
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode
from torch.autograd import forward_ad
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from ganzoo.engine.cpu import bf16, convolutions, winograd
from ganzoo.engine.cpu.allocator import keep_freed_memory
from ganzoo.engine.cpu.draws import dropout
from ganzoo.engine.cpu.operations import any_layout, fast_operations
from ganzoo.engine.cpu.winograd import Maps, coefficients, conv4x4, conv_transpose4x4, tile_size


@pytest.fixture(params=[2, 4])
def tile(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(winograd, "tile_size", lambda *shape: request.param)
    Maps.of.cache_clear()
    return int(request.param)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (16, 16), (14, 10), (4, 6), (2, 2)])
def test_winograd_is_the_convolution(tile: int, height: int, width: int) -> None:
    x, weight = tensors((3, 5, height, width), (7, 5, 4, 4))
    exact = F.conv2d(x.double(), weight.double(), stride=2, padding=1)
    check(conv4x4(x, weight), exact, [x, weight], 1e-5)


@pytest.mark.parametrize(("height", "width"), [(4, 4), (8, 8), (7, 5), (1, 1)])
def test_winograd_is_the_transposed_convolution(tile: int, height: int, width: int) -> None:
    x, weight = tensors((3, 7, height, width), (7, 5, 4, 4))
    exact = F.conv_transpose2d(x.double(), weight.double(), stride=2, padding=1)
    check(conv_transpose4x4(x, weight), exact, [x, weight], 1e-5)


def test_winograd_keeps_nothing_of_an_earlier_call() -> None:
    """The cells' memory is used again."""
    x, weight = tensors((2, 3, 8, 8), (4, 3, 4, 4))
    first = conv4x4(x, weight)
    copy = first.detach().clone()
    conv4x4(100 * x.detach(), weight.detach())
    assert torch.equal(first, copy)
    (gradient,) = torch.autograd.grad(first.sum(), weight)
    (wanted,) = torch.autograd.grad(F.conv2d(x, weight, stride=2, padding=1).sum(), weight)
    torch.testing.assert_close(gradient, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("m", [2, 3, 4])
def test_the_coefficients_give_the_filter(m: int) -> None:
    b, g, a = (matrix.double() for matrix in coefficients(m))
    signal, taps = torch.randn(m + 1, dtype=torch.float64), torch.randn(2, dtype=torch.float64)
    wanted = taps[0] * signal[:-1] + taps[1] * signal[1:]
    torch.testing.assert_close(a @ ((g @ taps) * (b @ signal)), wanted, rtol=1e-6, atol=1e-6)


def test_tiles_are_larger_where_there_are_many_samples() -> None:
    assert tile_size(64, 8, 8) == tile_size(64, 4, 4) == 4
    assert tile_size(2, 4, 4) == 2
    assert tile_size(64, 2, 2) == 2  # a tile of 4 would be three quarters empty


def way(input: tuple[int, ...], weight: tuple[int, ...], stride: int, padding: int) -> Any:
    return convolutions.way_of(input, weight, (stride,) * 2, (padding,) * 2)


def test_the_way_is_chosen_by_shapes() -> None:
    assert way((64, 64, 16, 16), (128, 64, 4, 4), 2, 1) not in (None, convolutions.by_columns)  # Winograd
    assert way((64, 16, 16, 16), (32, 16, 4, 4), 2, 1) is None  # few channels: torch
    assert way((64, 64, 7, 7), (128, 64, 4, 4), 2, 1) is None  # odd
    assert way((64, 64, 16, 16), (128, 64, 3, 3), 1, 1) is None
    assert way((64, 1, 32, 32), (64, 1, 4, 4), 2, 1) is convolutions.by_columns
    assert way((64, 256, 4, 4), (1, 256, 4, 4), 1, 0) is convolutions.by_inner_product
    transposed = convolutions.way_of_transposed
    assert transposed((64, 64, 16, 16), (64, 1, 4, 4), (2, 2), (1, 1)) is convolutions.transposed_by_columns
    assert transposed((64, 128, 8, 8), (128, 64, 4, 4), (2, 2), (1, 1)) is not None
    assert transposed((64, 100, 1, 1), (100, 512, 4, 4), (1, 1), (0, 0)) is convolutions.by_outer_product
    assert transposed((64, 100, 1, 1), (100, 512, 4, 4), (1, 1), (1, 1)) is None
    assert transposed((64, 16, 8, 8), (16, 8, 4, 4), (2, 2), (1, 1)) is None


CONVOLUTIONS = [
    ((3, 1, 8, 8), (8, 1, 4, 4), {"stride": 2, "padding": 1}),  # columns
    ((2, 3, 9, 7), (8, 3, 3, 5), {"stride": (2, 1), "padding": (1, 2)}),
    ((2, 7, 4, 4), (3, 7, 4, 4), {}),  # an inner product
    ((2, 64, 8, 8), (64, 64, 4, 4), {"stride": 2, "padding": 1}),  # Winograd
    ((2, 3, 9, 9), (5, 3, 3, 3), {"dilation": 2}),  # torch's
    ((2, 4, 6, 6), (4, 2, 3, 3), {"groups": 2}),
    ((2, 3, 6, 6), (5, 3, 3, 3), {"padding": "same"}),
]


@pytest.mark.parametrize(("image", "weight", "options"), CONVOLUTIONS)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_convolutions_are_torchs(image: Any, weight: Any, options: dict[str, Any], layout: torch.memory_format) -> None:
    x, w, bias = tensors(image, weight, (weight[0],))
    x = x.detach().contiguous(memory_format=layout).requires_grad_()
    exact = F.conv2d(x.double(), w.double(), bias.double(), **options)
    with fast_operations():
        ours = F.conv2d(x, w, bias, **options)
    check(ours, exact, [x, w, bias], 1e-5)


@pytest.mark.parametrize(
    ("image", "weight", "options"),
    [
        ((3, 8, 4, 4), (8, 1, 4, 4), {"stride": 2, "padding": 1}),
        ((2, 8, 5, 4), (8, 3, 3, 5), {"stride": (2, 1), "padding": (1, 2)}),
        ((2, 64, 4, 4), (64, 64, 4, 4), {"stride": 2, "padding": 1}),
        ((3, 8, 1, 1), (8, 5, 4, 3), {}),  # an outer product
        ((3, 8, 1, 1), (8, 5, 4, 4), {"stride": 2}),
        ((2, 8, 4, 4), (8, 3, 3, 3), {"stride": 2, "padding": 1, "output_padding": 1}),
        ((2, 8, 4, 4), (8, 3, 3, 3), {"dilation": 2}),
    ],
)
def test_transposed_convolutions_are_torchs(image: Any, weight: Any, options: dict[str, Any]) -> None:
    groups = options.get("groups", 1)
    x, w, bias = tensors(image, weight, (weight[1] * groups,))
    exact = F.conv_transpose2d(x.double(), w.double(), bias.double(), **options)
    with fast_operations():
        ours = F.conv_transpose2d(x, w, bias, **options)
    check(ours, exact, [x, w, bias], 1e-5)


def test_modules_are_intercepted_and_only_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    ours = convolutions.by_columns

    def spy(*arguments: Any) -> Tensor:
        calls.append(1)
        return ours(*arguments)

    monkeypatch.setattr(convolutions, "by_columns", spy)
    monkeypatch.setattr(bf16, "multiplies_tiles", lambda: False)
    convolutions.way_of.cache_clear()
    layer = nn.Conv2d(1, 8, 4, stride=2, padding=1)
    x = torch.randn(2, 1, 8, 8)
    layer(x)
    with fast_operations(plain=True):
        layer(x)
    assert not calls
    with fast_operations():
        layer(x)
        layer.double()(x.double())  # not float32
        with torch.autocast("cpu", dtype=torch.bfloat16):
            layer.float()(x)
    convolutions.way_of.cache_clear()
    assert len(calls) == 1


@pytest.mark.parametrize("p", [0.1, 0.3, 0.5])
def test_dropout_drops_its_share_and_keeps_the_mean(p: float) -> None:
    torch.manual_seed(0)
    x = torch.full((1001, 1003), 2.0, requires_grad=True)
    with fast_operations():
        y = F.dropout(x, p)
    values, n = y.detach().double(), y.numel()
    assert abs(float((values == 0).double().mean()) - p) < 5 * (p * (1 - p) / n) ** 0.5
    assert abs(float(values.mean()) - 2) < 10 * (p / (1 - p) / n) ** 0.5
    kept = y.detach()[values != 0]
    torch.testing.assert_close(kept, torch.full_like(kept, 2 / (1 - p)), rtol=1e-4, atol=0)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(gradient, y.detach() / 2)


def test_dropout_draws_anew_and_from_the_global_generator() -> None:
    x = torch.ones(1000)
    torch.manual_seed(1)
    one, two = dropout(x), dropout(x)
    assert not torch.equal(one, two)
    torch.manual_seed(1)
    assert torch.equal(dropout(x), one)
    # Neighbours share a draw's bits, and must not share their fate.
    dropped = (dropout(torch.ones(400_000)) == 0).view(-1, 4).double()
    correlation = torch.corrcoef(dropped.T) - torch.eye(4)
    assert float(correlation.abs().max()) < 0.02


def test_dropout_off_is_nothing_and_inplace_is_in_place() -> None:
    x = torch.ones(100)
    assert torch.equal(dropout(x, 0.5, training=False), x)
    assert torch.equal(dropout(x, 0.0), x)
    assert torch.equal(dropout(x, 1.0), torch.zeros(100))
    y = dropout(x, 0.5, True, True)
    assert y is x
    assert 0 < int((x == 0).sum()) < 100


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc is Linux's")
def test_freed_memory_is_kept_where_there_is_glibc() -> None:
    assert keep_freed_memory() is hasattr(ctypes.CDLL(None), "mallopt")


class FlattenedByView(nn.Module):
    """As tutorials write it; fails on its own when its convolution is laid out channels last."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 8, 4, stride=2, padding=1)
        self.logit = nn.Linear(8 * 16, 1)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.logit(self.convolution(x).view(x.size(0), -1)).view(-1)


@pytest.mark.parametrize("mode", [any_layout, fast_operations, lambda: fast_operations(plain=True)])
def test_networks_may_use_view(mode: Any) -> None:
    network = FlattenedByView()
    x = torch.randn(3, 1, 8, 8)
    wanted = network(x)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    with pytest.raises(RuntimeError, match="view size"):
        network(x)
    with mode():
        torch.testing.assert_close(network(x), wanted)


def test_a_view_that_is_wrong_is_still_wrong() -> None:
    with any_layout():
        with pytest.raises(RuntimeError, match="invalid for input"):
            torch.zeros(2, 3).view(4, -1)
        assert torch.zeros(2, 4).view(torch.int32).dtype == torch.int32


@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(64, 64, 4, stride=2, padding=1, bias=False),
        nn.ConvTranspose2d(64, 64, 4, stride=2, padding=1, bias=False),
        nn.Conv2d(1, 8, 4, stride=2, padding=1, bias=False),
        nn.ConvTranspose2d(8, 1, 4, stride=2, padding=1, bias=False),
        nn.Conv2d(8, 1, 8, bias=False),
    ],
    ids=["winograd", "winograd transposed", "columns", "columns transposed", "inner product"],
)
def test_activations_may_work_in_place(layer: Any, samples: int) -> None:
    network = nn.Sequential(layer, nn.LeakyReLU(0.2, inplace=True))
    x = torch.randn(samples, layer.in_channels, 8, 8)
    (wanted,) = torch.autograd.grad(network(x).square().sum(), layer.weight)
    with fast_operations():
        (gradient,) = torch.autograd.grad(network(x).square().sum(), layer.weight)
    assert error(gradient, wanted.double()) < 1e-4


LAYERS: list[Any] = [
    nn.Conv2d(64, 64, 4, stride=2, padding=1),
    nn.ConvTranspose2d(64, 64, 4, stride=2, padding=1),
    nn.Conv2d(1, 8, 4, stride=2, padding=1),
    nn.ConvTranspose2d(8, 1, 4, stride=2, padding=1),
]


@pytest.mark.parametrize("layer", LAYERS, ids=["winograd", "winograd transposed", "columns", "columns transposed"])
def test_what_a_convolution_returns_is_no_view(layer: Any) -> None:
    """Autograd copies for whatever works in place on a view, and hands its gradient on in another layout."""
    x = torch.randn(2, layer.in_channels, 8, 8)
    with fast_operations():
        y = layer(x)
    assert not y._is_view()
    assert y.is_contiguous(memory_format=torch.channels_last)


def test_batch_norm_is_torchs_and_leaves_its_result_channels_last() -> None:
    layer = nn.BatchNorm2d(8)
    x = torch.randn(5, 8 * 16).unflatten(1, (8, 4, 4))
    wanted = copy.deepcopy(layer)(x)
    with fast_operations():
        y = layer(x)
    torch.testing.assert_close(y, wanted)
    assert y.is_contiguous(memory_format=torch.channels_last)


def test_batch_norm_under_a_transform_of_functions_is_torchs() -> None:
    layer = nn.BatchNorm2d(3, track_running_stats=False)
    x = torch.randn(2, 4, 3, 5, 5)
    wanted = torch.stack([layer(part) for part in x])
    with fast_operations():
        torch.testing.assert_close(torch.func.vmap(layer)(x), wanted)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_dropout_keeps_the_dtype(dtype: torch.dtype) -> None:
    y = dropout(torch.ones(4, 100, dtype=dtype), 0.5)
    assert y.dtype == dtype
    assert set(y.double().unique().tolist()) == {0.0, 2.0}


def test_weights_are_laid_out_for_their_convolutions() -> None:
    network = nn.Sequential(
        nn.Conv2d(1, 64, 4, stride=2, padding=1),
        nn.Conv2d(64, 65, 4, stride=2, padding=1),
        nn.Conv2d(65, 66, 4),  # stride 1: torch's
        nn.utils.parametrizations.spectral_norm(nn.Conv2d(66, 67, 4, stride=2, padding=1)),  # a computed weight
    )
    before = [parameter.detach().clone() for parameter in network.parameters()]
    assert convolutions.lay_out_weights(network)
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), before, strict=True))
    weight = network[1].weight
    assert isinstance(weight, nn.Parameter)
    assert weight.stride() == (1, 65, 4 * 64 * 65, 64 * 65)
    with fast_operations():
        network[1](torch.randn(2, 64, 8, 8)).sum().backward()
    assert weight.grad is not None
    assert weight.grad.stride() == weight.stride()
    assert network[0].weight.stride() == torch.empty(64, 1, 4, 4).stride()
    assert network[2].weight.is_contiguous()
    assert network[3].parametrizations.weight.original.is_contiguous()  # type: ignore[union-attr]
    assert not convolutions.lay_out_weights(network[2])


@pytest.mark.parametrize("reentrant", [True, False])
def test_a_checkpoint_drops_the_same_twice(reentrant: bool) -> None:
    x = torch.ones(4, 1000, requires_grad=True)
    with fast_operations():
        h = checkpoint(lambda x: F.dropout(x * 1, 0.5), x, use_reentrant=reentrant)
        h.sum().backward()
    assert torch.equal(x.grad, h.detach())  # type: ignore[arg-type]


@pytest.mark.parametrize("reentrant", [True, False])
def test_a_checkpoint_may_hold_convolutions(reentrant: bool) -> None:
    layer = nn.Conv2d(64, 64, 4, stride=2, padding=1)
    x = torch.randn(2, 64, 8, 8, requires_grad=True)
    (wanted,) = torch.autograd.grad(layer(x).square().sum(), x)
    with fast_operations():
        checkpoint(layer, x, use_reentrant=reentrant).square().sum().backward()
    torch.testing.assert_close(x.grad, wanted, rtol=1e-4, atol=1e-4)


def test_transforms_of_functions_and_inference_are_torchs() -> None:
    weight = torch.randn(64, 64, 4, 4)
    x = torch.randn(2, 64, 8, 8)
    with fast_operations():
        gradient = torch.func.grad(lambda x: F.conv2d(x, weight, stride=2, padding=1).square().sum())(x)
        with torch.inference_mode():
            F.conv2d(x, weight, stride=2, padding=1)
        again = x.clone().requires_grad_()
        F.conv2d(again, weight, stride=2, padding=1).square().sum().backward()
    assert error(again.grad, gradient.double()) < 1e-4  # type: ignore[arg-type]


def test_what_torch_takes_and_what_it_refuses() -> None:
    x, weight = torch.randn(2, 1, 8, 8), torch.randn(8, 1, 4, 4)
    with fast_operations():
        torch.testing.assert_close(
            convolutions.convolve(x, weight, stride=np.int64(2), padding=[1]), F.conv2d(x, weight, None, 2, 1)
        )
        assert F.conv2d(x[:0], weight).shape == (0, 8, 5, 5)
        for wrong in (
            lambda: F.conv2d(x, weight, torch.zeros(1)),
            lambda: F.conv2d(x, weight, stride=0),
            lambda: F.conv2d(x, weight, stride=(1, 1, 1)),
            lambda: F.conv2d(torch.randn(2, 3, 8, 8), weight),
        ):
            with pytest.raises(RuntimeError):
                wrong()


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="needs glibc")
def test_kept_memory_is_not_faulted_in_again() -> None:
    code = (
        "import resource, sys, torch; from ganzoo.engine.cpu.allocator import keep_freed_memory\n"
        "if sys.argv[1] == 'keep': keep_freed_memory()\n"
        "for _ in range(5): torch.ones(2**24)\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "for _ in range(20): torch.ones(2**24)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)"
    )
    faults = {
        how: int(subprocess.run([sys.executable, "-c", code, how], capture_output=True, text=True, check=True).stdout)
        for how in ("keep", "not")
    }
    assert faults["keep"] < faults["not"] / 4  # a busy machine has some faults of its own


@pytest.mark.parametrize("options", [{"stride": 2}, {"stride": 2, "padding": -1}, {"padding": (0, -1)}])
def test_what_torch_refuses_is_refused(options: dict[str, Any]) -> None:
    """A kernel larger than the image, and an image that is cropped by its padding."""
    x, weight = torch.randn(2, 1, 3, 3), torch.randn(8, 1, 4, 4)
    with pytest.raises(RuntimeError) as theirs:
        F.conv2d(x, weight, **options)
    with fast_operations(), pytest.raises(RuntimeError) as ours:
        F.conv2d(x, weight, **options)
    assert str(ours.value) == str(theirs.value)


@pytest.mark.parametrize("changed", ["input", "weight"])
@pytest.mark.parametrize("layer", LAYERS, ids=["winograd", "winograd transposed", "columns", "columns transposed"])
def test_what_has_changed_since_is_not_differentiated(layer: Any, changed: str) -> None:
    x = torch.randn(2, layer.in_channels, 8, 8, requires_grad=True) * 1
    with fast_operations():
        y = layer(x)
    with torch.no_grad():
        (x if changed == "input" else layer.weight).mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


class Named(Tensor):
    """As a library's own kind of tensor."""


@pytest.mark.parametrize("layer", LAYERS, ids=["winograd", "winograd transposed", "columns", "columns transposed"])
def test_tensors_of_a_kind_of_their_own_stay_so(layer: Any) -> None:
    x = torch.randn(2, layer.in_channels, 8, 8).as_subclass(Named)
    with fast_operations():
        assert type(nn.BatchNorm2d(layer.in_channels)(x)) is Named
        assert type(layer(x)) is Named


def test_fake_tensors_leave_nothing_behind() -> None:
    layer = nn.Conv2d(64, 64, 4, stride=2, padding=1)
    x = torch.randn(3, 64, 20, 12)
    Maps.of.cache_clear()
    with FakeTensorMode(allow_non_fake_inputs=True) as fake, fast_operations():
        assert layer(fake.from_tensor(x)).shape == (3, 64, 10, 6)
        assert nn.BatchNorm2d(64)(fake.from_tensor(x)).shape == x.shape
    with fast_operations():
        torch.testing.assert_close(layer(x), F.conv2d(x, layer.weight, layer.bias, 2, 1), rtol=1e-4, atol=1e-4)


@pytest.mark.filterwarnings("ignore:`torch.jit")  # torch's own, at the first use
def test_forward_differentiation_is_torchs() -> None:
    x, along = torch.randn(2, 64, 8, 8), torch.randn(2, 64, 8, 8)
    network = nn.Sequential(nn.Conv2d(64, 64, 4, stride=2, padding=1), nn.ReLU())
    with fast_operations(), forward_ad.dual_level():
        found = forward_ad.unpack_dual(network(forward_ad.make_dual(x, along))).tangent
    _, wanted = torch.func.jvp(network, (x,), (along,))
    torch.testing.assert_close(found, wanted)
