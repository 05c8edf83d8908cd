"""Checks of a variant's networks, called outside of training."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ganzoo.doctor.contract.case import Case, make_case
from ganzoo.doctor.contract.findings import Finding, Findings, failed, guarded, ok, warning
from ganzoo.engine.probes.independence import depends_on_others
from ganzoo.gan import VariantConfig, named
from ganzoo.runs.checks import check_networks as check_called

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
    yield from guarded("range of images", lambda: _range_of_images(case))
    yield from guarded("range of logits", lambda: _range_of_logits(case))
    yield from guarded("samples apart", lambda: _apart(case))
    yield from guarded("eval mode", lambda: _eval_mode(case))


def _shapes(case: Case) -> Findings:
    """As built for each shape, called as before a run, then as in one."""
    spec, tried = case.spec, []
    for size in sorted(spec.sizes)[:2] if spec.sizes else [28, 32]:
        for channels in spec.channels:
            one = make_case(
                case.registry, spec.name, objective=case.config.objective.name, channels=channels, size=size
            )
            gan = one.gan()
            check_called(case.registry, spec, gan, one.shape, one.classes)
            real, labels = one.real()
            check_called(
                case.registry,
                spec,
                gan,
                one.shape,
                one.classes,
                given=(torch.randn(len(real), gan.z_dim), real, labels),
            )
            tried.append(f"{channels}x{size}x{size}")
    counts = [f"{name} {sum(p.numel() for p in one.parameters()):,}" for name, one in case.game().networks().items()]
    yield ok("shapes", f"{', '.join(tried)}; parameters: {', '.join(counts)}")


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
