"""The blocks that plugins share, against second formulations of what they do."""

from __future__ import annotations

import math

import pytest
import torch
from residual import layers_of, sigmas
from torch import nn
from torch.nn import functional as F

from ganzoo import UserError
from ganzoo_blocks.attention import SelfAttention
from ganzoo_blocks.heads import Headed, Sphere, headed
from ganzoo_blocks.norms import BatchNorm, ClassBatchNorm, VectorBatchNorm, plain, spectral_norm
from ganzoo_blocks.residual import DownBlock, UpBlock
from ganzoo_blocks.resnet import Body, Discriminator, Generator, Projection, Width
from ganzoo_blocks.shapes import given, need_labels, one_hot, plan


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("layer", [nn.Conv2d(3, 5, 3), nn.Linear(7, 4), nn.Embedding(4, 6)])
def test_spectral_norm_divides_by_the_largest_singular_value(layer: nn.Module) -> None:
    before = layer.weight.detach().clone()
    normed = spectral_norm(layer)
    for _ in range(100):  # one power iteration each
        normed.weight  # noqa: B018
    sigma = torch.linalg.svdvals(before.flatten(1)).max()
    torch.testing.assert_close(normed.weight, before / sigma, rtol=1e-3, atol=1e-4)
    assert {name.rsplit(".", 1)[-1] for name, _ in normed.named_buffers()} == {"_u", "_v"}


def test_class_batch_norm_has_a_gain_and_a_bias_for_each_class() -> None:
    norm = ClassBatchNorm(4, 3)
    nn.init.normal_(norm.gain.weight)
    nn.init.normal_(norm.bias.weight)
    x, labels = torch.randn(6, 4, 5, 5) * 3 + 1, torch.tensor([0, 1, 2, 2, 1, 0])
    mean, var = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), unbiased=False, keepdim=True)
    normed = (x - mean) / (var + 1e-5).sqrt()
    expected = torch.stack(
        [
            image * norm.gain.weight[label][:, None, None] + norm.bias.weight[label][:, None, None]
            for image, label in zip(normed, labels, strict=True)
        ]
    )
    torch.testing.assert_close(norm(x, labels), expected)
    with pytest.raises(ValueError, match="without labels"):
        norm(x)


def test_untrained_class_batch_norm_is_batch_norm() -> None:
    x, labels = torch.randn(6, 4, 5, 5), torch.zeros(6, dtype=torch.long)
    torch.testing.assert_close(ClassBatchNorm(4, 3)(x, labels), nn.BatchNorm2d(4)(x))
    torch.testing.assert_close(BatchNorm(4)(x, labels), nn.BatchNorm2d(4)(x))


def test_batch_norm_by_a_one_hot_vector_is_that_by_class() -> None:
    by_vector, by_class = VectorBatchNorm(4, 3), ClassBatchNorm(4, 3)
    with torch.no_grad():
        by_class.gain.weight.copy_(1 + by_vector.gain.weight.T)
        by_class.bias.weight.copy_(by_vector.bias.weight.T)
    x, labels = torch.randn(6, 4, 5, 5), torch.arange(6) % 3
    torch.testing.assert_close(by_vector(x, one_hot(labels, 3, x)), by_class(x, labels))
    with pytest.raises(ValueError, match="without its condition"):
        by_vector(x)


@torch.no_grad()
def test_attention_place_by_place() -> None:
    attention = SelfAttention(16, plain)
    nn.init.constant_(attention.gamma, 0.7)
    x = torch.randn(2, 16, 4, 6)
    query, key, value, out = (
        layer.weight[:, :, 0, 0] for layer in (attention.query, attention.key, attention.value, attention.out)
    )
    assert (query.shape, key.shape, value.shape, out.shape) == ((2, 16), (2, 16), (8, 16), (16, 8))
    expected = x.clone()
    for image, result in zip(x, expected, strict=True):
        # The largest of each 2x2 places, channel by channel.
        keys, values = (
            torch.stack(
                [
                    torch.stack([weight @ image[:, 2 * i + a, 2 * j + b] for a in (0, 1) for b in (0, 1)]).amax(0)
                    for i in range(2)
                    for j in range(3)
                ]
            )
            for weight in (key, value)
        )
        for i in range(4):
            for j in range(6):
                scores = keys @ (query @ image[:, i, j])  # [6]
                weights = scores.exp() / scores.exp().sum()
                result[:, i, j] = image[:, i, j] + 0.7 * (out @ (weights @ values))
    torch.testing.assert_close(attention(x), expected)


