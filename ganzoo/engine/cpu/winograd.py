"""Convolutions of 4x4 pixels and stride 2 by Winograd's minimal filtering, with fewer multiplications.

Padded by 1 and cut into cells of 2x2 pixels, an image of H x W pixels and C channels is one of (H/2 + 1) x (W/2 + 1)
pixels and 4 C channels, and the convolution one of 2x2 pixels and stride 1. F(m x m, 2 x 2) computes m x m of its
outputs from (m + 1)^2 products where the definition takes 4 m^2 (Winograd 1980; Lavin & Gray 2015,
arXiv:1509.09308): 9 for 16 with m = 2, 25 for 64 with m = 4. The products are matrix products over samples and
channels. Everything else is linear:

    U = T x    V = G w    M[k] = U[k] V[k]    y = S M

Each of T, G and S is a pair of functions here, the map and its adjoint, so that derivatives of any order are made of
the same six maps and of matrix products. A transposed convolution is the adjoint: x = T' (S' y  V').

Layouts: images `[N,C,H,W]`, channels last. All else is contiguous: U `[t, n^2, s N, 4 C]` and M
`[t, n^2, s N, K]` for t x s tiles, n = m + 1, a tile's column and sample in one dimension; V `[n^2, 4 C, K]`.
"""

from __future__ import annotations

import functools
import math
import threading
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

POINTS = (0.0, 1.0, -1.0, 2.0)
"""Where the polynomials are evaluated, beside infinity. F(2) takes the first two, F(4) all."""


def tile_size(samples: int, height: int, width: int) -> int:
    """m, of F(m x m, 2 x 2), for outputs of `height` x `width`: 2 or 4.

    The work is (m + 1)^2 matrix products of one row per tile and sample, and as much again, whatever the number of
    rows, as some twenty-five rows cost, to transform the weights there and their gradients back (measured: a Xeon of
    AVX-512, 128 to 256 channels). F(2), whose constants are 0 and 1, is more exact than the definition; F(4), some
    five times less.
    """

    def cost(m: int) -> float:
        return (m + 1) ** 2 * (samples * math.ceil(height / m) * math.ceil(width / m) + 25)

    return 4 if cost(4) < 0.95 * cost(2) else 2


