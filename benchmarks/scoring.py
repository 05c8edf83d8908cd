"""Speed and memory of scoring, each as a ratio to a library or against a bound, taken in one run on one machine.

`python benchmarks/scoring.py` prints a Markdown table (`--json`: the rows as JSON). Alternatives are timed in turn, a
round of each after the other, and medians are compared, so that a change of the machine's load meets both.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

from ganzoo.config.layers import build_config
from ganzoo.config.places import cache_root
from ganzoo.engine.device import resolve_device, synchronize
from ganzoo.errors import UserError
from ganzoo.metrics.extract import Extractor
from ganzoo.metrics.fid import frechet_distance
from ganzoo.metrics.kid import KernelDistance
from ganzoo.metrics.reference import Reference
from ganzoo.metrics.statistics import Moments, moments
from ganzoo.runs.environment import device_name
from ganzoo.runs.snapshots import build_gan
from ganzoo.scoring.images import load_images
from ganzoo.scoring.scorer import Scorer
from ganzoo.zoo.registry import Registry

DEVICE = resolve_device("auto")

PRDC_MEMORY = """
import time, torch
from ganzoo.metrics.prdc import prdc

def peak():  # KiB; getrusage would count the process that started this one, too
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))

random = torch.Generator().manual_seed(0)
a, b = (torch.randn(10_000, 2_048, generator=random) for _ in range(2))
before, start = peak(), time.perf_counter()
prdc(a, b)
print(peak(), before, time.perf_counter() - start)
"""

EXTRACTION = """
import resource, sys, time
from pathlib import Path
import torch
from ganzoo.data.folder import load_folder
from ganzoo.features import efficientnet
from ganzoo.metrics import extract

how, root, folder = sys.argv[1:4]
if how == "before":  # whole batches, and memory that is given back after each
    extract.freed_memory_kept = lambda device: torch.no_grad()
    efficientnet.CHUNK = 10**6
torch.set_flush_denormal(True)
images = load_folder(Path(root), "train", False, path=Path(folder), size=64, on_progress=lambda *_: None)
network = efficientnet.efficientnet_lite0("cpu")
pixels, cpu = images.pixels[:500].clone(), torch.device("cpu")
extract.extract_features(network, pixels[:250], device=cpu, batch_size=250)
start, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
extract.extract_features(network, pixels, device=cpu, batch_size=250)
taken, now = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
cpu_seconds = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(len(pixels) / taken, len(pixels) / cpu_seconds, now.ru_minflt - used.ru_minflt, peak / 1024)
"""


def seconds(*functions: Callable[[], Any], rounds: int) -> list[float]:
    """Median seconds of each function; all are called once before, then in turn."""
    taken: list[list[float]] = [[] for _ in functions]
    for index in range(rounds + 1):
        for function, times in zip(functions, taken, strict=True):
            synchronize(DEVICE)
            started = time.perf_counter()
            function()
            synchronize(DEVICE)
            if index:
                times.append(time.perf_counter() - started)
    return [statistics.median(times) for times in taken]


def row(what: str, ours: str, theirs: str, bound: str, holds: bool | None) -> dict[str, Any]:
    return {"what": what, "ours": ours, "against": theirs, "bound": bound, "holds": holds}


def frechet(rounds: int) -> list[dict[str, Any]]:
    """FID from moments of 2,048 features, beside torch-fidelity's and torchmetrics' linear algebra."""
    from torch_fidelity.metric_fid import fid_statistics_to_metric
    from torchmetrics.image.fid import _compute_fid

    random = torch.Generator().manual_seed(0)
    mix, _ = torch.linalg.qr(torch.randn(2048, 2048, generator=random))
    mix *= torch.arange(1, 2049)[:, None] ** -0.75  # variances that fall from 1 to 1e-5, as those of real features do
    a, b = (moments(torch.randn(4096, 2048, generator=random) @ mix + shift) for shift in (0.0, 0.1))

    def numpy(m: Moments) -> dict[str, Any]:
        return {"mu": m.mean.numpy(), "sigma": m.covariance.numpy()}

    alternatives = (
        lambda: frechet_distance(a, b),
        lambda: fid_statistics_to_metric(numpy(a), numpy(b), verbose=False)["frechet_inception_distance"],
        lambda: float(_compute_fid(a.mean, a.covariance, b.mean, b.covariance)),
    )
    numbers = [alternative() for alternative in alternatives]
    ours, fidelity, metrics = seconds(*alternatives, rounds=rounds)
    return [
        row(
            "FID from moments, D = 2,048",
            f"{ours:.2f} s ({numbers[0]:.9g})",
            f"{name} {theirs:.2f} s ({number:.9g})",
            f"{theirs / ours:.1f}x; at least 2x",
            theirs / ours >= 2,
        )
        for name, theirs, number in (("torch-fidelity", fidelity, numbers[1]), ("torchmetrics", metrics, numbers[2]))
    ]


def random_inception(path: Path) -> nn.Module:
    """torch-fidelity's Inception-v3 with random weights, and its state dict in `path`."""
    from torch_fidelity import feature_extractor_inceptionv3 as module

    extractor = module.FeatureExtractorInceptionV3
    with (
        mock.patch.object(module, "load_state_dict_from_url", return_value={}),
        mock.patch.object(extractor, "load_state_dict", return_value=None),
        torch.random.fork_rng(devices=[]),
    ):
        torch.manual_seed(0)
        network = extractor("inception-v3-compat", ["2048", "logits_unbiased"])
        for part in network.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.running_mean.normal_(0, 0.1)
                part.running_var.uniform_(0.5, 1.5)
    torch.save(network.state_dict(), path)
    return network.to(DEVICE)


