"""Networks of StyleGAN2 (Karras et al. 2019, arXiv:1912.04958): a generator that adds up images of all sizes, and a
residual discriminator, the paper's configuration F.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from ganzoo import GAN, VariantConfig
from ganzoo_blocks.shapes import Shape, given, need_labels, plan
from ganzoo_stylegan2.layers import Conv, Linear, ModulatedConv, Resample, ToImage, deviation, normalised

MEAN_DECAY = 0.995
"""Of the moving average of w, at each call in training."""


def stylegan2(config: VariantConfig, shape: Shape, num_classes: int) -> GAN:
    """StyleGAN2 for images of `shape` (C, H, W). Labels are ignored. Raises UserError for a size it cannot make."""
    return _pair(config, shape, 0)


def cstylegan2(config: VariantConfig, shape: Shape, num_classes: int) -> GAN:
    """Class-conditional StyleGAN2. Raises UserError for a size it cannot make, and for images without labels."""
    need_labels("cstylegan2", num_classes, "stylegan2")
    return _pair(config, shape, num_classes)


def _pair(config: VariantConfig, shape: Shape, num_classes: int) -> GAN:
    z_dim, layers, group = (cast(int, config[name]) for name in ("z_dim", "mapping_layers", "group"))
    widths = _widths(cast(int, config["channels"]), cast(int, config["widest"]), shape)
    mapping = Mapping(z_dim, layers, num_classes)
    return GAN(
        generator=Generator(mapping, widths, shape, z_dim, mixing=cast(float, config["mixing"])),
        discriminator=Discriminator(widths, shape, num_classes, group=group),
        z_dim=z_dim,
        batch_dependent=group > 1,
        # R1 differentiates the sum of all logits, in which an image also counts for the others of its group.
        summed_penalties=True,
    )


def _widths(channels: int, widest: int, shape: Shape) -> list[int]:
    """Of maps of each size, the smallest first."""
    _, doublings = plan(shape)
    return [min(channels * 2**power, max(widest, channels)) for power in range(doublings, -1, -1)]


class Mapping(nn.Module):
    """z `[N, dim]`, labels int64 `[N]` or None -> w `[N, dim]`, float32.

    z is normalised, and layers learn 100 times as slowly as others. A class is a vector that is normalised as well and
    put beside z (Karras et al. 2020, arXiv:2006.06676, in the authors' code).
    """

    def __init__(self, dim: int, layers: int, num_classes: int = 0) -> None:
        super().__init__()
        self.classes = nn.Embedding(num_classes, dim) if num_classes else None
        first = 2 * dim if num_classes else dim
        sizes = [first, *[dim] * (layers - 1)]
        self.layers = nn.Sequential(*(Linear(before, dim, rate=0.01, active=True) for before in sizes))

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        # In float32 throughout, for path lengths are gradients with respect to w.
        with torch.autocast(device_type=z.device.type, enabled=False):
            x = normalised(z.float())
            if self.classes is not None:
                x = torch.cat([x, normalised(self.classes(given(labels)).float())], 1)
            w: Tensor = self.layers(x)
            return w


class Generator(nn.Module):
    """z `[N, z_dim]`, labels int64 `[N]` or None -> "images" `[N,C,H,W]` in [-1, 1], "w" `[N, layers, z_dim]`.

    A tanh ends it, which the paper's does not have: images of the zoo are in [-1, 1].

    Args:
        widths: of maps of each size, the smallest first.
        mixing: share of images in training of which the layers from a random one on get the w of another z (Karras et
            al. 2018, arXiv:1812.04948, section 3.1).
    """

    mean: Tensor  # float32 [z_dim], moving average of w
    index: Tensor  # int64 [layers, 1]

    def __init__(self, mapping: Mapping, widths: list[int], shape: Shape, z_dim: int, *, mixing: float) -> None:
        super().__init__()
        side, _ = plan(shape)
        self.mapping, self.mixing = mapping, mixing
        self.register_buffer("mean", torch.zeros(z_dim))
        self.start = nn.Parameter(torch.randn(1, widths[0], side, side))
        self.first = ModulatedConv(widths[0], widths[0], z_dim, side)
        self.convs = nn.ModuleList()
        self.images = nn.ModuleList([ToImage(widths[0], shape[0], z_dim)])
        for before, after in pairwise(widths):
            side *= 2
            self.convs.append(ModulatedConv(before, after, z_dim, side, up=True))
            self.convs.append(ModulatedConv(after, after, z_dim, side))
            self.images.append(ToImage(after, shape[0], z_dim))
        # An image's layer shares its style with the convolution that follows, the last has one of its own.
        self.register_buffer("index", torch.arange(len(self.convs) + 2)[:, None], persistent=False)
        self.resample = Resample()

    def forward(self, z: Tensor, labels: Tensor | None = None, truncation: float = 1.0) -> dict[str, Tensor]:
        """`truncation`: psi, how far w is from its mean, 1 for all the way: Karras et al. 2018, appendix B."""
        w = self.styles(z, labels)
        if truncation != 1:
            w = torch.lerp(self.mean, w, truncation)
        return {"images": torch.tanh(self.draw(w)), "w": w}

    def styles(self, z: Tensor, labels: Tensor | None) -> Tensor:
        """-> w of each layer, `[N, layers, z_dim]`."""
        w = self.mapping(z, labels)
        if self.training:
            with torch.no_grad():
                self.mean.lerp_(w.mean(0), 1 - MEAN_DECAY)
        w = w[:, None].expand(-1, len(self.index), -1)
        if not self.training or not self.mixing:
            return w.contiguous()
        other = self.mapping(torch.randn_like(z), labels)[:, None]
        cut = torch.randint(1, len(self.index), (len(z), 1, 1), device=z.device)
        mixed = torch.rand(len(z), 1, 1, device=z.device) < self.mixing
        return torch.where(mixed & (self.index >= cut), other, w)

    def draw(self, w: Tensor) -> Tensor:
        """w `[N, layers, z_dim]` -> images `[N,C,H,W]`, not yet in a range: section 4.1, figure 7b."""
        styles = w.unbind(1)
        x = self.first(self.start.expand(len(w), -1, -1, -1), styles[0])
        image: Tensor = self.images[0](x, styles[1])
        for block in range(len(self.images) - 1):
            up, same = self.convs[2 * block], self.convs[2 * block + 1]
            x = same(up(x, styles[2 * block + 1]), styles[2 * block + 2])
            image = self.resample.up(image) + self.images[block + 1](x, styles[2 * block + 3])
        return image


class Block(nn.Module):
    """x `[N,before,H,W]` -> `[N,after,H/2,W/2]`: two convolutions and a 1x1 one beside them: section 4.1, figure 7c."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = Conv(before, before, 3), Conv(before, after, 3, down=True)
        self.skip = Conv(before, after, 1, down=True, active=False, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return (self.conv2(self.conv1(x)) + self.skip(x)) * (1 / math.sqrt(2))


class Discriminator(nn.Module):
    """x `[N,C,H,W]`, labels int64 `[N]` or None -> "logits" `[N]`, "features" `[N, F]`, of the last hidden layer.

    A class is projected: the last layer's output is compared with the class's vector, by an inner product.
    """

    def __init__(self, widths: list[int], shape: Shape, num_classes: int = 0, *, group: int = 1) -> None:
        super().__init__()
        side, _ = plan(shape)
        wide = widths[0]
        self.group = group
        layers: list[nn.Module] = [Conv(shape[0], widths[-1], 1)]
        layers += [Block(before, after) for after, before in reversed(list(pairwise(widths)))]
        self.body = nn.Sequential(*layers)
        self.conv = Conv(wide + (group > 1), wide, 3)
        self.hidden = Linear(wide * side * side, wide, active=True)
        self.classes = nn.Embedding(num_classes, wide) if num_classes else None
        self.logit = Linear(wide, wide if num_classes else 1)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        x = self.body(x)
        features = self.hidden(self.conv(deviation(x, self.group) if self.group > 1 else x).flatten(1))
        said = self.logit(features)
        if self.classes is not None:
            said = (said * normalised(self.classes(given(labels)))).sum(1) / math.sqrt(said.shape[1])
        return {"logits": said.flatten(), "features": features}
