"""ReACGAN, ContraGAN, ADC-GAN, TAC-GAN: their losses by second formulations, and whom they reach."""

from __future__ import annotations

import math

import pytest
import torch
from building import batch_of, every, reached
from residual import CLASSES, SPECS, build, inputs
from torch import Tensor
from torch.nn import functional as F

from ganzoo import UserError
from ganzoo_contragan.networks import contrast
from ganzoo_reacgan.networks import d2d_ce

NAMES = ("reacgan", "contragan", "adcgan", "tacgan")
LABELS = torch.tensor([0, 1, 0, 2, 1, 0])


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def sphere(count: int = 6, dim: int = 4) -> tuple[Tensor, Tensor]:
    """Embeddings `[N, dim]` and their cosines with proxies `[N, K]`."""
    embedding = F.normalize(torch.randn(count, dim), dim=1)
    return embedding, embedding @ F.normalize(torch.randn(CLASSES, dim), dim=1).T


@pytest.mark.parametrize("margins", [(0.98, 0.02), (0.1, 0.4)])
def test_d2d_ce_image_by_image(margins: tuple[float, float]) -> None:
    near, far = margins
    embedding, cosines = sphere()
    expected = []
    for i, y in enumerate(LABELS.tolist()):
        pull = math.exp(min(float(cosines[i, y]) - near, 0) / 0.5)
        push = [math.exp(max(float(embedding[i] @ embedding[j]) - far, 0) / 0.5) for j in range(6) if LABELS[j] != y]
        expected.append(-math.log(pull / (pull + sum(push))))
    torch.testing.assert_close(d2d_ce(embedding, cosines, LABELS, near, far, 0.5), torch.tensor(expected))


def test_easy_images_ask_for_nothing() -> None:
    """Near enough to their own class, and far enough from others."""
    embedding = torch.eye(4)[:3].requires_grad_()
    cosines = torch.tensor([[1.0, 0, 0], [0, 0.99, 0], [0, 0, 0.985]], requires_grad=True)
    d2d_ce(embedding, cosines, torch.arange(3), 0.98, 0.02, 0.5).sum().backward()
    assert embedding.grad.eq(0).all()
    assert cosines.grad.eq(0).all()
    cosines.grad = None
    d2d_ce(embedding, 0.9 * cosines, torch.arange(3), 0.98, 0.02, 0.5).sum().backward()
    assert (cosines.grad.diagonal() < 0).all()


def test_a_batch_of_one_class_has_nothing_to_be_told_from() -> None:
    embedding, cosines = sphere(3)
    labels = torch.ones(3, dtype=torch.long)
    torch.testing.assert_close(d2d_ce(embedding, cosines, labels, 0.98, 0.02, 0.5), torch.zeros(3))
    torch.testing.assert_close(contrast(embedding, cosines, labels, 1.0), torch.zeros(3))


@pytest.mark.parametrize("temperature", [1.0, 0.2])
def test_the_contrastive_loss_image_by_image(temperature: float) -> None:
    embedding, cosines = sphere()
    expected = []
    for i, y in enumerate(LABELS.tolist()):
        own = math.exp(float(cosines[i, y]) / temperature)
        others = {j: math.exp(float(embedding[i] @ embedding[j]) / temperature) for j in range(6) if j != i}
        alike = sum(value for j, value in others.items() if LABELS[j] == y)
        expected.append(-math.log((own + alike) / (own + sum(others.values()))))
    torch.testing.assert_close(contrast(embedding, cosines, LABELS, temperature), torch.tensor(expected))


@pytest.mark.parametrize(("name", "weight"), [("reacgan", 0.5), ("contragan", 1.0)])
def test_spheres_are_learned_by_d_from_real_images_alone(name: str, weight: float) -> None:
    gan = build(name)
    images, z, labels = inputs(gan)
    d_term, g_term = gan.terms
    assert [(term.phase, term.weight) for term in gan.terms] == [("D", weight), ("G", weight)]
    batch = batch_of(gan, images, z, labels, phase="D")
    batch.of_fake = {}  # not looked at
    assert d_term.loss(batch).shape == (6,)
    batch = batch_of(gan, images, z, labels, phase="G")
    batch.of_real = {}
    g_term.loss(batch).mean().backward()
    assert reached(gan.generator) == every(gan.generator)
    assert batch.told.keys() == {"class_accuracy"}


def test_adcgan_by_logarithms_of_the_softmax() -> None:
    gan = build("adcgan", class_weight=0.5)
    images, z, labels = inputs(gan)
    d_term, g_term = gan.terms
    assert [(term.phase, term.weight) for term in gan.terms] == [("D", 0.5), ("G", 0.5)]
    batch = batch_of(gan, images, z, labels, phase="D")
    real, fake = torch.randn(6, 6), torch.randn(6, 6)
    batch.of_real = {"pairs": real}
    batch.of_fake = {"pairs": fake, "classes": torch.logsumexp(fake.view(6, 2, 3), 1)}
    of_real, of_fake = real.softmax(1).log(), fake.softmax(1).log()
    rows = torch.arange(6)
    torch.testing.assert_close(d_term.loss(batch), -of_real[rows, labels] - of_fake[rows, labels + 3])
    torch.testing.assert_close(g_term.loss(batch), of_fake[rows, labels + 3] - of_fake[rows, labels])


