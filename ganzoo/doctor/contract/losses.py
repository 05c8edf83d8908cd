"""All that is checked of an objective and of a regularizer."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ganzoo.config.settings import resolve
from ganzoo.doctor.contract.case import BATCH, Case, smallest_case
from ganzoo.doctor.contract.differentiation import Differentiation
from ganzoo.doctor.contract.findings import FAILED, Finding, Findings, failed, guarded, ok, told, warning
from ganzoo.doctor.contract.gradients import check_gradients
from ganzoo.doctor.contract.training import check_training
from ganzoo.gan import Term
from ganzoo.objectives import Losses
from ganzoo.runs.losses import make_losses
from ganzoo.zoo.calls import call_target
from ganzoo.zoo.registry import Registry

LARGE = 1e4
"""A logit that a network may produce, and that losses have to survive."""

SHAPE = (1, 4, 4)
"""Of the images that a penalty is tried on."""

SUMMED = 1.5
"""Ratio of a loss's mean over two copies of a batch to that over one, from which it is a sum; a mean has 1."""

MEAN_CURE = "return one value per sample, or the mean"
FLAG_CURE = "say per_sample_gradients=True in the spec: then critics are built, and checked, to judge samples apart"


def check_objective(registry: Registry, name: str) -> Iterator[Finding]:
    losses = list(guarded("losses", lambda: _losses(registry, name)))
    if all(finding.status != FAILED for finding in losses):
        losses += guarded("penalty", lambda: _penalty(registry, name))
    yield from losses
    if any(finding.status == FAILED for finding in losses):
        return
    yield from _played(registry, objective=name)


def check_regularizer(registry: Registry, name: str) -> Iterator[Finding]:
    terms = list(guarded("flags", lambda: _flags(registry, name)))
    yield from terms
    if any(finding.status == FAILED for finding in terms):
        return
    yield from _played(registry, regularize=name)


def _played(registry: Registry, *, objective: str | None = None, regularize: str | None = None) -> Iterator[Finding]:
    """In training, with the smallest built-in variant that has what it needs."""
    made: list[Case] = []

    def fits() -> Findings:
        made.append(smallest_case(registry, objective=objective, regularize=regularize))
        config = made[0].config
        augmented = "".join(f" and {choice.name}" for choice in config.augmentations)
        yield ok("fit", f"tried with {config.variant.name}, {config.objective.name}{augmented}")

    yield from guarded("fit", fits, "mend the spec's needs, defaults or presets")
    if made:
        yield from check_gradients(made[0])
        yield from check_training(made[0])


def _made(registry: Registry, name: str) -> Losses:
    spec = registry.objective(name)
    return make_losses(registry, spec, resolve(spec.settings, {}, "objective"))


def _losses(registry: Registry, name: str) -> Findings:
    losses = _made(registry, name)
    for scale, what in ((1.0, "usual"), (LARGE, "large")):
        random = torch.Generator().manual_seed(0)
        real = (scale * torch.randn(BATCH, generator=random)).requires_grad_()
        fake = (scale * torch.randn(BATCH, generator=random)).requires_grad_()
        for field in ("d_loss", "g_loss"):
            given = (real, fake) if field == "d_loss" else (fake, real if losses.g_uses_real else None)
            try:
                loss = getattr(losses, field)(*given)
            except Exception as error:
                called = "d_loss(real, fake)" if field == "d_loss" else "g_loss(fake, real)"
                yield failed(
                    "losses",
                    f"{field} fails for logits [{BATCH}]: {told(error)}",
                    f"it is called as {called}; real is None in G's phase unless Losses says g_uses_real=True",
                )
                return
            wrong = _wrong(field, loss, what, {"real": real, "fake": fake})
            if wrong is not None:
                yield wrong
                return
            twice = getattr(_made(registry, name), field)(*(None if x is None else x.repeat(2) for x in given))
            if _grows(loss, twice):
                yield failed("losses", f"{field} grows with the size of the batch", MEAN_CURE)
                return
    if _same_side(losses):
        yield warning(
            "losses",
            "d_loss and g_loss move the logits of generated images the same way",
            "look at the signs: D and G play against each other",
        )
        return
    yield ok("losses", f"[N], finite for logits of {LARGE:g}, with gradients")


def _same_side(losses: Losses) -> bool:
    """Whether, wherever both have a gradient at generated images' logits, both have the same sign."""
    real, fake = torch.linspace(3, -3, BATCH), torch.linspace(-3, 3, BATCH).requires_grad_()
    (of_d,) = torch.autograd.grad(losses.d_loss(real, fake).sum(), fake)
    (of_g,) = torch.autograd.grad(losses.g_loss(fake, real if losses.g_uses_real else None).sum(), fake)
    product = of_d * of_g
    return bool((product >= 0).all() and (product > 0).any())


