"""What is tried: a variant under an objective with its extras, small, on random images, on the CPU."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ganzoo.config.fit import check_fit
from ganzoo.config.layers import build_config
from ganzoo.config.run_config import RunConfig
from ganzoo.data import make_images, make_sampler, to_float
from ganzoo.engine.device import Precision
from ganzoo.engine.game import Game
from ganzoo.engine.replays import Backend
from ganzoo.engine.step import Answers, Step
from ganzoo.errors import FitError, UserError
from ganzoo.gan import GAN, named
from ganzoo.runs.snapshots import build_extras, build_gan
from ganzoo.zoo.registry import Registry
from ganzoo.zoo.specs import Variant

CPU = torch.device("cpu")
BATCH = 8
CLASSES = 11  # of the random images, where the variant is conditional: not ten, so that a 10 in the code shows
DATASET = 40  # images
ANY_SIZE = 32  # where a variant takes any
LONGEST = 16  # steps of a round of phases and terms that are tried


class _Reticent(nn.Module):
    """A discriminator that returns its logits, and of its other outputs those that are asked for."""

    def __init__(self, discriminator: nn.Module, gives: frozenset[str]) -> None:
        super().__init__()
        self.discriminator, self.gives = discriminator, gives

    def forward(self, images: Tensor, labels: Tensor | None, *more: Tensor) -> dict[str, Tensor]:
        said = named(self.discriminator(images, labels, *more), "logits")
        return {name: values for name, values in said.items() if name == "logits" or name in self.gives}


@dataclass(frozen=True, kw_only=True)
class Case:
    registry: Registry
    config: RunConfig
    channels: int
    size: int
    gives: frozenset[str] | None = None  # what D returns beside logits is cut down to; None: all that it returns

    @property
    def spec(self) -> Variant:
        return self.registry.variant(self.config.variant.name)

    @property
    def classes(self) -> int:
        """0: the networks get no labels."""
        return CLASSES if self.spec.conditional else 0

    @property
    def shape(self) -> tuple[int, int, int]:
        return (self.channels, self.size, self.size)

    def gan(self, seed: int = 0) -> GAN:
        torch.manual_seed(seed)
        gan = build_gan(self.registry, self.config, self.shape, self.classes)
        if self.gives is None:
            return gan
        return dataclasses.replace(gan, discriminator=_Reticent(gan.discriminator, self.gives))

    def game(self, seed: int = 0) -> Game:
        gan = self.gan(seed)
        losses = self.registry.objective(self.config.objective.name).load()(self.config.objective.settings)
        return Game(gan=gan, losses=losses, extras=build_extras(self.registry, self.config, self.shape))

    def images(self, count: int = BATCH, seed: int = 0) -> tuple[Tensor, Tensor | None]:
        """uint8 `[count,C,H,W]`, and labels int64 `[count]` or None."""
        random = torch.Generator().manual_seed(seed)
        pixels = torch.randint(0, 256, (count, *self.shape), dtype=torch.uint8, generator=random)
        return pixels, (-1 - torch.arange(count)) % self.classes if self.classes else None

    def real(self, count: int = BATCH) -> tuple[Tensor, Tensor | None]:
        """float32 in [-1, 1], and labels."""
        pixels, labels = self.images(count)
        return to_float(pixels), labels

    def step(
        self, seed: int = 0, *, graphs: Backend | None = None, precision: Precision | None = None, known: bool = True
    ) -> Step:
        """A run that begins. `known`: whether what networks are asked before it is not asked again."""
        game = self.game(seed)
        made = Step(
            gan=game.gan,
            losses=game.losses,
            extras=game.extras,
            sampler=make_sampler(make_images(*self.images(DATASET)), batch_size=BATCH, device=CPU, seed=0),
            config=self.config.train,
            num_classes=self.classes,
            device=CPU,
            precision=precision or Precision(name="fp32", device_type="cpu"),
            graphs=graphs,
            answers=self.answers if known else None,
        )
        torch.manual_seed(1)
        return made

    @functools.cached_property
    def answers(self) -> Answers:
        return self.step(known=False).answers

    @functools.cached_property
    def period(self) -> int:
        """Steps of a round of phases and terms, at most `LONGEST`."""
        return min(LONGEST, math.lcm(*(phase.period for phase in self.step().state.phases)))


def make_case(
    registry: Registry,
    variant: str,
    *,
    objective: str | None = None,
    regularize: str | None = None,
    augment: str | None = None,
    channels: int | None = None,  # None: the fewest of the spec
    size: int | None = None,  # None: the smallest of the spec
) -> Case:
    """
    Raises:
        UserError: the names, settings or defaults are not what they should be, or do not fit together.
    """
    spec = registry.variant(variant)
    size = size or (min(spec.sizes) if spec.sizes else ANY_SIZE)
    config = build_config(
        registry,
        variant=variant,
        dataset="digits",
        objective=objective,
        regularize=regularize,
        augment=augment,
        preset="laptop",
        overrides={"dataset.size": size, "train.batch_size": BATCH, "train.kimg": 10.0, "train.minutes": None},
    )
    return Case(registry=registry, config=config, channels=channels or min(spec.channels), size=size)


def smallest_case(
    registry: Registry,
    *,
    objective: str | None = None,
    regularize: str | None = None,
    augment: str | None = None,
) -> Case:
    """With the smallest built-in variant that has what they need; its D returns no more than that.

    Raises:
        UserError: none has; the first one's reason.
    """
    regularizers = [registry.regularizer(name) for name in (regularize or "").split(",") if name]
    needs = {need for spec in regularizers for need in spec.needs}
    if objective is not None:
        needs |= set(registry.objective(objective).needs)
    if augment is None and "augmentation" in needs:
        augment = "flip"
    refusals: list[UserError] = []
    for variant in _smallest_first(registry):
        try:
            check_fit(
                variant,
                registry.objective(objective or variant.objective),
                "digits",
                None,
                None,
                CLASSES,
                regularizers,
                [augment] if augment else [],
            )
        except FitError as error:
            refusals.append(error)
            continue
        case = make_case(
            registry,
            variant.name,
            objective=objective,
            regularize=regularize or "none",
            augment=augment or "none",
        )
        return dataclasses.replace(case, gives=frozenset(needs))
    raise refusals[0]


def _smallest_first(registry: Registry) -> Iterator[Variant]:
    first = ["gan", "cgan"]
    known = {
        variant.name: variant for variant in registry.variants() if not registry.owner("variants", variant.name).local
    }
    yield from (known[name] for name in first if name in known)
    yield from (variant for name, variant in known.items() if name not in first)
