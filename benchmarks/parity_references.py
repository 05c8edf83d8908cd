"""The other implementations of our metrics, each called on inputs that ours gets too, for `parity.py`.

Each function makes a family of numbers once and remembers them: our numbers and theirs, under the same keys.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from ganzoo.data import make_images, to_uint8
from ganzoo.features.inception import inception_v3
from ganzoo.metrics.evaluate import Extractor, Metric, Reference, evaluate, reference_features
from ganzoo.metrics.fid import FrechetDistance
from ganzoo.metrics.inception_score import InceptionScore
from ganzoo.metrics.kid import KernelDistance
from ganzoo.metrics.neighbours import squared_radii
from ganzoo.metrics.prdc import PrecisionRecallDensityCoverage, prdc

CPU = torch.device("cpu")
Pair = tuple[Mapping[str, float], Mapping[str, float]]
"""Our numbers and theirs."""


class DoesNotRun(Exception):
    """A reference implementation that cannot work with the libraries installed; the message says why."""


def pixels(n: int, seed: int, *, channels: int = 1, size: int = 8) -> Tensor:
    """uint8 `[n,C,H,W]`: noise under a brightness of its own for each image; another `seed` is another law."""
    random = torch.Generator().manual_seed(seed)
    brightness = torch.rand(n, 1, 1, 1, generator=random) ** (1 + 0.2 * seed)
    return (256 * brightness * torch.rand(n, channels, size, size, generator=random)).to(torch.uint8)


class Network(nn.Module):
    """A classifier with fixed weights: uint8 `[n,1,8,8]` -> "pool" float32 `[n,16]`, "logits" float32 `[n,10]`."""

    def __init__(self) -> None:
        super().__init__()
        random = torch.Generator().manual_seed(0)
        self.first = torch.randn(64, 16, generator=random) / 4
        self.second = torch.randn(16, 10, generator=random)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        pool = (images.flatten(1).to(torch.float32) / 255 @ self.first + 0.3).relu()
        return {"pool": pool, "logits": pool @ self.second}


class Output(nn.Module):
    """One output of `Network`, for a library that wants a module: float64, so that the library's arithmetic is too."""

    num_features = 16

    def __init__(self, name: str, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        self.network, self.name, self.dtype = Network(), name, dtype

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images)[self.name].to(self.dtype)


GENERATED, REAL = pixels(300, 1), pixels(260, 2)
# Inception is slow, so it sees few images; very different ones, so that what float32 leaves of a difference is enough.
FEW_GENERATED, FEW_REAL = pixels(14, 1, channels=3, size=32), pixels(12, 9, channels=3, size=32)
K = 3  # neighbours


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Libraries warn and print; what they say is not about the numbers."""
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """torch's global random numbers from `seed` on, and as they were afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def our_numbers(
    generated: Tensor, real: Tensor, extractor: Extractor, *, splits: int, subset_size: int, neighbours: int
) -> dict[str, float]:
    """All metrics, as `ganzoo eval` computes them."""
    reference = reference_features(make_images(real), extractor, cache_dir=None, key="", device=CPU)
    metrics: dict[str, Metric] = {
        "fid": FrechetDistance(allow_rank_deficient=True),
        "inception-score": InceptionScore(splits=splits),
        "kid": KernelDistance(subsets=20, subset_size=subset_size),
        "prdc": PrecisionRecallDensityCoverage(nearest_k=neighbours),
    }
    return evaluate(metrics, [(part, None) for part in generated.split(64)], extractor, reference, device=CPU)


def our_fid(generated: Tensor, real: Tensor) -> float:
    """FID of features `[N,D]`."""
    metric = FrechetDistance(allow_rank_deficient=True)
    metric.update({"pool": generated})
    return metric.compute(Reference(pool=real))["fid"]


# torch-fidelity


class Pixels(torch.utils.data.Dataset[Tensor]):
    """The data set torch-fidelity asks for."""

    def __init__(self, images: Tensor) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        return self.images[index]


def fidelity_numbers(
    generated: Tensor, real: Tensor, *, splits: int, subset_size: int, neighbours: int, **settings: Any
) -> dict[str, float]:
    """torch-fidelity's `calculate_metrics`, under our keys."""
    from torch_fidelity import calculate_metrics

    with quiet():
        found = calculate_metrics(
            input1=Pixels(generated), input2=Pixels(real), cuda=False, cache=False, verbose=False, save_cpu_ram=True,
            isc=True, fid=True, kid=True, prc=True, isc_splits=splits, kid_subsets=20, kid_subset_size=subset_size,
            prc_neighborhood=neighbours, **settings,
        )  # fmt: skip
    return {
        "fid": found["frechet_inception_distance"],
        "is": found["inception_score_mean"],
        "is_std": found["inception_score_std"],
        "kid": found["kernel_inception_distance_mean"],
        "kid_std": found["kernel_inception_distance_std"],
        "precision": found["precision"],
        "recall": found["recall"],
    }


