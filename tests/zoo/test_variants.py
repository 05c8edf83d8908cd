"""The whole built-in zoo, by parametrisation: shapes, ranges, gradients, labels; and each family's own rules."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import Tensor, nn

import ganzoo_dcgan
import ganzoo_gan
import ganzoo_upsample
import ganzoo_wgan_gp
from ganzoo import GANZOO_API, Objective, UserError, Variant
from ganzoo.gan import GAN, VariantConfig
from ganzoo.zoo.objective_specs import OBJECTIVES
from ganzoo.zoo.specs import Value

PLUGINS = (ganzoo_gan, ganzoo_dcgan, ganzoo_upsample, ganzoo_wgan_gp)
SPECS: dict[str, Variant] = {spec.name: spec for plugin in PLUGINS for spec in plugin.register_variants()}
NAMES = list(SPECS)
CONDITIONAL = ["cgan", "cdcgan"]
SMALL: dict[str, Value] = {"channels": 4, "width": 8}
CLASSES = 3
CASES = [(name, size, colors) for name in NAMES for size in SPECS[name].sizes or (16, 20, 28) for colors in (1, 3)]


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def build(
    name: str, size: int = 28, colors: int = 1, *, per_sample: bool = False, classes: int = CLASSES, **settings: Value
) -> GAN:
    spec = SPECS[name]
    known = {s.name: s.default for s in spec.settings}
    chosen = {key: value for key, value in (SMALL | settings).items() if key in known}
    config = VariantConfig(settings=known | chosen, per_sample_critic=per_sample)
    return spec.load()(config, (colors, size, size), classes)


def inputs(gan: GAN, size: int = 28, colors: int = 1, count: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    """Images in [-1, 1], noise, labels."""
    images = torch.rand(count, colors, size, size) * 2 - 1
    return images, torch.randn(count, gan.z_dim), torch.arange(count) % CLASSES


def judge(gan: GAN, images: Tensor, labels: Tensor | None) -> Tensor:
    """Logits `[N]`."""
    logits: Tensor = gan.discriminator(images, labels)["logits"]
    return logits


def assert_reached(module: nn.Module) -> None:
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.ne(0).any(), name


def test_the_zoo() -> None:
    assert NAMES == ["gan", "cgan", "dcgan", "cdcgan", "upsample-dcgan", "wgan-gp"]
    assert [name for name in NAMES if SPECS[name].conditional] == CONDITIONAL
    assert SPECS["wgan-gp"].objective == "wgan-gp"
    for plugin in PLUGINS:
        assert plugin.GANZOO_API == GANZOO_API
    for spec in SPECS.values():
        assert spec.paper
        assert spec.summary
        assert spec.per_sample_critic
        assert isinstance(spec.target, str)


@pytest.mark.parametrize("name", NAMES)
def test_discriminators_give_what_their_last_layer_is_given(name: str) -> None:
    assert SPECS[name].gives == ("features",)
    gan = build(name)
    images, _, labels = inputs(gan)
    last = [m for m in gan.discriminator.modules() if isinstance(m, nn.Linear | nn.Conv2d)][
        -2 if name == "cdcgan" else -1
    ]
    given: list[Tensor] = []
    last.register_forward_pre_hook(lambda module, arguments: given.append(arguments[0]))
    said = gan.discriminator(images, labels)
    assert set(said) == {"logits", "features"}
    torch.testing.assert_close(said["features"], given[0], rtol=0, atol=0)
    assert last.weight[0].numel() == said["features"][0].numel()


def test_headers_do_not_import_torch() -> None:
    imports = ", ".join(plugin.__name__ for plugin in PLUGINS)
    hooks = "; ".join(f"{plugin.__name__}.register_variants()" for plugin in PLUGINS)
    code = f"import sys, {imports}; {hooks}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(("name", "size", "colors"), CASES)
def test_shapes_range_and_gradients(name: str, size: int, colors: int) -> None:
    gan = build(name, size, colors, z_dim=6)
    images, z, labels = inputs(gan, size, colors)
    assert gan.z_dim == 6

    generated = gan.generator(z, labels)
    assert generated.shape == (4, colors, size, size)
    assert generated.dtype == torch.float32
    assert generated.abs().max() <= 1

    gan.discriminator.requires_grad_(False)
    logits = judge(gan, generated, labels)
    assert logits.shape == (4,)
    nn.functional.softplus(-logits).mean().backward()
    assert_reached(gan.generator)

    gan.discriminator.requires_grad_(True)
    logits = judge(gan, images, labels)
    assert logits.shape == (4,)
    nn.functional.softplus(-logits).mean().backward()
    assert_reached(gan.discriminator)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda spec: spec.name)
def test_every_variant_trains_with_every_objective(name: str, objective: Objective) -> None:
    losses = objective.load()({s.name: s.default for s in objective.settings})
    size = (SPECS[name].sizes or (16,))[0]
    gan = build(name, size, per_sample=objective.per_sample_gradients)
    images, z, labels = inputs(gan, size)
    generated = gan.generator(z, labels)
    loss = losses.d_loss(judge(gan, images, labels), judge(gan, generated.detach(), labels))
    if losses.penalty is not None:
        loss = loss + losses.penalty(lambda x: judge(gan, x, labels), images, generated)
    assert loss.shape == (4,)
    loss.mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in gan.discriminator.parameters())
    real_logits = judge(gan, images, labels) if losses.g_uses_real else None
    losses.g_loss(judge(gan, generated, labels), real_logits).mean().backward()
    assert_reached(gan.generator)


def mixing(name: str, *, per_sample: bool) -> float:
    """Largest |d logit_0 / d image_j| for j other than 0, in training mode."""
    gan = build(name, per_sample=per_sample)
    images, _, labels = inputs(gan)
    images.requires_grad_()
    (gradient,) = torch.autograd.grad(judge(gan, images, labels)[0], images)
    assert gradient[0].ne(0).any()
    return float(gradient[1:].abs().max())


@pytest.mark.parametrize("name", NAMES)
def test_a_per_sample_critic_does_not_mix_samples(name: str) -> None:
    assert mixing(name, per_sample=True) == 0
    critic = build(name, per_sample=True).discriminator
    assert not any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in critic.modules())


def test_batch_norm_mixes_samples_where_the_objective_allows_it() -> None:
    assert {name for name in NAMES if mixing(name, per_sample=False) > 0} == {"dcgan", "cdcgan", "upsample-dcgan"}


@pytest.mark.parametrize("name", CONDITIONAL)
def test_conditional_networks_react_to_labels(name: str) -> None:
    gan = build(name)
    images, z, _ = inputs(gan)
    gan.generator.eval()
    gan.discriminator.eval()
    zeros, ones = torch.zeros(4, dtype=torch.int64), torch.ones(4, dtype=torch.int64)
    assert gan.generator(z, zeros).ne(gan.generator(z, ones)).any(dim=(1, 2, 3)).all()
    assert judge(gan, images, zeros).ne(judge(gan, images, ones)).all()


def test_the_class_of_cgan_is_neither_drowned_nor_drowns_the_noise() -> None:
    # With PyTorch's own initial weights the label moves D's first layer by a few percent of what the image does.
    gan = build("cgan", 32, width=256, classes=10)
    for network, std in ((gan.generator, 0.3), (gan.discriminator, 1)):
        first = leaves(network)[0]
        assert isinstance(first, nn.Linear)
        assert_normal(first.weight[:, -10:], 0, std)
        assert float(first.weight[:, :-10].detach().std()) < 0.1


@pytest.mark.parametrize("name", CONDITIONAL)
def test_conditional_networks_refuse_what_has_no_labels(name: str) -> None:
    with pytest.raises(UserError, match="needs images with labels"):
        build(name, classes=0)
    gan = build(name)
    images, z, _ = inputs(gan)
    with pytest.raises(ValueError, match="without labels"):
        gan.generator(z, None)
    with pytest.raises(ValueError, match="without labels"):
        judge(gan, images, None)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in CONDITIONAL])
def test_unconditional_networks_ignore_labels(name: str) -> None:
    gan = build(name)
    images, z, labels = inputs(gan)
    gan.generator.eval()
    gan.discriminator.eval()
    torch.testing.assert_close(gan.generator(z, labels), gan.generator(z, None), rtol=0, atol=0)
    torch.testing.assert_close(judge(gan, images, labels), judge(gan, images, None), rtol=0, atol=0)
    build(name, classes=0)


@pytest.mark.parametrize("name", NAMES)
def test_networks_never_wait_for_the_device(name: str) -> None:
    # The meta device has no data: any step that needs a tensor's value on the host raises.
    with torch.device("meta"):
        gan = build(name)
        images, z, labels = inputs(gan)
        judge(gan, gan.generator(z, labels), labels).sum().backward()
        judge(gan, images, labels).sum().backward()


@pytest.mark.parametrize("name", NAMES)
def test_networks_run_under_bf16_autocast_and_in_channels_last(name: str) -> None:
    gan = build(name)
    images, z, labels = inputs(gan)
    gan.generator.eval()
    gan.discriminator.eval()
    with torch.no_grad():
        plain = gan.generator(z, labels), judge(gan, images, labels)
        gan.generator.to(memory_format=torch.channels_last)
        gan.discriminator.to(memory_format=torch.channels_last)
        images = images.contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close((gan.generator(z, labels), judge(gan, images, labels)), plain)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            generated, logits = gan.generator(z, labels), judge(gan, images, labels)
    torch.testing.assert_close(generated.float(), plain[0], rtol=0, atol=0.1)
    torch.testing.assert_close(logits.float(), plain[1], rtol=0.1, atol=0.1)


@pytest.mark.parametrize("name", ["dcgan", "cdcgan", "wgan-gp", "upsample-dcgan"])
@pytest.mark.parametrize("shape", [(1, 27, 27), (1, 8, 8), (1, 30, 30)])
def test_sizes_a_network_cannot_make_are_the_users_error(name: str, shape: tuple[int, int, int]) -> None:
    assert shape[1] not in (SPECS[name].sizes or ())
    settings: dict[str, Value] = {s.name: s.default for s in SPECS[name].settings}
    with pytest.raises(UserError, match=f"cannot make images of {shape[1]}x{shape[2]}"):
        SPECS[name].load()(VariantConfig(settings=settings, per_sample_critic=False), shape, CLASSES)


def test_the_dcgan_family_refuses_oblong_images() -> None:
    settings: dict[str, Value] = {s.name: s.default for s in SPECS["dcgan"].settings}
    with pytest.raises(UserError, match="32x64"):
        SPECS["dcgan"].load()(VariantConfig(settings=settings, per_sample_critic=False), (1, 32, 64), 0)


def leaves(module: nn.Module) -> list[nn.Module]:
    """The layers in order of use, without those that only reshape."""
    return [m for m in module.modules() if not list(m.children()) and not isinstance(m, nn.Unflatten | nn.Flatten)]


@pytest.mark.parametrize("name", ["dcgan", "cdcgan"])
@pytest.mark.parametrize("size", ganzoo_dcgan.SIZES)
def test_dcgan_rules(name: str, size: int) -> None:
    gan = build(name, size)
    generator, critic = leaves(gan.generator), leaves(gan.discriminator)

    # Generator: the projection of z, then strided transposed convolutions; batch norm and ReLU after all but the last.
    *hidden, last, tanh = generator
    blocks = [hidden[i : i + 3] for i in range(0, len(hidden), 3)]
    for i, (linear, norm, relu) in enumerate(blocks):
        assert isinstance(linear, nn.ConvTranspose2d if i else nn.Linear)
        assert linear.bias is None
        assert isinstance(norm, nn.BatchNorm2d)
        assert isinstance(relu, nn.ReLU)
    transposed = [block[0] for block in blocks[1:]] + [last]
    assert all(isinstance(m, nn.ConvTranspose2d) and m.stride == (2, 2) for m in transposed)
    assert isinstance(last, nn.ConvTranspose2d)
    assert last.bias is not None
    assert isinstance(tanh, nn.Tanh)

    # Discriminator: strided convolutions with LeakyReLU(0.2), batch norm after all but the first.
    heads = 2 if name == "cdcgan" else 1
    first, leaky, *hidden = critic[:-heads]
    assert isinstance(first, nn.Conv2d)
    assert first.bias is not None
    assert first.stride == (2, 2)
    assert isinstance(leaky, nn.LeakyReLU)
    for i in range(0, len(hidden), 3):
        conv, norm, leaky = hidden[i : i + 3]
        assert isinstance(conv, nn.Conv2d)
        assert conv.bias is None
        assert conv.stride == (2, 2)
        assert isinstance(norm, nn.BatchNorm2d)
        assert isinstance(leaky, nn.LeakyReLU)
        assert leaky.negative_slope == 0.2
    assert all(isinstance(m, nn.Conv2d) for m in critic[-heads:])
    assert len(transposed) == 1 + len(hidden) // 3, "as many doublings as halvings"


def test_dcgan_is_the_published_figure_at_64_pixels() -> None:
    gan = build("dcgan", 64, 3, channels=128)
    widths = [m.num_features for m in gan.generator.modules() if isinstance(m, nn.BatchNorm2d)]
    assert widths == [1024, 512, 256, 128]
    assert gan.z_dim == 100


def assert_normal(values: Tensor, mean: float, std: float) -> None:
    """Sample mean and deviation within five standard errors."""
    values, count = values.detach(), values.numel()
    assert abs(float(values.mean()) - mean) < 5 * std / count**0.5
    assert abs(float(values.std()) / std - 1) < 5 / (2 * count) ** 0.5


def test_dcgan_initial_weights() -> None:
    gan = build("dcgan", 32, channels=64)
    for module in [*leaves(gan.generator), *leaves(gan.discriminator)]:
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            assert_normal(module.weight, 0, 0.02)
            assert module.bias is None or module.bias.eq(0).all()
        if isinstance(module, nn.BatchNorm2d):
            assert_normal(module.weight, 1, 0.02)
            assert module.bias.eq(0).all()


@pytest.mark.parametrize("name", ["dcgan", "cdcgan", "wgan-gp"])
def test_layer_norm_takes_the_place_of_batch_norm_and_brings_the_bias_back(name: str) -> None:
    gan = build(name, 32, per_sample=True)
    norms = [m for m in gan.discriminator.modules() if isinstance(m, nn.GroupNorm)]
    assert [(m.num_groups, m.num_channels) for m in norms] == [(1, 8), (1, 16)]
    features = leaves(gan.discriminator)
    assert all(m.bias is not None for m in features[:-1] if isinstance(m, nn.Conv2d))
    assert any(isinstance(m, nn.BatchNorm2d) for m in gan.generator.modules()), "only the critic changes"


def test_upsample_dcgan_resizes_and_convolves() -> None:
    gan = build("upsample-dcgan", 32, 3, channels=128, dropout=0.4)
    modules = [*gan.generator.modules(), *gan.discriminator.modules()]
    assert not any(isinstance(m, nn.ConvTranspose2d) for m in modules)
    upsamplings = [m for m in modules if isinstance(m, nn.Upsample)]
    assert [(m.scale_factor, m.mode) for m in upsamplings] == [(2.0, "nearest")] * 2
    norms = [m for m in modules if isinstance(m, nn.BatchNorm2d)]
    assert {(m.eps, m.momentum) for m in norms} == {(1e-5, 0.2)}, "0.2 as momentum, not as eps"
    convolutions = [m for m in gan.generator.modules() if isinstance(m, nn.Conv2d)]
    assert [(m.in_channels, m.out_channels) for m in convolutions] == [(128, 128), (128, 64), (64, 3)]
    assert {m.p for m in gan.discriminator.modules() if isinstance(m, nn.Dropout)} == {0.4}


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_builds_the_same_networks(name: str) -> None:
    torch.manual_seed(7)
    once = build(name)
    torch.manual_seed(7)
    again = build(name)
    for a, b in zip(once.generator.parameters(), again.generator.parameters(), strict=True):
        assert torch.equal(a, b)
    for a, b in zip(once.discriminator.parameters(), again.discriminator.parameters(), strict=True):
        assert torch.equal(a, b)
