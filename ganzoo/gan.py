"""What a variant gives the engine, and what a loss may look at."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ganzoo.zoo.specs import Value

Outputs = Tensor | Mapping[str, Tensor]
"""What a network returns: its main output alone, or that and others by name."""


@dataclass(frozen=True, kw_only=True)
class VariantConfig:
    """What a variant's target is called with: its settings, and what objective and regularizers ask of the critic."""

    settings: Mapping[str, Value]
    per_sample_critic: bool  # True: D must treat samples independently (gradient penalties): no batch norm in D

    def __getitem__(self, name: str) -> Value:
        """
        Raises:
            KeyError: the variant's spec has no such setting; the message lists those that it has.
        """
        try:
            return self.settings[name]
        except KeyError:
            known = ", ".join(self.settings) or "none"
            raise KeyError(f"{name!r} is no setting of this variant; its spec has: {known}") from None


class Prior(Protocol):
    """The law of z, as a function of standard normal noise: float32 `[N, z_dim]`, independent N(0, 1) -> z, likewise.

    Row by row and without randomness of its own, so that training, grids, films, scores and samples draw from one law,
    image i of a seed is the same everywhere, and noise between two samples is between them in z as well.
    """

    def __call__(self, normal: Tensor, /) -> Tensor: ...


@dataclass(frozen=True, kw_only=True)
class Normal:
    """z ~ N(0, I): the noise itself."""

    def __call__(self, normal: Tensor, /) -> Tensor:
        return normal


@dataclass(frozen=True, kw_only=True)
class Uniform:
    """Each component ~ U(low, high), by the normal's distribution function.

    Raises:
        ValueError: low is not below high, or one of them is not finite.
    """

    low: float = -1.0
    high: float = 1.0

    def __post_init__(self) -> None:
        _check_range("Uniform", self.low, self.high)

    def __call__(self, normal: Tensor, /) -> Tensor:
        share = torch.special.ndtr(normal)
        return torch.lerp(torch.full_like(normal, self.low), torch.full_like(normal, self.high), share)


@dataclass(frozen=True, kw_only=True)
class TruncatedNormal:
    """Each component ~ N(0, 1) given that it lies within [-limit, limit] (Brock et al. 2018, section 3.1).

    Raises:
        ValueError: limit is not above 0.
    """

    limit: float = 2.0

    def __post_init__(self) -> None:
        if not self.limit > 0:
            raise ValueError(f"TruncatedNormal.limit is {self.limit}: give a number above 0")

    def __call__(self, normal: Tensor, /) -> Tensor:
        # P(|Z| < |z|) = P(|X| < |x|) P(|Z| < limit), where P(|Z| < a) = erf(a / sqrt(2)): odd in x, and exact near 0.
        # In float64: in float32 it rounds to 1 from 5.4 on. MPS has none.
        exact = normal if normal.device.type == "mps" else normal.double()
        share = torch.erf(exact / math.sqrt(2)) * math.erf(self.limit / math.sqrt(2))
        return (torch.erfinv(share) * math.sqrt(2)).clamp(-self.limit, self.limit).to(normal.dtype)