def test_attention_begins_as_nothing_and_learns() -> None:
    attention = SelfAttention(8)
    x = torch.randn(2, 8, 4, 4)
    torch.testing.assert_close(attention(x), x, rtol=0, atol=0)
    attention(x).sum().backward()
    assert attention.gamma.grad.ne(0)


def test_an_up_block_is_that_of_the_paper() -> None:
    """Convolving beside the block before the upsampling is the same as behind it."""
    block = UpBlock(4, 6, norm=lambda channels: ClassBatchNorm(channels, 3)).double()
    x, labels = torch.randn(3, 4, 5, 5, dtype=torch.float64), torch.tensor([2, 0, 1])
    up = nn.Upsample(scale_factor=2)
    y = block.conv1(up(block.norm1(x, labels).relu()))
    y = block.conv2(block.norm2(y, labels).relu())
    torch.testing.assert_close(block(x, labels), y + block.skip(up(x)))
    assert UpBlock(4, 6, up=False)(x.float()).shape == (3, 6, 5, 5)


def test_a_down_block_is_that_of_the_paper() -> None:
    block = DownBlock(4, 6, wrap=plain).double()
    x = torch.randn(3, 4, 6, 6, dtype=torch.float64)
    mean = nn.AvgPool2d(2)
    torch.testing.assert_close(block(x), mean(block.conv2(block.conv1(x.relu()).relu())) + mean(block.skip(x)))
    first = DownBlock(4, 6, wrap=plain, first=True).double()
    torch.testing.assert_close(first(x), mean(first.conv2(first.conv1(x).relu())) + mean(first.skip(x)))
    same = DownBlock(4, 4, wrap=plain, down=False).double()
    torch.testing.assert_close(same(x), same.conv2(same.conv1(x.relu()).relu()) + x)
    wider = DownBlock(4, 6, wrap=plain, down=False).double()
    torch.testing.assert_close(wider(x), wider.conv2(wider.conv1(x.relu()).relu()) + wider.skip(x))


@torch.no_grad()
def test_projection_is_the_inner_product_with_the_class() -> None:
    projection = Projection(5, 3, plain)
    features, labels = torch.randn(4, 5), torch.tensor([2, 0, 1, 2])
    psi, bias, classes = projection.logit.weight[0], projection.logit.bias[0], projection.classes.weight
    expected = [float(psi @ f + bias + classes[y] @ f) for f, y in zip(features, labels, strict=True)]
    torch.testing.assert_close(projection(features, labels), torch.tensor(expected))
    with pytest.raises(ValueError, match="without labels"):
        projection(features)
    without = Projection(5, 0, plain)
    torch.testing.assert_close(without(features, labels), features @ without.logit.weight[0] + without.logit.bias)


def test_the_body_sums_over_the_last_map_and_judges_each_image_alone() -> None:
    body = Body(Width(4), (3, 28, 28))
    x = torch.rand(4, 3, 28, 28) * 2 - 1
    body(x)
    body.eval()
    last = body.layers(x)
    assert last.shape == (4, body.width, 7, 7)
    torch.testing.assert_close(body(x), last.relu().flatten(2).sum(2))
    torch.testing.assert_close(body(x)[1:2], body(x[1:2]), rtol=1e-4, atol=1e-5)


# Of SNGAN's tables: 4 and 5 at 32 and 48 pixels, 6 at 128, where channels is 64.
@pytest.mark.parametrize(
    ("size", "of_g", "of_d", "halved"),
    [
        (28, [256] * 3, [128] * 4, 2),
        (32, [256] * 4, [128] * 4, 2),
        (48, [512, 256, 128, 64], [64, 128, 256, 256], 3),
        (64, [1024, 512, 256, 128, 64], [64, 128, 256, 512, 512], 4),
        (128, [1024, 1024, 512, 256, 128, 64], [64, 128, 256, 512, 1024, 1024], 5),
    ],
)
def test_widths_are_those_of_the_paper(size: int, of_g: list[int], of_d: list[int], halved: int) -> None:
    shape, width = (3, size, size), Width(64)
    assert (width.generator(shape), width.body(shape), width.halvings(shape)) == (of_g, of_d, halved)


def test_widths_can_double_at_any_size() -> None:
    width = Width(12, doubling=True)
    assert (width.generator((1, 32, 32)), width.body((1, 32, 32))) == ([96, 48, 24, 12], [12, 24, 48, 48])
    assert (width.generator((1, 28, 28)), width.body((1, 28, 28))) == ([48, 24, 12], [12, 24, 24])
    equal = Width(12, doubling=False)
    assert (equal.generator((3, 64, 64)), equal.body((3, 64, 64))) == ([48] * 5, [24] * 4)


