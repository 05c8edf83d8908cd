"""What plugins give, looked at before a run: networks and callbacks. What breaks the contract is said in one line.

Networks are called once each, as before every run, on two zeros in eval mode, which changes nothing in them; more calls
are made only to find out why that failed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ganzoo.config.run_config import RunConfig
from ganzoo.engine.device import preserved_random_state
from ganzoo.gan import GAN
from ganzoo.runs.terms import check_parts, check_terms
from ganzoo.runs.watching import observer_problem
from ganzoo.zoo.calls import BrokenPlugin, blame, call_target, misfit
from ganzoo.zoo.registry import Registry
from ganzoo.zoo.specs import Variant

Blame = Callable[[str, str], BrokenPlugin]
_WIDEST = 4096
"""z_dim up to which others are tried, to say which one would do."""


def check_built(registry: Registry, variant: Variant, gan: Any) -> GAN:
    """What the variant's target returned: a GAN whose networks can be trained.

    Raises:
        BrokenPlugin: it is none.
    """

    def wrong(cause: str, cure: str) -> BrokenPlugin:
        return blame(registry, "variants", variant, cause, cure)

    if not isinstance(gan, GAN):
        raise wrong(
            f"its target returned {'nothing' if gan is None else f'a {type(gan).__name__}'}, not a ganzoo.GAN",
            "end it with return GAN(generator=..., discriminator=..., z_dim=...)",
        )
    if isinstance(gan.z_dim, bool) or not isinstance(gan.z_dim, int) or gan.z_dim < 1:
        raise wrong(f"GAN.z_dim is {gan.z_dim!r}, not a whole number from 1", "say how many numbers z has")
    check_parts(registry, variant, gan.parts)
    networks: dict[str, Any] = {"generator": gan.generator, "discriminator": gan.discriminator}
    networks |= {f"part '{name}'": part.module for name, part in gan.parts.items()}
    for name, network in networks.items():
        if not isinstance(network, nn.Module):
            raise wrong(f"the {name} is a {type(network).__name__}, not an nn.Module", "derive it from nn.Module")
    known = {id(parameter) for network in networks.values() for parameter in network.parameters()}
    for name, network in networks.items():
        _check_registered(name, network, known, wrong)
        if name in ("generator", "discriminator") and not any(p.requires_grad for p in network.parameters()):
            raise wrong(f"the {name} has no parameters to train", "keep its layers in attributes, or in nn.ModuleList")
    _check_apart(networks, wrong)
    check_terms(registry, "variants", variant, gan.terms)
    return gan


def _check_registered(name: str, network: nn.Module, known: set[int], wrong: Blame) -> None:
    """No layers or weights where torch does not see them."""
    for path, module in network.named_modules():
        for attribute, value in vars(module).items():
            if attribute in ("_parameters", "_buffers", "_modules"):
                continue
            if any(id(weight) not in known for weight in _hidden(value, 3)):
                where = ".".join(filter(None, (path, attribute)))
                kind = type(value).__name__
                raise wrong(
                    f"the {name} keeps layers or weights in {where}, a {kind}, where nothing trains or saves them",
                    f"use nn.ModuleList for layers and nn.Parameter for weights: self.{attribute} = "
                    f"{'nn.Parameter' if isinstance(value, Tensor) else 'nn.ModuleList'}(...)",
                )


def _hidden(value: Any, depth: int) -> Iterator[Tensor]:
    """Weights in a plain container, or a tensor that wants gradients."""
    if isinstance(value, Tensor):
        if value.requires_grad and value.is_leaf:
            yield value
    elif isinstance(value, nn.Module):
        yield from (parameter for parameter in value.parameters() if parameter.requires_grad)
    elif depth and isinstance(value, (list, tuple, Mapping)):
        for one in value.values() if isinstance(value, Mapping) else value:
            yield from _hidden(one, depth - 1)


def _check_apart(networks: Mapping[str, nn.Module], wrong: Blame) -> None:
    """No weight belongs to two networks: each would be moved by two optimizers."""
    owners: dict[int, tuple[str, str]] = {}
    for name, network in networks.items():
        for path, parameter in network.named_parameters():
            other, its_path = owners.setdefault(id(parameter), (name, path))
            if other != name:
                raise wrong(
                    f"the weight {path} of the {name} is {its_path} of the {other} as well, so both players move it",
                    "give each its own layer (copy.deepcopy makes one)",
                )


def check_networks(
    registry: Registry,
    variant: Variant,
    gan: GAN,
    shape: tuple[int, int, int],
    num_classes: int,
    given: tuple[Tensor, Tensor, Tensor | None] | None = None,
) -> None:
    """Run both networks once, on two zeros, in eval mode, which changes nothing in them. `given`: what they are called
    with instead, as in training, in train mode: normal noise [N, z_dim], images [N,C,H,W], labels.

    Raises:
        BrokenPlugin: a network cannot be called as (z, labels) or (x, labels), or returns something else than the
            contract says. What it raises itself keeps its traceback.
    """

    def wrong(cause: str, cure: str) -> BrokenPlugin:
        return blame(registry, "variants", variant, cause, cure)

    if given is None:
        labels = torch.arange(2) % max(num_classes, 1) if variant.conditional else None
        normal, x = torch.zeros(2, gan.z_dim), torch.zeros(2, *shape)
    else:
        normal, x, labels = given
    count = len(x)
    modes = [(module, module.training) for net in (gan.generator, gan.discriminator) for module in net.modules()]
    try:
        gan.generator.train(given is not None)
        gan.discriminator.train(given is not None)
        with torch.no_grad():
            z = _drawn(gan, normal, wrong)
            made = _called(gan.generator, "generator", "z", z, labels, wrong)
            images = _main_output(made, "generator", "images", [count, *shape], wrong)
            if not bool(images.isfinite().all()):
                with preserved_random_state(torch.device("cpu")):  # zeros alone may be what it cannot normalise
                    again = gan.generator(gan.prior(torch.randn(count, gan.z_dim)), labels)
                    images = _main_output(again, "generator", "images", [count, *shape], wrong)
                if not bool(images.isfinite().all()):
                    raise wrong(
                        "the untrained generator makes NaN or infinity", "mend its forward or its first weights"
                    )
            judged = _called(gan.discriminator, "discriminator", "x", x, labels, wrong)
            logits = _main_output(judged, "discriminator", "logits", [count], wrong)
            if given is not None and not bool(logits.isfinite().all()):
                raise wrong("the untrained discriminator says NaN or infinity", "mend its forward or its first weights")
            _check_others(judged, variant, count, wrong)
    finally:
        for module, training in modes:
            module.training = training


def _drawn(gan: GAN, normal: Tensor, wrong: Blame) -> Tensor:
    """z of the GAN's prior."""
    dim = getattr(gan.prior, "dim", gan.z_dim)  # of a structured code
    z = gan.prior(normal) if dim == gan.z_dim else normal.new_empty(len(normal), dim)
    if not isinstance(z, Tensor) or z.shape != normal.shape:
        found = f"{list(z.shape)}" if isinstance(z, Tensor) else f"a {type(z).__name__}"
        raise wrong(f"GAN.prior gives z of {found}, though z_dim is {gan.z_dim}", "give both the same dimension")
    return z


