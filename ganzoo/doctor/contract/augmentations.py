"""All that is checked of an augmentation."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ganzoo.config.settings import resolve
from ganzoo.doctor.contract.case import smallest_case
from ganzoo.doctor.contract.findings import FAILED, Finding, Findings, failed, guarded, ok, told
from ganzoo.doctor.contract.gradients import check_device
from ganzoo.doctor.contract.training import check_training
from ganzoo.doctor.contract.waiting import CURE, Waited, not_read
from ganzoo.zoo.calls import call_target
from ganzoo.zoo.registry import Registry

SIZE = 16
PLAIN = (bool, int, float, str, type(None))


def check_augmentation(registry: Registry, name: str) -> Iterator[Finding]:
    first = list(guarded("shapes", lambda: _shapes(registry, name)))
    yield from first
    if any(finding.status == FAILED for finding in first):
        return
    random = list(guarded("random numbers", lambda: _random(registry, name)))
    yield from random
    if all(finding.status != FAILED for finding in random):  # else two calls cannot be compared
        yield from guarded("samples apart", lambda: _apart(registry, name))
    yield from guarded(
        "derivatives", lambda: _derivatives(registry, name), "use operations that torch differentiates twice"
    )
    yield from guarded("state", lambda: _state(registry, name))
    yield from guarded("no waiting", lambda: _no_waiting(registry, name))
    made = []

    def fits() -> Findings:
        made.append(smallest_case(registry, augment=name))
        yield ok("fit", f"tried with {made[0].config.variant.name}")

    yield from guarded("fit", fits)
    for case in made:
        yield from check_device(case)
        yield from (finding for finding in check_training(case) if finding.check != "no waiting")


def _build(registry: Registry, name: str, channels: int = 3) -> nn.Module:
    spec = registry.augmentation(name)
    settings, shape = resolve(spec.settings, {}, "augmentation"), (channels, SIZE, SIZE)
    module: nn.Module = call_target(registry, "augmentations", spec, settings, shape, form="(settings, shape)")
    return module


def _images(count: int = 8, channels: int = 3, seed: int = 0) -> Tensor:
    return torch.rand(count, channels, SIZE, SIZE, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def _drawn(module: nn.Module, images: Tensor, seed: int = 0) -> Tensor:
    torch.manual_seed(seed)
    made: Tensor = module(images)
    return made


def _shapes(registry: Registry, name: str) -> Findings:
    for channels in (1, 3):
        module = _build(registry, name, channels)
        if not isinstance(module, nn.Module):
            yield failed("shapes", f"the target returned a {type(module).__name__}", "return a torch.nn.Module")
            return
        images = _images(channels=channels)
        seen = images.clone()
        made = _drawn(module, seen)
        if not isinstance(made, Tensor) or made.shape != images.shape or made.dtype != torch.float32:
            found = f"{made.dtype} {list(made.shape)}" if isinstance(made, Tensor) else type(made).__name__
            yield failed("shapes", f"it returns {found} for float32 {list(images.shape)}", "return that")
            return
        if not bool(made.isfinite().all()):
            yield failed("shapes", "it returns numbers that are not finite", "guard roots and divisions")
            return
        if not torch.equal(seen, images):
            yield failed("shapes", "it writes into the images it is given", "clone them first")
            return
    if list(_build(registry, name).parameters()):
        yield failed("shapes", "it has parameters, which nothing trains", "make them buffers")
        return
    yield ok("shapes", f"1x{SIZE}x{SIZE}, 3x{SIZE}x{SIZE}")


def _apart(registry: Registry, name: str) -> Findings:
    module, images = _build(registry, name), _images()
    others = images.clone()
    others[1::2] = _images(seed=1)[1::2]
    if not torch.equal(_drawn(module, images)[::2], _drawn(module, others)[::2]):
        yield failed(
            "samples apart",
            "an image depends on the others of its batch: gradient penalties would be wrong",
            "take no mean, norm or permutation over the batch",
        )
        return
    yield ok("samples apart", "each image is made of itself alone")


def _random(registry: Registry, name: str) -> Findings:
    module, images = _build(registry, name), _images(64)
    if not torch.equal(_drawn(module, images), _drawn(module, images)):
        yield failed(
            "random numbers",
            "the same state of torch's generator gives other images",
            "draw random numbers from torch, on the device of the images: a run could not be continued exactly",
        )
        return
    yield ok("random numbers", "of torch's generator alone")


def _derivatives(registry: Registry, name: str) -> Findings:
    module, images = _build(registry, name), _images(4).requires_grad_()
    made = _drawn(module, images)
    if not made.requires_grad:
        yield failed("derivatives", "images come out detached: G would get no gradient", "do not use no_grad or detach")
        return
    # The sine, because most augmentations are linear, and would have no second derivative.
    (gradient,) = torch.autograd.grad(made.sin().sum(), images, create_graph=True)
    (second,) = torch.autograd.grad(gradient.square().sum(), images)
    if not bool(gradient.isfinite().all() and second.isfinite().all()):
        yield failed("derivatives", "a derivative is not finite", "guard roots and divisions")
        return
    yield ok("derivatives", "twice differentiable")


def _state(registry: Registry, name: str) -> Findings:
    module = _build(registry, name)
    # Held, not only their addresses: memory that a replaced buffer frees may be given to a later one.
    held = {key: buffer.detach() for key, buffer in module.named_buffers()}
    before = {key: value for key, value in vars(module).items() if isinstance(value, PLAIN)}
    update = getattr(module, "update", None)
    for seed in range(6):
        _drawn(module, _images(seed=seed))
        if update is not None:
            with torch.no_grad():
                update(torch.randn(8))
    changed = [key for key, value in before.items() if vars(module)[key] != value]
    moved = [key for key, buffer in module.named_buffers() if key not in held or not held[key].is_set_to(buffer)]
    if changed or moved:
        found = f"the attribute '{changed[0]}' changes" if changed else f"the buffer '{moved[0]}' is replaced"
        yield failed("state", f"{found} from call to call", "keep it in a buffer, written in place: copy_(), add_()")
        return
    yield ok("state", f"buffers: {', '.join(held) or 'none'}")


def _no_waiting(registry: Registry, name: str) -> Findings:
    module, images = _build(registry, name), _images().requires_grad_()
    try:
        with not_read():
            module(images).sum().backward()
            update = getattr(module, "update", None)
            if update is not None:
                with torch.no_grad():
                    update(torch.randn(8))
    except Waited as error:
        yield failed("no waiting", f"it reads a tensor on the host: {told(error)}", CURE)
        return
    yield ok("no waiting", "nothing waits for the device")