def test_adcgan_knows_the_class_whether_real_or_generated() -> None:
    gan = build("adcgan")
    images, _, labels = inputs(gan)
    said = gan.discriminator(images, labels)
    assert (said["pairs"].shape, said["classes"].shape) == ((6, 6), (6, 3))
    joint = said["pairs"].softmax(1)
    torch.testing.assert_close(said["classes"].softmax(1), joint[:, :3] + joint[:, 3:])


def test_tacgan_by_hand() -> None:
    gan = build("tacgan", class_weight=0.5)
    images, z, _ = inputs(gan, count=2)
    batch = batch_of(gan, images, z, torch.tensor([0, 1]), phase="D")
    # P(C | x) of the labels: 1/2 and 3/4 of real images, 4/5 and 1/2 of generated ones; the twin's 2/3 and 1/2.
    batch.of_real = {"classes": torch.tensor([[0.0, 0.0], [0.0, math.log(3)]])}
    batch.of_fake = {
        "classes": torch.tensor([[math.log(4), 0.0], [2.0, 2.0]]),
        "twin": torch.tensor([[math.log(2), 0.0], [1.0, 1.0]]),
    }
    found = {term.name: term.loss(batch) for term in gan.terms}
    expected = {"d-class": [0.5 * 0.8, 0.75 * 0.5], "d-twin": [2 / 3, 0.5], "g-class": [0.8, 0.5]}
    for name, values in expected.items():
        torch.testing.assert_close(found[name], -torch.tensor(values).log())
    torch.testing.assert_close(found["g-twin"], torch.tensor([2 / 3, 0.5]).log())
    assert [(term.phase, term.weight) for term in gan.terms] == [("D", 0.5)] * 2 + [("G", 0.5)] * 2


def test_the_twin_is_learned_from_generated_images_alone() -> None:
    gan = build("tacgan")
    images, z, labels = inputs(gan)
    heads = {"heads.classes", "heads.twin"}
    for name, head in (("d-class", "heads.classes"), ("d-twin", "heads.twin")):
        batch = batch_of(gan, images, z, labels, phase="D")
        if name == "d-twin":
            batch.of_real = {}
        term = next(term for term in gan.terms if term.name == name)
        term.loss(batch).mean().backward()
        moved = {parameter.split(".p")[0].rsplit(".bias", 1)[0] for parameter in reached(gan.discriminator)}
        assert moved & heads == {head}
        gan.discriminator.zero_grad()


@pytest.mark.parametrize("name", NAMES)
def test_class_losses_reach_all_that_their_phase_moves_but_the_logit(name: str) -> None:
    gan = build(name)
    images, z, labels = inputs(gan)
    for phase, mine, others in (
        ("D", gan.discriminator, gan.generator),
        ("G", gan.generator, gan.discriminator),
    ):
        batch = batch_of(gan, images, z, labels, phase=phase)
        sum(term.loss(batch).mean() for term in gan.terms if term.phase == phase).backward()
        assert every(mine) - reached(mine) == {p for p in every(mine) if p.startswith("logit.")}
        assert all(parameter.grad is None for parameter in others.parameters())
        mine.zero_grad()


@pytest.mark.parametrize("name", NAMES)
def test_d_is_not_told_the_class_and_judges_each_image_alone(name: str) -> None:
    gan = build(name)
    images, _, labels = inputs(gan)
    gan.discriminator.eval()
    said = gan.discriminator(images, labels)
    assert set(said) == {"logits", *SPECS[name].gives}
    assert {len(value) for value in said.values()} == {6}
    torch.testing.assert_close(gan.discriminator(images, None), said, rtol=0, atol=0)
    alone = gan.discriminator(images[2:3], None)
    for key, value in said.items():
        torch.testing.assert_close(alone[key][0], value[2], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("size", "colors"), [(32, 1), (64, 3)])
def test_shapes_and_range(name: str, size: int, colors: int) -> None:
    gan = build(name, size, colors)
    images, z, labels = inputs(gan, size, colors)
    made = gan.generator(z, labels)
    assert made.shape == images.shape
    assert made.abs().max() <= 1
    assert gan.discriminator(images, labels)["classes"].shape == (6, CLASSES)


@pytest.mark.parametrize("name", NAMES)
def test_labels_are_needed(name: str) -> None:
    with pytest.raises(UserError, match=f"{name} needs images with labels"):
        build(name, classes=0)
