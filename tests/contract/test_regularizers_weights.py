"""Path lengths of linear generators, and inner products of small weights."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from fake_batch import FakeBatch
from regularized import term_of, terms_of
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm


def made(generator: Any, *, images: int = 6) -> FakeBatch:
    torch.manual_seed(1)
    z = torch.randn(images, 3)
    return FakeBatch(
        real=torch.zeros(images, 1, 2, 4), discriminator=nn.Identity(), generator=generator, z=z, phase="G"
    )


class Linear(nn.Module):
    """Images are A z, or A w where w, of two layers, is 2 z and 3 z, and both layers draw with A."""

    def __init__(self, *, styled: bool) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.randn(8, 3, generator=torch.Generator().manual_seed(2)))
        self.styled = styled

    def forward(self, z: Tensor, labels: Tensor | None) -> Any:
        if not self.styled:
            return (z @ self.a.T).view(-1, 1, 2, 4)
        w = torch.stack([2 * z, 3 * z], 1)
        return {"images": ((w[:, 0] + w[:, 1].square()) @ self.a.T).view(-1, 1, 2, 4), "w": w}


@pytest.mark.parametrize(("shrink", "count"), [(1, 6), (2, 3), (4, 1), (100, 1)])
def test_path_length_of_a_linear_generator_over_two_steps(shrink: int, count: int) -> None:
    """J = A, so the length is ||A^T y||, y ~ N(0, I) / sqrt(2 * 4); a follows it by one half."""
    generator = Linear(styled=False)
    loss, mean = term_of("path-length", decay=0.5, shrink=shrink).loss, torch.zeros((), dtype=torch.float64)
    for seed in (3, 4):
        torch.manual_seed(seed)
        values = loss(made_with(generator, seed))
        torch.manual_seed(seed)
        y = torch.randn(count, 1, 2, 4).double().flatten(1) / math.sqrt(8)
        lengths = (y @ generator.a.detach().double()).norm(dim=1)
        mean = 0.5 * mean + 0.5 * lengths.mean()
        torch.testing.assert_close(values.double(), (lengths - mean).square(), rtol=1e-4, atol=1e-6)


def made_with(generator: Any, seed: int) -> FakeBatch:
    batch = made(generator)
    torch.manual_seed(seed)
    return batch


def test_path_length_starts_at_w_where_the_generator_has_it_and_averages_layers() -> None:
    """By w_0 the Jacobian is A, by w_1 it is 2 A diag(w_1), and w_1 = 3 z."""
    generator = Linear(styled=True)
    batch = made(generator)
    z = batch.z[:3].double()
    torch.manual_seed(3)
    values = term_of("path-length", decay=1.0).loss(batch)  # so a stays 0
    torch.manual_seed(3)
    y = torch.randn(3, 1, 2, 4).double().flatten(1) / math.sqrt(8)
    by_first = y @ generator.a.detach().double()
    by_second = by_first * 2 * 3 * z
    expected = (by_first.square().sum(1) + by_second.square().sum(1)) / 2
    torch.testing.assert_close(values.double(), expected, rtol=1e-4, atol=1e-6)


def test_the_gradient_of_path_length_is_that_of_the_lengths() -> None:
    generator = Linear(styled=False)
    batch = made_with(generator, 3)
    term_of("path-length", decay=1.0).loss(batch).sum().backward()
    torch.manual_seed(3)
    y = torch.randn(3, 1, 2, 4).flatten(1) / math.sqrt(8)
    # d/dA ||A^T y||^2 = 2 y (A^T y)^T
    torch.testing.assert_close(generator.a.grad, 2 * y.T @ (y @ generator.a.detach()), rtol=1e-4, atol=1e-5)


def weighed(network: nn.Module, phase: str = "G") -> Tensor:
    (term,) = terms_of("orthogonal", phases=phase)
    assert term.phase == phase
    return term.loss(FakeBatch(real=torch.zeros(1, 1), discriminator=nn.Identity(), network=network))


def test_orthogonal_by_hand() -> None:
    layer = nn.Linear(2, 2)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, 0.0], [1.0, 1.0]]))
    # W W^T = [[1, 1], [1, 2]]: off its diagonal 1 and 1
    torch.testing.assert_close(weighed(layer), torch.tensor(2.0))
    # Norms are free, inner products are not.
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[3.0, 0.0], [0.0, 5.0]]))
    assert weighed(layer) == 0


LAYERS = {
    "wide": (lambda: nn.Linear(9, 4), lambda w: w),
    "tall": (lambda: nn.Linear(4, 9), lambda w: w),
    "convolution": (lambda: nn.Conv2d(2, 3, 3), lambda w: w.flatten(1)),
    "transposed": (lambda: nn.ConvTranspose2d(5, 3, 3), lambda w: w.transpose(0, 1).flatten(1)),
}


@pytest.mark.parametrize("kind", LAYERS)
def test_orthogonal_and_its_gradient_in_float64(kind: str) -> None:
    torch.manual_seed(0)
    make, filters = LAYERS[kind]
    layer = make()
    loss = weighed(layer)
    loss.backward()
    weight = layer.weight.detach().double().requires_grad_()
    rows = filters(weight)
    expected = ((rows @ rows.T) * (1 - torch.eye(len(rows), dtype=torch.float64))).square().sum()
    expected.backward()
    torch.testing.assert_close(loss.double(), expected.detach(), rtol=1e-4, atol=1e-6)
    assert layer.weight.grad is not None
    torch.testing.assert_close(layer.weight.grad.double(), weight.grad, rtol=1e-4, atol=1e-5)
    assert layer.bias.grad is None


def test_orthogonal_adds_layers_and_leaves_out_embeddings_and_vectors() -> None:
    first, second = nn.Linear(3, 2), nn.Conv2d(2, 2, 3)
    network = nn.ModuleList([nn.Sequential(first, nn.BatchNorm1d(2)), nn.Embedding(5, 4), second])
    torch.testing.assert_close(weighed(network), weighed(first) + weighed(second))
    assert weighed(nn.BatchNorm1d(3)) == 0


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("wrap", [spectral_norm, weight_norm])
def test_orthogonal_looks_at_what_is_learned_where_weights_are_computed(
    kind: str, wrap: Callable[[nn.Module], nn.Module]
) -> None:
    make, _ = LAYERS[kind]
    layer = make()
    plain = copy.deepcopy(layer)
    wrapped = wrap(layer)
    loss = weighed(wrapped)
    torch.testing.assert_close(loss, weighed(plain))  # both start from the layer's own weights
    loss.backward()
    (reached,) = (one for one in wrapped.parameters() if one.grad is not None)
    assert reached.shape == plain.weight.shape
    assert reached.grad is not None
    assert reached.grad.ne(0).any()


def test_orthogonal_leaves_out_embeddings_under_spectral_norm() -> None:
    assert weighed(spectral_norm(nn.Embedding(5, 4))) == 0


def test_orthogonal_is_of_the_players_it_is_asked_for() -> None:
    assert [(term.name, term.phase) for term in terms_of("orthogonal")] == [("orthogonal-g", "G")]
    assert [term.phase for term in terms_of("orthogonal", phases="D")] == ["D"]
    assert [term.phase for term in terms_of("orthogonal", phases="both")] == ["G", "D"]
