"""BigGAN: parts of z, the class's vector, spectral norms, first weights and truncation."""

from __future__ import annotations

import math

import pytest
import torch
from building import batch_of, every, inputs, reached
from built import built
from regularized import terms_of
from torch import nn
from torch.nn.utils import parametrize

from ganzoo import GAN, TruncatedNormal, UserError
from ganzoo.engine.probes.independence import depends_on_others
from ganzoo_biggan import register_variants
from ganzoo_biggan.networks import Generator
from ganzoo_blocks.attention import SelfAttention
from ganzoo_blocks.norms import VectorBatchNorm

(SPEC,) = register_variants()


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def small(size: int = 28, colors: int = 1, **more: object) -> GAN:
    return built(SPEC, size, colors, **({"z_dim": 10, "embedding": 5, "channels": 4} | more))  # type: ignore[arg-type]


def test_the_recipe() -> None:
    assert SPEC.defaults["train.g_lr"] == 5e-5
    assert SPEC.defaults["train.d_lr"] == 2e-4
    assert SPEC.defaults["train.d_steps"] == 2
    assert (SPEC.objective, SPEC.regularizers) == ("hinge", ("orthogonal",))


@pytest.mark.parametrize(("size", "colors", "parts"), [(28, 1, [4, 3, 3]), (64, 3, [2, 2, 2, 2, 2])])
def test_shapes_and_gradients(size: int, colors: int, parts: list[int]) -> None:
    gan = small(size, colors)
    images, z, labels = inputs(gan, size, colors)
    assert gan.generator.parts == parts
    for network in (gan.generator, gan.discriminator):  # what attention gathers is nothing at first
        for module in network.modules():
            if isinstance(module, SelfAttention):
                nn.init.constant_(module.gamma, 0.5)
    made = gan.generator(z, labels)
    assert made.shape == images.shape
    assert made.abs().max() <= 1
    said = gan.discriminator(made, labels)
    assert said["logits"].shape == (4,)
    said["logits"].square().sum().backward()
    assert reached(gan.generator) == every(gan.generator)
    assert reached(gan.discriminator) == every(gan.discriminator)


def test_each_block_sees_the_class_and_its_own_part_of_z() -> None:
    gan = small()
    generator = gan.generator.eval()
    assert isinstance(generator, Generator)
    seen: list[torch.Tensor] = []
    for block in generator.blocks:
        block.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[1]))
    z, labels = torch.randn(2, 10), torch.tensor([2, 0])
    generator(z, labels)
    for condition, part in zip(seen, (z[:, 4:7], z[:, 7:10]), strict=True):
        torch.testing.assert_close(condition, torch.cat([generator.classes.weight[labels], part], 1))
    norms = [module for module in generator.modules() if isinstance(module, VectorBatchNorm)]
    assert len(norms) == 2 * len(generator.blocks)


@torch.no_grad()
def test_spectral_norms_are_1_and_first_weights_orthogonal() -> None:
    gan = small()
    layers = [
        module
        for network in (gan.generator, gan.discriminator)
        for module in network.modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    ]
    for layer in layers:
        original = layer.parametrizations.weight.original.flatten(1)
        small_one = original @ original.T if original.shape[0] <= original.shape[1] else original.T @ original
        torch.testing.assert_close(small_one, torch.eye(len(small_one)), rtol=1e-4, atol=1e-5)
        layer.parametrizations.weight.original.normal_()  # all singular values were 1
    for _ in range(60):
        for layer in layers:
            _ = layer.weight
    for layer in layers:
        assert parametrize.is_parametrized(layer)
        sigma = torch.linalg.matrix_norm(layer.weight.flatten(1), ord=2)
        torch.testing.assert_close(sigma, torch.ones(()), rtol=0.03, atol=0.0)


def test_attention_is_at_half_the_size() -> None:
    sides: list[int] = []
    gan = small(64, 3)
    images, z, labels = inputs(gan, 64, 3)
    for network in (gan.generator, gan.discriminator):
        (layer,) = (module for module in network.modules() if isinstance(module, SelfAttention))
        layer.register_forward_pre_hook(lambda module, inputs: sides.append(inputs[0].shape[2]))
    gan.generator(z, labels)
    gan.discriminator(images, labels)
    assert sides == [32, 32]


def test_truncation_draws_from_the_truncated_normal() -> None:
    generator = small().generator.eval()
    z, labels = torch.randn(4, 10), torch.arange(4) % 3
    full = generator(z, labels)
    assert torch.equal(generator(z, labels, truncation=math.inf), full)
    torch.testing.assert_close(generator(z, labels, truncation=20.0), full, rtol=1e-4, atol=1e-5)
    truncated = TruncatedNormal(limit=0.5)(z)
    assert truncated.abs().max() <= 0.5
    torch.testing.assert_close(generator(z, labels, truncation=0.5), generator(truncated, labels))


def test_classes_matter_to_both_and_samples_are_judged_apart() -> None:
    gan = small(per_sample=True)
    images, z, labels = inputs(gan)
    others = (labels + 1) % 3
    gan.generator.eval()
    assert not torch.allclose(gan.generator(z, labels), gan.generator(z, others))
    gan.discriminator.eval()
    judge = gan.discriminator
    assert not torch.allclose(judge(images, labels)["logits"], judge(images, others)["logits"])
    assert not depends_on_others(judge, images, labels)


def test_orthogonal_regularisation_reaches_what_is_learned_of_every_layer_of_g() -> None:
    gan = small()
    for parameter in gan.generator.parameters():
        nn.init.normal_(parameter)
    images, z, labels = inputs(gan)
    (term,) = terms_of("orthogonal")
    term.loss(batch_of(gan, images, z, labels, phase="G")).backward()
    # Embeddings have no filters; the last layer, to grey, has one, and nothing to be orthogonal to.
    alone = {"classes.weight", "image.parametrizations.weight.original"}
    layers = {name for name, parameter in gan.generator.named_parameters() if parameter.ndim > 1}
    assert reached(gan.generator) == layers - alone


def test_refusals() -> None:
    with pytest.raises(UserError, match="needs images with labels"):
        small(classes=0)
    with pytest.raises(UserError, match="cannot make images of 36x36"):
        small(36)
    with pytest.raises(UserError, match="cut off at plus or minus 0"):
        small().generator(torch.zeros(2, 10), torch.arange(2), truncation=0.0)
