"""Networks of FastGAN (Liu et al. 2021, arXiv:2101.04775), section 3, for square images of 4 to 7 times a power of two.

G has one convolution per size of map, and late maps are excited by early ones. D is an encoder as well: small decoders
reconstruct real images, whole and in part, from its maps. No noise is injected into G, so that an image is a function
of its z; and G gives one image, where the authors' code has D look at a second, smaller one.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganzoo import GAN, Batch, Part, Term, VariantConfig
from ganzoo_blocks import patches
from ganzoo_blocks.norms import Norm, spectral_norm
from ganzoo_blocks.shapes import Shape, init_weights, plan

EXCITES = 4
"""Doublings from a map to the one that it excites: 8 pixels to 128, and so on."""

SMALLEST = 8
"""D halves its maps down to at most this side, in pixels."""


def fastgan(config: VariantConfig, shape: Shape, num_classes: int) -> GAN:
    """FastGAN for images of `shape` (C, H, W). Labels are ignored. Raises UserError for a size it cannot make."""
    z_dim, channels = cast(int, config["z_dim"]), cast(int, config["channels"])
    discriminator = Discriminator(channels, shape, norm=layer_norm if config.per_sample_critic else nn.BatchNorm2d)
    doublings = discriminator.halvings - 1  # from the last map, or a quarter of the one before, to half an image's side
    decoders = {
        "whole": Decoder(discriminator.width, doublings, shape[0]),
        "part": Decoder(discriminator.middle_width, doublings, shape[0]),
    }
    return GAN(
        generator=Generator(z_dim, channels, shape).apply(init_weights),
        discriminator=discriminator,
        z_dim=z_dim,
        parts={name: Part(module=decoder.apply(init_weights), phase="D") for name, decoder in decoders.items()},
        terms=[Term(name="reconstruction", phase="D", loss=wrong, weight=cast(float, config["reconstruction"]))],
        phases=partial(patches.phases, with_d=tuple(decoders)),
    )


class Generator(nn.Module):
    """z `[N, z_dim]` -> images `[N,C,H,W]` in [-1, 1]."""

    def __init__(self, z_dim: int, channels: int, shape: Shape) -> None:
        super().__init__()
        start, doublings = plan(shape)
        widths = [width_of(channels, start * 2**power) for power in range(doublings + 1)]
        self.start = nn.Sequential(
            nn.Linear(z_dim, 2 * widths[0] * start * start, bias=False),
            nn.Unflatten(1, (2 * widths[0], start, start)),
            nn.BatchNorm2d(2 * widths[0]),
            nn.GLU(1),
        )
        self.blocks = nn.ModuleList(up(before, after) for before, after in pairwise(widths))
        # Images too small for 16 times the side are excited at their full size by the first map.
        self.reach = min(EXCITES, doublings)
        self.excitations = nn.ModuleList(
            Excitation(low, high) for low, high in zip(widths, widths[self.reach :], strict=False)
        )
        self.image = nn.Sequential(nn.Conv2d(widths[-1], shape[0], 3, padding=1), nn.Tanh())

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        maps: list[Tensor] = [self.start(z)]
        for block in self.blocks:
            x = block(maps[-1])
            low = len(maps) - self.reach
            maps.append(x if low < 0 else x * self.excitations[low](maps[low]))
        image: Tensor = self.image(maps[-1])
        return image


class Excitation(nn.Module):
    """x `[N,low,H,W]` -> a weight in (0, 1) for each channel of a later map, `[N,high,1,1]`.

    F of equation 2: pooled to 4x4, a 4x4 convolution, LeakyReLU(0.1), a 1x1 convolution, a sigmoid.
    """

    def __init__(self, low: int, high: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.AdaptiveAvgPool2d(4), nn.Conv2d(low, high, 4), nn.LeakyReLU(0.1), nn.Conv2d(high, high, 1), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.layers(x))


class Discriminator(nn.Module):
    """x `[N,C,H,W]` -> "patches" `[N, K]` and their means, "logits" `[N]`; "features" `[N,F,h,h]`, the last map;
    "middle" `[N,M,2h,2h]`, the one before; "seen": x itself, which is augmented.

    `width` is F, `middle_width` M, and `halvings` takes H to h. Each layer is spectrally normalised; `norm` stands
    behind each but the first and the last.
    """

    def __init__(self, channels: int, shape: Shape, *, norm: Norm) -> None:
        super().__init__()
        plan(shape)  # or it is refused
        side, before = shape[1] // 2, width_of(channels, shape[1] // 2)
        layers: list[nn.Module] = [
            nn.Sequential(convolution(shape[0], before, 4, stride=2, bias=True), nn.LeakyReLU(0.2, inplace=True))
        ]
        while side > SMALLEST:
            side, self.middle_width = side // 2, before
            layers.append(Down(before, width_of(channels, side), norm))
            before = width_of(channels, side)
        self.width, self.halvings = before, len(layers)
        self.middle, self.last = nn.Sequential(*layers[:-1]), layers[-1]
        # 4x4 without padding: 5x5 logits of 8x8 places
        self.patches = nn.Sequential(
            *normalised(before, 2 * before, 1, norm), spectral_norm(nn.Conv2d(2 * before, 1, 4, bias=False))
        )

    def forward(self, x: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        middle = self.middle(x)
        features = self.last(middle)
        said = self.patches(features).flatten(1)
        return {"logits": said.mean(1), "patches": said, "features": features, "middle": middle, "seen": x}


class Down(nn.Module):
    """x `[N,before,H,W]` -> `[N,after,H/2,W/2]`: the mean of two ways, by strided convolution and by pooling."""

    def __init__(self, before: int, after: int, norm: Norm) -> None:
        super().__init__()
        self.main = nn.Sequential(*normalised(before, after, 4, norm, stride=2), *normalised(after, after, 3, norm))
        self.direct = nn.Sequential(nn.AvgPool2d(2), *normalised(before, after, 1, norm))

    def forward(self, x: Tensor) -> Tensor:
        return (self.main(x) + self.direct(x)) / 2


class Decoder(nn.Module):
    """x `[N,width,h,h]` -> images `[N,colors,H,H]` in [-1, 1], where h is doubled `doublings` times."""

    def __init__(self, width: int, doublings: int, colors: int) -> None:
        super().__init__()
        widths = [max(width // 2**power, 4) for power in range(doublings + 1)]
        blocks = (up(before, after) for before, after in pairwise(widths))
        self.layers = nn.Sequential(*blocks, nn.Conv2d(widths[-1], colors, 3, padding=1), nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.layers(x))


def wrong(batch: Batch) -> Tensor:
    """How badly the decoders reconstruct real images, `[N]`: equation 4, of what D saw, so augmented.

    The paper's distance is a perceptual one, LPIPS; its weights do not come with ganzoo, and this is the mean absolute
    difference. Whole images are compared at half their side, and a quarter of each, any of the four, as it is.
    """
    said = batch.of_real
    seen = said["seen"].detach()
    at = torch.randint(2, (2, len(seen)), device=seen.device)
    whole = batch.parts["whole"](said["features"]) - F.avg_pool2d(seen, 2)
    part = batch.parts["part"](quarter(said["middle"], at)) - quarter(seen, at)
    return whole.abs().mean((1, 2, 3)) + part.abs().mean((1, 2, 3))


def quarter(x: Tensor, at: Tensor) -> Tensor:
    """x `[N,C,2h,2w]` -> `[N,C,h,w]`: of image n the upper or lower half by at[0, n], the left or right by at[1, n]."""
    parts = x.unflatten(3, (2, -1)).unflatten(2, (2, -1))  # [N,C,2,h,2,w]
    return parts[torch.arange(len(x), device=x.device), :, at[0], :, at[1]]


def up(before: int, after: int) -> nn.Module:
    """x `[N,before,H,W]` -> `[N,after,2H,2W]`: pixels repeated, a convolution, batch norm, a gated linear unit."""
    return nn.Sequential(
        nn.Upsample(scale_factor=2),
        nn.Conv2d(before, 2 * after, 3, padding=1, bias=False),
        nn.BatchNorm2d(2 * after),
        nn.GLU(1),
    )


def normalised(before: int, after: int, kernel: int, norm: Norm, *, stride: int = 1) -> tuple[nn.Module, ...]:
    layer = convolution(before, after, kernel, stride=stride, bias=norm is layer_norm)
    return layer, norm(after), nn.LeakyReLU(0.2, inplace=True)


def convolution(before: int, after: int, kernel: int, *, stride: int = 1, bias: bool) -> nn.Module:
    layer = nn.Conv2d(before, after, kernel, stride=stride, padding=(kernel - 1) // 2, bias=bias)
    init_weights(layer)
    return spectral_norm(layer)


def layer_norm(channels: int) -> nn.Module:
    """For batch norm where samples are to be treated independently: over all channels and places of an image."""
    return nn.GroupNorm(1, channels)


def width_of(channels: int, side: int) -> int:
    """Of maps of `side` pixels: 16, 8, 4, 2, 2 and 1 times `channels` at 4, 8, 16, 32, 64 and 128."""
    return channels * next((times for above, times in ((8, 16), (16, 8), (32, 4), (128, 2)) if side < above), 1)
