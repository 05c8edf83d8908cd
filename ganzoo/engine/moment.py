"""How a run's networks are called, and what a loss sees of a phase."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ganzoo.engine.cpu.operations import Operations
from ganzoo.engine.device import Precision
from ganzoo.engine.game import Game
from ganzoo.engine.probes.joint import Passes
from ganzoo.engine.statistics import COLUMNS
from ganzoo.errors import GameError, RunError
from ganzoo.gan import named

Judged = Mapping[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class Shared:
    """What all phases of a step see. Fakes carry the labels of the real images, so that labels follow the data's own
    law in every phase; they are made once per step and serve D and G alike, as in PyTorch's DCGAN tutorial.
    """

    z: Tensor  # [N, z_dim] float32
    real: Tensor  # [N,C,H,W] float32 in [-1, 1]
    made: Mapping[str, Tensor]  # "images" [N,C,H,W] float32 in [-1, 1]; with G's graph in steps that train G
    labels: Tensor | None  # [N] int64, or None where the variant is unconditional
    progress: Tensor | float | None = 0.0  # of the run: float32 [] on the device, or a number; None: not known


class Networks:
    """G, D and the parts of a game, called with the engine's operations and precision; what they return is float32."""

    def __init__(self, game: Game, precision: Precision, operations: Operations, passes: Passes) -> None:
        self.game, self.passes = game, passes
        self._precision, self._operations = precision, operations
        self._within = False  # the operations have been entered
        self._mixes = self._how_mixed()
        self._augmentations = list(game.extras.augmentations.values())
        self.parts = {name: functools.partial(self._part, part.module) for name, part in game.gan.parts.items()}

    def _how_mixed(self) -> str:
        """By what D is known to mix the samples of a batch, or ""."""
        gan = self.game.gan
        if gan.batch_dependent:
            return "batch_dependent"
        # What counts in a network may answer as batch norm does.
        norm = any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in gan.discriminator.modules())
        return "batch norm" if norm and self.passes == "one by halves" else ""

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Around a penalty or a term: what it does with channels-last images is done with the operations, too."""
        with self._operations.usual:
            self._within = True
            try:
                yield
            finally:
                self._within = False

    def _around(self) -> contextlib.AbstractContextManager[object]:
        return contextlib.nullcontext() if self._within else self._operations.usual

    def generate(self, z: Tensor, labels: Tensor | None) -> Judged:
        """z float32 `[N, z_dim]`, labels int64 `[N]` or None -> "images" float32 `[N,C,H,W]`, and what G adds."""
        with self._around(), self._precision.autocast():
            made = self.game.gan.generator(z, labels)
        return _in_float32(named(made, "images"))

    def augment(self, images: Tensor) -> Tensor:
        if self._augmentations:
            with self._around():
                for augmentation in self._augmentations:
                    images = augmentation(images)
        return images

    def judge(
        self,
        images: Tensor,
        labels: Tensor | None,
        *more: Tensor,
        halves: bool = False,
        augmented: bool | None = None,
        weights: Mapping[str, Tensor] | None = None,
    ) -> Judged:
        """`augmented`: None: as in the adversarial loss. `weights`: in place of D's parameters of these names."""
        if self.game.extras.adversarial if augmented is None else augmented:
            images = self.augment(images)
        around = self._operations.by_halves if halves else self._around()
        discriminator = self.game.gan.discriminator
        with around, self._precision.autocast():
            if weights is None:
                said = discriminator(images, labels, *more)
            else:
                said = functional_call(discriminator, dict(weights), (images, labels, *more))
        return _in_float32(named(said, "logits"))

    def judge_both(self, real: Tensor, fake: Tensor, labels: Tensor | None) -> tuple[Judged, Judged]:
        """In the adversarial loss."""
        if self.passes == "two":
            return self.judge(real, labels), self.judge(fake, labels)
        both = torch.cat([real, fake])
        both_labels = None if labels is None else torch.cat([labels, labels])
        said = self.judge(both, both_labels, halves=self.passes == "one by halves")
        halves = {name: values.chunk(2) for name, values in said.items()}
        real_said, fake_said = (Said({name: half[side] for name, half in halves.items()}) for side in (0, 1))
        return real_said, fake_said

    def critic(self, images: Tensor, labels: Tensor | None) -> Tensor:
        """Logits, outside of autocast, for gradients with respect to `images`.

        Raises:
            GameError: these are asked for of a D that is known to mix the samples of a batch.
        """
        if self._mixes and images.requires_grad and images.is_leaf and not self.game.gan.summed_penalties:
            raise GameError(
                f"it differentiates D by its images, and a logit of this D depends on the whole batch ({self._mixes})",
                "say per_sample_gradients=True in the spec, of the Term as well: then D is built, or refused, for that",
            )
        if self.game.extras.adversarial:
            images = self.augment(images)
        return named(self.game.gan.discriminator(images, labels), "logits")["logits"]

    def _part(self, module: nn.Module, *arguments: Tensor) -> Tensor:
        with self._around(), self._precision.autocast():
            found: Tensor = module(*arguments)
        return found.float() if isinstance(found, Tensor) else found