@dataclass(frozen=True, kw_only=True)
class Codes:
    """Noise and structured codes (Chen et al. 2016, section 7): z is, one after the other, `noise` components
    ~ N(0, 1); for each of `categorical`, so many classes, a one-hot vector, all classes alike; `continuous` components
    ~ U(low, high). Codes are numbered from 1, the categorical ones first, as c_1, c_2, ... in the paper.

    Raises:
        ValueError: a count is negative, a categorical code has fewer than two classes, there is no component at all,
            or low is not below high; and where it is called with noise of another width than `dim`.
    """

    noise: int
    categorical: tuple[int, ...] = ()
    continuous: int = 0
    low: float = -1.0
    high: float = 1.0

    def __post_init__(self) -> None:
        for name in ("noise", "continuous"):
            if getattr(self, name) < 0:
                raise ValueError(f"Codes.{name} is {getattr(self, name)}: give a number of components, from 0")
        if not isinstance(self.categorical, tuple) or any(classes < 2 for classes in self.categorical):
            raise ValueError(
                f"Codes.categorical is {self.categorical}: give a tuple of numbers of classes, each from 2, as (10,)"
            )
        if self.dim == 0:
            raise ValueError("Codes has no components: give noise, categorical or continuous")
        _check_range("Codes", self.low, self.high)

    @property
    def dim(self) -> int:
        """Of z."""
        return self.noise + sum(self.categorical) + self.continuous

    def __call__(self, normal: Tensor, /) -> Tensor:
        if normal.shape[1] != self.dim:
            raise ValueError(f"Codes has {self.dim} components, not {normal.shape[1]}: give GAN z_dim={self.dim}")
        parts = [normal[:, : self.noise]]
        at = self.noise
        for classes in self.categorical:
            # The largest of independent equal normals is any of them with the same probability.
            largest = normal[:, at : at + classes].argmax(1)
            parts.append(nn.functional.one_hot(largest, classes).to(normal.dtype))
            at += classes
        parts.append(Uniform(low=self.low, high=self.high)(normal[:, at:]))
        return torch.cat(parts, 1)

    def split(self, z: Tensor) -> tuple[Tensor, tuple[Tensor, ...], Tensor]:
        """z `[N, dim]` -> noise `[N, noise]`, one-hot vectors `[N, classes]` of each categorical code, continuous
        codes `[N, continuous]`.
        """
        noise, *categorical, continuous = z.split([self.noise, *self.categorical, self.continuous], 1)
        return noise, tuple(categorical), continuous


def _check_range(owner: str, low: float, high: float) -> None:
    if not -math.inf < low < high < math.inf:
        raise ValueError(f"{owner}.low is {low} and {owner}.high is {high}: give finite numbers, low below high")


class Batch(Protocol):
    """What a term, or a phase of one's own, may look at. Each is made once, and only if it is asked for.

    In G's phase `fake` and `made` carry G's graph; in all others they are detached. Only what the phase moves gets
    gradients, whatever else is called. Networks are called as in the adversarial loss: on the device, in the run's
    precision; what they return here is float32.
    """

    @property
    def z(self) -> Tensor:
        """float32 `[N, z_dim]`, of the prior."""
        ...

    @property
    def labels(self) -> Tensor | None:
        """int64 `[N]`, of the real images and given to the fakes; None where the variant is unconditional."""
        ...

    @property
    def real(self) -> Tensor:
        """float32 `[N,C,H,W]` in [-1, 1], not augmented."""
        ...

    @property
    def network(self) -> nn.Module:
        """What the phase moves, for penalties on weights: G, D, or a list of networks."""
        ...

    @property
    def progress(self) -> Tensor:
        """float32 `[]` on the device, 0 at the start of the run, 1 at the end of its budget. See `Term.progress`."""
        ...

    @property
    def fake(self) -> Tensor:
        """float32 `[N,C,H,W]`, of the same G and z in all phases of a step."""
        ...

    @property
    def made(self) -> Mapping[str, Tensor]:
        """All that G returned: "images", which are `fake`, and its other outputs."""
        ...

    @property
    def of_real(self) -> Mapping[str, Tensor]:
        """All that D said of `real` in this phase's adversarial loss: "logits" `[N]`, and its other outputs."""
        ...

    @property
    def of_fake(self) -> Mapping[str, Tensor]:
        """As `of_real`, of `fake`."""
        ...

    @property
    def adversarial(self) -> Tensor:
        """float32 `[N]`: what the objective made of them in this phase."""
        ...

    @property
    def parts(self) -> Mapping[str, Callable[..., Tensor]]:
        """The GAN's further networks, by name."""
        ...

    @property
    def weights(self) -> dict[str, Tensor]:
        """D's parameters by name, as they are in this phase: leaves of graphs of their own, for steps that a loss
        takes with `judge(weights=...)`.
        """
        ...

    def judge(
        self,
        images: Tensor,
        *more: Tensor,
        labels: Tensor | None = None,
        augmented: bool | None = None,
        weights: Mapping[str, Tensor] | None = None,
    ) -> Mapping[str, Tensor]:
        """One more pass of D: `images` `[M,C,H,W]` -> "logits" `[M]`, and its other outputs.

        `labels`: int64 `[M]`; None: the batch's first M. `more`: what D takes after (x, labels). `augmented`: True,
        False, or None, as in the adversarial loss, which `train.augment_in=terms` leaves without. `weights`: what D's
        parameters of these names are taken to be; None: D's own.
        """
        ...

    def critic(self, images: Tensor) -> Tensor:
        """As `judge`, logits `[M]` alone and in float32 throughout: for gradients with respect to `images`."""
        ...

    def generate(self, z: Tensor, *, labels: Tensor | None = None) -> Mapping[str, Tensor]:
        """One more pass of G: z `[M, z_dim]` -> "images" `[M,C,H,W]`, and its other outputs. `labels` as in `judge`."""
        ...

    def augment(self, images: Tensor) -> Tensor:
        """The run's augmentations, drawn anew; the images themselves where there are none."""
        ...

    def tell(self, name: str, values: Tensor) -> None:
        """Have the mean of `values` in stats.jsonl, as `name`, averaged between two ticks."""
        ...

    def judged(self, *, real: Mapping[str, Tensor], fake: Mapping[str, Tensor]) -> None:
        """For phases of one's own: what D said, for `of_real`, `of_fake` and the statistics."""
        ...


