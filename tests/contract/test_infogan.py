"""InfoGAN's codes and mutual information, against numbers worked out by hand, and whom they reach."""

from __future__ import annotations

import math

import pytest
import torch
from building import batch_of, build, every, inputs, reached
from torch import Tensor

from ganzoo import Codes, UserError, Value
from ganzoo_infogan.networks import gaussian_nll, read_categories


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def test_codes_are_the_papers() -> None:
    gan = build("infogan")
    assert gan.prior == Codes(noise=62, categorical=(10,), continuous=2)
    assert gan.z_dim == 74


def test_information_is_that_worked_out_by_hand() -> None:
    gan = build("infogan", noise=1, categories="2,3", continuous=1, info_weight=0.5, continuous_weight=0.25)
    # Noise, (0, 1), (1, 0, 0), and 0.5; then Q says 1/4 : 3/4, 1/2 : 1/4 : 1/4, and N(0, 2^2).
    z = torch.tensor([[9.0, 0, 1, 1, 0, 0, 0.5]])
    said = torch.tensor([[0, math.log(3), math.log(2), 0, 0, 0.0, math.log(2)]])
    batch = batch_of(gan, torch.zeros(1, 1, 28, 28), z, phase="G")
    batch.of_fake = {"features": torch.zeros(1, 1)}
    batch.parts = {"q": lambda features: said}
    categorical, continuous = gan.terms
    torch.testing.assert_close(categorical.loss(batch), -torch.tensor([0.75 * 0.5]).log())
    density = math.exp(-0.5 * (0.5 / 2) ** 2) / (2 * math.sqrt(2 * math.pi))
    torch.testing.assert_close(continuous.loss(batch), -torch.tensor([density]).log())
    assert [term.weight for term in gan.terms] == [0.5, 0.25]
    assert batch.told == {"code-1-accuracy": [1], "code-2-accuracy": [1], "codes-error": [0.25]}


def test_gaussian_nll_agrees_with_torch() -> None:
    error, log_std = torch.randn(5, 2), torch.randn(5, 2)
    expected = -torch.distributions.Normal(0.0, log_std.exp()).log_prob(error)
    torch.testing.assert_close(gaussian_nll(error, log_std), expected)


@pytest.mark.parametrize("index", [0, 1])
def test_information_moves_g_and_q_and_leaves_d(index: int) -> None:
    gan = build("infogan")
    images, z, _ = inputs(gan)
    term, q = gan.terms[index], gan.parts["q"]
    assert term.phase == q.phase == "G"
    term.loss(batch_of(gan, images, z, phase="G")).mean().backward()
    assert reached(gan.generator) == every(gan.generator)
    assert reached(q.module) == every(q.module)
    assert all(parameter.grad is None for parameter in gan.discriminator.parameters())


@pytest.mark.parametrize(
    ("settings", "terms"),
    [({"categories": "", "continuous": 3}, ["info-continuous"]), ({"continuous": 0}, ["info"])],
)
def test_either_kind_of_code_may_be_left_out(settings: dict[str, Value], terms: list[str]) -> None:
    gan = build("infogan", **settings)
    images, z, _ = inputs(gan)
    assert [term.name for term in gan.terms] == terms
    loss: Tensor = gan.terms[0].loss(batch_of(gan, images, z, phase="G"))
    assert loss.shape == (4,)
    assert loss.isfinite().all()


def test_categories_are_read() -> None:
    assert read_categories("10") == (10,)
    assert read_categories("10, 3") == (10, 3)
    assert read_categories("") == ()
    for wrong in ("ten", "1", "10,,3", "-2"):
        with pytest.raises(UserError, match=r"variant\.categories is"):
            read_categories(wrong)
    with pytest.raises(UserError, match="without codes"):
        build("infogan", categories="", continuous=0)