def _called(network: nn.Module, name: str, first: str, given: Tensor, labels: Tensor | None, wrong: Blame) -> Any:
    """The network's output, where it can be called so and leaves what it is given alone."""
    inputs = ((first, given), ("labels", labels))
    problem = misfit(network.forward, given, labels)
    if problem:
        raise wrong(
            f"the {name} is called as ({first}, labels), its forward {problem}",
            f"write forward(self, {first}, labels); labels are None where the variant is unconditional",
        )
    before = {what: None if tensor is None else (tensor._version, tensor.clone()) for what, tensor in inputs}
    try:
        output = network(given, labels)
    except Exception as error:
        if labels is None and "NoneType" in str(error) and not _fails_for_none(network, given):
            raise wrong(
                f"the {name} reads labels, which are None unless the spec says conditional=True ({error})",
                "say conditional=True in the spec, or do without labels",
            ) from error
        fitting = _fitting(network, given, labels) if name == "generator" else None
        if fitting is not None:
            raise wrong(
                f"the generator cannot take z of {list(given.shape)}, though GAN.z_dim is {given.shape[1]}",
                f"say z_dim={fitting}, which it takes, or mend its first layer",
            ) from error
        raise
    for what, tensor in inputs:
        was = before[what]
        if tensor is not None and was is not None and (tensor._version != was[0] or not torch.equal(tensor, was[1])):
            raise wrong(
                f"the {name} writes into its {what}, which others read after it",
                f"start from a copy, {what} = {what}.clone(), or leave out inplace=True and functions ending in _",
            )
    return output


