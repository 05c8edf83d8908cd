"""The checks of the metrics: each takes what it tests, and ends in a `Check` that says what was found and expected."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ganzoo.data import to_uint8
from ganzoo.data.images import to_float
from ganzoo.errors import UserError
from ganzoo.features.classifiers import read_records
from ganzoo.metrics.extract import Extractor, checked_features
from ganzoo.metrics.statistics import Moments

OK, FAILED, SKIPPED = "ok", "FAILED", "skipped"

Fid = Callable[[Tensor, Tensor], float]
"""(generated float32 `[N,D]`, reference float32 `[M,D]`) -> FID."""

ZERO = 1e-8
"""What counts as 0 for an FID in float64: rounding leaves about 1e-13 at the 64 features of digits."""

SAME_FEATURES = 1e-4
"""How far an image's features may move with its batch, as a fraction of the largest feature. Other batch sizes take
other kernels: 4e-7 was measured, and 5e-6 between the two convolution libraries of a CPU. Dropout and the statistics of
a batch move them by more than 1e-2.
"""

REINSTALL = "reinstall ganzoo: pip install --force-reinstall --no-deps ganzoo"
REPORT = "the numbers of this machine cannot be trusted: try --device cpu, then another torch, and report it"


@dataclass(frozen=True, kw_only=True)
class Check:
    """What one check came to."""

    name: str
    status: str  # OK, FAILED or SKIPPED
    found: str
    expected: str = ""
    cure: str = ""  # one line; "" unless the check failed
    seconds: float = 0.0


def verdict(name: str, good: bool, found: str, expected: str, cure: str) -> Check:
    """OK or FAILED; the cure is kept for a failure only."""
    return Check(name=name, status=OK if good else FAILED, found=found, expected=expected, cure="" if good else cure)


def check_weights(name: str, folder: Path) -> Check:
    """Whether the SHA-256 of a shipped classifier's weights is the one recorded in `folder`."""
    title = f"weights of {name}"
    try:
        record = read_records(folder)[name]
        found = hashlib.sha256((folder / record["file"]).read_bytes()).hexdigest()
    except (OSError, KeyError) as error:
        return Check(name=title, status=FAILED, found=f"unreadable: {error}", expected="a file", cure=REINSTALL)
    return verdict(
        title, found == record["sha256"], f"SHA-256 {found[:12]}", f"{record['sha256'][:12]} as recorded", REINSTALL
    )


def check_eval_mode(name: str, extractor: nn.Module) -> Check:
    """Whether every module of a feature network is in eval mode and none of its parameters asks for gradients."""
    training = [path or type(module).__name__ for path, module in extractor.named_modules() if module.training]
    trainable = [path for path, parameter in extractor.named_parameters() if parameter.requires_grad]
    found = [f"{len(training)} modules in train mode, {training[0]} among them"] if training else []
    found += [f"{len(trainable)} trainable parameters, {trainable[0]} among them"] if trainable else []
    return verdict(
        f"eval mode of {name}",
        not found,
        "; ".join(found) or "eval mode, frozen",
        "eval mode, frozen",
        "load it with .eval() and .requires_grad_(False): its features would depend on what it was used for before",
    )


@torch.no_grad()
def check_batches(name: str, extractor: Extractor, pixels: Tensor, device: torch.device) -> Check:
    """Whether an image has the same features whatever its batch: all images at once, in batches of 7, and singly.

    The network is called as it stands, not put in eval mode first.

    Args:
        name: of the network.
        extractor: the feature network, on `device`.
        pixels: uint8 `[N,C,H,W]`, N >= 8.
        device: where the network is.
    """
    pixels = pixels.to(device)
    together = checked_features(extractor, pixels)["pool"]  # [N,D]
    largest = float(together.abs().max())
    worst = 0.0
    for size in (1, 7):
        apart = torch.cat([checked_features(extractor, part)["pool"] for part in pixels.split(size)])
        worst = max(worst, float((apart - together).abs().max()) / max(largest, 1e-30))
    return verdict(
        f"batches of {name}",
        worst <= SAME_FEATURES,
        f"features move by {worst:.1e} of the largest",
        f"at most {SAME_FEATURES:.0e}",
        "the network mixes the images of a batch or draws random numbers: put batch norm and dropout in eval mode",
    )


def check_self_distance(fid: Fid, features: Tensor) -> Check:
    """Whether the FID of a set with itself is 0. `features`: float32 `[N,D]`."""
    value = fid(features, features)
    return verdict("FID of a set with itself", abs(value) <= ZERO, f"{value:.1e}", f"0 within {ZERO:.0e}", REPORT)


def check_symmetry(fid: Fid, a: Tensor, b: Tensor) -> Check:
    """Whether FID is the same in both directions. `a`, `b`: float32 `[N,D]`."""
    there, back = fid(a, b), fid(b, a)
    good = math.isfinite(there) and abs(there - back) <= ZERO * max(1.0, abs(there))
    return verdict("FID in both directions", good, f"{there:.6g} and {back:.6g}", "equal", REPORT)


