"""What every augmentation that ships holds: the promises of `ganzoo.Augmentation`."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from ganzoo import Augmentation, UserError, gradient_penalty
from ganzoo_augment import register_augmentations

SPECS: dict[str, Augmentation] = {spec.name: spec for spec in register_augmentations()}

CASES = [
    ("flip", {}),
    ("instance-noise", {"deviation": 0.3}),
    ("diffaug", {}),
    ("diffaug", {"policy": "color"}),
    ("diffaug", {"policy": "translation, cutout"}),
    ("ada", {"p": 0.0}),
    ("ada", {"p": 0.5}),
    ("ada", {"p": 1.0}),
    ("ada", {"p": 1.0, "pipeline": "b"}),
    ("ada", {"p": 1.0, "pipeline": "bg"}),
    ("ada", {"p": 1.0, "pipeline": "c"}),
]
cases = pytest.mark.parametrize(
    ("name", "settings"), CASES, ids=[" ".join([name, *map(str, settings.values())]) for name, settings in CASES]
)


def build(name: str, settings: dict[str, Any], size: int = 8, channels: int = 3) -> nn.Module:
    config = {setting.name: setting.default for setting in SPECS[name].settings} | settings
    return SPECS[name].load()(config, (channels, size, size))


def images(n: int, size: int = 8, channels: int = 3, *, seed: int = 0) -> Tensor:
    return torch.rand(n, channels, size, size, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def drawn(module: nn.Module, batch: Tensor, seed: int = 0) -> Tensor:
    torch.manual_seed(seed)
    return module(batch)


@cases
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [8, 9, 28, 48, 128])
def test_shape_dtype_and_layout(name: str, settings: dict[str, Any], size: int, channels: int) -> None:
    module, batch = build(name, settings, size, channels), images(3, size, channels)
    result = drawn(module, batch)
    assert result.shape == batch.shape
    assert result.dtype == torch.float32
    assert result.isfinite().all()
    assert torch.equal(batch, images(3, size, channels))
    # Sums over an image may be taken in another order.
    torch.testing.assert_close(drawn(module, batch.to(memory_format=torch.channels_last)), result, rtol=1e-5, atol=1e-6)


@cases
def test_each_image_from_itself_alone(name: str, settings: dict[str, Any]) -> None:
    module, batch, others = build(name, settings), images(6), images(6, seed=1)
    result = drawn(module, batch)
    for image in range(6):
        alone = others.clone()
        alone[image] = batch[image]
        assert torch.equal(drawn(module, alone)[image], result[image])


@cases
def test_random_numbers_are_torchs_alone(name: str, settings: dict[str, Any]) -> None:
    module, batch = build(name, settings), images(16)
    torch.manual_seed(0)
    first, second = module(batch), module(batch)
    assert torch.equal(drawn(module, batch), first)
    assert torch.equal(first, second) == (settings.get("p") == 0.0)


@cases
@pytest.mark.parametrize("channels", [1, 3])
def test_derivatives_of_both_orders(name: str, settings: dict[str, Any], channels: int) -> None:
    module = build(name, settings, 4, channels).double()
    batch = images(2, 4, channels).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: drawn(module, x), batch)
    # The sine, because most augmentations are linear, and have no second derivative that could be wrong.
    assert torch.autograd.gradgradcheck(lambda x: drawn(module, x).sin(), batch, fast_mode=True)


@cases
def test_gradient_penalties_pass_through(name: str, settings: dict[str, Any]) -> None:
    module, critic = build(name, settings), nn.Sequential(nn.Flatten(), nn.Linear(192, 4), nn.Tanh(), nn.Linear(4, 1))
    gradient_penalty(lambda x: critic(module(x)).flatten(), images(4), images(4, seed=1)).mean().backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in critic[1].parameters())
    assert critic[1].weight.grad.abs().sum() > 0


@cases
def test_gradients_in_batches(name: str, settings: dict[str, Any]) -> None:
    module, batch = build(name, settings, 4), images(2, 4).requires_grad_()
    result = drawn(module, batch)
    directions = torch.randn(3, *result.shape)
    (together,) = torch.autograd.grad(result, batch, directions, is_grads_batched=True, retain_graph=True)
    one_by_one = [torch.autograd.grad(result, batch, direction, retain_graph=True)[0] for direction in directions]
    torch.testing.assert_close(together, torch.stack(one_by_one))


@cases
def test_nothing_waits_for_the_device(name: str, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    module, batch, logits = build(name, settings), images(4).requires_grad_(), torch.randn(4)

    def sync(self: Tensor, *arguments: Any) -> Any:
        raise AssertionError("reads a tensor on the host")

    with monkeypatch.context() as patch:
        for method in ("item", "tolist", "numpy", "cpu", "__bool__", "__float__", "__int__", "__index__", "nonzero"):
            patch.setattr(Tensor, method, sync)
        module(batch).sum().backward()
        if hasattr(module, "update"):
            with torch.no_grad():
                for _ in range(5):
                    module.update(logits)


@cases
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_shapes_are_static_and_all_is_on_the_device(name: str, settings: dict[str, Any], device: str) -> None:
    """Tensors without numbers: what would read one raises, and so does what mixes devices."""
    with FakeTensorMode():
        module = build(name, settings).to(device)
        batch = torch.empty(4, 3, 8, 8, device=device)
        result = module(batch)
        assert result.shape == batch.shape
        assert result.device.type == device
        if hasattr(module, "update"):
            with torch.no_grad():
                module.update(torch.empty(4, device=device))


@cases
def test_what_is_kept_is_kept_in_buffers(name: str, settings: dict[str, Any]) -> None:
    module = build(name, settings)
    before, buffers = dict(vars(module)), {key: buffer.data_ptr() for key, buffer in module.named_buffers()}
    module(images(2))
    if hasattr(module, "update"):
        with torch.no_grad():
            for _ in range(9):
                module.update(torch.ones(2))
    assert vars(module) == before
    assert {key: buffer.data_ptr() for key, buffer in module.named_buffers()} == buffers
    assert not list(module.parameters())


def test_loading_the_plugin_does_not_import_torch() -> None:
    code = "import sys, ganzoo_augment; ganzoo_augment.register_augmentations(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("policy", ["", "color,rotation", "color,,cutout", "Color"])
def test_policies_that_are_none(policy: str) -> None:
    with pytest.raises(UserError, match="diffaug has no policy") as refused:
        build("diffaug", {"policy": policy})
    assert "color, translation, cutout" in refused.value.cure


def test_instance_noise_has_the_deviation_that_was_asked_for() -> None:
    batch = images(400, 16, 1)
    noise = drawn(build("instance-noise", {"deviation": 0.3}, 16, 1), batch) - batch
    assert abs(float(noise.mean())) < 0.005
    assert float(noise.std()) == pytest.approx(0.3, rel=0.01)
    assert abs(float((noise[:, :, 1:] * noise[:, :, :-1]).mean())) < 0.001  # pixels are independent
