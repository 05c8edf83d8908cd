"""Operations that torch has, done otherwise. They are intercepted where a network asks for them, however it does."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ganzoo.engine.cpu import bf16
from ganzoo.engine.cpu.batch_norm import ROWS, by_halves, normalised
from ganzoo.engine.cpu.convolutions import convolve, convolve_transposed, is_ours, ordinary
from ganzoo.engine.cpu.draws import DRAWS
from ganzoo.engine.cpu.substitution import Substitution
from ganzoo.engine.cpu.views import VIEWS, Copies
from ganzoo.engine.ranks.batch_norm import synchronised
from ganzoo.engine.ranks.group import ALONE, Ranks
from ganzoo.errors import SettingError

Operation = Callable[..., Any]


class AnyLayout(Substitution):
    """Lets networks be written as if their tensors were contiguous, although we lay them out channels last, except that
    what they write into a view may not arrive: `on_lost` is then called at the end.
    """

    def __init__(self, others: Mapping[Any, Operation], on_lost: Callable[[], None]) -> None:
        self._copies, self._on_lost = Copies(), on_lost
        super().__init__({**{key: self._copies.watched(function) for key, function in VIEWS.items()}, **others})

    def __exit__(self, kind: Any, value: Any, traceback: Any) -> None:
        super().__exit__(kind, value, traceback)
        lost = self._copies.written()
        self._copies.clear()
        if lost and kind is None:
            self._on_lost()


def any_layout(on_lost: Callable[[], None] = lambda: None) -> AnyLayout:
    """Around a call of a network with its images or weights channels last."""
    return AnyLayout({}, on_lost)


def fast_operations(
    *,
    plain: bool = False,
    halves: bool = False,
    on_lost: Callable[[], None] = lambda: None,
    ranks: Ranks = ALONE,
) -> AnyLayout:
    """Convolutions, batch norm and dropout on the CPU as fast as we know how; and `any_layout`. `plain`: of these, only
    dropout, whose random numbers have to be the same. `halves`: batch norm takes each half of a batch by itself.
    `ranks`: over whose batch it is taken, where they are several.
    """
    others: dict[Any, Operation] = dict(DRAWS)
    if plain and halves:
        others[F.batch_norm] = by_halves
    if not plain:
        others |= {torch.conv2d: convolve, torch.conv_transpose2d: convolve_transposed}
        if bf16.multiplies_tiles():
            others[F.linear] = linear
        others[F.batch_norm] = batch_norm_by_halves if halves else batch_norm
    if ranks.several:
        others[F.batch_norm] = synchronised(ranks, halves=halves)
    return AnyLayout(others, on_lost)


class Operations:
    """What is entered around the calls of a run's networks: `usual`, or `by_halves` where D judges real and generated
    images in one pass.

    `lost`: whether something was written into the copy of a view, see `views.py`. Once `lost_is_fatal`, that is an
    error.
    """

    def __init__(self, *, plain: bool, ranks: Ranks = ALONE) -> None:
        """`ranks`: over whose batch batch norm is taken; by default over this process's own."""
        self.plain = plain
        self.lost, self.lost_is_fatal = False, False
        self.usual = fast_operations(plain=plain, on_lost=self._on_lost, ranks=ranks)
        self.by_halves = fast_operations(plain=plain, halves=True, on_lost=self._on_lost, ranks=ranks)

    def _on_lost(self) -> None:
        if self.lost_is_fatal:
            raise SettingError(
                "a network has written in place into a view of an image, which does not reach the image as this engine "
                "lays it out",
                "train it with --set engine=plain, or write into the image itself",
            )
        self.lost = True


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`torch.nn.functional.linear`; by a product in fp32, although under autocast in bf16, where the rows are few."""
    given = [one for one in (input, weight, bias) if one is not None]
    few = input.ndim > 0 and input.numel() < bf16.ROWS * input.shape[-1]
    if few and bf16.asked() and is_ours(*given, kinds=bf16.KINDS) and ordinary():
        with torch.autocast("cpu", enabled=False):
            return F.linear(*(one.float() for one in given)).bfloat16()
    return F.linear(input, weight, bias)


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    parts: int = 1,
) -> Tensor:
    """`torch.nn.functional.batch_norm`, of images channels last. A projection of z that was reshaped to an image is
    contiguous; the activation after it would get its gradient in another layout, and take ten times as long. In train
    mode with statistics of each of `parts` equal parts of the batch, if it can be divided, which are right: see there.
    """
    parts = parts if len(input) % parts == 0 else 1
    affine = [values for values in (weight, bias) if values is not None]
    # Of fewer numbers per channel torch's own statistics are as right, and soon made.
    many = input.ndim in (2, 4) and input.numel() > parts * input.shape[1] * ROWS
    known = [values for values in (*affine, running_mean, running_var) if values is not None]
    right = all(tuple(values.shape) == (input.shape[1],) for values in known)  # torch refuses the rest
    right = right and eps > 0 and (running_mean is None) == (running_var is None) and is_ours(input, *known)
    if training and many and right and ordinary():
        return normalised(input, running_mean, running_var, weight, bias, momentum, eps, parts)
    if input.ndim == 4 and input.device.type == "cpu" and ordinary():
        input = input.contiguous(memory_format=torch.channels_last)
    function = F.batch_norm if parts == 1 else by_halves
    return function(input, running_mean, running_var, weight, bias, training, momentum, eps)


batch_norm_by_halves = functools.partial(batch_norm, parts=2)
