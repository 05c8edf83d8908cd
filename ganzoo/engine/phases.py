"""What a step does, as data: D, G and any further phase are the same six lines of the loop."""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ganzoo.config.run_config import Train
from ganzoo.engine.cpu.draws import backward
from ganzoo.engine.cpu.operations import Operations
from ganzoo.engine.cpu.optimizers import make_optimizer
from ganzoo.engine.device import Precision
from ganzoo.engine.game import Game
from ganzoo.engine.moment import Moment, Networks, Shared
from ganzoo.engine.probes.joint import Passes
from ganzoo.engine.ranks.group import ALONE, Ranks
from ganzoo.engine.rates import Rate, rate_of, rates_move
from ganzoo.engine.statistics import Statistics
from ganzoo.errors import GameError, RunError
from ganzoo.gan import GAN, Batch, Term
from ganzoo.gan import Phase as OwnPhase


@dataclass(frozen=True, kw_only=True)
class Phase:
    """Every `interval` steps: `loss` [N] is averaged, differentiated, and `optimizer` moves `module`."""

    name: str
    module: nn.Module  # what is moved: a network, or a list of them
    optimizer: torch.optim.Optimizer
    interval: int
    loss: Callable[[Moment, Sequence[Term]], Tensor]  # with the terms that are due
    see: Callable[[Shared], Moment]
    terms: Sequence[Term] = ()
    terms_alone: bool = False  # whether they are all its loss: it is due where one of them is
    made_of: tuple[Any, ...] = ()  # the objects behind `loss`: what Python keeps in them is watched
    generates: bool = False  # whether it moves G, and its batch carries G's graph
    rate: Rate | None = None  # of the learning rates; None: they stay
    clipped: list[Tensor] = field(default_factory=list)  # after the step, these are clamped to [-c, c]
    weight_clip: float | None = None  # c
    finish: Callable[[Moment], None] | None = None  # after the step

    @functools.cached_property
    def parameters(self) -> list[Tensor]:
        """The module's, looked up once, which takes as long as a small layer: they must not be replaced."""
        return list(self.module.parameters())

    @property
    def period(self) -> int:
        """Steps after which the same terms are due again."""
        return self.interval * math.lcm(*(term.every for term in self.terms))

    def due(self, step: int) -> tuple[Term, ...] | None:
        """The terms that are part of it after `step` steps, or None: it is not due itself."""
        if step % self.interval:
            return None
        update = step // self.interval
        terms = tuple(term for term in self.terms if update % term.every == 0)
        return None if self.terms_alone and not terms else terms


Due = tuple[Phase, tuple[Term, ...]]
"""A phase, and its terms that are due."""


def due_at(phases: Sequence[Phase], step: int) -> list[Due]:
    found = [(phase, phase.due(step)) for phase in phases]
    return [(phase, terms) for phase, terms in found if terms is not None]


def make_phases(
    game: Game,
    train: Train,
    precision: Precision,
    statistics: Statistics,
    *,
    passes: Passes = "two",  # in which D judges real and fake images; changes only the speed
    operations: Operations | None = None,  # entered for each call of a network, penalty or term
    plain: bool = False,  # optimizers parameter by parameter
    capturable: bool = False,  # optimizers whose steps a CUDA graph may hold
) -> list[Phase]:
    """D at every step, the parts with phases of their own, G at every `train.d_steps`th; or what the variant brings.

    Raises:
        RunError: two phases of one name, or two that move G; a term of a phase that is none; a phase that moves what is
            none, or has no loss; an augmentation that cannot adapt.
    """
    networks = Networks(game, precision, operations or Operations(plain=True), passes)
    gan, losses = game.gan, game.losses
    makers = _Losses(game, networks, statistics)
    own = makers.usual() if gan.phases is None else list(gan.phases(losses))
    names = [phase.name for phase in own]
    for term in game.terms:
        if term.phase not in names:
            raise RunError(
                f"the term '{term.name}' is of a phase '{term.phase}', which there is not",
                f"mend its phase: the phases of this variant are {', '.join(names)}",
            )
    _check_phases(game, own, makers)
    modules = game.networks()
    phases = []
    for phase in own:
        unknown = next((name for name in phase.moves if name not in modules), None)
        if unknown is not None or not phase.moves:
            raise RunError(
                f"the phase '{phase.name}' moves '{unknown}', which is no network of the variant",
                f"mend its `moves`: the networks are {', '.join(modules)}",
            )
        is_d = phase.name == "D"
        base = (train.d_lr if is_d else train.g_lr) if phase.lr is None else phase.lr
        of_parts = [gan.parts[name].lr if name in gan.parts else None for name in phase.moves]
        rates = [base if rate is None else rate for rate in of_parts]
        moved = [modules[name] for name in phase.moves]
        module = moved[0] if len(moved) == 1 else nn.ModuleList(moved)
        rate = rate_of(train, "D" if is_d else "G")
        phases.append(
            Phase(
                name=phase.name,
                module=module,
                optimizer=make_optimizer(
                    [(list(one.parameters()), lr) for one, lr in zip(moved, rates, strict=True)],
                    train,
                    plain=plain,
                    capturable=capturable,
                    moving=rate is not None or (rates_move(train) and not capturable),
                ),
                interval=phase.every * (train.d_steps if phase.name == "G" else 1),
                loss=makers.with_terms(phase),
                see=functools.partial(
                    Moment,
                    networks=networks,
                    network=module,
                    generates="generator" in phase.moves,
                    tell=statistics.add,
                ),
                terms=tuple(term for term in game.terms if term.phase == phase.name),
                terms_alone=phase.loss == makers.of_part,
                made_of=(losses, phase.loss, *(term.loss for term in game.terms if term.phase == phase.name)),
                generates="generator" in phase.moves,
                rate=rate,
                clipped=list(gan.discriminator.parameters()) if is_d and losses.weight_clip is not None else [],
                weight_clip=losses.weight_clip if is_d else None,
                finish=makers.adapt if is_d and makers.adapting else None,
            )
        )
    return phases


