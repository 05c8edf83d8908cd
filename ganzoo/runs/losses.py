"""What an objective gives, looked at before a run and, where a loss fails in it, explained."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from ganzoo.config.run_config import RunConfig
from ganzoo.engine.game import Game
from ganzoo.errors import GameError
from ganzoo.objectives import Losses
from ganzoo.runs.terms import check_terms
from ganzoo.zoo.calls import BrokenPlugin, blame, call_target, misfit
from ganzoo.zoo.registry import Registry
from ganzoo.zoo.specs import Objective, Spec


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
    check_terms(registry, "objectives", objective, losses.terms)
    return losses


@contextlib.contextmanager
def explained(registry: Registry, config: RunConfig, game: Game) -> Iterator[None]:
    """Mistakes in losses that only show when they are called, by what torch then says: nothing is called for it here.

    Raises:
        BrokenPlugin: for those that can be told; any other exception goes on as it is.
    """
    try:
        yield
    except GameError as error:
        owner = _owner(registry, config, game, error.piece)
        if owner is None:
            raise
        raise blame(registry, *owner, error.cause, error.cure) from error
    except (TypeError, AttributeError, RuntimeError) as error:
        cause, cure = _mistake(error, game.losses)
        if not cause:
            raise
        objective = registry.objective(config.objective.name)
        raise blame(registry, "objectives", objective, f"{cause} ({str(error).splitlines()[0]})", cure) from error


def _owner(registry: Registry, config: RunConfig, game: Game, piece: str) -> tuple[str, Spec] | None:
    """Kind and spec of what `GameError.piece` names; None: it cannot be told."""
    if piece == "objective" or piece in (term.name for term in game.losses.terms):
        return "objectives", registry.objective(config.objective.name)
    if piece == "variant" or piece in (term.name for term in game.gan.terms):
        return "variants", registry.variant(config.variant.name)
    names = [choice.name for choice in config.regularizers]
    name = piece if piece in names else names[0] if len(names) == 1 else None
    return None if name is None else ("regularizers", registry.regularizer(name))


def _mistake(error: BaseException, losses: Losses) -> tuple[str, str]:
    text = str(error)
    codes = set()
    at = error.__traceback__
    while at is not None:
        codes.add(at.tb_frame.f_code)
        at = at.tb_next
    if "NoneType" in text and not losses.g_uses_real and getattr(losses.g_loss, "__code__", None) in codes:
        return "g_loss reads real, which is None", "say Losses(..., g_uses_real=True)"
    if "modified by an inplace operation" in text:
        return (
            "a loss, or a network, writes into what the other passes need",
            "leave out inplace=True and functions that end in _",
        )
    return "", ""
