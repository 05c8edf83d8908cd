"""A batch as terms see it, made of two networks on the CPU and nothing else of the engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ganzoo.gan import named


class FakeBatch:
    """As `ganzoo.gan.Batch` says; `told` holds what was told. Nothing is frozen: gradients go wherever they can."""

    def __init__(
        self,
        *,
        real: Tensor,
        discriminator: Callable[..., Tensor | Mapping[str, Tensor]],
        generator: Callable[..., Tensor | Mapping[str, Tensor]] | None = None,
        fake: Tensor | None = None,  # instead of a generator
        z: Tensor | None = None,
        labels: Tensor | None = None,
        phase: str = "D",
        adversarial: Callable[[Tensor, Tensor], Tensor] | None = None,  # logits of real and fake -> [N]
        augmentation: Callable[[Tensor], Tensor] | None = None,
        augmented: bool = True,  # whether the adversarial loss sees augmented images, too
        network: nn.Module | None = None,
        parts: Mapping[str, Callable[..., Tensor]] | None = None,
        progress: float = 0.0,
    ) -> None:
        self.real, self.labels, self.phase = real, labels, phase
        self.z = torch.zeros(len(real), 1) if z is None else z
        self.progress = torch.tensor(progress)
        self.parts: Mapping[str, Callable[..., Tensor]] = parts or {}
        self.told: dict[str, list[Tensor]] = {}
        self._discriminator, self._generator, self._fake = discriminator, generator, fake
        self._adversarial, self._augmentation, self._augmented = adversarial, augmentation, augmented
        self._network = network

    @property
    def network(self) -> nn.Module:
        network = self._network or (self._generator if self.phase == "G" else self._discriminator)
        assert isinstance(network, nn.Module)
        return network

    @property
    def fake(self) -> Tensor:
        return self.made["images"]

    @cached_property
    def made(self) -> Mapping[str, Tensor]:
        made = self.generate(self.z, labels=self.labels) if self._fake is None else {"images": self._fake}
        return made if self.phase == "G" else {name: output.detach() for name, output in made.items()}

    @cached_property
    def of_real(self) -> Mapping[str, Tensor]:
        return self.judge(self.real, labels=self.labels, augmented=self._augmented)

    @cached_property
    def of_fake(self) -> Mapping[str, Tensor]:
        return self.judge(self.fake, labels=self.labels, augmented=self._augmented)

    @cached_property
    def adversarial(self) -> Tensor:
        assert self._adversarial is not None
        return self._adversarial(self.of_real["logits"], self.of_fake["logits"])

    @property
    def weights(self) -> dict[str, Tensor]:
        assert isinstance(self._discriminator, nn.Module)
        return {name: one.detach().requires_grad_() for name, one in self._discriminator.named_parameters()}

    def judge(
        self,
        images: Tensor,
        *more: Tensor,
        labels: Tensor | None = None,
        augmented: bool = True,
        weights: Mapping[str, Tensor] | None = None,
    ) -> Mapping[str, Tensor]:
        inputs = (self.augment(images) if augmented else images, self._first(labels, images), *more)
        if weights is None:
            said = named(self._discriminator(*inputs), "logits")
        else:
            assert isinstance(self._discriminator, nn.Module)
            said = named(functional_call(self._discriminator, dict(weights), inputs), "logits")
        return {name: output.float() for name, output in said.items()}

    def critic(self, images: Tensor) -> Tensor:
        return self.judge(images)["logits"]

    def generate(self, z: Tensor, *, labels: Tensor | None = None) -> Mapping[str, Tensor]:
        assert self._generator is not None
        made = named(self._generator(z, self._first(labels, z)), "images")
        return {name: output.float() for name, output in made.items()}

    def augment(self, images: Tensor) -> Tensor:
        return images if self._augmentation is None else self._augmentation(images)

    def tell(self, name: str, values: Tensor) -> None:
        self.told.setdefault(name, []).append(values.detach())

    def judged(self, *, real: Mapping[str, Tensor], fake: Mapping[str, Tensor]) -> None:
        self.of_real, self.of_fake = real, fake

    def _first(self, labels: Tensor | None, like: Tensor) -> Tensor | None:
        return labels if labels is not None or self.labels is None else self.labels[: len(like)]
