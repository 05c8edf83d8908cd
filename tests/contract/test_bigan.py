"""BiGAN's phases: which pairs are judged, what is lost on them, and whom it reaches."""

from __future__ import annotations

import pytest
import torch
from building import batch_of, build, every, inputs, reached
from torch.nn import functional as F

from ganzoo import GAN, Losses, Phase, Value
from ganzoo.objectives import hinge, minimax, non_saturating

LOGITS = torch.tensor([-1.5, 0.0, 0.3, 2.0])


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def phases(gan: GAN, losses: Losses | None = None) -> dict[str, Phase]:
    assert gan.phases is not None
    return {phase.name: phase for phase in gan.phases(losses or non_saturating({"real_label": 1.0}))}


def test_what_the_phases_move() -> None:
    gan = build("bigan")
    assert {name: phase.moves for name, phase in phases(gan).items()} == {
        "D": ("discriminator",),
        "G": ("generator", "encoder"),
    }
    assert gan.parts["encoder"].phase == "G"


@pytest.mark.parametrize("name", ["D", "G"])
def test_images_are_paired_with_their_codes_and_noise_with_its_images(name: str) -> None:
    gan = build("bigan")
    images, z, _ = inputs(gan)
    batch = batch_of(gan, images, z, phase=name)
    phases(gan)[name].loss(batch)
    encoder, discriminator = gan.parts["encoder"].module, gan.discriminator
    torch.testing.assert_close(batch.of_real["logits"], discriminator(images, None, encoder(images))["logits"])
    torch.testing.assert_close(batch.of_fake["logits"], discriminator(batch.fake, None, z)["logits"])


@pytest.mark.parametrize("name", ["D", "G"])
def test_each_phase_reaches_all_that_it_moves_and_nothing_else(name: str) -> None:
    gan = build("bigan")
    images, z, _ = inputs(gan)
    phase = phases(gan)[name]
    loss = phase.loss(batch_of(gan, images, z, phase=name, moves=phase.moves))
    assert loss.shape == (4,)
    loss.mean().backward()
    networks = {"generator": gan.generator, "discriminator": gan.discriminator, "encoder": gan.parts["encoder"].module}
    for network, module in networks.items():
        assert reached(module) == (every(module) if network in phase.moves else set())


def lost(losses: Losses, phase: str) -> torch.Tensor:
    """The phase's loss where D says LOGITS of real pairs and their reverse of generated ones."""
    gan = build("bigan")
    images, z, _ = inputs(gan)
    batch = batch_of(gan, images, z, phase=phase)
    answers = iter((LOGITS, LOGITS.flip(0)))
    batch.judge = lambda images, *more, labels=None: {"logits": next(answers)}  # type: ignore[method-assign]
    return phases(gan, losses)[phase].loss(batch)


def test_losses_are_those_of_the_paper() -> None:
    real, fake = torch.sigmoid(LOGITS), torch.sigmoid(LOGITS.flip(0))
    config: dict[str, Value] = {"real_label": 1.0}
    saturating = -real.log() - (1 - fake).log()
    torch.testing.assert_close(lost(non_saturating(config), "D"), saturating)
    torch.testing.assert_close(lost(non_saturating(config), "G"), -fake.log() - (1 - real).log())
    # Section 3, the game itself: generator and encoder minimise what the discriminator maximises.
    torch.testing.assert_close(lost(minimax(config), "D"), saturating)
    torch.testing.assert_close(lost(minimax(config), "G"), -saturating)
    torch.testing.assert_close(lost(hinge({}), "D"), F.relu(1 - LOGITS) + F.relu(1 + LOGITS.flip(0)))
    torch.testing.assert_close(lost(hinge({}), "G"), LOGITS - LOGITS.flip(0))


def test_the_discriminator_looks_at_both_of_a_pair() -> None:
    gan = build("bigan")
    images, z, _ = inputs(gan)
    judge = gan.discriminator
    assert judge(images, None, z)["logits"].ne(judge(images, None, z.flip(0))["logits"]).all()
    assert judge(images, None, z)["logits"].ne(judge(images.flip(0), None, z)["logits"]).all()
    # Without noise: of the prior's mean.
    torch.testing.assert_close(judge(images)["logits"], judge(images, None, torch.zeros_like(z))["logits"])


def test_the_noise_is_not_drowned_by_the_image() -> None:
    gan = build("bigan", 32, channels=16, width=128)
    images, z, _ = inputs(gan, 32, count=64)
    body, noise = gan.discriminator.body(images), gan.discriminator.noise(z)
    weight = gan.discriminator.pair[0].weight
    by_image, by_noise = body @ weight[:, : body.shape[1]].T, noise @ weight[:, body.shape[1] :].T
    assert by_noise.std(0).mean() > 0.1 * by_image.std(0).mean()
