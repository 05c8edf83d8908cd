"""FastGAN: excitation across scales, decoders that D is trained with, and a loss for each patch."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from building import batch_of, build, every, inputs, reached
from torch import Tensor, nn
from torch.nn import functional as F

from ganzoo import Losses, UserError
from ganzoo.zoo.objective_specs import OBJECTIVES
from ganzoo_blocks import patches
from ganzoo_fastgan.networks import Excitation, quarter


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def objective(name: str) -> Losses:
    spec = next(spec for spec in OBJECTIVES if spec.name == name)
    losses: Losses = spec.load()({setting.name: setting.default for setting in spec.settings})
    return losses


def said_of(real: list[list[float]], fake: list[list[float]]) -> SimpleNamespace:
    return SimpleNamespace(of_real={"patches": torch.tensor(real)}, of_fake={"patches": torch.tensor(fake)})


def test_each_patch_has_its_own_hinge() -> None:
    batch = said_of([[3.0, -1.0], [0.5, 1.0]], [[-2.0, 0.0], [1.0, -1.0]])
    d, g = patches.phases(objective("hinge"), with_d=("whole",))
    # Real: (0 + 2) / 2, (0.5 + 0) / 2; generated: (0 + 1) / 2, (2 + 0) / 2. Of the means: 0, 0.25 and 0, 1.
    torch.testing.assert_close(d.loss(batch), torch.tensor([1.5, 1.25]))
    torch.testing.assert_close(g.loss(batch), torch.tensor([1.0, 0.0]))
    assert [(phase.name, phase.moves) for phase in (d, g)] == [("D", ("discriminator", "whole")), ("G", ("generator",))]


def test_paired_objectives_pair_patch_with_patch() -> None:
    batch = said_of([[0.0, 2.0]], [[1.0, -1.0]])
    d, g = patches.phases(objective("relativistic-pairing"))
    torch.testing.assert_close(d.loss(batch), F.softplus(torch.tensor([1.0, -3.0])).mean()[None])
    torch.testing.assert_close(g.loss(batch), F.softplus(torch.tensor([-1.0, 3.0])).mean()[None])


def test_an_objectives_penalty_is_part_of_ds_phase() -> None:
    gan = build("fastgan", 32, per_sample=True)
    images, z, _ = inputs(gan, 32)
    losses = objective("wgan-gp")
    assert losses.penalty is not None
    batch = batch_of(gan, images, z, phase="D")
    torch.manual_seed(1)
    found = patches.of_d(losses, batch)
    torch.manual_seed(1)
    penalty = losses.penalty(batch.critic, batch.real, batch.fake)
    expected = batch.of_fake["logits"] - batch.of_real["logits"] + penalty  # linear, so that of the means
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)  # each pass is one more power iteration


def test_a_quarter_is_one_of_four() -> None:
    x = torch.randn(4, 3, 6, 8)
    found = quarter(x, torch.tensor([[0, 0, 1, 1], [0, 1, 0, 1]]))
    expected = torch.stack([x[0, :, :3, :4], x[1, :, :3, 4:], x[2, :, 3:, :4], x[3, :, 3:, 4:]])
    assert found.equal(expected)


def test_reconstruction_by_hand() -> None:
    gan = build("fastgan", 32)
    seen = torch.stack([torch.full((1, 32, 32), 0.5), torch.full((1, 32, 32), -1.0)])
    batch = batch_of(gan, seen, torch.randn(2, gan.z_dim), phase="D")
    batch.of_real = {"seen": seen, "features": torch.zeros(2, 4, 8, 8), "middle": torch.zeros(2, 4, 16, 16)}

    def said(value: float) -> nn.Module:
        return type("Said", (nn.Module,), {"forward": lambda self, x: torch.full((2, 1, 16, 16), value)})()

    batch.parts = {"whole": said(0.0), "part": said(0.25)}
    (term,) = gan.terms
    # |0 - 0.5| + |0.25 - 0.5|, |0 + 1| + |0.25 + 1|
    torch.testing.assert_close(term.loss(batch), torch.tensor([0.75, 2.25]))


def test_reconstruction_trains_d_and_the_decoders_and_sees_what_d_saw() -> None:
    gan = build("fastgan", 32)
    images, z, _ = inputs(gan, 32)
    batch = batch_of(gan, images, z, phase="D")
    batch.of_real = batch.judge(images * 0.5)
    assert batch.of_real["seen"].equal(images * 0.5)
    (term,) = gan.terms
    term.loss(batch).mean().backward()
    for name in ("whole", "part"):
        module = gan.parts[name].module
        assert gan.parts[name].phase == "D"
        assert reached(module) == every(module)
    judging = {name for name in every(gan.discriminator) if name.startswith("patches.")}
    assert reached(gan.discriminator) == every(gan.discriminator) - judging
    assert not reached(gan.generator)


@pytest.mark.parametrize(
    ("size", "pairs"), [(28, [(16, 4)]), (32, [(16, 2)]), (64, [(16, 2)]), (128, [(16, 2), (8, 1)])]
)
def test_late_maps_are_excited_by_early_ones(size: int, pairs: list[tuple[int, int]]) -> None:
    """Widths of 4 channels' multiples: 16 at 4 pixels and 8 at 8 excite 2 at 64 and 1 at 128."""
    generator = build("fastgan", size).generator
    found = [(one.layers[1].in_channels, one.layers[1].out_channels) for one in generator.excitations]
    assert found == [(4 * low, 4 * high) for low, high in pairs]
    assert len(found) == len(pairs)


