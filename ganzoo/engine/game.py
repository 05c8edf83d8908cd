"""All that takes part in training: networks, losses, and what regularizers and augmentations add."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from torch import nn

from ganzoo.errors import RunError
from ganzoo.gan import GAN, Term
from ganzoo.objectives import Losses


@dataclass(frozen=True, kw_only=True)
class Extras:
    """What goes with any variant and objective."""

    terms: Sequence[Term] = ()  # of regularizers
    augmentations: Mapping[str, nn.Module] = field(default_factory=dict)  # by name, in the order they are applied
    adversarial: bool = True  # False: augmentations are for the terms that ask for them, not for the adversarial loss


@dataclass(frozen=True, kw_only=True)
class Game:
    gan: GAN
    losses: Losses
    extras: Extras = field(default_factory=Extras)

    @property
    def terms(self) -> tuple[Term, ...]:
        """All, in the order they are added: the objective's, the variant's, those of regularizers.

        Raises:
            RunError: two of one name.
        """
        terms = (*self.losses.terms, *self.gan.terms, *self.extras.terms)
        names = [term.name for term in terms]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise RunError(f"two terms of the loss are called '{twice}'", "give one of them another name")
        return terms

    def networks(self) -> dict[str, nn.Module]:
        """What is trained, by name."""
        parts = {name: part.module for name, part in self.gan.parts.items()}
        return {"generator": self.gan.generator, "discriminator": self.gan.discriminator, **parts}

    def kept(self) -> dict[str, nn.Module]:
        """What is saved with the run beside G and D: further networks, and what keeps numbers between steps."""
        found = {f"part {name}": part.module for name, part in self.gan.parts.items()}
        return found | self.memories()

    def memories(self) -> dict[str, nn.Module]:
        """What keeps numbers between steps, each once."""
        known = {id(module) for network in self.networks().values() for module in network.modules()}
        found: dict[str, nn.Module] = {}
        for kind, name, module in self._stateful():
            if id(module) not in known:
                known.add(id(module))
                found[f"{kind} {name}" if name in found else name] = module
        return found

    def _stateful(self) -> Iterator[tuple[str, str, nn.Module]]:
        """Kind, name, and the module. Names of different kinds may meet; within a kind they are different."""
        if self.losses.memory is not None:
            yield "objective", "objective", self.losses.memory
        for term in self.terms:
            # A term is a module, or a method of one.
            owner = term.loss if isinstance(term.loss, nn.Module) else getattr(term.loss, "__self__", None)
            if isinstance(owner, nn.Module):
                yield "term", term.name, owner
        for name, augmentation in self.extras.augmentations.items():
            yield "augmentation", name, augmentation

    @property
    def per_sample_gradients(self) -> bool:
        """Whether a term differentiates D by its images."""
        return any(term.per_sample_gradients for term in self.terms)

    @property
    def penalised(self) -> bool:
        """Whether losses are made of gradients."""
        return self.losses.penalty is not None or self.per_sample_gradients