@cache
def fidelity_registered() -> Pair:
    """A feature extractor registered with torch-fidelity; the splits and the subsets are drawn alike by default."""
    from torch_fidelity.feature_extractor_base import FeatureExtractorBase
    from torch_fidelity.registry import register_feature_extractor

    class Registered(FeatureExtractorBase):
        def __init__(self, name: str, features_list: list[str], **kwargs: object) -> None:
            super().__init__(name, features_list)
            self.network = Network()

        @staticmethod
        def get_provided_features_list() -> tuple[str, ...]:
            return "pool", "logits"

        @staticmethod
        def get_default_feature_layer_for_metric(metric: str) -> str:
            return "logits" if metric == "isc" else "pool"

        def forward(self, images: Tensor) -> tuple[Tensor, ...]:
            features = self.network(images)
            return tuple(features[name].to(torch.float64) for name in self.features_list)

    register_feature_extractor("ganzoo-parity", Registered)
    settings = {"splits": 7, "subset_size": 100, "neighbours": K}
    theirs = fidelity_numbers(GENERATED, REAL, feature_extractor="ganzoo-parity", **settings)
    return our_numbers(GENERATED, REAL, Network(), **settings), theirs


@contextlib.contextmanager
def inception_weights() -> Iterator[str]:
    """A file with random weights for torch-fidelity's Inception-v3, scaled so that signals neither die nor explode."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    class Untrained(FeatureExtractorInceptionV3):
        def load_state_dict(self, state_dict: Mapping[str, Tensor]) -> None:
            """Leave the network as it was made."""

    with tempfile.TemporaryDirectory() as folder, seeded(0):
        path = f"{folder}/weights.pth"
        torch.save({}, path)
        network = Untrained("untrained", ["2048"], path)
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
        network.fc.weight.mul_(30)  # logits that tell images apart
        torch.save(network.state_dict(), path)
        yield path


@cache
def fidelity_inception() -> Pair:
    """Images to numbers through torch-fidelity's own Inception-v3, all in float32 on its side."""
    settings = {"splits": 1, "subset_size": 9, "neighbours": 1}
    with inception_weights() as path:
        theirs = fidelity_numbers(
            FEW_GENERATED, FEW_REAL, feature_extractor="inception-v3-compat", feature_extractor_weights_path=path,
            feature_layer_prc="2048", **settings,
        )  # fmt: skip
        return our_numbers(FEW_GENERATED, FEW_REAL, inception_v3(CPU, weights=path), **settings), theirs


# torchmetrics


@cache
def torchmetrics_custom() -> Pair:
    """FID, IS and KID with a feature module of ours; theirs draws splits and subsets by torch's random numbers."""
    from torchmetrics.image.fid import FrechetInceptionDistance
    from torchmetrics.image.inception import InceptionScore as TheirScore
    from torchmetrics.image.kid import KernelInceptionDistance

    splits, subsets, size = 6, 20, 100
    ours = our_numbers(GENERATED, REAL, Network(), splits=splits, subset_size=size, neighbours=K)
    theirs: dict[str, float] = {}
    with quiet():
        fid = FrechetInceptionDistance(feature=Output("pool"))
        fid.update(REAL, real=True)
        fid.update(GENERATED, real=False)
        theirs["fid"] = float(fid.compute())

        # They permute: what we hand them is permuted back, so that they end at the order that ours draws.
        score, n = TheirScore(feature=Output("logits"), splits=splits), len(GENERATED)
        handed = torch.empty_like(GENERATED)
        with seeded(0):
            handed[torch.randperm(n)] = GENERATED[torch.from_numpy(np.random.RandomState(2020).permutation(n))]
        score.update(handed)
        with seeded(0):
            mean, std = score.compute()
        theirs |= {"is": float(mean), "is_std": float(std), "is_std_population": float(std) * (1 - 1 / splits) ** 0.5}
        ours["is_std_population"] = ours["is_std"]

        # Ours on each pair of subsets they draw; a set taken whole is not drawn from again.
        pool = {True: Network()(REAL)["pool"], False: Network()(GENERATED)["pool"]}
        values = []
        with seeded(0):
            for _ in range(subsets):
                real, fake = (pool[side][torch.randperm(len(pool[side]))[:size]] for side in (True, False))
                metric = KernelDistance()
                metric.update({"pool": fake})
                values.append(metric.compute(Reference(pool=real))["kid"])
        ours |= {"kid": float(np.mean(values)), "kid_std": float(np.std(values)), "kid_float32": float(np.mean(values))}
        for suffix, dtype in (("", torch.float64), ("_float32", torch.float32)):
            kid = KernelInceptionDistance(feature=Output("pool", dtype), subsets=subsets, subset_size=size)
            kid.update(REAL, real=True)
            kid.update(GENERATED, real=False)
            with seeded(0):
                mean, std = kid.compute()
            theirs |= {f"kid{suffix}": float(mean), f"kid_std{suffix}": float(std)}
    return ours, theirs


