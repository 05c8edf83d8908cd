"""Checks of a variant's networks, called outside of training."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ganzoo.doctor.contract.case import Case, make_case
from ganzoo.doctor.contract.findings import Finding, Findings, failed, guarded, ok, told, warning
from ganzoo.engine.probes.independence import depends_on_others
from ganzoo.gan import GAN, VariantConfig, named

BATCHES = 16
"""Images that are looked at."""

REDRAWN = 4
"""Networks with weights drawn anew, which are asked whether their range is one whatever the weights."""

EVAL_TOLERANCE = 1e-3
"""Change of an image, of [-1, 1], with the rest of its batch: rounding makes one of 1e-6."""


def check_networks(case: Case) -> Iterator[Finding]:
    """All of them; the rest are not tried where the networks cannot be called."""
    shapes = list(guarded("shapes", lambda: _shapes(case)))
    yield from shapes
    if any(finding.status == "FAILED" for finding in shapes):
        return
    yield from guarded("registered", lambda: _registered(case))
    yield from guarded("range of images", lambda: _range_of_images(case))
    yield from guarded("range of logits", lambda: _range_of_logits(case))
    yield from guarded("samples apart", lambda: _apart(case))
    yield from guarded("inputs unchanged", lambda: _unchanged(case))
    yield from guarded("eval mode", lambda: _eval_mode(case))


def _shapes(case: Case) -> Findings:
    spec = case.spec
    sizes = sorted(spec.sizes)[:2] if spec.sizes else [28, 32]
    tried = []
    for size in sizes:
        for channels in spec.channels:
            one = make_case(
                case.registry,
                spec.name,
                objective=case.config.objective.name,
                channels=channels,
                size=size,
            )
            at = f"for {size}x{size} images of {channels} channel{'s' if channels > 1 else ''}"
            wrong = _wrong_shapes(one, one.gan())
            if wrong is not None:
                yield failed("shapes", f"{wrong[0]}, {at}", wrong[1])
                return
            tried.append(f"{channels}x{size}x{size}")
    yield ok("shapes", ", ".join(tried))


def _wrong_shapes(case: Case, gan: GAN) -> tuple[str, str] | None:
    """What is found, and its cure."""
    for name, network in (("generator", gan.generator), ("discriminator", gan.discriminator)):
        if not isinstance(network, nn.Module):
            return f"GAN.{name} is a {type(network).__name__}, not a torch.nn.Module", f"give GAN a module as {name}"
    real, labels = case.real()
    given = "labels int64 [N]" if labels is not None else "labels, which are None without conditional=True"
    try:
        z = gan.prior(torch.randn(len(real), gan.z_dim))
    except Exception as error:
        return f"GAN.prior fails: {told(error)}", "a prior maps float32 [N, z_dim] to the same shape"
    if z.shape != (len(real), gan.z_dim):
        return f"GAN.prior gives {list(z.shape)} for z_dim={gan.z_dim}", "a prior maps [N, z_dim] to the same shape"
    with torch.no_grad():
        try:
            made = named(gan.generator.train()(z, labels), "images")
        except Exception as error:
            return (
                f"the generator fails for z {list(z.shape)}: {told(error)}",
                f"it is called as generator(z, labels): z float32 [N, z_dim], GAN.z_dim is {gan.z_dim}, and {given}",
            )
        try:
            said = named(gan.discriminator.train()(real, labels), "logits")
        except Exception as error:
            return (
                f"the discriminator fails for images {list(real.shape)}: {told(error)}",
                f"it is called as discriminator(x, labels): x float32 [N,C,H,W], and {given}",
            )
    if "images" not in made or list(made["images"].shape) != list(real.shape):
        found = list(made["images"].shape) if "images" in made else f"a mapping of {', '.join(made)}"
        return f"the generator returns {found}, expected {list(real.shape)}", "return images [N,C,H,W] of `shape`"
    if "logits" not in said or list(said["logits"].shape) != [len(real)]:
        found = list(said["logits"].shape) if "logits" in said else f"a mapping of {', '.join(said)}"
        return (
            f"the discriminator returns {found}, expected [{len(real)}]",
            "return a logit per image: [N], not [N, 1]",
        )
    missing = [name for name in case.spec.gives if name not in said]
    if missing:
        return f"the discriminator does not return '{missing[0]}'", f"take '{missing[0]}' out of `gives`, or return it"
    for name, values in said.items():
        if name != "logits" and (values.ndim == 0 or len(values) != len(real)):
            return f"the discriminator's '{name}' is {list(values.shape)}", "each of its outputs is [N, ...]"
    for name, values in (("images", made["images"]), ("logits", said["logits"])):
        if not bool(values.isfinite().all()):
            return f"untrained {name} are not finite", "look at the initial weights"
    return None


def _networks(gan: GAN) -> dict[str, nn.Module]:
    parts = {f"part '{name}'": part.module for name, part in gan.parts.items()}
    return {"generator": gan.generator, "discriminator": gan.discriminator, **parts}


def _registered(case: Case) -> Findings:
    """Layers that torch does not know of are not trained, moved to a device or saved; those of two networks, twice."""
    networks = _networks(case.gan())
    owners: dict[int, str] = {}
    good = True
    for network, module in networks.items():
        parameters = dict(module.named_parameters())
        if not parameters:
            good = False
            yield failed(
                "registered",
                f"the {network} has no parameters",
                "keep its layers as attributes, or in nn.ModuleList and nn.Sequential instead of a Python list",
            )
        for path, part in module.named_modules():
            for attribute, value in vars(part).items():
                inside = (
                    value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
                )
                hidden = not attribute.startswith("_") and any(
                    isinstance(one, (nn.Module, nn.Parameter)) for one in inside
                )
                if hidden:
                    good = False
                    where = f"{path}.{attribute}" if path else attribute
                    yield failed(
                        "registered",
                        f"the {network} keeps layers in a Python container, '{where}', where torch does not find them",
                        "use nn.ModuleList, nn.ModuleDict or nn.ParameterList",
                    )
        for name, parameter in parameters.items():
            if id(parameter) in owners:
                good = False
                yield failed(
                    "registered",
                    f"'{name}' of the {network} is a parameter of the {owners[id(parameter)]}, too",
                    "give each network layers of its own; look at another's through Batch.parts, or detach it",
                )
                break
        owners |= {id(parameter): network for parameter in parameters.values()}
    if good:
        counts = [f"{name} {sum(p.numel() for p in one.parameters()):,}" for name, one in networks.items()]
        yield ok("registered", f"parameters: {', '.join(counts)}")


@torch.no_grad()
def _redrawn(network: nn.Module, seed: int) -> nn.Module:
    """A copy with other weights, some of them large."""
    random = torch.Generator().manual_seed(seed)
    other = copy.deepcopy(network)
    for parameter in other.parameters():
        parameter.copy_(0.3 * torch.randn(parameter.shape, generator=random))
    return other


@torch.no_grad()
def _range_of_images(case: Case) -> Findings:
    gan = case.gan()
    z, labels = gan.prior(torch.randn(BATCHES, gan.z_dim)), case.real(BATCHES)[1]

    def images(generator: nn.Module) -> Tensor:
        return named(generator(z, labels), "images")["images"]

    made = images(gan.generator)
    low, high = float(made.min()), float(made.max())
    if low < -1.001 or high > 1.001:
        yield warning(
            "range of images",
            f"untrained images are between {low:.3g} and {high:.3g}; pictures and scores are of clamped ones",
            "images are in [-1, 1]: end the generator in tanh, or keep its last layer small",
        )
        return
    others = [images(_redrawn(gan.generator, seed)) for seed in range(REDRAWN)]
    if all(float(one.min()) >= 0 for one in (made, *others)):
        yield warning(
            "range of images",
            "images are at least 0, whatever the weights, as if their range were [0, 1]",
            "images are in [-1, 1]: end the generator in tanh, not in a sigmoid",
        )
        return
    yield ok("range of images", f"between {low:.3g} and {high:.3g}")


@torch.no_grad()
def _range_of_logits(case: Case) -> Findings:
    gan = case.gan()
    real, labels = case.real(BATCHES)
    said = [
        named(network(real, labels), "logits")["logits"]
        for network in (gan.discriminator, *(_redrawn(gan.discriminator, seed) for seed in range(REDRAWN)))
    ]
    if all(float(one.min()) >= 0 and float(one.max()) <= 1 for one in said):
        yield warning(
            "range of logits",
            "logits are between 0 and 1, whatever the weights, as if they were probabilities",
            "return the last layer's output itself: the objective applies the sigmoid",
        )
        return
    yield ok("range of logits", f"between {float(said[0].min()):.3g} and {float(said[0].max()):.3g} untrained")


def _apart(case: Case) -> Findings:
    """Of the critic as built for gradient penalties, where the spec promises one, and as built otherwise."""
    spec = case.spec
    real, labels = case.real()
    if spec.per_sample_critic:
        torch.manual_seed(0)
        config = VariantConfig(settings=case.config.variant.settings, per_sample_critic=True)
        critic = spec.load()(config, case.shape, case.classes).discriminator
        if depends_on_others(critic, real, labels):
            norm = any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in critic.modules())
            yield failed(
                "samples apart",
                f"a logit depends on other images of the batch{', by batch norm' if norm else ''}, though "
                "config.per_sample_critic is true: gradient penalties would be wrong",
                "leave the layer out where config.per_sample_critic is true, or register with per_sample_critic=False",
            )
            return
    game = case.game()
    gan = game.gan
    if game.penalised and depends_on_others(gan.discriminator, real, labels):
        yield failed(
            "samples apart",
            "a logit depends on other images of the batch, and a penalty or a term differentiates D by its images",
            "leave the layer out, or that loss",
        )
        return
    norm = any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in gan.discriminator.modules())
    if gan.batch_dependent or norm:
        yield ok("samples apart", "batch_dependent" if gan.batch_dependent else "but for batch norm")
    elif depends_on_others(gan.discriminator, real, labels):
        yield failed(
            "samples apart",
            "a logit depends on other images of the batch, by other means than batch norm, and nothing says so",
            "register with batch_dependent=True, so that real and generated images are judged separately",
        )
    else:
        yield ok("samples apart", "each logit is of its own image alone")


@torch.no_grad()
def _unchanged(case: Case) -> Findings:
    gan = case.gan()
    real, labels = case.real()
    z = gan.prior(torch.randn(len(real), gan.z_dim))
    good = True
    for name, network, given in (("generator", gan.generator, z), ("discriminator", gan.discriminator, real)):
        seen, its_labels = given.clone(), None if labels is None else labels.clone()
        network(seen, its_labels)
        of_labels = its_labels is not None and labels is not None and not torch.equal(its_labels, labels)
        if of_labels or not torch.equal(seen, given):
            good = False
            what = "labels" if of_labels else {"generator": "z", "discriminator": "images"}[name]
            yield failed(
                "inputs unchanged",
                f"the {name} writes into its {what}, which others see after it",
                "use an operation that does not end in '_', or clone the input",
            )
    if good:
        yield ok("inputs unchanged")


@torch.no_grad()
def _eval_mode(case: Case) -> Findings:
    gan = case.gan()
    labels = case.real()[1]
    z = gan.prior(torch.randn(BATCHES // 2, gan.z_dim))
    others = z.clone()
    others[1::2] = gan.prior(3 * torch.randn(len(z) // 2, gan.z_dim))
    for _ in range(3):
        gan.generator.train()(z, labels)
    generator = gan.generator.eval()
    made = []
    for one in (z, others):
        torch.manual_seed(0)
        made.append(named(generator(one, labels), "images")["images"])
    if float((made[0] - made[1])[::2].abs().max()) > EVAL_TOLERANCE:
        yield failed(
            "eval mode",
            "in eval mode an image depends on the others of its batch: pictures and scores would not agree",
            "use running statistics in eval mode (self.training is False), as nn.BatchNorm2d does",
        )
    else:
        yield ok("eval mode", "each image is of its own z alone")