def _check_phases(game: Game, own: Sequence[OwnPhase], makers: _Losses) -> None:
    names = [phase.name for phase in own]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise RunError(f"two phases are called '{twice}'", "give one of them another name")
    if len(of_g := [phase.name for phase in own if "generator" in phase.moves]) > 1:
        raise RunError(
            f"the phases {' and '.join(of_g)} both move the generator, whose images are made once in a step",
            "let one phase move it, by the sum of the losses",
        )
    for phase in own:
        if phase.loss == makers.of_part and not any(term.phase == phase.name for term in game.terms):
            raise RunError(
                f"the part '{phase.name}' has a phase of its own, and no term of it to be moved by",
                f"add Term(phase='{phase.name}', ...), or let D or G move it: Part(phase=...)",
            )
    if makers.adapting and (game.losses.paired or game.losses.g_uses_real):
        raise RunError(
            "an augmentation adapts to the sign of logits, of which this objective knows differences alone",
            "use an augmentation that does not adapt, such as diffaug, or another objective",
        )


def _moved_by(gan: GAN, phase: str) -> tuple[str, ...]:
    for name, part in gan.parts.items():
        if part.phase not in ("D", "G", "own"):
            raise RunError(f"the part '{name}' is moved by a phase '{part.phase}'", "say D, G or own")
    return tuple(name for name, part in gan.parts.items() if part.phase == phase)