@cache
def torchmetrics_inception() -> Pair:
    """What torchmetrics does to images before its Inception: 64 features, so that only the stem of it runs."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    from torchmetrics.image.fid import FrechetInceptionDistance

    ours: dict[str, float] = {}
    theirs: dict[str, float] = {}
    # larger than the network's 299 pixels, because antialiasing is for what shrinks
    generated, real = pixels(8, 1, channels=3, size=384), pixels(8, 3, channels=3, size=384)
    brightness = torch.rand(8, 1, 1, 1, generator=torch.Generator().manual_seed(4))
    floats = brightness * torch.rand(generated.shape, generator=torch.Generator().manual_seed(5))  # in [0, 1]
    with inception_weights() as path, quiet():

        def score(fake: Tensor, true: Tensor, **settings: Any) -> tuple[float, float]:
            """Our FID of the features they use, and their FID."""
            fid = FrechetInceptionDistance(feature=64, feature_extractor_weights_path=path, **settings)
            seen: list[Tensor] = []
            fid.inception.register_forward_hook(lambda module, args, output: seen.append(output))
            fid.update(fake, real=False)
            fid.update(true, real=True)
            return our_fid(*seen), float(fid.compute())

        network = FeatureExtractorInceptionV3("tf1", ["64"], path)
        tf1 = our_fid(network(generated)[0], network(real)[0])
        ours["antialias_both"], theirs["antialias_both"] = score(generated, real)
        ours["antialias_off"], theirs["antialias_off"] = tf1, score(generated, real, antialias=False)[1]
        ours["antialias_on"], theirs["antialias_on"] = tf1, theirs["antialias_both"]

        real_features = network(real)[0]
        ours["truncated"] = our_fid(network((floats * 255).byte())[0], real_features)
        ours["rounded"] = our_fid(network(to_uint8(2 * floats - 1))[0], real_features)
        theirs["truncated"] = theirs["rounded"] = score(floats, real / 255, normalize=True, antialias=False)[1]
    return ours, theirs


# prdc and pytorch-fid


@cache
def prdc_package() -> Pair:
    """The authors' own precision, recall, density and coverage, on float64 features."""
    from prdc import compute_prdc

    def score(generated: Tensor, real: Tensor) -> dict[str, float]:
        with quiet():
            return compute_prdc(real.double().numpy(), generated.double().numpy(), nearest_k=K)

    generated, real = Network()(GENERATED)["pool"], Network()(REAL)["pool"]
    ours, theirs = dict(prdc(generated, real, nearest_k=K)), dict(score(generated, real))
    # Their balls are open, ours are closed: with whole numbers, distances are exact and points lie on surfaces.
    lattice = torch.randint(0, 9, (200, 6), generator=torch.Generator().manual_seed(0)).float().unique(dim=0)
    copies = lattice[:20].repeat(K + 1, 1)
    ours["surface"] = prdc(lattice, lattice, nearest_k=K)["density"]
    opened = squared_radii(lattice, K) * (1 - 1e-9)
    ours["opened"] = prdc(lattice, lattice, nearest_k=K, reference_radii=opened)["density"]
    theirs["surface"] = theirs["opened"] = score(lattice, lattice)["density"]
    ours["copies"] = prdc(copies, copies, nearest_k=K)["precision"]
    theirs["copies"] = score(copies, copies)["precision"]
    return ours, theirs


@cache
def pytorch_fid() -> Pair:
    """pytorch-fid from PNG files on, with our network in the place of its own."""
    from pytorch_fid.fid_score import calculate_activation_statistics, calculate_frechet_distance

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = Network()

        def forward(self, images: Tensor) -> list[Tensor]:  # float `[n,3,8,8]` in [0, 1]
            grey = (images[:, :1] * 255).round().to(torch.uint8)
            return [self.network(grey)["pool"][:, :, None, None]]

    statistics: list[np.ndarray] = []
    with tempfile.TemporaryDirectory() as folder, quiet():
        for side, images in (("generated", GENERATED), ("real", REAL)):
            files = [Path(folder, f"{side}-{index}.png") for index in range(len(images))]
            for file, image in zip(files, images, strict=True):
                Image.fromarray(image[0].numpy()).save(file)
            statistics += calculate_activation_statistics(files, Model(), dims=16, num_workers=0)
        try:
            theirs = float(calculate_frechet_distance(*statistics))
        except TypeError as error:
            if "disp" not in str(error):
                raise
            raise DoesNotRun(f"scipy {importlib.metadata.version('scipy')} has no sqrtm(disp=...) any more") from error
    features = (Network()(images)["pool"] for images in (GENERATED, REAL))
    return {"fid": our_fid(*features)}, {"fid": theirs}
