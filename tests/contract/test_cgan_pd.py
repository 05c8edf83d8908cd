"""The projection discriminator: classes in G's batch norms and in D's last layer."""

from __future__ import annotations

import pytest
import torch
from residual import SPECS, build, inputs, layers_of
from torch import nn

from ganzoo import UserError
from ganzoo_blocks.norms import ClassBatchNorm


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def test_the_paper_recipe() -> None:
    spec = SPECS["cgan-pd"]
    assert (spec.objective, spec.conditional) == ("hinge", True)
    assert spec.defaults == {"train.beta1": 0.0, "train.beta2": 0.9, "train.d_steps": 5}


def test_equation_3() -> None:
    """f(x, y) = y^T V phi(x) + psi(phi(x))."""
    gan = build("cgan-pd")
    gan.discriminator.eval()
    images, _, labels = inputs(gan)
    said = gan.discriminator(images, labels)
    v, psi = gan.discriminator.logit.classes.weight, gan.discriminator.logit.logit
    one_hot = nn.functional.one_hot(labels, 3).float()
    expected = torch.einsum("nk,kf,nf->n", one_hot, v, said["features"]) + psi(said["features"])[:, 0]
    torch.testing.assert_close(said["logits"], expected)


def test_the_class_moves_logits_and_images() -> None:
    gan = build("cgan-pd")
    images, z, labels = inputs(gan)
    others = (labels + 1) % 3
    assert (gan.discriminator.eval()(images, labels)["logits"] != gan.discriminator(images, others)["logits"]).all()
    # Untrained, all classes have the same gain and bias; a step of training parts them.
    norms = [module for module in gan.generator.modules() if isinstance(module, ClassBatchNorm)]
    assert len(norms) == 4  # two in each of two blocks
    torch.testing.assert_close(gan.generator.eval()(z, labels), gan.generator(z, others))
    for norm in norms:
        nn.init.normal_(norm.bias.weight)
    changed = (gan.generator(z, labels) - gan.generator(z, others)).flatten(1).abs().amax(1)
    assert (changed > 1e-3).all()


def test_classes_learn_where_they_are_asked_for() -> None:
    gan = build("cgan-pd")
    _, z, _ = inputs(gan)
    labels = torch.ones(6, dtype=torch.long)
    gan.discriminator(gan.generator(z, labels), labels)["logits"].square().sum().backward()
    for norm in (module for module in gan.generator.modules() if isinstance(module, ClassBatchNorm)):
        assert norm.gain.weight.grad.ne(0).any(1).tolist() == [False, True, False]
    for network in (gan.generator, gan.discriminator):
        assert all(p.grad is not None and p.grad.ne(0).any() for p in network.parameters())


def test_spectral_norm_is_the_discriminators() -> None:
    gan = build("cgan-pd")
    assert "logit.classes" in layers_of(gan.discriminator)
    assert all(hasattr(layer, "parametrizations") for layer in layers_of(gan.discriminator).values())
    assert not any(hasattr(layer, "parametrizations") for layer in layers_of(gan.generator).values())


@pytest.mark.parametrize(("size", "colors"), [(32, 1), (64, 3)])
def test_shapes(size: int, colors: int) -> None:
    gan = build("cgan-pd", size, colors)
    images, z, labels = inputs(gan, size, colors)
    made = gan.generator(z, labels)
    assert made.shape == images.shape
    assert made.abs().max() <= 1
    assert gan.discriminator(images, labels)["logits"].shape == (6,)


def test_it_needs_labels() -> None:
    with pytest.raises(UserError, match="cgan-pd needs images with labels"):
        build("cgan-pd", classes=0)
    gan = build("cgan-pd")
    images, z, _ = inputs(gan)
    with pytest.raises(ValueError, match="without labels"):
        gan.generator(z, None)
    with pytest.raises(ValueError, match="without labels"):
        gan.discriminator(images, None)