@pytest.mark.parametrize(("size", "colors"), [(28, 1), (64, 3)])
def test_every_parameter_learns(size: int, colors: int) -> None:
    shape, labels = (colors, size, size), torch.tensor([0, 1, 2])
    side = size // 2
    generator = Generator(5, Width(4), shape, 3, wrap=spectral_norm, attention=(side,))
    discriminator = Discriminator(Width(4), shape, 3, attention=(side,))
    for network in (generator, discriminator):
        for module in network.modules():
            if isinstance(module, SelfAttention):
                nn.init.ones_(module.gamma)
    images = generator(torch.randn(3, 5), labels)
    assert images.shape == (3, *shape)
    assert images.abs().max() <= 1
    said = discriminator(images, labels)
    assert said["features"].shape == (3, discriminator.body.width)
    said["logits"].square().sum().backward()
    for network in (generator, discriminator):
        still = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.ne(0).any()]
        assert still == []


def test_the_largest_singular_value_of_every_layer_is_1() -> None:
    generator = Generator(5, Width(4), (1, 28, 28), 3, wrap=spectral_norm, attention=(14,))
    discriminator = Discriminator(Width(4), (1, 28, 28), 3, attention=(14,))
    z, x, labels = torch.randn(2, 5), torch.rand(2, 1, 28, 28), torch.tensor([0, 1])
    of_g, of_d = sigmas(generator, 100, z, labels), sigmas(discriminator, 100, x, labels)
    assert set(of_g) == set(layers_of(generator))
    for found in (of_g, of_d):
        assert found == pytest.approx(dict.fromkeys(found, 1.0), abs=0.03)


def test_heads_look_at_the_features() -> None:
    network = headed(Width(4), (1, 28, 28), classes=3, twin=2)
    x = torch.rand(4, 1, 28, 28)
    network.eval()
    said = network(x)
    assert {name: tuple(value.shape) for name, value in said.items()} == {
        "logits": (4,), "features": (4, 8), "classes": (4, 3), "twin": (4, 2),
    }  # fmt: skip
    head = network.heads["twin"]
    torch.testing.assert_close(said["twin"], said["features"] @ head.weight.T + head.bias)
    torch.testing.assert_close(network(x, torch.arange(4))["logits"], said["logits"])


def test_the_sphere_is_one() -> None:
    sphere = Sphere(5, 3, 4, plain)
    features = torch.randn(6, 5)
    said = sphere(features)
    vectors = features @ sphere.embed.weight.T + sphere.embed.bias
    torch.testing.assert_close(said["embedding"], vectors / vectors.norm(dim=1, keepdim=True))
    expected = F.cosine_similarity(vectors[:, None], sphere.proxies, dim=2)
    torch.testing.assert_close(said["classes"], expected)
    body = Body(Width(4), (1, 28, 28))
    said = Headed(body, {"sphere": Sphere(body.width, 3, 4)})(torch.rand(2, 1, 28, 28))
    assert set(said) == {"logits", "features", "embedding", "classes"}


def test_plans_of_sizes() -> None:
    assert {size: plan((1, size, size)) for size in (28, 32, 48, 64, 96, 128)} == {
        28: (7, 2), 32: (4, 3), 48: (6, 3), 64: (4, 4), 96: (6, 4), 128: (4, 5),
    }  # fmt: skip
    assert all(start * 2**n == size for size in (28, 96) for start, n in [plan((3, size, size))])
    for shape in ((1, 36, 36), (1, 32, 28), (1, 8, 8)):
        with pytest.raises(UserError, match="cannot make images"):
            plan(shape)


def test_labels_are_asked_for() -> None:
    with pytest.raises(ValueError, match="without labels"):
        given(None)
    with pytest.raises(UserError, match="one needs images with labels"):
        need_labels("one", 0, "another")
    need_labels("one", 1, "another")


def test_weights_of_first_layers_are_glorot_uniform() -> None:
    body = Body(Width(64), (3, 32, 32), wrap=plain)
    block = body.layers[1]
    for layer, gain in ((block.conv1, math.sqrt(2)), (block.skip, 1.0)):
        fan = layer.weight[0].numel() + layer.weight[:, 0].numel()
        assert float(layer.weight.detach().std()) == pytest.approx(gain * math.sqrt(2 / fan), rel=0.05)
        assert layer.bias.eq(0).all()
