"""StyleGAN2's networks: styles, mixing, truncation, classes, and a batch that D compares, under R1 as well."""

from __future__ import annotations

import pytest
import torch
from building import batch_of, every, inputs, reached
from built import built
from regularized import terms_of

from ganzoo import GAN, UserError
from ganzoo.engine.probes.independence import depends_on_others
from ganzoo_stylegan2 import register_variants
from ganzoo_stylegan2.networks import Generator

SPECS = {spec.name: spec for spec in register_variants()}


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def small(name: str = "stylegan2", size: int = 28, colors: int = 1, **more: object) -> GAN:
    return built(SPECS[name], size, colors, **({"z_dim": 6, "channels": 4, "widest": 8} | more))  # type: ignore[arg-type]


def test_the_specs() -> None:
    assert list(SPECS) == ["stylegan2", "cstylegan2", "stylegan2-ada"]
    assert [name for name, spec in SPECS.items() if spec.conditional] == ["cstylegan2"]
    for spec in SPECS.values():
        assert spec.regularizers == ("path-length", "r1")
        assert spec.defaults["train.beta2"] == 0.99
    assert SPECS["stylegan2-ada"].augmentations == ("ada",)


@pytest.mark.parametrize(("name", "size", "colors"), [("stylegan2", 28, 1), ("cstylegan2", 64, 3)])
def test_shapes_and_gradients(name: str, size: int, colors: int) -> None:
    gan = small(name, size, colors)
    images, z, labels = inputs(gan, size, colors)
    made = gan.generator(z, labels)
    assert made["images"].shape == images.shape
    assert made["images"].abs().max() <= 1
    assert made["w"].shape == (4, {28: 2 + 4, 64: 2 + 8}[size], 6)
    said = gan.discriminator(made["images"], labels)
    assert said["logits"].shape == (4,)
    assert said["features"].shape == (4, 8)
    said["logits"].square().sum().backward()
    assert reached(gan.generator) == every(gan.generator)
    assert reached(gan.discriminator) == every(gan.discriminator)


def test_widths_double_up_to_the_widest() -> None:
    gan = small("stylegan2", 64, channels=4, widest=32)
    widths = [conv.bias.shape[0] for conv in (gan.generator.first, *gan.generator.convs)]
    assert widths == [32, 32, 32, 16, 16, 8, 8, 4, 4]
    assert gan.discriminator.hidden.weight.shape == (32, 32 * 4 * 4)


def test_w_does_not_depend_on_the_length_of_z() -> None:
    gan = small(mixing=0.0)
    z = torch.randn(3, 6)
    torch.testing.assert_close(gan.generator(7 * z)["w"], gan.generator(z)["w"], rtol=1e-4, atol=1e-5)


def test_mixing_takes_another_w_from_some_layer_on() -> None:
    for share, mixed in ((0.0, 0), (1.0, 40)):
        generator = small(mixing=share).generator
        z = torch.randn(40, 6)
        w = generator(z)["w"]
        own = (w == generator.mapping(z)[:, None]).all(2)  # [N, layers]
        assert own[:, 0].all()
        assert (~own[:, -1]).sum() == mixed
        assert (own.int().diff(dim=1) <= 0).all()  # once away, it does not come back
        if mixed:
            assert set(own.sum(1).tolist()) == {1, 2, 3, 4, 5}
    generator = small(mixing=1.0).generator.eval()
    assert (generator(z)["w"].std(1) < 1e-6).all()


def test_truncation_is_a_way_towards_the_mean() -> None:
    generator = small().generator
    assert isinstance(generator, Generator)
    z = torch.randn(64, 6)
    for _ in range(3):
        generator(z)
    # The same w at each call: 1 - 0.995^3 of the way from 0.
    mean = generator.mapping(z).mean(0)
    torch.testing.assert_close(generator.mean, (1 - 0.995**3) * mean, rtol=1e-3, atol=1e-5)
    generator.eval()
    before = generator.mean.clone()
    full, half, none = (generator(z, truncation=psi) for psi in (1.0, 0.5, 0.0))
    assert torch.equal(generator.mean, before)
    assert torch.equal(generator(z)["images"], full["images"])
    torch.testing.assert_close(half["w"], (full["w"] + before) / 2)
    torch.testing.assert_close(none["images"], none["images"][:1].expand(64, -1, -1, -1))


def test_a_batch_is_compared_also_where_r1_penalises_the_sum_of_its_logits() -> None:
    images = torch.rand(8, 1, 28, 28) * 2 - 1
    free, penalised, alone = small(), small(per_sample=True), small(group=1)
    assert (free.batch_dependent, penalised.batch_dependent, alone.batch_dependent) == (True, True, False)
    assert penalised.summed_penalties
    assert depends_on_others(free.discriminator, images, None)
    assert depends_on_others(penalised.discriminator, images, None)
    assert not depends_on_others(alone.discriminator, images, None)
    (term,) = terms_of("r1")
    x = images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(penalised.discriminator(x, None)["logits"].sum(), x)
    value = term.loss(batch_of(penalised, images, torch.randn(8, 6), phase="D"))
    torch.testing.assert_close(value, 0.5 * gradient.square().flatten(1).sum(1))


def test_path_lengths_are_of_w_and_reach_the_mapping() -> None:
    gan = small(mixing=0.9)
    images, z, _ = inputs(gan)
    (term,) = terms_of("path-length")
    value = term.loss(batch_of(gan, images, z, phase="G"))
    assert value.shape == (2,)
    value.mean().backward()
    found = reached(gan.generator)
    assert {name for name in found if name.startswith("mapping.layers")}
    assert "start" in found
    with torch.autocast("cpu", dtype=torch.bfloat16):  # w stays what images are made from
        made = gan.generator(z)
        assert made["w"].dtype == torch.float32
        (gradient,) = torch.autograd.grad(made["images"].float().sum(), made["w"])
    assert gradient.ne(0).any()


def test_classes_matter_to_both() -> None:
    gan = small("cstylegan2")
    images, z, labels = inputs(gan)
    others = (labels + 1) % 3
    gan.generator.eval()
    assert not torch.allclose(gan.generator(z, labels)["w"], gan.generator(z, others)["w"])
    judge = gan.discriminator
    assert not torch.allclose(judge(images, labels)["logits"], judge(images, others)["logits"])
    assert torch.equal(judge(images, labels)["features"], judge(images, others)["features"])


def test_refusals() -> None:
    with pytest.raises(UserError, match="needs images with labels"):
        small("cstylegan2", classes=0)
    with pytest.raises(UserError, match="cannot make images of 36x36"):
        small(size=36)