class _Losses:
    """The losses of a game's phases, `[N]`, and what they tell the statistics."""

    def __init__(self, game: Game, networks: Networks, statistics: Statistics) -> None:
        self._game, self._networks, self._tell = game, networks, statistics.add
        augmentations = game.extras.augmentations.values()
        updates = (getattr(one, "update", None) for one in augmentations)
        self.adapting: list[Callable[[Tensor], None]] = [update for update in updates if callable(update)]

    def usual(self) -> list[OwnPhase]:
        """D, the parts with phases of their own, G."""
        gan = self._game.gan
        alone = _moved_by(gan, "own")
        return [
            OwnPhase(name="D", moves=("discriminator", *_moved_by(gan, "D")), loss=self.of_d),
            *(OwnPhase(name=name, moves=(name,), loss=self.of_part) for name in alone),
            OwnPhase(name="G", moves=("generator", *_moved_by(gan, "G")), loss=self.of_g),
        ]

    def of_d(self, moment: Batch) -> Tensor:
        assert isinstance(moment, Moment)
        moment.judge_both()
        losses = self._game.losses
        real, fake = moment.of_real["logits"], moment.of_fake["logits"]
        loss = losses.d_loss(real, fake)
        self._checked("d_loss", loss, real)
        self._tell("d_loss", loss)
        self._say_of_d(moment)
        if losses.penalty is not None:
            with self._networks.entered(), _said_of("objective"):
                labels = moment.labels
                penalty = losses.penalty(lambda images: self._networks.critic(images, labels), moment.real, moment.fake)
            self._checked("penalty", penalty, real)
            self._tell("penalty", penalty)
            loss = loss + penalty
        return loss

    def of_g(self, moment: Batch) -> Tensor:
        assert isinstance(moment, Moment)
        losses = self._game.losses
        if losses.g_uses_real:
            moment.judge_both()
            loss = losses.g_loss(moment.of_fake["logits"], moment.of_real["logits"])
        else:
            loss = losses.g_loss(moment.of_fake["logits"], None)
        self._checked("g_loss", loss, moment.of_fake["logits"])
        self._tell("g_loss", loss)
        return loss

    def of_part(self, moment: Batch) -> Tensor:
        """Its terms are all that moves it."""
        return moment.real.new_zeros(len(moment.real))

    def with_terms(self, phase: OwnPhase) -> Callable[[Moment, Sequence[Term]], Tensor]:
        known = phase.loss in (self.of_d, self.of_g, self.of_part)

        def loss(moment: Moment, terms: Sequence[Term]) -> Tensor:
            value = phase.loss(moment)
            if not known:
                self._checked(f"loss of the phase {phase.name}", value, moment.z[:, 0])
                self._tell(f"{phase.name.lower()}_loss", value)
                if phase.name == "D":
                    self._say_of_d(moment)
            moment.adversarial = value
            for term in terms:
                value = value + self._of_term(term, moment, value)
            return value

        return loss

    def _of_term(self, term: Term, moment: Moment, like: Tensor) -> Tensor:
        with self._networks.entered(), _said_of(term.name):
            value = term.loss(moment)
        if not isinstance(value, Tensor) or value.ndim > 1:
            found = list(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise GameError(f"the term '{term.name}' returns {found}, expected [N] or []", "mend its loss", term.name)
        value = value.float()
        if term.weight != 1:
            value = term.weight * value
        self._tell(term.name, value)
        if term.every != 1:
            value = term.every * value
        return value if value.shape == like.shape else value.mean()

    def _say_of_d(self, moment: Moment) -> None:
        if moment.has_judged:
            real, fake = moment.of_real["logits"], moment.of_fake["logits"]
            losses = self._game.losses
            # Where only differences of logits mean something, 0 is no border.
            paired = losses.paired or losses.g_uses_real
            self._tell("d_accuracy", real > fake if paired else torch.cat([real > 0, fake <= 0]))
        # Standard deviations by moments: `std` over the first dimension takes ten times as long on a CPU.
        images = moment.fake.detach()
        deviations = (images.square().mean(0) - images.mean(0).square()).clamp_min(0).sqrt()
        self._tell("diversity", deviations)

    def adapt(self, moment: Moment) -> None:
        """Augmentations that adapt hear what D said of real images."""
        with torch.no_grad():
            for update in self.adapting:
                update(moment.of_real["logits"].detach())

    @staticmethod
    def _checked(name: str, loss: Tensor, logits: Tensor) -> None:
        """A loss `[N, 1]` or `[N, N]` would be averaged without a word.

        Raises:
            GameError: it is no tensor `[N]`, nor `[]`, or nothing can be learned from it.
        """
        piece = "variant" if name.startswith("loss of the phase") else "objective"
        if not isinstance(loss, Tensor) or (loss.ndim and loss.shape != logits.shape):
            found = list(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
            raise GameError(
                f"the {piece}'s {name} is {found} for logits {list(logits.shape)}",
                f"return one value per sample, {list(logits.shape)}",
                piece,
            )
        if torch.is_grad_enabled() and not loss.requires_grad and name != "penalty":
            if logits.requires_grad or piece == "variant":
                cure = "compute it from what D says, without detach, item or no_grad"
                raise GameError(f"the {piece}'s {name} has no gradient", cure, piece)
            raise GameError(
                f"the logits that {name} is made of have no gradient",
                "look for detach, no_grad and whole numbers in the forwards of generator and discriminator",
                "variant",
            )


@contextlib.contextmanager
def _said_of(piece: str) -> Iterator[None]:
    """What is wrong inside is wrong with `piece`, where nobody else is named."""
    try:
        yield
    except GameError as error:
        error.piece = error.piece or piece
        raise


def run_phase(phase: Phase, shared: Shared, terms: Sequence[Term] = (), ranks: Ranks = ALONE) -> None:
    """One update, by the mean of the gradients of all `ranks`. Only what is being trained has its gradients on."""
    set_gradients(phase.parameters, on=True)
    differentiate(phase, moment := phase.see(shared), terms)
    ranks.average_gradients(phase.parameters)
    phase.optimizer.step()
    for parameter in phase.parameters:  # all of the optimizer's, whose own `zero_grad` takes ten times as long
        parameter.grad = None
        parameter.requires_grad_(False)
    if phase.weight_clip is not None:
        with torch.no_grad():
            torch._foreach_clamp_min_(phase.clipped, -phase.weight_clip)
            torch._foreach_clamp_max_(phase.clipped, phase.weight_clip)
    if phase.finish is not None:
        phase.finish(moment)


def differentiate(phase: Phase, moment: Moment, terms: Sequence[Term]) -> Tensor:
    """Add to the gradients of what has them on. Returns the loss, `[N]`."""
    loss = phase.loss(moment, terms)
    backward(loss.mean())
    return loss


def set_gradients(parameters: Iterable[Tensor], *, on: bool) -> None:
    for parameter in parameters:
        parameter.requires_grad_(on)
