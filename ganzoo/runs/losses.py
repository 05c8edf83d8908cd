"""What an objective gives, looked at before a run and, where a loss fails in it, explained."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from ganzoo.objectives import Losses
from ganzoo.runs.checks import check_progress
from ganzoo.zoo.calls import BrokenPlugin, blame, call_target, misfit
from ganzoo.zoo.registry import Registry
from ganzoo.zoo.specs import Objective


def make_losses(registry: Registry, objective: Objective, settings: Mapping[str, Any]) -> Losses:
    """What the objective's target returns: losses that can be called.

    Raises:
        BrokenPlugin: it is none.
    """

    def wrong(cause: str, cure: str) -> BrokenPlugin:
        return blame(registry, "objectives", objective, cause, cure)

    losses = call_target(registry, "objectives", objective, settings, form="(settings)")
    if not isinstance(losses, Losses):
        raise wrong(
            f"its target returned a {type(losses).__name__}, not ganzoo.objectives.Losses",
            "return Losses(d_loss=..., g_loss=...)",
        )
    for name, form, count in (
        ("d_loss", "(real, fake)", 2),
        ("g_loss", "(fake, real)", 2),
        ("penalty", "(critic, real, fake)", 3),
    ):
        function = getattr(losses, name)
        if function is None and name == "penalty":
            continue
        if not callable(function):
            raise wrong(f"{name} is a {type(function).__name__}, not a function", f"give a function of {form}")
        problem = misfit(function, *[None] * count)
        if problem:
            more = "; real is None unless g_uses_real=True" if name == "g_loss" else ""
            raise wrong(f"{name} is called as {form}, it {problem}", f"write it as a function of {form}{more}")
    check_progress(registry, "objectives", objective, losses.terms)
    return losses


@contextlib.contextmanager
def explained(registry: Registry, objective: Objective, losses: Losses) -> Iterator[None]:
    """Mistakes in losses that only show when they are called, by what torch then says: nothing is called for it here.

    Raises:
        BrokenPlugin: for those that can be told; any other exception goes on as it is.
    """
    try:
        yield
    except (TypeError, AttributeError, RuntimeError) as error:
        cause, cure = _mistake(error, losses)
        if not cause:
            raise
        raise blame(registry, "objectives", objective, f"{cause} ({str(error).splitlines()[0]})", cure) from error


def _mistake(error: BaseException, losses: Losses) -> tuple[str, str]:
    text = str(error)
    codes = set()
    at = error.__traceback__
    while at is not None:
        codes.add(at.tb_frame.f_code)
        at = at.tb_next
    if "NoneType" in text and not losses.g_uses_real and getattr(losses.g_loss, "__code__", None) in codes:
        return "g_loss reads real, which is None", "say Losses(..., g_uses_real=True)"
    if "does not require grad" in text:
        return "a loss has no gradient", "compute it from the logits, without detach, item or no_grad"
    if "modified by an inplace operation" in text:
        return (
            "a loss, or a network, writes into what the other passes need",
            "leave out inplace=True and functions that end in _",
        )
    return "", ""
