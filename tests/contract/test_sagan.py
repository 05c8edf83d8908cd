"""SAGAN: attention in both networks, spectral norm in both, and the class where there is one."""

from __future__ import annotations

import pytest
import torch
from residual import SPECS, build, inputs, layers_of, sigmas
from torch import nn

from ganzoo import UserError
from ganzoo_blocks.attention import SelfAttention
from ganzoo_blocks.norms import ClassBatchNorm
from ganzoo_blocks.resnet import Width
from ganzoo_sagan.networks import attended

NAMES = ("sagan", "sagan-unconditional")


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def test_the_paper_recipe() -> None:
    for name, conditional in zip(NAMES, (True, False), strict=True):
        spec = SPECS[name]
        assert (spec.objective, spec.conditional) == ("hinge", conditional)
        assert spec.defaults == {
            "train.g_lr": 1e-4, "train.d_lr": 4e-4, "train.beta1": 0.0, "train.beta2": 0.9, "train.d_steps": 1,
        }  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_spectral_norm_is_in_every_layer_of_both(name: str) -> None:
    gan = build(name)
    images, z, labels = inputs(gan, count=2)
    for network, first in ((gan.generator, z), (gan.discriminator, images)):
        assert all(hasattr(layer, "parametrizations") for layer in layers_of(network).values())
        found = sigmas(network, 100, first, labels)
        assert found == pytest.approx(dict.fromkeys(found, 1.0), abs=0.03)


@pytest.mark.parametrize(("size", "sides"), [(28, [14]), (32, [16]), (48, [24]), (64, [32]), (96, [24]), (128, [32])])
def test_the_maps_that_attend_to_themselves(size: int, sides: list[int]) -> None:
    gan = build("sagan-unconditional", size, 3)
    seen: list[int] = []
    for network in (gan.generator, gan.discriminator):
        attentions = [module for module in network.modules() if isinstance(module, SelfAttention)]
        assert len(attentions) == 1
        attentions[0].register_forward_hook(lambda module, inputs, output: seen.append(output.shape[-1]))
    images, z, _ = inputs(gan, size, 3, count=2)
    with torch.no_grad():
        gan.generator(z, None)
        gan.discriminator(images, None)
    assert seen == sides * 2
    assert attended((3, size, size), Width(4), None) == sides[0]


def test_other_maps_may_be_chosen_where_both_networks_have_them() -> None:
    assert attended((3, 64, 64), Width(4), 8) == 8
    assert attended((1, 32, 32), Width(4, doubling=True), 4) == 4  # whose D halves once more
    for size, wanted in ((28, 28), (32, 4), (64, 30)):
        with pytest.raises(UserError, match=f"attention is {wanted}"):
            attended((3, size, size), Width(4), wanted)
    with pytest.raises(UserError, match="cannot make images"):
        attended((3, 36, 36), Width(4), None)


def test_the_class_is_in_batch_norms_and_projected() -> None:
    with_classes, without = (build(name) for name in NAMES)
    assert sum(isinstance(module, ClassBatchNorm) for module in with_classes.generator.modules()) == 4
    assert not any(isinstance(module, ClassBatchNorm) for module in without.generator.modules())
    images, _, labels = inputs(with_classes)
    for gan, moves in ((with_classes, True), (without, False)):
        gan.discriminator.eval()
        logits = [gan.discriminator(images, wanted)["logits"] for wanted in (labels, (labels + 1) % 3)]
        assert (logits[0] != logits[1]).all() == moves


@pytest.mark.parametrize(("size", "colors"), [(28, 1), (64, 3)])
def test_shapes_and_gradients(size: int, colors: int) -> None:
    gan = build("sagan", size, colors)
    for network in (gan.generator, gan.discriminator):
        for module in network.modules():
            if isinstance(module, SelfAttention):
                nn.init.ones_(module.gamma)  # 0 at first, so that nothing else of it learns in the first step
    _, z, labels = inputs(gan, size, colors)
    images = gan.generator(z, labels)
    assert images.shape == (6, colors, size, size)
    assert images.abs().max() <= 1
    gan.discriminator(images, labels)["logits"].square().sum().backward()
    for network in (gan.generator, gan.discriminator):
        assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.ne(0).any()] == []


def test_labels_are_needed_where_there_are_classes() -> None:
    with pytest.raises(UserError, match=r"needs images with labels") as caught:
        build("sagan", classes=0)
    assert "sagan-unconditional" in str(caught.value) + str(vars(caught.value))
    build("sagan-unconditional", classes=0)