def features_beside(
    what: str, ours: Extractor, whose: str, theirs: Extractor, *, images: int, gain: float, apart: float, rounds: int
) -> list[dict[str, Any]]:
    """So many random images 32x32 through two forms of one network: at least `gain` times as fast, and features that
    differ by less than `apart` of their norm.
    """
    random = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (images, 3, 32, 32), dtype=torch.uint8, generator=random).to(DEVICE)
    with torch.inference_mode():
        expected = theirs(pixels)["pool"]
        difference = float((ours(pixels)["pool"] - expected).norm() / expected.norm())
        mine, other = seconds(lambda: ours(pixels), lambda: theirs(pixels), rounds=rounds)
    return [
        row(
            f"{what} features, {images} images",
            f"{images / mine:.1f} img/s",
            f"{whose} {images / other:.1f} img/s, features differ by {difference:.1e}",
            f"{other / mine:.2f}x; at least {gain:g}x",
            other / mine >= gain and difference < apart,
        )
    ]


def inception(rounds: int) -> list[dict[str, Any]]:
    """Inception-v3, beside torch-fidelity's own."""
    from ganzoo.features.inception import inception_v3

    with tempfile.TemporaryDirectory() as folder:
        network = random_inception(Path(folder) / "weights.pth")
        ours = inception_v3(DEVICE, weights=str(Path(folder) / "weights.pth"))

    def theirs(pixels: Tensor) -> dict[str, Tensor]:
        return {"pool": network(pixels)[0]}

    return features_beside(
        "Inception-v3", ours, "torch-fidelity", theirs, images=32, gain=1.3, apart=1e-5, rounds=rounds
    )


def folding(rounds: int) -> list[dict[str, Any]]:
    """EfficientNet-Lite0 with batch norm in its convolutions, beside the network as it comes."""
    from ganzoo.features import efficientnet

    ours = efficientnet.efficientnet_lite0(DEVICE)
    with mock.patch.object(efficientnet, "folded", lambda network: network):
        theirs = efficientnet.efficientnet_lite0(DEVICE)
    return features_beside(
        "EfficientNet-Lite0", ours, "as the package makes it", theirs, images=64, gain=1.4, apart=1e-4, rounds=rounds
    )


def kernel(rounds: int) -> list[dict[str, Any]]:
    """KID of 2,000 images of 50,000 real ones by 1,280 features, beside torch-fidelity's."""
    from torch_fidelity.metric_kid import kid_features_to_metric

    random = torch.Generator().manual_seed(0)
    generated, real = torch.rand(2_000, 1280, generator=random) + 0.1, torch.rand(50_000, 1280, generator=random)
    whole, metric = Reference(pool=real), KernelDistance()
    metric.update({"pool": generated})
    alternatives = (
        lambda: metric.compute(whole)["kid"],  # what concerns the real images alone is kept from the first call on
        lambda: metric.compute(Reference(pool=real))["kid"],
        lambda: kid_features_to_metric(generated, real, kid_subsets=100, kid_subset_size=1000, verbose=False)[
            "kernel_inception_distance_mean"
        ],
    )
    numbers = [alternative() for alternative in alternatives]
    ours, first, fidelity = seconds(*alternatives, rounds=rounds)
    return [
        row(
            "KID, 2,000 of 50,000 images, D = 1,280",
            f"{ours:.1f} s, the first time {first:.1f} s ({numbers[0]:.6g})",
            f"torch-fidelity, in float32, {fidelity:.1f} s ({numbers[2]:.6g})",
            f"{fidelity / ours:.1f}x; at least 0.9x, in float64",
            fidelity / ours >= 0.9 and abs(numbers[0] / numbers[2] - 1) < 1e-4 and numbers[0] == numbers[1],
        )
    ]


