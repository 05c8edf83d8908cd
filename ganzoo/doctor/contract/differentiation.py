"""Whether a loss differentiates D by its images, whatever its flags say."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import torch
from torch import Tensor


class Differentiation:
    """Notes it: images that D is shown and that ask for gradients themselves, or gradients by what is an image."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self.by_images = False
        self._shape = shape

    def shown(self, judge: Callable[..., Any]) -> Callable[..., Any]:
        """`judge(images, ...)`, as it is, and watched."""

        def watched(images: Tensor, *more: Any, **options: Any) -> Any:
            self.by_images |= images.requires_grad and images.is_leaf
            return judge(images, *more, **options)

        return watched

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        grad = torch.autograd.grad

        def watched(outputs: Any, inputs: Any, *more: Any, **options: Any) -> Any:
            every = [inputs] if isinstance(inputs, Tensor) else list(inputs)
            self.by_images |= any(isinstance(one, Tensor) and tuple(one.shape[1:]) == self._shape for one in every)
            return grad(outputs, every, *more, **options)

        with mock.patch.object(torch.autograd, "grad", watched):
            yield