def conv4x4(x: Tensor, weight: Tensor) -> Tensor:
    """`[N,C,H,W]`, weight `[K,C,4,4]`, both float32 -> `[N,K,H/2,W/2]`, stride 2, padding 1; H and W even.

    As `torch.nn.functional.conv2d`, to rounding, and differentiable as often; the result is laid out channels last.
    """
    n, _, height, width = x.shape
    maps = Maps.of(n, height // 2, width // 2)
    u = linear(x, maps.to_tiles, maps.from_tiles)
    v = linear(weight, maps.to_products, maps.from_products)
    return linear(Product.apply(u, v, False), maps.to_image, maps.from_image)


def conv_transpose4x4(x: Tensor, weight: Tensor) -> Tensor:
    """`[N,K,h,w]`, weight `[K,C,4,4]`, both float32 -> `[N,C,2h,2w]`: `conv_transpose2d` with stride 2, padding 1."""
    n, _, height, width = x.shape
    maps = Maps.of(n, height, width)
    m = linear(x, maps.from_image, maps.to_image)
    v = linear(weight, maps.to_products, maps.from_products)
    return linear(Product.apply(m, v, True), maps.from_tiles, maps.to_tiles)


def lay_out(weight: Tensor) -> Tensor:
    """`[K,C,4,4]`, its memory in the order 4, 4, C, K: that of V, and matrix products with V are a tenth faster than
    with V transposed.
    """
    return weight.permute(2, 3, 1, 0).contiguous().permute(3, 2, 0, 1)


class Maps:
    """T, G and S for N samples and outputs of height x width, each with its adjoint."""

    def __init__(self, n: int, height: int, width: int) -> None:
        self.n, self.height, self.width = n, height, width
        self.m = tile_size(n, height, width)
        self.rows, self.columns = math.ceil(height / self.m), math.ceil(width / self.m)
        # Tile before position down the image, position before tile across: so that a row of tiles is one matrix.
        tiles_down, image_down = (a.flatten(0, 1) for a in axis(self.m, height))
        tiles_across, image_across = (a.transpose(0, 1).flatten(0, 1) for a in axis(self.m, width))
        self.t = Separable(tiles_down, tiles_across)  # cells -> tiles
        self.s = Separable(image_down.T, image_across.T)  # tiles -> outputs
        _, g, _ = coefficients(self.m)
        self.g = torch.einsum("ad,be->abde", g, g).reshape((self.m + 1) ** 2, 4)
        self._scratch = threading.local()

    @staticmethod
    @functools.lru_cache(maxsize=32)
    def of(n: int, height: int, width: int) -> Maps:
        return Maps(n, height, width)

    def _stacked(self, z: Tensor) -> Tensor:  # [t n, n s, N C] -> [t, n^2, s N, C]
        points = self.m + 1
        return z.view(self.rows, points * points, self.columns * self.n, -1)

    def _cells(self, x: Tensor) -> Tensor:
        """`[N,C,H,W]`, padded by 1 -> cells of 2x2 pixels `[H/2+1,W/2+1,N,4C]`, valid until the next call."""
        n, height, width, c = self.n, self.height, self.width, x.shape[1]
        # Kept from call to call, because the zeros of the border stay.
        kept: dict[Any, tuple[Tensor, list[Tensor]]] = self._scratch.__dict__  # by number of channels
        if c not in kept:
            cells = x.new_zeros(height + 1, width + 1, n, 2, 2, c)
            kept[c] = cells, corners(cells)
        cells, into = kept[c]
        pixels = x.permute(0, 2, 3, 1).reshape(n, height, 2, width, 2, c).permute(1, 3, 0, 2, 4, 5)
        for corner, part in enumerate(into):
            part.copy_(pixels[:, :, :, corner // 2, corner % 2])
        return cells

    def to_tiles(self, x: Tensor) -> Tensor:
        """T: `[N,C,H,W]` -> `[t, n^2, s N, 4 C]`."""
        return self._stacked(self.t.apply(self._cells(x)))

    def from_tiles(self, u: Tensor) -> Tensor:
        """T': `[t, n^2, s N, 4 C]` -> `[N,C,H,W]`."""
        return from_cells(self.t.adjoint(u).view(self.height + 1, self.width + 1, self.n, -1))

    def to_image(self, products: Tensor) -> Tensor:
        """S: `[t, n^2, s N, K]` -> `[N,K,H/2,W/2]`."""
        y = self.s.apply(products).view(self.height, self.width, self.n, -1)
        image = new_image(y, self.n, y.shape[3], self.height, self.width)
        image.permute(2, 3, 0, 1).copy_(y)
        return image

    def from_image(self, y: Tensor) -> Tensor:
        """S': `[N,K,H/2,W/2]` -> `[t, n^2, s N, K]`."""
        return self._stacked(self.s.adjoint(y.permute(2, 3, 0, 1).contiguous()))

    def to_products(self, weight: Tensor) -> Tensor:
        """G: `[K,C,4,4]` -> `[n^2, 4 C, K]`; fastest where the weights lie as `lay_out` lays them."""
        k, c = weight.shape[:2]
        cells = weight.permute(2, 3, 1, 0).reshape(2, 2, 2, 2, c, k)  # (cell, pixel) down, (cell, pixel) across, C, K
        return (self.g @ cells.transpose(1, 2).reshape(4, -1)).view(len(self.g), 4 * c, k)

    def from_products(self, v: Tensor) -> Tensor:
        """G': `[n^2, 4 C, K]` -> `[K,C,4,4]`."""
        _, c, k = v.shape
        cells = (self.g.T @ v.reshape(len(self.g), -1)).view(2, 2, 2, 2, c // 4, k)
        return cells.transpose(1, 2).reshape(4, 4, c // 4, k).permute(3, 2, 0, 1)


class Separable:
    """A matrix down the image and one across it, applied to all that lies behind the first two dimensions."""

    def __init__(self, down: Tensor, across: Tensor) -> None:
        """`down` `[a,h]`, `across` `[b,w]`."""
        self.down, self.across = down.contiguous(), across.contiguous()

    def apply(self, x: Tensor) -> Tensor:
        """h w k values -> `[a,b,k]`."""
        (a, h), w = self.down.shape, self.across.shape[1]
        return torch.matmul(self.across, (self.down @ x.reshape(h, -1)).view(a, w, -1))

    def adjoint(self, y: Tensor) -> Tensor:
        """a b k values -> `[h,w,k]`."""
        (a, h), (b, w) = self.down.shape, self.across.shape
        z = torch.matmul(self.across.T, y.reshape(a, b, -1))
        return (self.down.T @ z.view(a, -1)).view(h, w, -1)


def from_cells(cells: Tensor) -> Tensor:
    """Cells of 2x2 pixels `[h+1,w+1,N,4C]` -> the image within their border, `[N,C,2h,2w]`."""
    height, width, n, c = cells.shape[0] - 1, cells.shape[1] - 1, cells.shape[2], cells.shape[3] // 4
    cells = cells.view(height + 1, width + 1, n, 2, 2, c)
    image = new_image(cells, n, c, 2 * height, 2 * width)
    pixels = image.permute(0, 2, 3, 1).view(n, height, 2, width, 2, c).permute(1, 3, 0, 2, 4, 5)
    for corner, part in enumerate(corners(cells)):
        pixels[:, :, :, corner // 2, corner % 2].copy_(part)
    return image


def new_image(like: Tensor, *shape: int) -> Tensor:
    """`[N,C,H,W]`, channels last, and no view: an activation may work in place on what a convolution returns, and for a
    view autograd would copy the gradient twice and hand it on in another layout.
    """
    return torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=torch.channels_last)


def corners(cells: Tensor) -> list[Tensor]:
    """Cells `[h+1,w+1,N,2,2,C]` -> four views `[h,w,N,C]`: where the pixels of even and odd rows and columns lie, which
    the padding has moved by one.
    """
    return [
        cells[:-1, :-1, :, 1, 1],
        cells[:-1, 1:, :, 1, 0],
        cells[1:, :-1, :, 0, 1],
        cells[1:, 1:, :, 0, 0],
    ]


def coefficients(m: int) -> tuple[Tensor, Tensor, Tensor]:
    """B' `[n,n]`, G `[n,2]`, A' `[m,n]`, n = m + 1, of F(m, 2): y = A' ((G g) * (B' d)) is y_i = g_0 d_i + g_1 d_{i+1}.

    Toom-Cook, transposed: G evaluates the filter's polynomial at the points, A' a polynomial of degree m - 1, and B' is
    the one matrix for which the two give the convolution.
    """
    points = torch.tensor(POINTS[:m], dtype=torch.float64)
    n = m + 1
    a, g = torch.zeros(m, n, dtype=torch.float64), torch.zeros(n, 2, dtype=torch.float64)
    for j, point in enumerate(points):
        others = torch.cat([points[:j], points[j + 1 :]])
        a[:, j] = point ** torch.arange(m)
        g[j] = torch.stack([torch.ones_like(point), point]) / (point - others).prod()
    a[m - 1, m], g[m, 1] = 1, 1  # infinity: the leading coefficients
    # sum_j A'[i,j] G[j,k] B'[j,l] = 1 where l = i + k, else 0
    system = (a[:, None] * g.T).reshape(2 * m, n)
    wanted = torch.zeros(m, 2, n, dtype=torch.float64)
    for i in range(m):
        wanted[i, 0, i], wanted[i, 1, i + 1] = 1, 1
    b = torch.linalg.lstsq(system, wanted.view(2 * m, n)).solution
    return b.float().round(decimals=6), g.float(), a.float()


def axis(m: int, size: int) -> tuple[Tensor, Tensor]:
    """The maps along an axis of `size` outputs: `[tiles, n, size + 1]` from cells, `[tiles, n, size]` to outputs."""
    b, _, a = coefficients(m)
    tiles = math.ceil(size / m)
    take, give = torch.zeros(tiles, m + 1, size + 1), torch.zeros(tiles, m + 1, size)
    for tile in range(tiles):
        first = tile * m
        cells, outputs = min(m + 1, size + 1 - first), min(m, size - first)  # the last tile may stick out
        take[tile, :, first : first + cells] = b[:, :cells]
        give[tile, :, first : first + outputs] = a.T[:, :outputs]
    return take, give


class Linear(torch.autograd.Function):
    """A linear map and its adjoint, each the other's derivative."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, apply: Callable[[Tensor], Tensor], adjoint: Callable[[Tensor], Tensor]) -> Tensor:
        ctx.maps = (apply, adjoint)
        return apply(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        apply, adjoint = ctx.maps
        return Linear.apply(gradient, adjoint, apply), None, None


def linear(x: Tensor, apply: Callable[[Tensor], Tensor], adjoint: Callable[[Tensor], Tensor]) -> Tensor:
    result: Tensor = Linear.apply(x, apply, adjoint)
    return result


class Product(torch.autograd.Function):
    """`[t,B,R,K]`, `[B,K,L]` -> `[t,B,R,L]`: `torch.matmul` would copy the right side t times. `transposed`: the right
    side is `[B,L,K]`, so that its gradient is laid out as it is.
    """

    @staticmethod
    def forward(ctx: Any, left: Tensor, right: Tensor, transposed: bool) -> Tensor:
        ctx.save_for_backward(left, right)
        ctx.transposed = transposed
        factor = right.mT if transposed else right
        out = left.new_empty(*left.shape[:3], factor.shape[2])
        for one, into in zip(left, out, strict=True):
            torch.bmm(one, factor, out=into)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        left, right = ctx.saved_tensors
        need_left, need_right, _ = ctx.needs_input_grad
        factors = (gradient, left) if ctx.transposed else (left, gradient)
        return (
            Product.apply(gradient, right, not ctx.transposed) if need_left else None,
            Contraction.apply(*factors) if need_right else None,
            None,
        )


class Contraction(torch.autograd.Function):
    """`[t,B,R,K]`, `[t,B,R,L]` -> `[B,K,L]`, the sum over t and R: what `Product` has for a derivative on its right."""

    @staticmethod
    def forward(ctx: Any, left: Tensor, right: Tensor) -> Tensor:
        ctx.save_for_backward(left, right)
        total = torch.bmm(left[0].mT, right[0])
        for one, other in zip(left[1:], right[1:], strict=True):
            total.baddbmm_(one.mT, other)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        left, right = ctx.saved_tensors
        need_left, need_right = ctx.needs_input_grad
        return (
            Product.apply(right, gradient, True) if need_left else None,
            Product.apply(left, gradient, False) if need_right else None,
        )
