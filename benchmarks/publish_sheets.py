"""What is published: which variants, on which images, for how long, and where it lies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "docs" / "results"
PAGE = ROOT / "docs" / "results.md"

EIGHT = ("dcgan", "cdcgan", "wgan-gp", "sngan", "r3gan", "stylegan2", "fastgan", "projected-gan")
"""For what takes long: the yardstick, the same told the class, two ways to tame D, and what the field is at."""

GRAY = "dataset.color=gray"
ANY_COUNT = "metrics.fid.allow_rank_deficient=true"
"""FID where the real images are no more than its network has features."""

SEES_THROUGH = (
    "`projected-gan`'s D sees through EfficientNet-Lite0, the network that scores here, so that its FID flatters it: "
    "compare it by the picture."
)


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """A table of its own: one protocol, one budget, the same seeds for all."""

    title: str
    dataset: str  # folder:NAME and npz:NAME are in --folders
    seeds: int
    kimg: float
    variants: tuple[str, ...] = ("all",)
    options: Mapping[str, Any] = field(default_factory=dict)  # further ones of `ganzoo.bench`
    also: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # each variant once more: "+name" -> options
    note: str = ""  # what has to be known before the table is read
    flattered: str = ""  # the variant whose D learns from the network that scores
    whole: str = ""  # the dataset that the images are a few of, which generators are scored against as well


SHEETS: dict[str, Sheet] = {
    "digits": Sheet(title="Digits, 32x32 gray", dataset="digits", seeds=5, kimg=32),
    "fashion-mnist": Sheet(title="Fashion-MNIST, 28x28 gray", dataset="fashion-mnist", seeds=3, kimg=16),
    "mnist": Sheet(title="MNIST, 28x28 gray", dataset="mnist", seeds=3, kimg=16),
    "cifar10-jpeg": Sheet(
        title="CIFAR-10 as JPEG of quality 75, 32x32 colour", dataset="folder:cifar10_jpeg", seeds=3, kimg=32,
        variants=EIGHT, options={"size": 32}, note=SEES_THROUGH, flattered="projected-gan",
    ),
    "faces": Sheet(
        title="10,000 faces of CelebA, 64x64 colour", dataset="folder:celeba64_a", seeds=3, kimg=16,
        variants=tuple("stylegan2-ada" if name == "cdcgan" else name for name in EIGHT),  # faces have no labels
        options={"size": 64}, note=SEES_THROUGH, flattered="projected-gan",
    ),
    "faces-1000": Sheet(
        title="1,000 faces, 64x64 colour", dataset="folder:faces-1000", seeds=3, kimg=16,
        variants=("dcgan", "fastgan", "projected-gan"), whole="folder:celeba64_a",
        note=SEES_THROUGH, flattered="projected-gan",
        options={"size": 64, "sets": [ANY_COUNT]},
    ),
    "fashion-1000": Sheet(
        title="1,000 images of Fashion-MNIST", dataset="npz:fashion-1000.npz", seeds=3, kimg=64,
        variants=("dcgan", "sngan"), whole="fashion-mnist",
        options={"sets": [GRAY], "size": 28, "features": "fashion-mnist"},
        also={"diffaug": {"augment": "diffaug"}, "ada": {"augment": "ada"}, "lecam": {"regularize": "lecam"},
              "cr": {"augment": "diffaug", "regularize": "cr",
                     "sets": [GRAY, "train.augment_in=terms"]},
              "diffaug+cr": {"augment": "diffaug", "regularize": "cr"}},
    ),
    "fashion-100": Sheet(
        title="100 images of Fashion-MNIST", dataset="npz:fashion-100.npz", seeds=3, kimg=64,
        variants=("dcgan",), whole="fashion-mnist",
        options={"sets": [GRAY, ANY_COUNT], "size": 28, "features": "fashion-mnist"},
        also={"diffaug": {"augment": "diffaug"}, "ada": {"augment": "ada"}},
    ),
}  # fmt: skip


def options_of(sheet: Sheet, folders: str = "DATA") -> dict[str, Any]:
    return {
        "dataset": place_of(sheet.dataset, folders),
        "kimg": sheet.kimg,
        "preset": "laptop",
        "device": "cpu",
        **sheet.options,
    }


def place_of(dataset: str, folders: str) -> str:
    kind, colon, name = dataset.partition(":")
    return f"{kind}:{Path(folders) / name}" if colon else kind


def commands_of(sheet: Sheet) -> Iterator[str]:
    for more in (dict[str, Any](), *sheet.also.values()):
        words = ["ganzoo", "bench", "--variants", ",".join(sheet.variants), "--seeds", str(sheet.seeds)]
        for name, value in {**options_of(sheet), **more}.items():
            if name == "sets":
                words += [word for one in value for word in ("--set", one)]
            else:
                words += [f"--{name.replace('_', '-')}", f"{value:g}" if isinstance(value, float) else str(value)]
        yield " ".join([*words, "--concurrent", "2"])