def _fails_for_none(network: nn.Module, given: Tensor) -> bool:
    """Whether it still stumbles over a None where there are labels: then it is one of its own."""
    try:
        with preserved_random_state(torch.device("cpu")):
            network(given.clone(), torch.zeros(len(given), dtype=torch.int64))
    except Exception as error:
        return "NoneType" in str(error)
    return False


def _fitting(network: nn.Module, given: Tensor, labels: Tensor | None) -> int | None:
    """The z_dim that the generator does take, of those that the shapes of its weights suggest; None: none of them."""
    sizes = {size for parameter in network.parameters() for size in parameter.shape} - {given.shape[1]}
    for size in sorted(sizes):
        if size <= _WIDEST:
            with contextlib.suppress(Exception), preserved_random_state(torch.device("cpu")):
                network(torch.zeros(2, size), labels)
                return size
    return None


def _main_output(output: Any, network: str, main: str, expected: list[int], wrong: Blame) -> Tensor:
    """ "images" or "logits", of the shape that is expected."""
    if isinstance(output, Mapping):
        if main not in output:
            names = ", ".join(map(repr, output)) or "nothing"
            raise wrong(f"the {network} returns {names}, without {main!r}", f"return {{{main!r}: ..., ...}}")
        output = output[main]
    found = f"{list(output.shape)}" if isinstance(output, Tensor) else f"a {type(output).__name__}"
    if not isinstance(output, Tensor) or list(output.shape) != expected:
        raise wrong(
            f"the {network} returns {found} for a batch of {expected[0]}, expected {expected}",
            _shape_cure(output, main, expected),
        )
    if not output.is_floating_point():
        raise wrong(f"the {network} returns {main} as {output.dtype}", "return floating point numbers")
    return output


def _shape_cure(output: Any, main: str, expected: list[int]) -> str:
    if not isinstance(output, Tensor):
        return f'return {main} alone or, with others, by name: {{"{main}": ..., ...}}'
    if main == "images":
        return f"make images of `shape`, here {expected[1:]}"
    one_each = output.shape[:1] == (expected[0],) and output.numel() == expected[0]
    return "end with .flatten(): one number per image" if one_each else "one number per image: [N]"


def _check_others(judged: Any, variant: Variant, count: int, wrong: Blame) -> None:
    """D's other outputs: each of one image, and those that the spec says it gives."""
    others = {k: v for k, v in judged.items() if k != "logits"} if isinstance(judged, Mapping) else {}
    for name, value in others.items():
        if not isinstance(value, Tensor) or value.ndim < 1 or len(value) != count:
            found = f"{list(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
            raise wrong(
                f"the discriminator returns {name!r} as {found} for a batch of {count}", "return [N, ...], per image"
            )
    missing = [name for name in variant.gives if name not in others]
    if missing:
        raise wrong(
            f"gives names {missing[0]!r}, and the discriminator does not return it",
            f"return it, or mend gives; it returns: {', '.join(['logits', *others])}",
        )


def make_callbacks(registry: Registry, run: Any, config: RunConfig) -> list[Any]:
    """The observers that the config names.

    Raises:
        BrokenPlugin: one lacks a method: said before the run, not at its end.
    """
    made = []
    for name in config.callbacks:
        spec = registry.callback(name)
        callback = call_target(registry, "callbacks", spec, run, config, form="(run, config)")
        found = observer_problem(callback, f"what its target returns, a {type(callback).__name__},")
        if found is not None:
            raise blame(registry, "callbacks", spec, *found)
        made.append(callback)
    return made
