"""All that is checked of an objective and of a regularizer."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ganzoo.config.settings import resolve
from ganzoo.doctor.contract.case import BATCH, Case, smallest_case
from ganzoo.doctor.contract.findings import Finding, Findings, failed, guarded, ok, told, warning
from ganzoo.doctor.contract.gradients import check_gradients
from ganzoo.doctor.contract.training import check_training
from ganzoo.gan import Term
from ganzoo.objectives import Losses
from ganzoo.zoo.registry import Registry

LARGE = 1e4
"""A logit that a network may produce, and that losses have to survive."""


def check_objective(registry: Registry, name: str) -> Iterator[Finding]:
    losses = list(guarded("losses", lambda: _losses(registry, name)))
    yield from losses
    if any(finding.status == "FAILED" for finding in losses):
        return
    yield from _played(registry, objective=name)


def check_regularizer(registry: Registry, name: str) -> Iterator[Finding]:
    terms = list(guarded("flags", lambda: _flags(registry, name)))
    yield from terms
    if any(finding.status == "FAILED" for finding in terms):
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


def _losses(registry: Registry, name: str) -> Findings:
    spec = registry.objective(name)
    losses = spec.load()(resolve(spec.settings, {}, "objective"))
    if not isinstance(losses, Losses):
        yield failed("losses", f"the target returned a {type(losses).__name__}, not Losses", "return ganzoo.Losses")
        return
    if losses.penalty is not None and not spec.per_sample_gradients:
        yield warning(
            "flags",
            "it has a penalty, and the spec does not say per_sample_gradients",
            "say per_sample_gradients=True if the penalty differentiates the critic by its images",
        )
    for scale, what in ((1.0, "usual"), (LARGE, "large")):
        random = torch.Generator().manual_seed(0)
        real = (scale * torch.randn(BATCH, generator=random)).requires_grad_()
        fake = (scale * torch.randn(BATCH, generator=random)).requires_grad_()
        for field in ("d_loss", "g_loss"):
            try:
                if field == "d_loss":
                    loss = losses.d_loss(real, fake)
                else:
                    loss = losses.g_loss(fake, real if losses.g_uses_real else None)
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
    yield ok("losses", f"[N], finite for logits of {LARGE:g}, with gradients")


def _wrong(field: str, loss: object, what: str, logits: dict[str, Tensor]) -> Finding | None:
    if not isinstance(loss, Tensor) or loss.shape != (BATCH,):
        found = list(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
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


def _flags(registry: Registry, name: str) -> Findings:
    """Whether the spec says what its terms do."""
    spec = registry.regularizer(name)
    own = resolve(spec.settings, {}, "regularizer")
    made = spec.load()({"weight": float(spec.weight), "every": spec.every, **own})
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