def fashion_mnist(root: Path) -> list[dict[str, Any]]:
    """10,000 images of an untrained conditional generator with all default metrics, reference statistics cached."""
    registry = Registry.load()
    config = build_config(registry, variant="cdcgan", dataset="fashion-mnist")
    try:
        images = load_images(registry, config, root, "train", download=False)
    except UserError as error:
        return [row("10,000 Fashion-MNIST images, all metrics", f"not measured: {error.cause}", "", "", None)]
    torch.manual_seed(0)
    gan = build_gan(registry, config, images.shape, images.num_classes)
    generator = gan.generator.to(DEVICE)
    first = Scorer(registry, config, images, root=root, device=DEVICE).score_generator(generator, gan.z_dim)
    started = time.perf_counter()
    scorer = Scorer(registry, config, images, root=root, device=DEVICE)
    ready = time.perf_counter() - started
    score = scorer.score_generator(generator, gan.z_dim)
    assert score.values == first.values
    return [
        row(
            "10,000 Fashion-MNIST images, all metrics",
            f"{score.seconds:.1f} s, of which sampling {10_000 / score.sample_img_per_s:.1f} s",
            f"first time, reference statistics to be computed: {first.seconds:.1f} s",
            "at most 30 s on two cores",
            score.seconds <= 30,
        ),
        row("opening a scorer with cached reference features", f"{ready:.1f} s", "", "", None),
    ]


def prdc_memory() -> list[dict[str, Any]]:
    """Precision, recall, density, coverage of 10,000 by 10,000 by 2,048 in a process of its own."""
    output = subprocess.run([sys.executable, "-c", PRDC_MEMORY], capture_output=True, text=True, check=True).stdout
    peak, before, taken = map(float, output.split())
    gib = (peak - before) / 2**20
    return [
        row(
            "PRDC, 10,000 x 10,000 x 2,048",
            f"{gib:.2f} GiB beyond its inputs, {taken:.0f} s",
            "one matrix of distances in float64 alone: 0.75 GiB",
            "under 2 GiB",
            gib < 2,
        )
    ]


def extraction(root: Path, folder: Path | None, rounds: int) -> list[dict[str, Any]]:
    """500 colour images 64x64 through EfficientNet-Lite0 on the CPU, with default settings, a process each."""
    if folder is None:
        return [row("EfficientNet-Lite0 features, 500 images", "not measured: name --images", "", "", None)]
    taken: dict[str, list[list[float]]] = {"before": [], "now": []}
    for index in range(rounds + 1):
        for how, lines in taken.items():
            command = [sys.executable, "-c", EXTRACTION, how, str(root), str(folder)]
            output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            if index:  # the first fills the cache of the folder
                lines.append([float(word) for word in output.split()])
    told = {how: [statistics.median(values) for values in zip(*lines, strict=True)] for how, lines in taken.items()}
    ours, theirs = (
        f"{speed:.0f} img/s, {each:.0f} a second of processor time, {faults:,.0f} page faults, {peak:,.0f} MiB"
        for speed, each, faults, peak in (told["now"], told["before"])
    )
    gain = told["now"][1] / told["before"][1]
    return [
        row(
            "EfficientNet-Lite0 features, 500 images",
            ours,
            f"whole batches, freed memory given back: {theirs}",
            f"{gain:.1f}x by processor time; at least 1.5x",
            gain >= 1.5,
        )
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="rounds of which the median is taken")
    parser.add_argument("--data-root", type=Path, default=None, metavar="DIR")
    parser.add_argument("--images", type=Path, metavar="FOLDER", help="500 colour images or more; none: left out")
    options = parser.parse_args()
    rows = [
        *frechet(options.rounds),
        *inception(options.rounds),
        *folding(options.rounds),
        *kernel(options.rounds),
        *fashion_mnist(cache_root(options.data_root)),
        *extraction(cache_root(options.data_root), options.images, options.rounds),
        *prdc_memory(),
    ]
    conditions = {"device": device_name(DEVICE), "torch": torch.__version__, "rounds": options.rounds}
    with contextlib.suppress(BrokenPipeError):
        if options.json:
            print(json.dumps({**conditions, "rows": rows}, indent=1))
        else:
            print("| what | ours | against | bound | holds |\n|---|---|---|---|---|")
            for entry in rows:
                verdict = {True: "yes", False: "no", None: "-"}[entry["holds"]]
                print(f"| {entry['what']} | {entry['ours']} | {entry['against']} | {entry['bound']} | {verdict} |")
            print(f"\n{conditions['device']}, torch {conditions['torch']}, median of {conditions['rounds']} rounds")
    return 1 if any(entry["holds"] is False for entry in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