def _wrong(field: str, loss: object, what: str, logits: dict[str, Tensor]) -> Finding | None:
    if not isinstance(loss, Tensor) or (loss.ndim and loss.shape != (BATCH,)):
        found = list(loss.shape) if isinstance(loss, Tensor) else f"a {type(loss).__name__}"
        return failed(
            "losses", f"{field} returns {found} for logits [{BATCH}]", f"return one value per sample, [{BATCH}]"
        )
    if loss.dtype != torch.float32:
        return failed("losses", f"{field} is {loss.dtype}", "compute losses in float32: logits.float()")
    if not bool(loss.isfinite().all()):
        return failed(
            "losses", f"{field} is not finite for {what} logits", "use softplus and logsigmoid, not log of a sigmoid"
        )
    if not loss.requires_grad:
        return failed("losses", f"{field} has no gradient", "do not detach the logits")
    needed = ("real", "fake") if field == "d_loss" else ("fake",)
    for side in needed:
        (gradient,) = torch.autograd.grad(loss.sum(), logits[side], allow_unused=True, retain_graph=True)
        if gradient is None and what == "usual":
            return warning("losses", f"{field} does not depend on {side} logits", "make sure that this is meant")
        if gradient is not None and not bool(gradient.isfinite().all()):
            return failed(
                "losses", f"the gradient of {field} is not finite for {what} logits", "guard roots and logarithms"
            )
    return None


def _penalty(registry: Registry, name: str) -> Findings:
    """Of a critic that is one line, on random images."""
    spec, penalty = registry.objective(name), _made(registry, name).penalty
    if penalty is None:
        return
    random = torch.Generator().manual_seed(0)
    weights = torch.randn(SHAPE, generator=random).flatten().requires_grad_()
    real, fake = (torch.rand(BATCH, *SHAPE, generator=random) * 2 - 1 for _ in range(2))
    differentiation = Differentiation(SHAPE)
    critic = differentiation.shown(lambda images: (images.flatten(1) @ weights).sin())

    def value(*pair: Tensor) -> Tensor:
        torch.manual_seed(0)
        with differentiation.watching():
            return penalty(critic, *pair)

    found = value(real, fake)
    if not isinstance(found, Tensor) or (found.ndim and found.shape != (BATCH,)):
        shape = list(found.shape) if isinstance(found, Tensor) else f"a {type(found).__name__}"
        wrong = f"returns {shape} for {BATCH} images", f"return one value per sample, [{BATCH}]"
    elif not bool(found.isfinite().all()):
        wrong = "is not finite", "guard roots and divisions"
    elif not found.requires_grad:
        wrong = "has no gradient", "differentiate the critic with create_graph=True"
    elif differentiation.by_images and not spec.per_sample_gradients:
        wrong = "differentiates the critic by its images, and the spec does not say so", FLAG_CURE
    elif _grows(found, value(torch.cat([real, real]), torch.cat([fake, fake]))):
        wrong = "grows with the size of the batch", MEAN_CURE
    else:
        yield ok("penalty", "per sample" if found.ndim else "of the batch as a whole")
        return
    yield failed("penalty", f"penalty {wrong[0]}", wrong[1])


def _grows(loss: Tensor, of_two_copies: Tensor) -> bool:
    return abs(of_two_copies.mean().item()) > SUMMED * abs(loss.mean().item()) > 0


def _flags(registry: Registry, name: str) -> Findings:
    """Whether the spec says what its terms do."""
    spec = registry.regularizer(name)
    own = resolve(spec.settings, {}, "regularizer")
    settings = {"weight": float(spec.weight), "every": spec.every, **own}
    made = call_target(registry, "regularizers", spec, settings, form="(settings)")
    terms = [made] if isinstance(made, Term) else made
    if not isinstance(terms, (list, tuple)) or not all(isinstance(term, Term) for term in terms):
        yield failed("flags", f"the target returned a {type(made).__name__}, not terms", "return ganzoo.Term")
        return
    good = True
    for flag in ("per_sample_gradients", "progress"):
        says, does = getattr(spec, flag), any(getattr(term, flag) for term in terms)
        if says != does:
            good = False
            yield failed(
                "flags",
                f"{flag} is {says} in the spec and {does} in its terms",
                f"say {flag}=True in both if a term does that, in neither otherwise",
            )
    if good:
        yield ok("flags", f"{len(terms)} term{'s' if len(terms) > 1 else ''}")
