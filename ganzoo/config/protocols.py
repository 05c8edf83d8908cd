"""Protocols of published numbers, by the names that the literature has for them: what `--protocol` sets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ganzoo.errors import UnknownName


@dataclass(frozen=True, kw_only=True)
class Published:
    summary: str
    features: str
    num_images: int  # generated ones

    @property
    def sets(self) -> tuple[str, ...]:
        """As `--set` takes them."""
        return (f"eval.num_images={self.num_images}", "eval.num_reference=none")


PROTOCOLS: Mapping[str, Published] = {
    "fid50k": Published(
        summary="50,000 generated images against the whole training set, by Inception-v3: StyleGAN2-ADA's fid50k_full",
        features="inception",
        num_images=50_000,
    ),
    "fid10k": Published(
        summary="10,000 generated images against the whole training set, by Inception-v3: a fifth of the work",
        features="inception",
        num_images=10_000,
    ),
}


def published(name: str) -> Published:
    """
    Raises:
        UnknownName: no protocol is called so.
    """
    if name not in PROTOCOLS:
        raise UnknownName("protocol", name, PROTOCOLS)
    return PROTOCOLS[name]