class Said(dict[str, Tensor]):
    """A network's outputs by name; a name that is none is answered with those that are."""

    def __missing__(self, name: str) -> Tensor:
        raise KeyError(f"{name!r} is not among what the network returns: {', '.join(self)}")


def _in_float32(outputs: Judged) -> Judged:
    return Said({name: values.float() if values.is_floating_point() else values for name, values in outputs.items()})


class Moment:
    """A phase of a step, as its losses see it: `ganzoo.gan.Batch`."""

    def __init__(
        self,
        shared: Shared,
        networks: Networks,
        *,
        network: nn.Module,
        generates: bool,  # whether the phase moves G
        tell: Callable[[str, Tensor], None],
    ) -> None:
        self.z, self.labels, self.real = shared.z, shared.labels, shared.real
        self.network = network
        self._shared, self._networks = shared, networks
        self.made: Judged = (
            shared.made if generates else {name: values.detach() for name, values in shared.made.items()}
        )
        self.fake = self.made["images"]
        self._of_real: Judged | None = None
        self._of_fake: Judged | None = None
        self.adversarial: Tensor = torch.empty(0)  # until the objective has spoken
        self.parts = networks.parts
        self._tell = tell

    def tell(self, name: str, values: Tensor) -> None:
        if name in COLUMNS:
            raise GameError(
                f"it tells a statistic '{name}', which is a column of stats.jsonl", "call it something else"
            )
        self._tell(name, values)

    @property
    def progress(self) -> Tensor:
        progress = self._shared.progress
        if progress is None:
            raise RunError(
                "a loss reads batch.progress, and no term says so",
                "give its Term progress=True, and its spec: a run that goes by its length cannot be made longer",
            )
        if isinstance(progress, Tensor):
            return progress
        return torch.full((), progress, dtype=torch.float32, device=self.real.device)

    @property
    def of_real(self) -> Judged:
        if self._of_real is None:
            self._of_real = self._networks.judge(self.real, self.labels)
        return self._of_real

    @property
    def of_fake(self) -> Judged:
        if self._of_fake is None:
            self._of_fake = self._networks.judge(self.fake, self.labels)
        return self._of_fake

    def judged(self, *, real: Judged, fake: Judged) -> None:
        self._of_real, self._of_fake = named(real, "logits"), named(fake, "logits")

    def judge_both(self) -> None:
        """Real and generated images, in one pass where that is the same."""
        self._of_real, self._of_fake = self._networks.judge_both(self.real, self.fake, self.labels)

    @property
    def has_judged(self) -> bool:
        """Whether D has said something of both."""
        return self._of_real is not None and self._of_fake is not None

    def _labels_of(self, images: Tensor, labels: Tensor | None) -> Tensor | None:
        return self.labels[: len(images)] if labels is None and self.labels is not None else labels

    @property
    def weights(self) -> dict[str, Tensor]:
        named_parameters = self._networks.game.gan.discriminator.named_parameters()
        return {name: parameter.detach().requires_grad_() for name, parameter in named_parameters}

    def judge(
        self,
        images: Tensor,
        *more: Tensor,
        labels: Tensor | None = None,
        augmented: bool | None = None,
        weights: Mapping[str, Tensor] | None = None,
    ) -> Judged:
        labels = self._labels_of(images, labels)
        return self._networks.judge(images, labels, *more, augmented=augmented, weights=weights)

    def critic(self, images: Tensor) -> Tensor:
        return self._networks.critic(images, self._labels_of(images, None)).float()

    def generate(self, z: Tensor, *, labels: Tensor | None = None) -> Judged:
        return self._networks.generate(z, self._labels_of(z, labels))

    def augment(self, images: Tensor) -> Tensor:
        return self._networks.augment(images)