def check_rising(what: str, fid: Fid, reference: Tensor, levels: Mapping[str, Tensor]) -> Check:
    """Whether FID rises from each of `levels` to the next.

    Args:
        what: what grows.
        fid: the metric.
        reference: float32 `[M,D]`.
        levels: features float32 `[N,D]` by the name of the level, mildest first.
    """
    values = [fid(features, reference) for features in levels.values()]
    found = " < " if (good := all(a < b for a, b in itertools.pairwise(values))) else ", "
    return verdict(
        f"FID under {what}",
        good,
        found.join(f"{value:.3g}" for value in values),
        f"rising at {', '.join(levels)}",
        REPORT,
    )


def known_gaussians(blocks: int = 32) -> tuple[Moments, Moments, float]:
    """Two Gaussians in `2 * blocks` dimensions whose covariances do not commute, and their distance in closed form.

    Both covariances are, in one random orthogonal basis, blocks of 2x2, and for a positive definite 2x2 matrix M with
    eigenvalues p and q, tr M^(1/2) = sqrt(p) + sqrt(q) = sqrt(tr M + 2 sqrt(det M)). So with the blocks A_i and B_i,

        d^2 = |m_a - m_b|^2 + sum_i tr A_i + tr B_i - 2 sqrt(tr(A_i B_i) + 2 sqrt(det A_i det B_i))

    Their eigenvalues reach from 1e-6 to 1e2, as those of real features do.
    """
    random = torch.Generator().manual_seed(0)
    dim = 2 * blocks
    basis = torch.linalg.qr(torch.randn(dim, dim, generator=random, dtype=torch.float64)).Q
    covariances = []
    squares = []
    for _ in range(2):
        angles = torch.rand(blocks, generator=random, dtype=torch.float64) * math.pi
        rotation = torch.stack([angles.cos(), -angles.sin(), angles.sin(), angles.cos()], dim=1).view(blocks, 2, 2)
        values = 10 ** (torch.rand(blocks, 2, generator=random, dtype=torch.float64) * 8 - 6)
        square = rotation @ torch.diag_embed(values) @ rotation.mT  # [blocks,2,2]
        squares.append(square)
        covariance = basis @ torch.block_diag(*square) @ basis.T
        covariances.append((covariance + covariance.T) / 2)
    shift = torch.randn(dim, generator=random, dtype=torch.float64)
    a, b = squares
    trace_ab = (a * b.mT).sum(dim=(1, 2))
    cross = (trace_ab + 2 * (torch.linalg.det(a) * torch.linalg.det(b)).sqrt()).sqrt().sum()
    distance = shift.square().sum() + covariances[0].trace() + covariances[1].trace() - 2 * cross
    zero = torch.zeros_like(shift)
    first = Moments(count=10 * dim, mean=zero, covariance=covariances[0])
    return first, Moments(count=10 * dim, mean=shift, covariance=covariances[1]), float(distance)


def check_gaussians(distance: Callable[[Moments, Moments], float]) -> Check:
    """Whether the Frechet distance of `known_gaussians` is that of the closed form, to 1e-9 relative."""
    a, b, expected = known_gaussians()
    found = distance(a, b)
    good = abs(found - expected) <= 1e-9 * expected
    return verdict("distance of known Gaussians", good, f"{found:.10g}", f"{expected:.10g} in closed form", REPORT)


def noised(pixels: Tensor, sigma: float) -> Tensor:
    """uint8 `[N,C,H,W]` -> the same with Gaussian noise; `sigma` in units of the range [-1, 1]; the same each time."""
    random = torch.Generator().manual_seed(1)
    return to_uint8(to_float(pixels) + sigma * torch.randn(pixels.shape, generator=random))


def blurred(pixels: Tensor, sigma: float) -> Tensor:
    """uint8 `[N,C,H,W]` -> the same after a Gaussian blur; `sigma` in pixels, 0: as they are; edges are repeated."""
    if sigma == 0:
        return pixels
    reach = math.ceil(3 * sigma)
    offsets = torch.arange(-reach, reach + 1, dtype=torch.float32)
    kernel = (-0.5 * (offsets / sigma).square()).exp()
    kernel = kernel / kernel.sum()
    n, c, h, w = pixels.shape
    x = nn.functional.pad(to_float(pixels).view(n * c, 1, h, w), (reach,) * 4, mode="replicate")
    x = nn.functional.conv2d(nn.functional.conv2d(x, kernel.view(1, 1, -1, 1)), kernel.view(1, 1, 1, -1))
    return to_uint8(x.view(n, c, h, w))


def balanced_index(labels: Tensor, classes: Sequence[int], count: int) -> Tensor:
    """Positions int64 `[count]` of the first images of `classes`, in equal shares: dropping classes then changes what
    is there and not how much, on which FID depends too.

    Args:
        labels: int64 `[N]`.
        classes: those to take from; their number divides `count`.
        count: images in all.

    Raises:
        UserError: a class has too few images.
    """
    share = count // len(classes)
    parts = [(labels == label).nonzero()[:share, 0] for label in classes]
    if any(len(part) < share for part in parts):
        raise UserError(f"a class has fewer than {share} images", "use the data set the check was made for")
    return torch.cat(parts)