def test_excitation_is_a_product_per_channel() -> None:
    gan = build("fastgan", 32)
    generator = gan.generator.eval()
    z = torch.randn(2, gan.z_dim)
    first = generator.start(z)
    x = first
    for block in generator.blocks:
        x = block(x)
    pool, convolution, _, narrow, _ = generator.excitations[0].layers
    hidden = F.leaky_relu(F.linear(pool(first).flatten(1), convolution.weight.flatten(1), convolution.bias), 0.1)
    weights = torch.sigmoid(F.linear(hidden, narrow.weight.flatten(1), narrow.bias))
    expected = generator.image(x * weights[:, :, None, None])
    torch.testing.assert_close(generator(z, None), expected)
    assert Excitation(8, 4)(torch.randn(2, 8, 7, 7)).shape == (2, 4, 1, 1)


@pytest.mark.parametrize(("size", "colors", "logits"), [(28, 1, 16), (64, 3, 25)])
def test_shapes_and_gradients(size: int, colors: int, logits: int) -> None:
    gan = build("fastgan", size, colors)
    images, z, _ = inputs(gan, size, colors)
    said = gan.discriminator(images, None)
    assert said["patches"].shape == (4, logits)
    torch.testing.assert_close(said["logits"], said["patches"].mean(1))
    assert said["middle"].shape[2] == 2 * said["features"].shape[2] == 2 * size // 2**gan.discriminator.halvings
    made = gan.generator(z, None)
    assert made.shape == images.shape
    gan.discriminator(made, None)["patches"].square().sum().backward()
    assert reached(gan.generator) == every(gan.generator)
    assert reached(gan.discriminator) == every(gan.discriminator)


def test_ds_layers_have_norm_one_and_no_batch_norm_where_samples_are_judged_apart() -> None:
    gan = build("fastgan", 32)
    for _ in range(20):
        gan.discriminator(torch.randn(2, 1, 32, 32), None)
    weights: list[Tensor] = [m.weight for m in gan.discriminator.modules() if isinstance(m, nn.Conv2d)]
    assert len(weights) == 6
    for weight in weights:
        norm = torch.linalg.matrix_norm(weight.detach().flatten(1), 2)
        torch.testing.assert_close(norm, torch.ones(()), rtol=0.05, atol=0)
    assert any(isinstance(m, nn.BatchNorm2d) for m in gan.discriminator.modules())
    apart = build("fastgan", 32, per_sample=True).discriminator
    assert not any(isinstance(m, nn.BatchNorm2d) for m in apart.modules())


def test_a_size_it_cannot_make() -> None:
    with pytest.raises(UserError, match="30x30"):
        build("fastgan", 30)
