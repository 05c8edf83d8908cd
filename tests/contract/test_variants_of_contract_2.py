"""ACGAN, InfoGAN, BEGAN and BiGAN, by parametrisation: shapes, ranges, priors, precision, what they cannot make."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys

import pytest
import torch
from building import SPECS as ALL
from building import build, inputs

from ganzoo import GANZOO_API, UserError
from ganzoo.gan import named
from ganzoo_dcgan import SIZES

NAMES = ["acgan", "infogan", "began", "bigan"]
SPECS = {name: ALL[name] for name in NAMES}
PLUGINS = [importlib.import_module(f"ganzoo_{name}") for name in NAMES]


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def test_the_specs() -> None:
    assert [name for name in NAMES if SPECS[name].conditional] == ["acgan"]
    assert [name for name in NAMES if not SPECS[name].per_sample_critic] == ["bigan"]
    for plugin in PLUGINS:
        assert plugin.GANZOO_API == GANZOO_API
    for spec in SPECS.values():
        assert spec.paper
        assert spec.summary
        assert spec.sizes == SIZES
        assert isinstance(spec.target, str)
        known = {f"variant.{setting.name}" for setting in spec.settings}
        for preset in spec.presets.values():
            assert {key for key in preset if key.startswith("variant.")} <= known


def test_headers_do_not_import_torch() -> None:
    imports = ", ".join(plugin.__name__ for plugin in PLUGINS)
    hooks = "; ".join(f"{plugin.__name__}.register_variants()" for plugin in PLUGINS)
    code = f"import sys, {imports}; {hooks}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("colors", [1, 3])
def test_shapes_and_range(name: str, size: int, colors: int) -> None:
    gan = build(name, size, colors)
    images, z, labels = inputs(gan, size, colors)
    with torch.no_grad():
        generated = gan.generator(z, labels)
        said = gan.discriminator(images, labels)
    assert generated.shape == (4, colors, size, size)
    assert generated.dtype == torch.float32
    assert generated.abs().max() <= 1
    assert set(said) == {"logits", *SPECS[name].gives}
    assert said["logits"].shape == (4,)
    assert {value.shape[0] for value in said.values()} == {4}
    if "features" in said:
        assert said["features"].ndim == 2


@pytest.mark.parametrize("name", NAMES)
def test_the_discriminator_is_not_told_the_class(name: str) -> None:
    gan = build(name)
    images, _, labels = inputs(gan)
    torch.testing.assert_close(gan.discriminator(images, labels), gan.discriminator(images, None), rtol=0, atol=0)


@pytest.mark.parametrize("name", [name for name in NAMES if SPECS[name].per_sample_critic])
def test_a_per_sample_critic_does_not_mix_samples(name: str) -> None:
    gan = build(name, per_sample=True)
    images, _, labels = inputs(gan)
    images.requires_grad_()
    for value in named(gan.discriminator(images, labels), "logits").values():
        (gradient,) = torch.autograd.grad(value[0].sum(), images, retain_graph=True)
        assert gradient[0].ne(0).any()
        assert gradient[1:].abs().max() == 0


@pytest.mark.parametrize("name", NAMES)
def test_networks_never_wait_for_the_device(name: str) -> None:
    # The meta device has no data: any step that needs a tensor's value on the host raises.
    with torch.device("meta"):
        gan = build(name)
        images, z, labels = inputs(gan)
        said = gan.discriminator(gan.generator(z, labels), labels)
        sum(value.sum() for value in said.values()).backward()
        gan.discriminator(images, labels)["logits"].sum().backward()


@pytest.mark.parametrize("name", NAMES)
def test_networks_run_under_bf16_autocast_and_in_channels_last(name: str) -> None:
    gan = build(name)
    images, z, labels = inputs(gan)
    gan.generator.eval()
    gan.discriminator.eval()
    with torch.no_grad():
        plain = gan.generator(z, labels), gan.discriminator(images, labels)
        gan.generator.to(memory_format=torch.channels_last)
        gan.discriminator.to(memory_format=torch.channels_last)
        images = images.contiguous(memory_format=torch.channels_last)
        generated, said = gan.generator(z, labels), gan.discriminator(images, labels)
        torch.testing.assert_close((generated, said), plain)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            generated, logits = gan.generator(z, labels), gan.discriminator(images, labels)["logits"]
    torch.testing.assert_close(generated.float(), plain[0], rtol=0, atol=0.1)
    torch.testing.assert_close(logits.float(), plain[1]["logits"], rtol=0.1, atol=0.1)


@pytest.mark.parametrize("name", NAMES)
def test_sizes_a_network_cannot_make_are_the_users_error(name: str) -> None:
    with pytest.raises(UserError, match="cannot make images of 30x30"):
        build(name, 30)


@pytest.mark.parametrize("name", NAMES)
def test_networks_are_short(name: str) -> None:
    # They are the proof that the contract is wide enough.
    source = inspect.getsource(importlib.import_module(f"ganzoo_{name}.networks"))
    assert sum(bool(line.strip()) for line in source.splitlines()) <= 120
