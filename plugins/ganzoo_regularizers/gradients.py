"""Penalties on the gradient of D's logit C with respect to images. Each loss is float32 `[N]`, of D's phase."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from ganzoo import Batch, Term, Value, gradient_penalty
from ganzoo.objectives import between, gradient_norm, squared_gradient


def gp(config: Mapping[str, Value]) -> Term:
    """Gulrajani et al. 2017, equation 3: (||grad C(x^)|| - k)^2, x^ between real and generated images."""
    target = cast(float, config["target"])
    return _penalty("gp", lambda batch: gradient_penalty(batch.critic, batch.real, batch.fake, target=target))


def gp_lp(config: Mapping[str, Value]) -> Term:
    """Petzka et al. 2018, the one-sided penalty: max(0, ||grad C(x^)|| - 1)^2, x^ between real and generated images."""
    target = cast(float, config["target"])

    def loss(batch: Batch) -> Tensor:
        return F.relu(gradient_norm(batch.critic, between(batch.real, batch.fake)) - target).square()

    return _penalty("gp-lp", loss)


def r1(config: Mapping[str, Value]) -> Term:
    """Mescheder et al. 2018, equation 9: 1/2 ||grad C(x)||^2, to be weighted by gamma."""
    return _penalty("r1", lambda batch: 0.5 * squared_gradient(batch.critic, batch.real))


def r2(config: Mapping[str, Value]) -> Term:
    """Mescheder et al. 2018, equation 10: 1/2 ||grad C(G(z))||^2, to be weighted by gamma."""
    return _penalty("r2", lambda batch: 0.5 * squared_gradient(batch.critic, batch.fake))


def dragan(config: Mapping[str, Value]) -> Term:
    """Kodali et al. 2017, algorithm 1: (||grad C(x + delta)|| - k)^2, delta ~ N(0, c I).

    c depends on the range of pixels: as in the authors' code, it is taken from the batch's own spread, sqrt(c) =
    `noise` times the standard deviation of all its pixels. The gradient is the logit's, not the probability's.
    """
    target, noise = cast(float, config["target"]), cast(float, config["noise"])

    def loss(batch: Batch) -> Tensor:
        real = batch.real.detach()
        nearby = torch.addcmul(real, torch.randn_like(real), noise * real.std(correction=0))
        return (gradient_norm(batch.critic, nearby) - target).square()

    return _penalty("dragan", loss)


def _penalty(name: str, loss: Callable[[Batch], Tensor]) -> Term:
    return Term(name=name, phase="D", loss=loss, per_sample_gradients=True)