@dataclass(frozen=True, kw_only=True)
class Term:
    """One more loss of a phase, added to what the objective says.

    `loss(batch)` -> float32 `[N]`, or `[M]` of some images, or `[]` of the batch as a whole; differentiable. One that
    keeps numbers between steps is an `nn.Module` with buffers (or a method of one), written in place under
    `torch.no_grad()`: they are saved with the run, and a captured iteration finds them. An attribute or a closure that
    counts is neither.
    """

    name: str  # its column in stats.jsonl: small letters, digits, hyphens, underscores
    phase: str  # whose loss: "D", "G", or the name of a part, or phase, of one's own
    loss: Callable[[Batch], Tensor]
    weight: float = 1.0
    # In each every-th update of the phase, and then times `every`: lazy regularisation, Karras et al. 2019, appendix B.
    every: int = 1
    per_sample_gradients: bool = False  # True: differentiates D by its images, so D must not mix samples
    progress: bool = False  # True: reads batch.progress, so the length of the run is part of what it is


@dataclass(frozen=True, kw_only=True)
class Part:
    """A network beside G and D. Trained, saved and continued like them; called through `Batch.parts`."""

    module: nn.Module
    phase: str  # whose update moves it: "D", "G", or "own": a phase of its own, whose losses are the terms of its name
    lr: float | None = None  # None: that of its phase, G's for "own"


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One update of a step, where a variant brings phases of its own: see `GAN.phases`."""

    name: str  # "D" and "G" are known to terms, regularizers and the leaderboard
    moves: tuple[str, ...]  # "generator", "discriminator", names of parts
    loss: Callable[[Batch], Tensor]  # float32 [N], the adversarial loss; terms are added to it
    lr: float | None = None  # None: train.d_lr for "D", else train.g_lr
    every: int = 1  # in each every-th step; "G" is in each train.d_steps-th of these


@dataclass(frozen=True, kw_only=True)
class GAN:
    """A generator and a discriminator (a critic, for Wasserstein objectives), and what goes with them.

    `generator(z, labels)`: z float32 `[N, z_dim]` of the prior, labels int64 `[N]` or None -> `[N,C,H,W]` in [-1, 1],
    or `{"images": ..., others}`.
    `discriminator(x, labels)`: x `[N,C,H,W]` in [-1, 1], labels int64 `[N]` or None -> logits `[N]`, without a sigmoid,
    or `{"logits": ..., others}`, each of its other outputs `[N, ...]`, of one image each.
    """

    generator: nn.Module
    discriminator: nn.Module
    z_dim: int
    batch_dependent: bool = False  # True: D looks at the whole batch; it judges real and generated images separately
    # True: gradient penalties differentiate the sum of a batch's logits though D compares the batch, as its paper does.
    summed_penalties: bool = False
    prior: Prior = field(default_factory=Normal)
    parts: Mapping[str, Part] = field(default_factory=dict)  # further networks
    terms: Sequence[Term] = ()  # what this variant adds to a phase's loss, under any objective
    # Replaces D's and G's phases, as the last resort: where D judges something else than images. Called with the
    # objective's `ganzoo.Losses`.
    phases: Callable[[Any], Sequence[Phase]] | None = None


def named(outputs: Outputs, main: str) -> Mapping[str, Tensor]:
    """Outputs by name: `main` is the name of a tensor alone."""
    return outputs if isinstance(outputs, Mapping) else {main: outputs}
